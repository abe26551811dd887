"""Checks a log: offline from an export and an older checkpoint, or in the database itself.

Both stream: memory does not grow with the log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import IO

from assent.audit import checkpoint, log, tree
from assent.audit.checkpoint import Checkpoint, Verifier
from assent.audit.epoch import LogHead, Restoration, read_restoration, stored_epoch
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
    """One log that verified: the head that was checked, and what else speaks for it.

    `witnessed` is the number of leaves that an older checkpoint, kept by a witness, vouches for; None where none does,
    so that only the log vouches for itself. `lost_by` is the restore that lost leaves of that checkpoint. `pinned`: the
    key is the one that the reader knew before. `remembered` is the number of leaves that the keystore vouches for.
    """

    head: Checkpoint
    key: Verifier
    witnessed: int | None = None
    restorations: tuple[Restoration, ...] = ()
    lost_by: Restoration | None = None
    pinned: bool = False
    remembered: int | None = None


@dataclass(slots=True)
class _Replay:
    """The tree of the leaves read so far."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)
    restorations: list[Restoration] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        return self.restorations[-1].restored.epoch if self.restorations else 1

    def add(self, leaf: bytes) -> list[tree.Node]:
        if restoration := read_restoration(leaf):
            self._check(restoration)
            self.restorations.append(restoration)
        self.peaks, nodes = tree.grow(self.peaks, self.size, tree.leaf_hash(leaf))
        self.size += 1
        return nodes

    def root(self) -> bytes:
        return tree.root(self.peaks)

    def _check(self, restoration: Restoration) -> None:
        """Raises AuditBroken unless the leaves so far are those that the leaf says were restored."""
        epoch = restoration.restored.epoch
        stands = restoration.restored == LogHead(epoch, self.size, self.root())
        if not stands or epoch <= max(self.epoch, restoration.old.epoch):
            raise AuditBroken(f"leaf {self.size} speaks of a restore that does not fit the leaves before it")


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


def verify_log(
    file: IO[str],
    old_checkpoint: str | None,
    progress: VerifyProgress = _no_progress,
    pinned: Verifier | None = None,
) -> VerifyReport:
    """Checks an export without any database: its checkpoint's signature, that its leaves give the signed root, and
    that the log of `old_checkpoint`, which must be signed by the same key, is a prefix of it, or that a leaf says
    which restore lost the rest.

    `pinned` is the log's key as the reader knows it from elsewhere; without it the export's own key is believed. Raises
    ProofUnreadable where a file is malformed, AuditBroken with the first thing that does not hold.
    """
    key, head = _read_header(file)
    _check_key(key, pinned)
    old = _older_checkpoint(old_checkpoint, key)
    return _check(_export_leaves(file, head.size), VerifyReport(head, key, pinned=pinned is not None), old, progress)


def verify_database(
    conn: Conn,
    keys: TenantKeys,
    old_checkpoint: str | None = None,
    progress: VerifyProgress = _no_progress,
    pinned: Verifier | None = None,
) -> VerifyReport:
    """Checks the tenant's log in the database: every stored node against the leaves, the root, nothing missing and
    nothing surplus, that it extends what the keystore remembers, and the older checkpoint and the key as `verify_log`
    does. Leaves appended meanwhile wait for the next time.

    Raises AuditBroken with the first thing that is wrong, naming the leaf or node, LogSetBack where signed leaves are
    not in it.
    """
    key = checkpoint.verifier(keys)
    _check_key(key, pinned)
    note = checkpoint.read_note(keys)  # before the tree, which may grow
    remembered = checkpoint.open_note(keys, note) if note is not None else None
    size, peaks = log.head(conn, keys.tenant)
    epoch = remembered.epoch if remembered else stored_epoch(conn, keys.tenant)
    head = Checkpoint(key.name, size, tree.root(peaks), epoch)  # not signed: it is what is in doubt
    old = _older_checkpoint(old_checkpoint, key)
    surplus = fetch_one(conn, _Q["count_surplus_rows"], tenant=keys.tenant)
    if surplus is None or surplus["leaves"] or surplus["nodes"]:
        raise AuditBroken("the database holds leaves or nodes beyond the tree's size")
    remembered_size = remembered.size if remembered else None
    report = VerifyReport(head, key, pinned=pinned is not None, remembered=remembered_size)
    report = _check(_database_leaves(conn, keys.tenant, head.size), report, old, progress)
    if remembered is not None:
        checkpoint.check_extends(conn, keys.tenant, remembered, log.TreeHead(size, peaks))
    return report


