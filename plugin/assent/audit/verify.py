"""Checks a log: offline from an export and an older checkpoint, or in the database itself.

Both stream: memory does not grow with the log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from assent.audit import checkpoint, log, tree
from assent.audit.checkpoint import Checkpoint, Verifier
from assent.core.encoding import encode_base64
from assent.core.errors import AuditBroken, ProofUnreadable
from assent.db.pool import Conn, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys

EXPORT_FORMAT = "assent.audit/1"
_Q = named_queries("audit")
_EVERY = 4096  # leaves between two calls of a progress callback, and in a page of verify_database
_MAX_LINE = 2**22  # characters of one line of an export

VerifyProgress = Callable[[int], None]  # told how many leaves are done


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """One log that verified: the head that was checked, and the number of leaves that an older checkpoint, kept by a
    witness, vouches for (None: no older checkpoint was given, so only the log vouches for itself)."""

    head: Checkpoint
    key: Verifier
    witnessed: int | None


@dataclass(slots=True)
class _Replay:
    """The tree of the leaves read so far."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def add(self, leaf: bytes) -> list[tree.Node]:
        self.peaks, nodes = tree.grow(self.peaks, self.size, tree.leaf_hash(leaf))
        self.size += 1
        return nodes

    def root(self) -> bytes:
        return tree.root(self.peaks)


def _no_progress(_done: int) -> None:
    pass


def export_log(conn: Conn, keys: TenantKeys, file: IO[str], progress: VerifyProgress = _no_progress) -> Checkpoint:
    """Writes the log as lines: a JSON object with format, tenant, verifier key and newest checkpoint, then each leaf
    in base64. No payload is in it. Returns the head that was exported.

    Raises AuditBroken when a leaf is missing.
    """
    note = checkpoint.current_checkpoint(conn, keys)
    key = checkpoint.verifier(keys)
    head = checkpoint.verify_checkpoint(note, key)
    json.dump({"format": EXPORT_FORMAT, "tenant": keys.tenant, "key": str(key), "checkpoint": note}, file)
    file.write("\n")
    expected = 0
    for seq, leaf in log.leaves(conn, keys.tenant, 0, head.size):
        if seq != expected:
            break
        file.write(encode_base64(leaf) + "\n")
        expected += 1
        if expected % _EVERY == 0:
            progress(expected)
    if expected != head.size:
        raise AuditBroken(f"leaf {expected} of {head.size} is missing in the database")
    progress(expected)
    return head


def verify_log(file: IO[str], old_checkpoint: str | None, progress: VerifyProgress = _no_progress) -> VerifyReport:
    """Checks an export without any database: its checkpoint's signature, that its leaves give the signed root, and
    that the log of `old_checkpoint`, which must be signed by the same key, is a prefix of it.

    Raises ProofUnreadable where a file is malformed, AuditBroken with the first thing that does not hold.
    """
    key, head = _read_header(file)
    old = _older_checkpoint(old_checkpoint, key, head)
    return _check(_export_leaves(file, head.size), key, head, old, progress)


def verify_database(
    conn: Conn, keys: TenantKeys, old_checkpoint: str | None = None, progress: VerifyProgress = _no_progress
) -> VerifyReport:
    """Checks the tenant's log in the database: every stored node against the leaves, the root, nothing missing and
    nothing surplus, and the older checkpoint as `verify_log` does. Leaves appended meanwhile wait for the next time.

    Raises AuditBroken with the first thing that is wrong, naming the leaf or node.
    """
    key = checkpoint.verifier(keys)
    size, peaks = log.head(conn, keys.tenant)
    head = Checkpoint(key.name, size, tree.root(peaks))  # not signed: it is what is in doubt
    old = _older_checkpoint(old_checkpoint, key, head)
    surplus = fetch_one(conn, _Q["count_surplus_rows"], tenant=keys.tenant)
    if surplus is None or surplus["leaves"] or surplus["nodes"]:
        raise AuditBroken("the database holds leaves or nodes beyond the tree's size")
    return _check(_database_leaves(conn, keys.tenant, head.size), key, head, old, progress)


