"""`assent train`: trains a head of the operator's own labels, from images in class folders or a CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from assent.cli.learning import begin, command, list_skipped, ticking
from assent.cli.text import cell

if TYPE_CHECKING:
    from assent.learn.train import TrainedHead
    from assent.perceive.labels.heads import HeadFile

PRECISION = 0.9


def train(
    labels: Annotated[Path, typer.Option(help="A folder with a folder for each class, or a CSV with path and label.")],
    name: Annotated[str, typer.Option(help="The head's name: lower-case letters, digits and hyphens.")],
    prefix: Annotated[str, typer.Option(help="What stands before a class's name in its label.")] = "product",
    none: Annotated[
        list[Path] | None, typer.Option(help="A folder of pictures that show none of the classes; may be repeated.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Other pictures, given as --labels takes them: thresholds are chosen on these.")
    ] = None,
    validation_none: Annotated[
        list[Path] | None, typer.Option(help="A folder of pictures of none for validation; may be repeated.")
    ] = None,
    backbone: Annotated[str, typer.Option(help="The network whose features are used.")] = "efficientnet-lite0",
    precision: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="A label is said where it was right so often.")
    ] = PRECISION,
    licence: Annotated[str, typer.Option(help="Of the head, for its card.")] = "not stated",
    source: Annotated[str, typer.Option(help="Where the pictures come from, for its card.")] = "not stated",
    out: Annotated[
        Path | None, typer.Option(help="Default: heads/ in the data folder's models, where it is live.")
    ] = None,
) -> None:
    """Train a head; images that cannot be used are listed; status 1 when none can be used."""
    settings = begin()
    from assent.learn.train import TrainOptions, train_head

    options = TrainOptions(
        labels=labels,
        name=name,
        prefix=prefix,
        none=tuple(none or ()),
        validation=validation,
        validation_none=tuple(validation_none or ()),
        backbone=backbone,
        precision=precision,
        licence=licence,
        source=source,
        out=out,
        command=command(),
    )
    _show(train_head(settings, options, ticking))


def _show(trained: TrainedHead) -> None:
    console = Console()
    console.print(_table(trained.file))
    list_skipped(trained.skipped, console)
    for line in trained.doubts:
        console.print(f"[yellow]look at[/] {cell(line)}", highlight=False)
    console.print(f"written: {trained.path}", highlight=False)


def _table(file: HeadFile) -> Table:
    from assent.learn.report import format_cell

    figures = ", ".join(f"{name} {format_cell(value)}" for name, value in file.figures.items())
    table = Table(title=f"{file.id}: {figures}")
    for column in ("label", "photos", "said from", "precision", "of", "recall"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label in file.label:
        least = "never" if label.threshold is None else format_cell(label.threshold)
        precision, recall = format_cell(label.precision), format_cell(label.recall)
        table.add_row(label.name, str(label.photos), least, precision, format_cell(label.said), recall)
    return table
