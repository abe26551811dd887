"""Shows the audit log, newest leaf first, each with the proof that it is in the signed log, checked here.

Whoever may read their own leaves only gets those that name their account. Sealed parts open in no page but one's own.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from assent.audit import checkpoint, log, tree
from assent.console import words
from assent.console.desk import inside
from assent.console.visit import ConsoleOrigin, ConsoleRoute, SignedIn, Visit
from assent.core.audit_errors import LogSetBack
from assent.core.errors import AuditBroken, KeyMissing, NotFound, SealBroken
from assent.db.pool import Conn, fetch, fetch_one, transaction
from assent.db.queries import named_queries

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
LEAVES_SHOWN = 25  # of a page
WINDOW = 20_000  # leaves that one page looks through for an action
OWN_WINDOW = 2_000  # leaves that one page opens in search of one's own
_DAMAGED = (AuditBroken, LogSetBack, KeyMissing)
_Q = named_queries("browse")


@dataclass(frozen=True, slots=True)
class ListedLeaf:
    """A leaf as it is listed; `proved`: it is in the log that was signed last."""

    seq: int
    at: str
    action: str
    proved: bool


@dataclass(frozen=True, slots=True)
class _Page:
    """Leaves of a page, the number that the next one begins before (0: there is none), and how far was looked."""

    leaves: list[tuple[int, bytes]]
    older: int


@router.get("/log")
def show_log(
    me: SignedIn,
    action: Annotated[str, Query(max_length=40, pattern=r"^[a-z.-]*$")] = "",
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> Response:
    """Lists the leaves before a number, or the newest; of one action, or of all."""
    with transaction(me.state.pool) as conn:
        try:
            signed, broken = _signed(conn, me), ""
        except _DAMAGED as error:
            signed, broken = None, error.detail
        size = signed.size if signed else _size(conn, me)
        start = size if before is None else min(before, size)
        page = _everybodys(conn, me, action, start) if me.staff.may("read-log") else _own(conn, me, action, start)
        listed = [_listed(conn, me, seq, leaf, signed) for seq, leaf in page.leaves]
    shown: dict[str, Any] = {"action": action, "older": page.older, "size": size, "whole": me.staff.may("read-log")}
    altered = not broken and not all(leaf.proved for leaf in listed)
    return inside("log", me, words.WORDS["log"]["title"], leaves=listed, damaged=broken, altered=altered, **shown)


@router.get("/log/{leaf}")
def show_leaf(me: SignedIn, at: ConsoleOrigin, leaf: Annotated[int, Path(ge=0, lt=2**63)]) -> Response:
    """Shows a leaf as it is in the log, the proof, and the commands by which anybody checks it.

    Raises NotFound for a leaf that is not one's own where one may see no other.
    """
    with transaction(me.state.pool) as conn:
        stored = _stored(conn, me, leaf)
        own = _own_part(conn, me, leaf, stored)
        if own is None and not me.staff.may("read-log"):
            raise NotFound
        try:
            signed, broken = _signed(conn, me), ""
            proof = _proof(conn, me, leaf, stored, signed)
        except _DAMAGED as error:
            signed, broken, proof = None, error.detail, []
    values: dict[str, Any] = {
        "seq": leaf,
        "stored": stored.decode("utf-8", "replace"),
        "fields": _fields(stored),
        "own": dict(parts_shown(own)) if own else None,
    }
    values |= {"damaged": broken, "hashes": proof, "signed": signed, "key": str(checkpoint.verifier(me.keys)), "at": at}
    values |= {"tenant": me.keys.tenant, "leaf_hash": tree.leaf_hash(stored).hex()}
    return inside("log_leaf", me, words.WORDS["log"]["leaf"].format(n=leaf), here="/console/log", **values)


def _signed(conn: Conn, me: Visit) -> checkpoint.Checkpoint:
    """Returns the newest checkpoint, signed over the log as it stands. Raises AuditBroken, LogSetBack, KeyMissing."""
    return checkpoint.open_note(me.keys, checkpoint.current_checkpoint(conn, me.keys))


def _size(conn: Conn, me: Visit) -> int:
    """Returns the number of leaves of a log that is damaged."""
    try:
        return log.head(conn, me.keys.tenant).size
    except AuditBroken:
        return 2**62


def _mark(action: str) -> bytes | None:
    return f'"action":"{action}"'.encode() if action else None


def _everybodys(conn: Conn, me: Visit, action: str, stop: int) -> _Page:
    start = max(0, stop - WINDOW)
    span = {"tenant": me.keys.tenant, "start": start, "stop": stop, "mark": _mark(action), "most": LEAVES_SHOWN}
    found = [(row["seq"], bytes(row["leaf"])) for row in fetch(conn, _Q["list_newest_leaves"], **span)]
    return _Page(found, found[-1][0] if len(found) == LEAVES_SHOWN else start)


def _own(conn: Conn, me: Visit, action: str, stop: int) -> _Page:
    start, found = max(0, stop - OWN_WINDOW), []
    for row in fetch(conn, _Q["list_newest_parts"], tenant=me.keys.tenant, start=start, stop=stop):
        leaf = bytes(row["leaf"])
        if (_mark(action) or b"") in leaf and _opened(me, row["seq"], leaf, row["sealed"]) is not None:
            found.append((row["seq"], leaf))
            if len(found) == LEAVES_SHOWN:
                return _Page(found, row["seq"])
    return _Page(found, start)


def _own_part(conn: Conn, me: Visit, seq: int, leaf: bytes) -> Mapping[str, Any] | None:
    row = fetch_one(conn, _Q["read_part"], tenant=me.keys.tenant, seq=seq)
    return _opened(me, seq, leaf, row["sealed"]) if row else None


def _opened(me: Visit, seq: int, leaf: bytes, sealed: bytes) -> Mapping[str, Any] | None:
    """Opens a leaf's first part where this account did what it is about; None where somebody else did, or nobody."""
    commitments = _fields(leaf).get("commitments") or [""]
    try:
        commitment = bytes.fromhex(commitments[0])
        payload: dict[str, Any] = json.loads(log.open_part(me.keys, me.keys.tenant, seq, 0, bytes(sealed), commitment))
    except (SealBroken, AuditBroken, ValueError):
        return None
    return payload if payload.get("by") == me.by else None


