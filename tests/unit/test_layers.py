"""Every room imports what stands above it, and nothing below; no modules import each other in a circle."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import assent

ROOT = Path(assent.__file__).parent
# From the ground up. `docs/architecture.md` says what each is for.
ROOMS = (
    *("core", "net", "db", "embedded", "keys", "audit", "media", "hashlists", "perceive", "gallery", "policy"),
    *("refusals", "decisions", "platforms", "intake", "pipeline", "subjects", "review", "staff"),
    *("outbox", "shadow", "worker", "http", "me", "console", "learn", "tenants", "app", "cli", "__main__"),
)


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    paths = {".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in paths.items()}


MODULES = modules()


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in MODULES and name != "assent"}


@cache
def imports_by_module() -> dict[str, set[str]]:
    """Not at import: every test process collects this file, one runs it."""
    return {name: imports(path) for name, path in MODULES.items()}


def room(module: str) -> str:
    return module.split(".")[1]


def test_every_module_lies_in_a_room() -> None:
    assert {room(name) for name in MODULES if name != "assent"} == set(ROOMS)


def test_no_room_imports_one_below_it() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in imports_by_module().items()
        if name != "assent"
        for other in others
        if ROOMS.index(room(other)) > ROOMS.index(room(name))
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(imports_by_module()).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_the_check_sees_imports() -> None:
    assert {"assent.policy.decide", "assent.media.fetch"} <= imports_by_module()["assent.pipeline"]
    assert imports_by_module()["assent.core.values"] == {"assent.core.errors"}
