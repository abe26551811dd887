"""Defines the command `assent`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup
from typer.main import get_command, get_group

from assent import __version__
from assent.cli.imports import uncollected
from assent.core.display import visible_lines
from assent.core.dumps import forbid_core_dumps
from assent.core.errors import AssentError

# Where each command, or group of commands, is defined: `module:name` in this package.
COMMANDS = {
    "init": "server:init",
    "serve": "server:serve",
    "worker": "server:worker",
    "tag": "tag:tag",
    "event": "event:event",
    "doctor": "doctor:doctor",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "train": "train:train",
    "labels": "labels:labels",
    "api-key": "api_keys:app",
    "eval": "eval:app",
    "audit": "audit:app",
    "hash-lists": "hash_lists:app",
    "keys": "keys:app",
    "dead-letters": "dead_letters:app",
    "endpoint": "endpoint:app",
    "actions": "actions:app",
    "secret": "endpoint:secret",
    "platform": "platform:app",
    "policy": "policy:app",
    "learn": "learn:app",
    "review": "review:app",
    "decision": "decision:app",
    "search": "search:search",
    "statements": "statements:app",
    "models": "models:app",
    "console": "console:app",
}


class _Commands(TyperGroup):
    """A group that imports a command's module only when it is needed: all of them together take seconds."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as the base class has it
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            self.commands = dict.fromkeys(COMMANDS, self)  # of which only the keys are read, to suggest one
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        with uncollected():
            defined = getattr(import_module(f"{__name__}.{module}"), name)
        if isinstance(defined, typer.Typer):
            command: Any = get_group(defined)
        else:
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(defined)
            command = get_command(alone)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Photo moderation and consented tagging for social platforms.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Read settings from ASSENT_… variables; `assent doctor` lists them."""


def main() -> None:
    """Runs a command; an error of the tree ends it with status 1, and prints the cause and the remedy."""
    forbid_core_dumps()  # nearly every command opens keys
    console = Console(stderr=True)
    try:
        app()
    except AssentError as error:
        console.print(f"[bold red]{error.code}[/]  {escape(visible_lines(error.detail))}", highlight=False)
        if error.detail != error.remedy:
            console.print(error.remedy, highlight=False)
        sys.exit(1)
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"])
            console.print(f"[bold red]settings[/]  ASSENT_{name.upper()}: {problem['msg']}", highlight=False)
        sys.exit(1)
