"""`assent audit`: exports and verifies the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from assent.audit import checkpoint as checkpoints
from assent.audit import receipt
from assent.audit import verify as verification
from assent.cli.context import tenant_transaction

app = typer.Typer(no_args_is_help=True, help="The transparency log: export, checkpoint, verify.")
Tenant = Annotated[str, typer.Option(help="Whose log.")]


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
    tenant: Tenant = "default",
) -> None:
    """Recompute the tree and compare it with the signed checkpoint; with an export this needs no server and no key."""
    old = checkpoint.read_text() if checkpoint else None
    if file is not None:
        with file.open(encoding="ascii") as lines, _progress("verifying") as tell:
            report = verification.verify_log(lines, old, tell)
    else:
        with tenant_transaction(tenant) as (conn, keys), _progress("verifying") as tell:
            report = verification.verify_database(conn, keys, old, tell)
    print(f"ok: {report.head.origin}, {report.head.size} leaves, root {report.head.root.hex()}")
    if report.witnessed is None:
        print("No older checkpoint was given: nothing proves that the log was not rewritten as a whole.")
    else:
        print(f"Its first {report.witnessed} leaves are those of the checkpoint that you kept.")


@app.command()
def verify_receipt(
    file: Path,
    key: Annotated[str | None, typer.Option(help="The log's verifier key as you know it: name+hash+base64.")] = None,
) -> None:
    """Check the receipt of an erasure; this needs no server. Ends with status 1 where anything in it was altered."""
    try:
        verified = receipt.verify_receipt(
            file.read_bytes(), checkpoints.parse_verifier(key) if key is not None else None
        )
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from error
    print(_receipt_summary(verified))


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
