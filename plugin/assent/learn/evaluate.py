"""Evaluates labels of whole frames, heads, faces and safety on labelled images of an installation: `assent eval`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from assent.core.errors import DatasetUnusable, ModelUnknown, NotFound
from assent.core.settings import Settings
from assent.core.values import Vector
from assent.learn.calibrate import calibration_of, calibration_table, write_calibration
from assent.learn.classes import Meaning, class_meaning, vocabulary
from assent.learn.dataset import Example, Skipped, fingerprint, negatives, read_dataset, write_skipped
from assent.learn.faces import FaceScores, report_faces, score_faces
from assent.learn.features import ExampleFeatures, Progress, backbone_features
from assent.learn.labels import ScoredLabels, find_columns, report_labels
from assent.learn.network_labels import report_images, score_images
from assent.learn.opinions import compare_opinions, opinion_tables
from assent.learn.perceive_examples import largest_faces, perceive_examples, uncentred
from assent.learn.report import Report, write_report
from assent.learn.safety import report_safety, score_safety, select_measurable
from assent.media.sandbox import open_decoder
from assent.perceive import Models, load_models
from assent.perceive.faces.calibration import Calibration
from assent.perceive.labels.heads import NONE, Head, folders, head_files, open_head, read_head, scores
from assent.perceive.packs.active import fill, read_choice
from assent.perceive.packs.model_set import own_calibration
from assent.policy.load import load_policy


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """The labelled images, the column of their CSV that groups them, and the command line that the report shows."""

    data: Path
    group_column: str | None
    command: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A report that nobody has written yet, and what was left out of it."""

    report: Report
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FaceEvaluation:
    """An evaluation of faces, with what a calibration is made of: the scores, and each face's photo.

    `calibration`: the one that these people support; where it is None, `refusal` says why."""

    evaluation: Evaluation
    embedder: str
    scores: FaceScores
    examples: tuple[Example, ...]
    calibration: Calibration | None
    refusal: str


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Writes the report's files, and `skipped.txt` where anything was left out."""
    write_report(evaluation.report, folder)
    write_skipped(evaluation.skipped, folder / "skipped.txt")


def evaluate_head(
    settings: Settings, options: EvalOptions, head_name: str, none: Sequence[Path], progress: Progress
) -> Evaluation:
    """Measures a head, given by its name or its TOML file; `none`: folders of images that show none of its labels.

    Raises NotFound, ModelUnknown, ModelMissing or DatasetUnusable."""
    path = _head_path(settings, head_name)
    dataset = read_dataset(options.data)
    usable, _, unknown = find_columns(read_head(path), dataset.examples)
    examples = [*(dataset.examples[index] for index in usable), *negatives(none, NONE)]
    backbone, features = backbone_features(settings, examples, progress)
    head = open_head(path, settings.threads)
    if head.file.backbone != backbone:
        raise ModelUnknown(f"{head.file.name} belongs to backbone {head.file.backbone}, not to {backbone}")
    skipped = (*dataset.skipped, *unknown, *features.skipped)
    return Evaluation(_report_head(head, features, options, skipped), skipped)


def _head_path(settings: Settings, head_name: str) -> Path:
    installed = head_files(folders(settings.models_dir))
    path = Path(head_name) if head_name.endswith(".toml") else installed.get(head_name)
    if path is None:
        raise NotFound(f"there is no head {head_name!r}; there are: {', '.join(sorted(installed)) or 'none'}")
    return path


def _report_head(head: Head, features: ExampleFeatures, options: EvalOptions, skipped: Sequence[Skipped]) -> Report:
    usable, labels, _ = find_columns(head.file, features.examples)
    probabilities = scores(head, features.features[usable]).astype("float64").round(4)
    scored = ScoredLabels(head.file, probabilities, labels)
    groups = _groups([features.examples[index] for index in usable], options.group_column)
    names = (NONE if column < 0 else head.file.label[column].name for column in labels)
    data_sha256 = fingerprint(zip((features.sha256[index] for index in usable), names, strict=True))
    notes = [f"Fingerprint of the pictures: {data_sha256}.", *_notes(skipped)]
    return report_labels(scored, options.command, groups, notes)


def evaluate_labels(settings: Settings, options: EvalOptions, none: Sequence[Path], progress: Progress) -> Evaluation:
    """Measures the networks in use that label whole frames, at the thresholds of the policy in use.

    A class means a label, as `class_meaning` finds it; `none`: folders of images that show nothing of any label.
    Raises DatasetUnusable or PolicyInvalid, or as `load_models` does."""
    dataset = read_dataset(options.data)
    policy = load_policy(settings.policy)
    networks = fill(read_choice(settings.models_dir), settings.models_dir, settings.accept_licence).get("labels", ())
    known = vocabulary(networks)
    labelled = [*dataset.examples, *negatives(none, NONE)]
    meanings = {name: class_meaning(name, known) for name in sorted({example.label for example in labelled})}
    examples = [example for example in labelled if not meanings[example.label].reason]
    if not any(meanings[example.label].labels for example in examples):
        raise DatasetUnusable("no class is a label that a network in use gives; `assent labels` lists them")
    models = load_models(settings.models_dir, settings.threads, settings.accept_licence, second_opinion=False)
    with open_decoder(settings) as decoder, progress("looking", len(examples)) as tick:
        perceived = perceive_examples(models, decoder, examples, False, tick)
    if not perceived.examples:
        raise DatasetUnusable("none of the pictures could be read")
    ids = [one.file.id for one in networks]
    scored = score_images(perceived, meanings, known.labels, ids, policy)
    groups = _groups(perceived.examples, options.group_column)
    skipped = (*dataset.skipped, *_unmeant(labelled, meanings), *perceived.skipped)
    title = f"{', '.join(ids)} on {len(perceived.examples)} photos, by the policy {policy.ref.name}"
    return Evaluation(report_images(scored, meanings, title, options.command, groups, _notes(skipped)), skipped)


