"""`assent policy`: checks policy files, activates and rolls back versions, and tries changes before they count."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from assent.cli import comparison
from assent.cli.context import tenant_transaction
from assent.core.clock import format_minute
from assent.core.errors import BadRequest, PolicyInvalid
from assent.core.resources import resource
from assent.core.settings import Settings
from assent.db.pool import Conn, open_pool, transaction
from assent.decisions.simulate import how_many, replay
from assent.keys.installation import database
from assent.policy import versions
from assent.policy.cases import run_cases
from assent.policy.input import PolicyInput
from assent.policy.lint import warnings
from assent.policy.load import load_policy
from assent.policy.model import Policy
from assent.policy.schema import PolicyModel

app = typer.Typer(
    no_args_is_help=True,
    help="Policy files: check, schema. Versions: activate, rollback, history. Trying a change: simulate, shadow.",
)
shadow = typer.Typer(no_args_is_help=True, help="A policy beside the active one: start, compare, stop.")
app.add_typer(shadow, name="shadow")
Tenant = Annotated[str, typer.Option(help="Whose.")]
File = Annotated[Path, typer.Argument(help="A policy file.")]
_SINCE = re.compile(r"(\d{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Policy files, or folders of them; default: the shipped ones.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
) -> None:
    """Load policies, run their cases, and warn of what is probably not meant; status 1 when one is wrong."""
    wrong = 0
    for path in _policy_files(files or [resource("policies")]):
        try:
            policy = load_policy(path)
        except PolicyInvalid as error:
            wrong += 1
            print(error.detail)
            continue
        wrong += _check(policy, path, strict)
    raise typer.Exit(1 if wrong else 0)


def _check(policy: Policy, path: Path, strict: bool) -> bool:
    found_warnings = tuple(warnings(policy))
    missed = run_cases(policy)
    for line in found_warnings:
        print(f"{path.name}: warning: {line}")
    for line in missed:
        print(f"{path.name}: case {line}")
    ref = policy.ref
    counts = (
        f"{len(policy.rules)} rules, {len(found_warnings)} warnings, {len(policy.cases)} cases, {len(missed)} wrong"
    )
    print(f"{ref.name} {ref.version} ({ref.sha256[:12]}): {counts}")
    return bool(missed or (strict and found_warnings))


def _policy_files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        files = [path]
        if path.is_dir():
            files = sorted(one for one in path.glob("*.yaml") if not one.name.endswith(".cases.yaml"))
            if not files:
                raise PolicyInvalid(f"{path} holds no policy (*.yaml)")
        yield from files


@app.command()
def schema(
    of_input: Annotated[bool, typer.Option("--input", help="Of what conditions may ask about instead.")] = False,
) -> None:
    """Print the JSON Schema of policy files, for editors."""
    print(json.dumps((PolicyInput if of_input else PolicyModel).model_json_schema(by_alias=True), indent=2))


@app.command()
def activate(file: File, tenant: Tenant = "default") -> None:
    """Activate a policy, if it loads and its cases hold. Running workers use it from the next image on."""
    policy = _sound(file)
    with tenant_transaction(tenant) as (conn, keys):
        leaf = versions.activate(conn, keys, policy, datetime.now(UTC))
    ref = policy.ref
    print(f"{ref.name} {ref.version} ({ref.sha256[:12]}) decides for {tenant}; leaf {leaf} of the log")


@app.command()
def rollback(tenant: Tenant = "default") -> None:
    """Activate the policy before the last activated one; a further call goes back one further."""
    with tenant_transaction(tenant) as (conn, keys):
        sha256 = versions.roll_back_policy(conn, keys, datetime.now(UTC))
    print(f"{sha256[:12] if sha256 else 'the policy of the installation (ASSENT_POLICY)'} decides for {tenant}")


@app.command()
def history(tenant: Tenant = "default") -> None:
    """Show which policies were activated and rolled back, with their leaves in the log."""
    with _reading() as conn:
        rows = versions.list_activations(conn, tenant)
    table = Table("n", "when", "policy", "sha256", "how", "leaf")
    for row in rows:
        name = f"{row['name']} {row['version']}" if row["sha256"] else "the installation's"
        how = "activated" if row["back_to"] is None else f"rolled back to {row['back_to']}"
        sha256 = (row["sha256"] or "")[:12]
        table.add_row(str(row["n"]), format_minute(row["at"]), name, sha256, how, str(row["leaf"]))
    Console().print(table if rows else "Nothing was activated: ASSENT_POLICY decides.")


@shadow.command()
def start(file: File, tenant: Tenant = "default") -> None:
    """Evaluate a policy on live traffic beside the active one. Only counts are kept, of no image."""
    policy = _sound(file)
    with tenant_transaction(tenant) as (conn, keys):
        versions.start_shadow(conn, keys, policy, datetime.now(UTC))
    print(f"{policy.ref.name} {policy.ref.version} is tried beside the active policy")


@shadow.command()
def compare(tenant: Tenant = "default") -> None:
    """Show what the policy in shadow would have changed so far."""
    with _reading() as conn:
        row, counts = versions.shadow_report(conn, tenant)
    name = f"{row['name']} {row['version']} ({row['sha256'][:12]}), since {format_minute(row['since'])}"
    comparison.show(Console(), name, counts)


@shadow.command()
def stop(tenant: Tenant = "default") -> None:
    """Try no policy any more; the counts go."""
    with tenant_transaction(tenant) as (conn, keys):
        versions.stop_shadow(conn, keys, datetime.now(UTC))
    print("stopped")


@app.command()
def simulate(
    file: File,
    since: Annotated[str | None, typer.Option(help="Only decisions of the last 30m, 12h or 7d.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many, the same ones each time.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write every count to this file.")] = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write a plot of the actions, old and new.")] = None,
    tenant: Tenant = "default",
) -> None:
    """Evaluate this policy on recorded images, and show what would change. Nothing is stored."""
    policy = load_policy(file)
    begin = None if since is None else datetime.now(UTC) - _span(since)
    bars = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    errors = Console(stderr=True)
    with (
        _reading() as conn,
        Progress(*bars, console=errors, transient=True, disable=not errors.is_terminal) as progress,
    ):
        bar = progress.add_task("deciding again", total=how_many(conn, tenant, begin, sample))
        replayed = replay(conn, tenant, policy, begin, sample, lambda: progress.advance(bar))
    name = f"{policy.ref.name} {policy.ref.version} ({policy.ref.sha256[:12]})"
    comparison.show_replay(Console(), name, replayed)
    if csv is not None:
        comparison.write_csv(csv, replayed.counts)
    if svg is not None:
        comparison.write_svg(svg, name, replayed.counts)


def _sound(file: Path) -> Policy:
    """Returns the policy. Raises PolicyInvalid where one of its cases does not hold."""
    policy = load_policy(file)
    if wrong := run_cases(policy):
        raise PolicyInvalid("\n".join(f"{file.name}: case {line}" for line in wrong))
    return policy


def _span(text: str) -> timedelta:
    match = _SINCE.fullmatch(text)
    if match is None:
        raise BadRequest(f"{text!r} is no time such as 30m, 12h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@contextmanager
def _reading() -> Iterator[Conn]:
    with database(Settings()) as url, open_pool(url, size=1) as pool, transaction(pool) as conn:
        yield conn
