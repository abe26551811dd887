"""Renders an evaluation as tables and plots: as CSV and SVG files, and as one HTML page by itself."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from assent.core.display import visible, visible_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Cell = str | float | int | None
INK = ("#0b7a68", "#b3541e", "#4a5a8a", "#8a6d1f", "#7a3b69")
_PAGE = jinja2.Environment(
    loader=jinja2.PackageLoader("assent.learn", "."),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: visible(value) if type(value) is str else value,  # names of folders and files among them
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a report; `name` names its CSV file.

    Shares are numbers from 0 to 1; None is a figure that could not be measured."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    printed: bool = True  # False: a curve's points, for the CSV alone


@dataclass(frozen=True, slots=True)
class Plot:
    name: str
    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation: its title and command, the notes a reader needs, its tables and plots."""

    title: str
    command: str
    notes: tuple[str, ...]
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]


def draw_plot(name: str, title: str, draw: Callable[[Axes], None]) -> Plot:
    """Returns an SVG that `draw` fills; equal figures give equal bytes."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure = Figure((6.4, 4.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.25)
        draw(axes)
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() in ("log", "symlog"):  # 0.001, not 10⁻³, which takes longer to typeset than all else
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter("")
        out = StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return Plot(name, title, visible_lines(out.getvalue()))


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Labels the axes of a plot."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def write_report(report: Report, folder: Path) -> None:
    """Writes `<table>.csv`, `<plot>.svg` and `report.html`, which loads nothing from anywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in report.tables:
        with (folder / f"{table.name}.csv").open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(table.columns)
            lines.writerows(["" if cell is None else cell for cell in row] for row in table.rows)
    for plot in report.plots:
        (folder / f"{plot.name}.svg").write_text(plot.svg, "utf-8")
    drawings = [(plot.title, Markup(_inline(plot.svg))) for plot in report.plots]  # noqa: S704 - matplotlib's own SVG
    page = _PAGE.get_template("report.html").render(report=report, drawings=drawings, format_cell=format_cell)
    (folder / "report.html").write_text(page, "utf-8")


def _inline(svg: str) -> str:
    """Returns the SVG without the text before its root element."""
    return svg[svg.index("<svg") :]


def format_cell(cell: Cell) -> str:
    """Formats a cell for people: at most four digits, – where nothing could be measured."""
    if cell is None:
        return "–"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
