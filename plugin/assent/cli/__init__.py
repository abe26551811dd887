"""The command `assent`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from assent import __version__
from assent.cli import (
    apikey,
    audit,
    backup,
    decision,
    doctor,
    endpoint,
    eval,
    event,
    hashes,
    keys,
    learn,
    models,
    outbox,
    policy,
    review,
    server,
    statements,
    tag,
    train,
)
from assent.cli.labels import labels
from assent.errors import AssentError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Photo moderation and consented tagging for social platforms.",
)
app.command("init")(server.init)
app.command("serve")(server.serve)
app.command("worker")(server.worker)
app.command("tag")(tag.tag)
app.command("event")(event.event)
app.command("doctor")(doctor.doctor)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(apikey.app, name="apikey")
app.command("train")(train.train)
app.add_typer(eval.app, name="eval")
app.command("labels")(labels)
app.add_typer(audit.app, name="audit")
app.add_typer(hashes.app, name="hashes")
app.add_typer(keys.app, name="keys")
app.add_typer(outbox.app, name="outbox")
app.add_typer(endpoint.app, name="endpoint")
app.add_typer(endpoint.secret, name="secret")
app.add_typer(policy.app, name="policy")
app.add_typer(learn.app, name="learn")
app.add_typer(review.app, name="review")
app.add_typer(decision.app, name="decision")
app.add_typer(statements.app, name="statements")
app.add_typer(models.app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Settings come from ASSENT_… variables; `assent doctor` lists them."""


def main() -> None:
    """Runs a command; an error of ours ends it with what happened and what to do, and status 1."""
    console = Console(stderr=True)
    try:
        app()
    except AssentError as error:
        console.print(f"[bold red]{error.code}[/]  {escape(error.detail)}", highlight=False)
        if error.detail != error.do:
            console.print(error.do, highlight=False)
        sys.exit(1)
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"])
            console.print(f"[bold red]settings[/]  ASSENT_{name.upper()}: {problem['msg']}", highlight=False)
        sys.exit(1)
