"""A line of the report, and whether a figure reached its target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; `reached` says whether its target was met, where it has one."""

    group: str
    figure: str
    value: str
    beside: str = ""
    target: str = ""
    reached: bool | None = None


def at_least(value: float, least: float | None, unit: str = "") -> tuple[str, bool | None]:
    return ("", None) if least is None else (f"≥ {least:g}{unit}", value >= least)


def at_most(value: float, most: float, unit: str) -> tuple[str, bool | None]:
    return f"≤ {most:g}{unit}", value <= most
