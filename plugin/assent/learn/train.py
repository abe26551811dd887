"""Trains a head from an operator's labelled images, and writes its files: `assent train`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # scikit-learn's own; the process begins with one thread

from assent.core.errors import DatasetUnusable, NotFound
from assent.core.names import PACK_NAME
from assent.core.settings import Settings
from assent.learn.classifier import FOLDS, STRENGTHS, Augmented, Fitted, ValidationSet, fit
from assent.learn.dataset import Example, Skipped, fingerprint, negatives, read_dataset, write_skipped
from assent.learn.features import Progress, backbone_features
from assent.learn.head import describe_head, head_to_onnx, render_card, write_head
from assent.learn.labelled import class_labels, doubtful, select_for_validation, select_trainable
from assent.learn.thresholds import TunedClassifier, figures_by_label, overall_figures, tune
from assent.learn.views import LETTERED, MIRRORED
from assent.perceive.labels.heads import NONE, HeadFile
from assent.perceive.packs.active import DEFAULT_PACK
from assent.perceive.packs.manifest import read_pack


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The options of a training, as `assent train` takes them, and the command line that the card shows.

    `none`, `validation_none`: folders of images that show none of the classes."""

    labels: Path
    name: str
    prefix: str
    none: tuple[Path, ...]
    validation: Path | None
    validation_none: tuple[Path, ...]
    backbone: str
    precision: float  # 0.5–1, of the labels given
    licence: str
    source: str
    out: Path | None  # None: the installation's heads, where it is live
    command: str


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A head whose files were written; `path`: its TOML file, `doubts`: a line for each image in a doubtful folder."""

    path: Path
    file: HeadFile
    skipped: tuple[Skipped, ...]
    doubts: tuple[str, ...]


class _TrainingSet(NamedTuple):
    """The images that are learned from, with hashes, features (n, width) and the column of each one's label.

    `labels`: the label of each class; `order` names the columns."""

    backbone: str
    examples: tuple[Example, ...]
    sha256: tuple[str, ...]
    features: NDArray[np.float32]
    labels: dict[str, str]
    order: tuple[str, ...]
    columns: tuple[int, ...]
    skipped: tuple[Skipped, ...]


class _Validation(NamedTuple):
    """The images for validation, their fingerprint, and the files that could not be used."""

    images: ValidationSet | None = None
    sha256: str = ""
    skipped: tuple[Skipped, ...] = ()


def train_head(settings: Settings, options: TrainOptions, progress: Progress) -> TrainedHead:
    """Trains a head, then writes its files and the list of what was left out.

    Raises DatasetUnusable or NotFound, before anything is written but cached features."""
    _check(options)
    training = _training_set(settings, options, progress)
    copies = _copies(settings, training, progress)
    validation = _validation(settings, options, training, progress)
    fitted = _fit(settings, training, copies, progress)
    tuned = tune(fitted, training.order, training.columns, validation.images, options.precision)
    model = head_to_onnx(tuned.fitted.model, tuned.fitted.novelty_gate)
    file = _describe(options, training, validation.sha256, tuned, model)
    card = render_card(file, options.command, options.precision, tuned.elsewhere)
    path = write_head(options.out or settings.models_dir / "heads", file, model, card)
    skipped = (*training.skipped, *validation.skipped)
    write_skipped(skipped, path.with_suffix(".skipped.txt"))
    doubts = tuple(doubtful(fitted, training.order, training.columns, training.examples))
    return TrainedHead(path, file, skipped, doubts)


def _check(options: TrainOptions) -> None:
    """Raises DatasetUnusable or NotFound for options that are invalid whatever the images are."""
    if not re.fullmatch(PACK_NAME, options.name):
        raise DatasetUnusable(f"{options.name!r} is no name for a head: lower-case letters, digits and hyphens")
    backbones = sorted(file.name for file in read_pack(DEFAULT_PACK).file if file.features)
    if options.backbone not in backbones:
        raise NotFound(f"there is no backbone {options.backbone!r}; there are: {', '.join(backbones)}")
    if options.validation_none and options.validation is None:
        raise DatasetUnusable("--validation-none goes with --validation")


def _training_set(settings: Settings, options: TrainOptions, progress: Progress) -> _TrainingSet:
    dataset = read_dataset(options.labels)
    # What no head may give is refused before any image is decoded.
    class_labels(sorted({*dataset.classes, *([NONE] if options.none else [])}), options.prefix)
    backbone, features = backbone_features(settings, [*dataset.examples, *negatives(options.none, NONE)], progress)
    usable, small = select_trainable(features.examples)
    examples = tuple(features.examples[index] for index in usable)
    labels = class_labels(sorted({example.label for example in examples}), options.prefix)
    order = (*sorted(set(labels.values()) - {NONE}), *([NONE] if NONE in labels else []))
    return _TrainingSet(
        backbone,
        examples,
        tuple(features.sha256[index] for index in usable),
        features.features[usable],
        labels,
        order,
        tuple(order.index(labels[example.label]) for example in examples),
        (*dataset.skipped, *features.skipped, *small),
    )


def _copies(settings: Settings, training: _TrainingSet, progress: Progress) -> Augmented:
    """Returns copies of all images, with the row of each one's original: those of a label mirrored, those of none with
    letters on them."""
    row_of = {digest: row for row, digest in enumerate(training.sha256)}
    none = [example for example in training.examples if example.label == NONE]
    labelled = [example for example in training.examples if example.label != NONE]
    views = [(labelled, MIRRORED), (none, LETTERED)]
    copies = [backbone_features(settings, examples, progress, view)[1] for examples, view in views if examples]
    of = [row_of[digest] for each in copies for digest in each.sha256]
    return Augmented(np.concatenate([each.features for each in copies]), np.array(of, np.intp))


def _validation(settings: Settings, options: TrainOptions, training: _TrainingSet, progress: Progress) -> _Validation:
    """Returns the images for validation; none where the options name none."""
    if options.validation is None:
        return _Validation()
    dataset = read_dataset(options.validation)
    examples = [*dataset.examples, *negatives(options.validation_none, NONE)]
    features = backbone_features(settings, examples, progress)[1]
    trained = set(training.sha256)
    usable, columns, unusable = select_for_validation(features, training.order, training.labels, trained)
    labels = (NONE if column < 0 else training.order[column] for column in columns)
    sha256 = fingerprint(zip((features.sha256[index] for index in usable), labels, strict=True))
    images = ValidationSet(features.features[usable], np.array(columns, np.intp))
    return _Validation(images, sha256, (*dataset.skipped, *features.skipped, *unusable))


def _fit(settings: Settings, training: _TrainingSet, copies: Augmented, progress: Progress) -> Fitted:
    none = training.order.index(NONE) if NONE in training.order else None
    with progress("training", FOLDS * len(STRENGTHS)) as tick, threadpool_limits(settings.threads, "blas"):
        return fit(training.features, training.columns, tick, none, copies)


def _describe(
    options: TrainOptions, training: _TrainingSet, validation_sha256: str, tuned: TunedClassifier, model: bytes
) -> HeadFile:
    """Returns the description of the head whose ONNX file is `model`."""
    more = {"log loss": tuned.fitted.log_loss, "temperature": tuned.fitted.temperature, "C": tuned.fitted.strength}
    labels = (training.order[column] for column in training.columns)
    photos = [training.columns.count(column) for column in range(len(training.order))]
    return describe_head(
        model,
        name=options.name,
        backbone=training.backbone,
        licence=options.licence,
        training_data=options.source,
        trained=datetime.now(UTC).date(),
        features=training.features.shape[1],
        label=figures_by_label(tuned.evidence, tuned.thresholds, photos),
        figures=overall_figures(tuned.scored, tuned.thresholds) | more,
        data_sha256=fingerprint(zip(training.sha256, labels, strict=True)),
        validation_sha256=validation_sha256,
    )