def _unmeant(examples: Sequence[Example], meanings: Mapping[str, Meaning]) -> list[Skipped]:
    counts = Counter(example.label for example in examples)
    unmeant = [(name, meaning.reason) for name, meaning in meanings.items() if meaning.reason]
    return [Skipped(f"class {name}", f"{counts[name]} pictures: {reason}") for name, reason in unmeant]


def evaluate_faces(settings: Settings, options: EvalOptions, progress: Progress) -> FaceEvaluation:
    """Measures the face models in use; a class is a person. Embeddings stay in memory.

    Raises DatasetUnusable, or as `load_models` does."""
    dataset = read_dataset(options.data)
    models = load_models(settings.models_dir, settings.threads, settings.accept_licence, second_opinion=False)
    with open_decoder(settings) as decoder, progress("looking", len(dataset.examples)) as tick:
        perceived = perceive_examples(uncentred(models), decoder, dataset.examples, True, tick)
    faces, examples, faceless = largest_faces(perceived)
    groups = _groups_of_people(faces.people, examples, options.group_column)
    skipped = (*dataset.skipped, *perceived.skipped, *faceless)
    # Templates that are stored lie around the mean they were made with: a mean that is in use stays.
    in_use = models.calibration.templates_supported() > 0
    pair_scores = score_faces(faces, models.calibration.mean if in_use else None)
    mean = models.calibration.mean if in_use else faces.means.mean(axis=0)
    calibration, refusal = _calibrate(pair_scores, mean, models)
    applied = models.calibration if in_use else calibration or models.calibration
    notes = [*_notes(skipped), *([refusal] if refusal else [])]
    report = report_faces(pair_scores, applied, options.command, groups, notes)
    if calibration is not None:
        report = replace(report, tables=(*report.tables, calibration_table(calibration)))
    evaluation = Evaluation(report, skipped)
    return FaceEvaluation(evaluation, models.embedder_id, pair_scores, examples, calibration, refusal)


def _calibrate(faces: FaceScores, mean: Vector, models: Models) -> tuple[Calibration | None, str]:
    """Returns the calibration that these people support, or None and why there is none."""
    try:
        return calibration_of(faces, mean, models.embedder_id, models.finder_id), ""
    except DatasetUnusable as error:
        return None, f"No calibration can be made of them: {error.detail}."


def adopt_calibration(
    settings: Settings, evaluated: FaceEvaluation, command: str, measured_at: datetime
) -> tuple[Path, Calibration]:
    """Writes the calibration to the operator's models, where it is in use from the next start.

    Raises DatasetUnusable where these people support none."""
    if evaluated.calibration is None:
        raise DatasetUnusable(evaluated.refusal)
    path = own_calibration(settings.models_dir, evaluated.embedder)
    write_calibration(path, evaluated.calibration, evaluated.scores, evaluated.examples, command, measured_at)
    return path, evaluated.calibration


def evaluate_safety(settings: Settings, options: EvalOptions, progress: Progress) -> Evaluation:
    """Measures both opinions on nudity, and the policy's verdict, on images of class `harmless` or of a safety label.

    Raises DatasetUnusable or PolicyInvalid, or as `load_models` does."""
    dataset = read_dataset(options.data)
    usable, unknown = select_measurable(dataset.examples)
    examples = [dataset.examples[index] for index in usable]
    policy = load_policy(settings.policy)
    models = load_models(settings.models_dir, settings.threads, settings.accept_licence, settings.second_opinion)
    with open_decoder(settings) as decoder, progress("looking", len(examples)) as tick:
        perceived = perceive_examples(models, decoder, examples, False, tick)
    if not perceived.examples:
        raise DatasetUnusable("none of the pictures could be read")
    scored = score_safety(perceived.examples, perceived.perceptions, policy)
    tables = opinion_tables(compare_opinions(perceived.examples, perceived.pictures, perceived.perceptions, policy))
    skipped = (*dataset.skipped, *unknown, *perceived.skipped)
    groups = _groups(perceived.examples, options.group_column)
    notes = [*_notes(skipped), *([] if models.nsfw else ["No second opinion is asked here."])]
    return Evaluation(report_safety(scored, options.command, groups, notes, tables), skipped)


def _notes(skipped: Sequence[Skipped]) -> list[str]:
    return [f"{len(skipped)} files or rows were left out; skipped.txt says why."] if skipped else []


def _groups(examples: Sequence[Example], column: str | None) -> tuple[str, ...]:
    """Returns each example's group; none without a column. Raises DatasetUnusable where no row has that column."""
    if column is None:
        return ()
    if not any(example.columns.get(column) for example in examples):
        raise DatasetUnusable(f"no row of the CSV has anything in a column {column}; groups are never inferred")
    return tuple(example.columns.get(column, "") for example in examples)


def _groups_of_people(people: Sequence[str], examples: Sequence[Example], column: str | None) -> tuple[str, ...]:
    """Returns each person's group. Raises DatasetUnusable where a person's rows contradict each other."""
    groups: dict[str, set[str]] = {person: set() for person in people}
    for example, group in zip(examples, _groups(examples, column), strict=False):
        groups[example.label] |= {group} - {""}
    if torn := sorted(person for person, names in groups.items() if len(names) > 1):
        raise DatasetUnusable(f"these people have rows with different {column}: {', '.join(torn)}")
    return tuple(next(iter(groups[person]), "") for person in people) if column else ()
