"""`assent audit`: exports and verifies the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from assent.audit import checkpoint as checkpoints
from assent.audit import receipt
from assent.audit import verify as verification
from assent.audit.authority import CountedRows, count_rows
from assent.cli.context import tenant_transaction
from assent.core.errors import SealBroken
from assent.keys.authority import Authority

app = typer.Typer(no_args_is_help=True, help="The transparency log: export, checkpoint, verify.")
Tenant = Annotated[str, typer.Option(help="Whose log.")]
Key = Annotated[str | None, typer.Option(help="The log's verifier key as you know it: name+hash+base64.")]


@app.command()
def export(file: Path, tenant: Tenant = "default") -> None:
    """Write the leaves and the newest signed checkpoint to a file that `assent audit verify` checks anywhere."""
    with (
        tenant_transaction(tenant) as (conn, keys),
        file.open("w", encoding="ascii") as out,
        _progress("exporting") as tell,
    ):
        head = verification.export_log(conn, keys, out, tell)
    print(f"{head.size} leaves written to {file}")


@app.command()
def checkpoint(tenant: Tenant = "default") -> None:
    """Print the newest signed checkpoint: kept elsewhere, it is the witness of everything before it."""
    with tenant_transaction(tenant) as (conn, keys):
        print(checkpoints.current_checkpoint(conn, keys), end="")


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export; without it the database itself is checked.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="An older checkpoint that you kept.")] = None,
    key: Key = None,
    tenant: Tenant = "default",
    database: Annotated[
        bool, typer.Option("--database", help="The rows that give power too: API keys, consents, templates, endpoints.")
    ] = False,
) -> None:
    """Recompute the tree and compare it with the signed checkpoint; an export needs no server and no secret.

    Without --key an export is only compared with the key that it names itself, which whoever made it could choose.
    With --database every row that gives power is checked against its MAC; status 1 where one was altered or inserted.
    """
    if database and file is not None:
        raise typer.BadParameter("an export holds no rows: --database checks the database itself")
    old = checkpoint.read_text() if checkpoint else None
    pinned = checkpoints.parse_verifier(key) if key is not None else None
    if file is not None:
        with file.open(encoding="ascii") as lines, _progress("verifying") as tell:
            report = verification.verify_log(lines, old, tell, pinned)
    else:
        with tenant_transaction(tenant) as (conn, keys), _progress("verifying") as tell:
            report = verification.verify_database(conn, keys, old, tell, pinned)
    print(_log_summary(report, whose="the export itself names" if file is not None else "is in the keys folder"))
    if database:
        with tenant_transaction(tenant) as (conn, keys):
            _check_rows(count_rows(conn, keys))


def _check_rows(tables: Mapping[Authority, CountedRows]) -> None:
    """Prints the counts of each table. Raises SealBroken where a row is not as it was written with the keys."""
    for table, counted in tables.items():
        print(f"{table}: {counted.authentic} rows are as they were written, {counted.broken} are not")
    if broken := [f"{counted.broken} of {table}" for table, counted in tables.items() if counted.broken]:
        raise SealBroken(f"rows were inserted or altered without the keys: {', '.join(broken)}; they have no power")


@app.command()
def verify_receipt(
    file: Path,
    key: Key = None,
) -> None:
    """Check the receipt of an erasure; this needs no server. Ends with status 1 where anything in it was altered."""
    try:
        verified = receipt.verify_receipt(
            file.read_bytes(), checkpoints.parse_verifier(key) if key is not None else None
        )
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from error
    print(_receipt_summary(verified))


def _log_summary(report: verification.VerifyReport, whose: str) -> str:
    head = report.head
    lines = [
        f"ok: {head.origin}, {head.size} leaves, root {head.root.hex()}",
        f"Its key is the one that {'you gave' if report.pinned else whose}: {report.key}",
        *(f"The log was set back: {restoration}." for restoration in report.restorations),
    ]
    if report.remembered is not None:
        lines.append(f"Its first {report.remembered} leaves are those that the keystore remembers as signed.")
    if report.witnessed is not None:
        lines.append(f"Its first {report.witnessed} leaves are those of the checkpoint that you kept.")
    elif report.lost_by is not None:
        lines.append(
            f"Leaves of the checkpoint that you kept were lost when epoch {report.lost_by.restored.epoch} began."
            " Nothing compares the others with it: keep a checkpoint of this epoch from now on."
        )
    else:
        lines.append("No older checkpoint was given: nothing proves that the log was not rewritten as a whole.")
    if not report.pinned:
        lines.append("Whose key it is was not checked: give the one that you know with --key.")
    return "\n".join(lines)


def _receipt_summary(verified: receipt.VerifiedReceipt) -> str:
    epochs = ", ".join(map(str, verified.destroyed_epochs))
    whose = "the key that you gave" if verified.pinned else "the key that the receipt itself names"
    lines = [
        f"ok: erasure {verified.erasure} at {verified.tenant}",
        "Verified:",
        f"- The receipt is signed with {whose}: {verified.key}",
        f"- The erasure was asked for at {verified.requested_at}; it is leaf {verified.index} of the log of"
        f" {verified.head.size} leaves whose root is {verified.head.root.hex()}.",
        f"- The operator states that the keys of epoch {epochs} were destroyed by {verified.completed_at}.",
        "Not proved by it:",
        "- That no copy of those keys was made before. The statement is signed: the operator can be held to it.",
        "- Who was erased: neither the receipt nor the log says; the token with which you asked for it does.",
        "- That others see the same log: compare the root with a checkpoint that a witness kept.",
    ]
    if not verified.pinned:
        lines.append("- Whose key it is: compare it with the one that the operator publishes, or give it with --key.")
    return "\n".join(lines)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn(what), SpinnerColumn(), TextColumn("{task.completed:.0f} leaves"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(what, total=None)
        yield lambda done: progress.update(bar, completed=done)