def _read_header(file: IO[str]) -> tuple[Verifier, Checkpoint]:
    try:
        header = json.loads(file.readline(_MAX_LINE))
        format_, tenant, key, note = (str(header[name]) for name in ("format", "tenant", "key", "checkpoint"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProofUnreadable("the file does not begin as an export does") from error
    if format_ != EXPORT_FORMAT:
        raise ProofUnreadable(f"the export is not of format {EXPORT_FORMAT}")
    verifier = checkpoint.parse_verifier(key)
    if verifier.name != f"assent/{tenant}":
        raise AuditBroken(f"the export's key is not the key of assent/{tenant}")
    return verifier, checkpoint.verify_checkpoint(note, verifier)


def _older_checkpoint(note: str | None, key: Verifier, head: Checkpoint) -> Checkpoint | None:
    if note is None:
        return None
    try:
        old = checkpoint.verify_checkpoint(note, key)
    except ProofUnreadable as error:
        raise ProofUnreadable(f"the older checkpoint cannot be read: {error.detail}") from error
    except AuditBroken as error:
        raise AuditBroken(f"the older checkpoint does not fit this log's key: {error.detail}") from error
    if old.size > head.size:
        raise AuditBroken(f"the log has {head.size} leaves, the older checkpoint {old.size}: leaves were taken away")
    return old


def _check(
    leaves: Iterable[bytes], key: Verifier, head: Checkpoint, old: Checkpoint | None, progress: VerifyProgress
) -> VerifyReport:
    replay = _Replay()
    prefix_holds = old is None or old.size > 0 or old.root == tree.EMPTY_ROOT
    for leaf in leaves:
        replay.add(leaf)
        if old is not None and replay.size == old.size:
            prefix_holds = replay.root() == old.root
        if replay.size % _EVERY == 0:
            progress(replay.size)
    progress(replay.size)
    if replay.size != head.size:
        raise AuditBroken(f"there are {replay.size} leaves, the checkpoint is of {head.size}")
    if replay.root() != head.root:
        raise AuditBroken(
            f"the leaves do not give the signed root: {_altered_leaves(prefix_holds, old, head)} was altered"
        )
    if not prefix_holds and old is not None:
        raise AuditBroken(f"fork: the log's first {old.size} leaves are not those of the older checkpoint")
    return VerifyReport(head, key, old.size if old else None)


def _altered_leaves(prefix_holds: bool, old: Checkpoint | None, head: Checkpoint) -> str:
    if old is None:
        return f"one of the {head.size} leaves"
    if prefix_holds:
        return f"a leaf from number {old.size} on"
    return f"one of the first {old.size} leaves"


def _export_leaves(file: IO[str], size: int) -> Iterator[bytes]:
    """Yields the leaves of an export; stops one after `size`, which is enough to see that there are too many.

    Raises ProofUnreadable."""
    for seq in range(size + 1):
        line = file.readline(_MAX_LINE)
        if not line:
            return
        yield checkpoint.decode_field(line.removesuffix("\n"), f"leaf {seq}")


def _database_leaves(conn: Conn, tenant: str, size: int) -> Iterator[bytes]:
    """Yields the leaves in the database, each checked against the stored nodes that it completed."""
    replay = _Replay()
    for start in range(0, size, _EVERY):
        stop = min(start + _EVERY, size)
        rows = fetch(conn, _Q["list_completed_nodes"], tenant=tenant, start=start, stop=stop)
        stored = {(row["level"], row["n"]): row["hash"] for row in rows}
        for seq, leaf in log.leaves(conn, tenant, start, stop):
            if seq != replay.size:
                raise AuditBroken(f"leaf {replay.size} is missing")
            for node in replay.add(leaf):
                if stored.get((node.level, node.n)) != node.hash:
                    raise AuditBroken(f"leaf {seq} or node ({node.level}, {node.n}) was altered: they do not fit")
            yield leaf
