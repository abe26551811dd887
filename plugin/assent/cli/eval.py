"""`assent eval`: measures heads, faces and safety on images whose content is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from assent.cli.learning import command, features_of, list_skipped, need_learn, ticking, write_skipped
from assent.core import telemetry
from assent.core.errors import DatasetUnusable, ModelUnknown
from assent.core.settings import Settings
from assent.policy.load import load_policy

if TYPE_CHECKING:
    from assent.learn.dataset import Example, Skipped
    from assent.learn.report import Report

app = typer.Typer(no_args_is_help=True, help="Measure the models on pictures whose content is known.")

Data = Annotated[Path, typer.Argument(help="A folder with a folder for each class, or a CSV with path and label.")]
Out = Annotated[Path, typer.Option(help="Where tables (CSV), plots (SVG) and report.html go.")]
By = Annotated[str | None, typer.Option(help="A column of the CSV: every figure for each of its groups.")]


@app.command()
def labels(
    data: Data,
    head: Annotated[str, typer.Option(help="A head's name, or its TOML file.")],
    none: Annotated[list[Path] | None, typer.Option(help="A folder of pictures that show none of its labels.")] = None,
    by: By = None,
    out: Out = Path("out/eval/labels"),
) -> None:
    """Measure a head on labelled images: precision, recall, false tags, calibration, confusion."""
    settings = _begin()
    from assent.learn.dataset import fingerprint, negatives, read_dataset
    from assent.learn.labels import Judged, find_columns, report_labels
    from assent.perceive.labels.heads import NONE, folders, head_files, open_head, read_head, scores

    known = head_files(folders(settings.models_dir))
    path = Path(head) if head.endswith(".toml") else known.get(head)
    if path is None:
        raise ModelUnknown(f"there is no head {head!r}; there are: {', '.join(sorted(known)) or 'none'}")
    dataset = read_dataset(data)
    kept, _, unknown = find_columns(read_head(path), dataset.examples)
    examples = [dataset.examples[at] for at in kept]
    examples += [one for folder in none or () for one in negatives(folder, NONE)]
    made_for, seen = features_of(settings, examples)
    opened = open_head(path, settings.threads)
    if opened.file.backbone != made_for:
        raise ModelUnknown(f"{opened.file.name} belongs to backbone {opened.file.backbone}, not to {made_for}")
    kept, truth, _ = find_columns(opened.file, seen.examples)
    judged = Judged(opened.file, scores(opened, seen.features[kept]).astype("float64").round(4), truth)
    skipped = (*dataset.skipped, *unknown, *seen.skipped)
    groups = _groups([seen.examples[at] for at in kept], by)
    names = (NONE if column < 0 else opened.file.label[column].name for column in truth)
    data_sha256 = fingerprint(zip((seen.sha256[at] for at in kept), names, strict=True))
    notes = [f"Fingerprint of the pictures: {data_sha256}.", *_notes(skipped)]
    _end(report_labels(judged, command(), groups, notes), skipped, out)


@app.command()
def faces(
    data: Data,
    by: By = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Let these people's scores say from the next start on who matches.")
    ] = False,
    out: Out = Path("out/eval/faces"),
) -> None:
    """Measure the face models in use on people with two or more photos each; a class is a person.

    Embeddings stay in memory.
    """
    settings = _begin()
    from assent.learn.calibrate import calibration_of, table, write_calibration
    from assent.learn.dataset import read_dataset
    from assent.learn.faces import measure_faces, report_faces
    from assent.learn.look import known_people, look_at_all, uncentred
    from assent.media.sandbox import Decoder
    from assent.perceive import load_models
    from assent.perceive.packs.model_set import own_calibration

    dataset = read_dataset(data)
    models = load_models(settings.models_dir, settings.threads, settings.accept_licence)
    with Decoder() as decoder, ticking("looking", len(dataset.examples)) as tick:
        seen = look_at_all(uncentred(models), decoder, dataset.examples, True, tick)
    known, examples, faceless = known_people(seen)
    groups = _groups_of_people(known.people, examples, by)
    skipped = (*dataset.skipped, *seen.skipped, *faceless)
    # Templates that are stored lie around the mean they were made with: a mean that is in use stays.
    in_use = models.calibration.templates_supported() > 0
    scores = measure_faces(known, models.calibration.mean if in_use else None)
    mean = models.calibration.mean if in_use else known.means.mean(axis=0)
    notes, fresh = _notes(skipped), None
    try:
        fresh = calibration_of(scores, mean, models.embedder_id, models.finder_id)
    except DatasetUnusable as error:
        notes.append(f"No calibration can be made of them: {error.detail}.")
    found = report_faces(
        scores, models.calibration if in_use else fresh or models.calibration, command(), groups, notes
    )
    _end(replace(found, tables=(*found.tables, table(fresh))) if fresh else found, skipped, out)
    if not calibrate:
        return
    if fresh is None:
        raise DatasetUnusable(notes[-1])
    path = own_calibration(settings.models_dir, models.embedder_id)
    write_calibration(path, fresh, scores, examples, command(), datetime.now(UTC))
    print(f"{path}: from the next start on it says who matches; {fresh.templates_supported()} templates at most.")


@app.command()
def safety(data: Data, by: By = None, out: Out = Path("out/eval/safety")) -> None:
    """Measure the safety model on images of class `harmless` or of a safety label.

    The report shows recall and false alarms by threshold.
    """
    settings = _begin()
    from assent.learn.dataset import read_dataset
    from assent.learn.look import look_at_all
    from assent.learn.safety import known, report_safety, shown
    from assent.media.sandbox import Decoder
    from assent.perceive import load_models

    dataset = read_dataset(data)
    kept, unknown = known(dataset.examples)
    models = load_models(settings.models_dir, settings.threads, settings.accept_licence)
    with Decoder() as decoder, ticking("looking", len(kept)) as tick:
        seen = look_at_all(models, decoder, [dataset.examples[at] for at in kept], False, tick)
    if not seen.examples:
        raise DatasetUnusable("none of the pictures could be read")
    found = shown(seen.examples, seen.perceptions, load_policy(settings.policy).thresholds)
    skipped = (*dataset.skipped, *unknown, *seen.skipped)
    _end(report_safety(found, command(), _groups(seen.examples, by), _notes(skipped)), skipped, out)


def _begin() -> Settings:
    need_learn()
    telemetry.configure("error")
    return Settings()


def _end(found: Report, skipped: Sequence[Skipped], out: Path) -> None:
    from assent.learn.report import print_report, write

    console = Console()
    print_report(found, console)
    write(found, out)
    write_skipped(skipped, out / "skipped.txt")
    list_skipped(skipped, console)
    console.print(f"written to {out}/report.html", highlight=False)


def _notes(skipped: Sequence[Skipped]) -> list[str]:
    return [f"{len(skipped)} files or rows were left out; skipped.txt says why."] if skipped else []


def _groups(examples: Sequence[Example], by: str | None) -> tuple[str, ...]:
    """Returns each example's group; none without a column. Raises DatasetUnusable where no row has that column."""
    if by is None:
        return ()
    if not any(one.columns.get(by) for one in examples):
        raise DatasetUnusable(f"no row of the CSV has anything in a column {by}; groups are never inferred")
    return tuple(one.columns.get(by, "") for one in examples)


def _groups_of_people(people: Sequence[str], examples: Sequence[Example], by: str | None) -> tuple[str, ...]:
    """Returns each person's group. Raises DatasetUnusable where a person's rows contradict each other."""
    found: dict[str, set[str]] = {person: set() for person in people}
    for example, group in zip(examples, _groups(examples, by), strict=False):
        found[example.label] |= {group} - {""}
    if torn := sorted(person for person, groups in found.items() if len(groups) > 1):
        raise DatasetUnusable(f"these people have rows with different {by}: {', '.join(torn)}")
    return tuple(next(iter(found[person]), "") for person in people) if by else ()
