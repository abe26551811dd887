"""`assent train`: a head of the operator's own labels, from pictures in class folders or a CSV."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from assent import telemetry
from assent.cli.learning import command, features_of, list_skipped, need_learn, ticking, write_skipped
from assent.errors import DatasetUnusable, ModelUnknown
from assent.settings import Settings

if TYPE_CHECKING:
    from assent.perceive.heads import HeadFile

PRECISION = 0.9


def train(
    labels: Annotated[Path, typer.Option(help="A folder with a folder for each class, or a CSV with path and label.")],
    name: Annotated[str, typer.Option(help="The head's name: lower-case letters, digits and hyphens.")],
    prefix: Annotated[str, typer.Option(help="What stands before a class's name in its label.")] = "product",
    none: Annotated[
        list[Path] | None, typer.Option(help="A folder of pictures that show none of the classes; may be repeated.")
    ] = None,
    backbone: Annotated[str, typer.Option(help="The network whose features are used.")] = "nudenet-320n",
    precision: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="A label is said where it was right so often.")
    ] = PRECISION,
    licence: Annotated[str, typer.Option(help="Of the head, for its card.")] = "not stated",
    source: Annotated[str, typer.Option(help="Where the pictures come from, for its card.")] = "not stated",
    out: Annotated[
        Path | None, typer.Option(help="Default: heads/ in the data folder's models, where it is live.")
    ] = None,
) -> None:
    """Train a head; pictures that cannot be used are listed, and status 1 says that none could."""
    need_learn()
    telemetry.configure("error")
    settings = Settings()
    from assent.learn.dataset import negatives, read_dataset
    from assent.learn.head import card, to_onnx, write_head
    from assent.learn.labelled import class_labels, describe, doubtful, large_enough
    from assent.learn.train import FOLDS, STRENGTHS, fit
    from assent.perceive.backbone import POOLED
    from assent.perceive.heads import NAME, NONE

    if not NAME.fullmatch(name):
        raise DatasetUnusable(f"{name!r} is no name for a head: lower-case letters, digits and hyphens")
    if backbone not in POOLED:
        raise ModelUnknown(f"there is no backbone {backbone!r}; there are: {', '.join(sorted(POOLED))}")
    dataset = read_dataset(labels)
    # What no head may say is refused before anything is looked at.
    class_labels(sorted({*dataset.classes, *([NONE] if none else [])}), prefix)
    examples = [*dataset.examples, *(one for folder in none or () for one in negatives(folder, NONE))]
    made_for, seen = features_of(settings, examples)
    kept, small = large_enough(seen.examples)
    used = [seen.examples[at] for at in kept]
    columns = class_labels(sorted({one.label for one in used}), prefix)
    order = [*sorted(set(columns.values()) - {NONE}), *([NONE] if NONE in columns else [])]
    classes = [order.index(columns[one.label]) for one in used]
    with ticking("training", FOLDS * len(STRENGTHS)) as tick:
        fitted = fit(seen.features[kept], classes, tick, order.index(NONE) if NONE in order else None)
    model = to_onnx(fitted.model, fitted.familiar)
    file = describe(
        fitted, order, classes, precision, model,
        name=name, backbone=made_for, licence=licence, training_data=source, trained=datetime.now(UTC).date(),
    )  # fmt: skip
    folder = out or settings.models_dir / "heads"
    path = write_head(folder, file, model, card(file, command(), precision, ()))
    skipped = (*dataset.skipped, *seen.skipped, *small)
    write_skipped(skipped, path.with_suffix(".skipped.txt"))
    console = Console()
    console.print(_table(file))
    list_skipped(skipped, console)
    for line in doubtful(fitted, order, classes, used):
        console.print(f"[yellow]look at[/] {line}", highlight=False)
    console.print(f"written: {path}", highlight=False)


def _table(file: HeadFile) -> Table:
    from assent.learn.report import show

    table = Table(title=f"{file.id}: " + ", ".join(f"{name} {show(value)}" for name, value in file.figures.items()))
    for column in ("label", "photos", "said from", "precision", "recall"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label in file.label:
        least = "never" if label.threshold is None else show(label.threshold)
        table.add_row(label.name, str(label.photos), least, show(label.precision), show(label.recall))
    return table