def _stored(conn: Conn, me: Visit, seq: int) -> bytes:
    row = fetch_one(conn, named_queries("audit")["read_leaf"], tenant=me.keys.tenant, seq=seq)
    if row is None:
        raise NotFound
    return bytes(row["leaf"])


def _listed(conn: Conn, me: Visit, seq: int, leaf: bytes, signed: checkpoint.Checkpoint | None) -> ListedLeaf:
    fields, proved = _fields(leaf), False
    if signed is not None:
        try:
            _proof(conn, me, seq, leaf, signed)
            proved = True
        except _DAMAGED:
            proved = False
    return ListedLeaf(seq, str(fields.get("at", "")), str(fields.get("action", "")), proved)


def _proof(conn: Conn, me: Visit, seq: int, leaf: bytes, signed: checkpoint.Checkpoint) -> list[str]:
    """Proves that the leaf is in the log that was signed; the hashes. Raises AuditBroken where it is not."""
    try:
        proof = checkpoint.prove_inclusion(conn, me.keys.tenant, seq, signed.size)
    except NotFound as error:
        raise AuditBroken(f"leaf {seq} is beyond the {signed.size} that were signed") from error
    hashes: list[str] = proof["hashes"]
    tree.verify_inclusion(tree.leaf_hash(leaf), seq, signed.size, [*map(b64decode, hashes)], signed.root)
    return hashes


def _fields(leaf: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(leaf)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def parts_shown(payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the fields of one's own part as they are shown, by name; empty ones are left out."""
    for name, value in payload.items():
        if value not in (None, [], ""):
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
