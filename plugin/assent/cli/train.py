"""`assent train`: trains a head of the operator's own labels, from images in class folders or a CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from assent.cli.learning import command, features_of, list_skipped, need_learn, ticking, write_skipped
from assent.core import telemetry
from assent.core.errors import DatasetUnusable, ModelUnknown
from assent.core.settings import Settings

if TYPE_CHECKING:
    from assent.learn.dataset import Example, Skipped
    from assent.learn.train import Augmented, ValidationSet
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
    """Train a head; images that cannot be used are listed; status 1 when none can be used."""
    need_learn()
    telemetry.configure("error")
    settings = Settings()
    from threadpoolctl import threadpool_limits  # scikit-learn's own; the process begins with one thread

    from assent.learn.dataset import fingerprint, read_dataset
    from assent.learn.head import card, described, head_to_onnx, write_head
    from assent.learn.labelled import class_labels, doubtful, large_enough
    from assent.learn.thresholds import figures, judge_validation, settled
    from assent.learn.train import FOLDS, STRENGTHS, fit
    from assent.perceive.labels.heads import NONE

    _refuse(name, backbone, validation, validation_none)
    dataset = read_dataset(labels)
    # What no head may say is refused before anything is looked at.
    class_labels(sorted({*dataset.classes, *([NONE] if none else [])}), prefix)
    made_for, seen = features_of(settings, [*dataset.examples, *_of_none(none)])
    kept, small = large_enough(seen.examples)
    skipped = [*dataset.skipped, *seen.skipped, *small]
    used, hashes = [seen.examples[at] for at in kept], [seen.sha256[at] for at in kept]
    columns = class_labels(sorted({one.label for one in used}), prefix)
    order = [*sorted(set(columns.values()) - {NONE}), *([NONE] if NONE in columns else [])]
    classes = [order.index(columns[one.label]) for one in used]
    copies, proof, fields = _copies(settings, used, hashes), None, {}
    if validation is not None:
        found = _proof(settings, validation, validation_none, order, columns, hashes)
        proof, fields["validation_sha256"], others = found
        skipped += others
    with ticking("training", FOLDS * len(STRENGTHS)) as tick, threadpool_limits(settings.threads, "blas"):
        none_at = order.index(NONE) if NONE in order else None
        fitted = fit(seen.features[kept], classes, tick, none_at, copies, proof)
    fixed = settled(fitted, order, classes, proof, precision)
    model = head_to_onnx(fixed.fitted.model, fixed.fitted.familiar)
    more = {"log loss": fixed.fitted.log_loss, "temperature": fixed.fitted.temperature, "C": fixed.fitted.strength}
    file = described(
        model, name=name, backbone=made_for, licence=licence, training_data=source, trained=datetime.now(UTC).date(),
        features=seen.features.shape[1],
        label=judge_validation(fixed.judged, fixed.limits, [classes.count(at) for at in range(len(order))]),
        figures=figures(fixed.judged, fixed.limits) | more,
        data_sha256=fingerprint(zip(hashes, (order[at] for at in classes), strict=True)), **fields,
    )  # fmt: skip
    folder = out or settings.models_dir / "heads"
    path = write_head(folder, file, model, card(file, command(), precision, fixed.elsewhere))
    write_skipped(skipped, path.with_suffix(".skipped.txt"))
    _show(path, file, skipped, doubtful(fitted, order, classes, used))


def _refuse(name: str, backbone: str, validation: Path | None, validation_none: Sequence[Path] | None) -> None:
    """Raises DatasetUnusable or ModelUnknown for arguments that are invalid whatever the images are."""
    from assent.perceive.labels.backbone import POOLED
    from assent.perceive.labels.heads import NAME

    if not NAME.fullmatch(name):
        raise DatasetUnusable(f"{name!r} is no name for a head: lower-case letters, digits and hyphens")
    if backbone not in POOLED:
        raise ModelUnknown(f"there is no backbone {backbone!r}; there are: {', '.join(sorted(POOLED))}")
    if validation_none and validation is None:
        raise DatasetUnusable("--validation-none goes with --validation")


def _show(path: Path, file: HeadFile, skipped: Sequence[Skipped], doubts: Iterable[str]) -> None:
    console = Console()
    console.print(_table(file))
    list_skipped(skipped, console)
    for line in doubts:
        console.print(f"[yellow]look at[/] {line}", highlight=False)
    console.print(f"written: {path}", highlight=False)


def _of_none(folders: Sequence[Path] | None) -> list[Example]:
    from assent.learn.dataset import negatives
    from assent.perceive.labels.heads import NONE

    return [one for folder in folders or () for one in negatives(folder, NONE)]


def _copies(settings: Settings, examples: Sequence[Example], hashes: Sequence[str]) -> Augmented:
    """Returns altered copies of the images to train on as well, with the index of each one's original."""
    from assent.learn.train import Augmented
    from assent.learn.views import VIEWS
    from assent.perceive.labels.heads import NONE

    place = {digest: at for at, digest in enumerate(hashes)}
    looked = []
    for view in VIEWS:
        among = [one for one in examples if (one.label == NONE) == view.of_none]
        if among:
            looked.append(features_of(settings, among, view)[1])
    of = [place[digest] for made in looked for digest in made.sha256]
    return Augmented(np.concatenate([made.features for made in looked]), np.array(of, np.intp))


def _proof(
    settings: Settings,
    source: Path,
    none: Sequence[Path] | None,
    order: Sequence[str],
    columns: Mapping[str, str],
    trained: Sequence[str],
) -> tuple[ValidationSet, str, list[Skipped]]:
    """Returns the images for validation, their fingerprint, and the files that could not be used."""
    from assent.learn.dataset import fingerprint, read_dataset
    from assent.learn.labelled import for_validation
    from assent.learn.train import ValidationSet
    from assent.perceive.labels.heads import NONE

    dataset = read_dataset(source)
    seen = features_of(settings, [*dataset.examples, *_of_none(none)])[1]
    kept, classes, others = for_validation(seen, order, columns, set(trained))
    labels = (NONE if column < 0 else order[column] for column in classes)
    name = fingerprint(zip((seen.sha256[at] for at in kept), labels, strict=True))
    proof = ValidationSet(seen.features[kept], np.array(classes, np.intp))
    return proof, name, [*dataset.skipped, *seen.skipped, *others]


def _table(file: HeadFile) -> Table:
    from assent.learn.report import show

    table = Table(title=f"{file.id}: " + ", ".join(f"{name} {show(value)}" for name, value in file.figures.items()))
    for column in ("label", "photos", "said from", "precision", "of", "recall"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label in file.label:
        least = "never" if label.threshold is None else show(label.threshold)
        table.add_row(label.name, str(label.photos), least, show(label.precision), show(label.said), show(label.recall))
    return table
