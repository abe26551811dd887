"""`assent eval`: measures heads, faces and safety on images whose content is known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from assent.cli.learning import begin, command, list_skipped, print_report, ticking

if TYPE_CHECKING:
    from assent.learn.evaluate import Evaluation

app = typer.Typer(no_args_is_help=True, help="Measure the models on pictures whose content is known.")

Data = Annotated[Path, typer.Argument(help="A folder with a folder for each class, or a CSV with path and label.")]
Out = Annotated[Path, typer.Option(help="Where tables (CSV), plots (SVG) and report.html go.")]
By = Annotated[str | None, typer.Option(help="A column of the CSV: every figure for each of its groups.")]


@app.command()
def labels(
    data: Data,
    head: Annotated[str | None, typer.Option(help="A head's name, or its TOML file.")] = None,
    none: Annotated[list[Path] | None, typer.Option(help="A folder of pictures that show none of the labels.")] = None,
    by: By = None,
    out: Out = Path("out/eval/labels"),
) -> None:
    """Measure what is said of whole pictures, or a head: precision, recall, false tags, calibration, confusion.

    Without --head: the networks in use that label whole pictures, by the thresholds of the policy in use. A class is a
    label (`food.drink.coffee`, several with `;`), its last word, or a class of the network by its name (`espresso`).
    """
    settings = begin()
    from assent.learn.evaluate import EvalOptions, evaluate_head, evaluate_labels

    options = EvalOptions(data, by, command())
    if head is None:
        _show(evaluate_labels(settings, options, none or (), ticking), out)
    else:
        _show(evaluate_head(settings, options, head, none or (), ticking), out)


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
    settings = begin()
    from assent.learn.evaluate import EvalOptions, adopt_calibration, evaluate_faces

    evaluated = evaluate_faces(settings, EvalOptions(data, by, command()), ticking)
    _show(evaluated.evaluation, out)
    if calibrate:
        path, calibration = adopt_calibration(settings, evaluated, command(), datetime.now(UTC))
        most = calibration.templates_supported()
        print(f"{path}: from the next start on it says who matches; {most} templates at most.")


@app.command()
def safety(data: Data, by: By = None, out: Out = Path("out/eval/safety")) -> None:
    """Measure both opinions on nudity on images of class `harmless` or of a safety label.

    The report shows recall and false alarms by threshold: of body parts, of the whole picture, and of what the policy
    makes of both; and it lists each picture that the second opinion changes.
    """
    settings = begin()
    from assent.learn.evaluate import EvalOptions, evaluate_safety

    _show(evaluate_safety(settings, EvalOptions(data, by, command()), ticking), out)


def _show(evaluation: Evaluation, out: Path) -> None:
    """Prints the evaluation, then writes its files to the folder `out`."""
    from assent.learn.evaluate import write_evaluation

    console = Console()
    print_report(evaluation.report, console)
    write_evaluation(evaluation, out)
    list_skipped(evaluation.skipped, console)
    console.print(f"written to {out}/report.html", highlight=False)
