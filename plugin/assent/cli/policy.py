"""`assent policy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assent.policy.cases import run_cases
from assent.policy.load import load_policy

app = typer.Typer(no_args_is_help=True, help="Policy files: check.")


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="Default: the shipped default.yaml.")] = None,
) -> None:
    """Load a policy and run its own cases; status 1 when one of them does not come out as expected."""
    policy = load_policy(file)
    wrong = run_cases(policy)
    for line in wrong:
        print(line)
    ref = policy.ref
    print(f"{ref.name} {ref.version} ({ref.sha256[:12]}): {len(policy.cases)} cases, {len(wrong)} wrong")
    raise typer.Exit(1 if wrong else 0)