def _check_key(key: Verifier, pinned: Verifier | None) -> None:
    if pinned not in (None, key):
        raise AuditBroken("the log is signed by another key than the one that was given")


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


def _older_checkpoint(note: str | None, key: Verifier) -> Checkpoint | None:
    if note is None:
        return None
    try:
        return checkpoint.verify_checkpoint(note, key)
    except ProofUnreadable as error:
        raise ProofUnreadable(f"the older checkpoint cannot be read: {error.detail}") from error
    except AuditBroken as error:
        raise AuditBroken(f"the older checkpoint does not fit this log's key: {error.detail}") from error


def _check(
    leaves: Iterable[bytes], report: VerifyReport, old: Checkpoint | None, progress: VerifyProgress
) -> VerifyReport:
    """Replays the leaves and returns the report with what they say. Raises AuditBroken."""
    head, replay = report.head, _Replay()
    root_then = tree.EMPTY_ROOT if old is not None and old.size == 0 else None  # of as many leaves as `old` has
    for leaf in leaves:
        replay.add(leaf)
        if old is not None and replay.size == old.size:
            root_then = replay.root()
        if replay.size % _EVERY == 0:
            progress(replay.size)
    progress(replay.size)
    prefix_holds = old is None or root_then == old.root
    if replay.size != head.size:
        raise AuditBroken(f"there are {replay.size} leaves, the checkpoint is of {head.size}")
    if replay.root() != head.root:
        raise AuditBroken(
            f"the leaves do not give the signed root: {_altered_leaves(prefix_holds, old, head)} was altered"
        )
    if replay.epoch != head.epoch:
        raise AuditBroken(f"the checkpoint is of epoch {head.epoch}, the leaves are of epoch {replay.epoch}")
    report = replace(report, restorations=tuple(replay.restorations))
    if old is None:
        return report
    if prefix_holds:
        return replace(report, witnessed=old.size)
    return replace(report, lost_by=_restore_that_lost(old, head, replay.restorations))


def _restore_that_lost(old: Checkpoint, head: Checkpoint, restorations: Iterable[Restoration]) -> Restoration:
    """Returns the restore which says that leaves of an older checkpoint, no prefix of this log, were lost.

    That is the first one after the checkpoint's epoch. Raises AuditBroken where there is none, where it says that all
    these leaves came back, or where the head that it names is not that of the checkpoint.
    """
    epoch = 1
    for restoration in restorations:
        lost = restoration.old
        if restoration.restored.epoch > old.epoch:
            came_back = epoch == old.epoch and old.size <= restoration.restored.size
            beyond = lost.epoch == old.epoch and old.size > lost.size
            other = (lost.epoch, lost.size) == (old.epoch, old.size) and lost.root != old.root
            if came_back or beyond or other:
                break
            return restoration
        epoch = restoration.restored.epoch
    if old.size > head.size:
        raise AuditBroken(f"the log has {head.size} leaves, the older checkpoint {old.size}: leaves were taken away")
    raise AuditBroken(f"fork: the log's first {old.size} leaves are not those of the older checkpoint")


def _altered_leaves(prefix_holds: bool, old: Checkpoint | None, head: Checkpoint) -> str:
    if old is None or old.size > head.size:
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
