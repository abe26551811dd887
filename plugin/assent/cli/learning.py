"""Provides what `assent train` and `assent eval` share: progress, tables, and the list of skipped files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from assent.cli.text import cell
from assent.core import telemetry
from assent.core.display import visible
from assent.core.errors import LearnMissing
from assent.core.settings import Settings

if TYPE_CHECKING:
    from assent.learn.dataset import Skipped
    from assent.learn.report import Cell, Report, Table

MOST_LISTED = 20


def need_learn() -> None:
    """Raises LearnMissing where scikit-learn or matplotlib is not installed."""
    if absent := [name for name in ("sklearn", "matplotlib") if find_spec(name) is None]:
        raise LearnMissing(f"not installed: {', '.join(absent)}")


def begin() -> Settings:
    """Configures the log and returns the settings. Raises LearnMissing where the learning libraries are missing."""
    need_learn()
    telemetry.configure("error")
    return Settings()


def command() -> str:
    """Returns the command line as typed, without this machine's folders before the program's name."""
    return shlex.join(["assent", *sys.argv[1:]])


@contextmanager
def ticking(activity: str, total: int) -> Iterator[Callable[[], object]]:
    """Shows a progress bar on the terminal; call the yielded function once for each finished item."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(activity, total=total)
        yield lambda: progress.advance(bar)


def print_report(report: Report, console: Console) -> None:
    """Prints the report's title, its tables and its notes."""
    console.print(f"[bold]{cell(report.title)}[/]", highlight=False)
    for table in report.tables:
        if table.printed:
            console.print(_rich_table(table))
    for note in report.notes:
        console.print(visible(note), highlight=False, markup=False)


def _rich_table(table: Table) -> RichTable:
    from assent.learn.report import format_cell

    rich_table = RichTable(title=cell(table.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(table.columns):
        rich_table.add_column(cell(name), justify="left" if _is_text(table.rows, number) else "right", overflow="fold")
    for row in table.rows:
        rich_table.add_row(*(cell(format_cell(value)) for value in row))
    return rich_table


def _is_text(rows: Sequence[tuple[Cell, ...]], column: int) -> bool:
    return any(isinstance(row[column], str) for row in rows)


def list_skipped(skipped: Sequence[Skipped], console: Console) -> None:
    """Prints how many files, rows or classes were left out, and the first of them with their reasons."""
    if skipped:
        console.print(f"[yellow]{len(skipped)} left out[/]", highlight=False)
    for each in skipped[:MOST_LISTED]:
        console.print(visible(f"  {each.item}: {each.reason}"), highlight=False, markup=False)
    if len(skipped) > MOST_LISTED:
        console.print(f"  … and {len(skipped) - MOST_LISTED} more", highlight=False)
