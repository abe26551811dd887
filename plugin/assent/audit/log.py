"""Writes and reads the audit log: one leaf an action, written in the action's own transaction.

A leaf is canonical JSON (RFC 8785) and holds nothing personal: time, action, hashes of policy and models, counts, and
one commitment a part, SHA-256(salt || canonical payload). Salt and payload lie together in `audit_payload`, sealed
under the tenant's key or, where a part is about a subject, under that subject's. Once that key is gone the commitment
reveals nothing, and the tree still verifies.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import rfc8785

from assent.audit import tree
from assent.core.clock import parse_rfc3339, rfc3339
from assent.core.errors import AuditBroken, NotInitialised, SealBroken
from assent.core.values import Leaf
from assent.db.pool import Conn, execute, fetch
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.seal import seal, unseal
from assent.keys.subject_keys import open_locator, seal_locator
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant

# Action → how long its sealed parts are kept. An expired one is an empty value; the leaf and its commitments stay.
PART_TERMS: Mapping[str, timedelta] = {"match.throttled": timedelta(days=90)}  # names an author, for a later inquiry
_Q = named_queries("audit")
_SALT_BYTES = 32
_OWN_FIELDS = frozenset({"v", "at", "action", "commitments"})
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an action: the leaf holds a commitment to it, not its payload. With `pseudonym` and `subject_key` it
    is about that subject and sealed under their key; without them it is sealed under the tenant's."""

    payload: Mapping[str, Any] = field(repr=False)
    pseudonym: bytes | None = None
    subject_key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.pseudonym is None) != (self.subject_key is None):
            raise ValueError("a part about a subject needs both the pseudonym and the key")


class TreeHead(NamedTuple):
    """The head of a tenant's log: number of leaves and the hashes of the complete subtrees, largest first."""

    size: int
    peaks: list[bytes]


class _Sealed(NamedTuple):
    epoch: int | None
    locator: bytes | None
    sealed: bytes


def create_log(conn: Conn, tenant: str) -> None:
    """Creates an empty log for a new tenant."""
    execute(conn, _Q["insert_tree"], tenant=tenant)


def append(
    conn: Conn, keys: TenantKeys, action: str, body: Mapping[str, Any], parts: Sequence[Part], at: datetime
) -> Leaf:
    """Writes the next leaf inside the caller's transaction and returns its number and time.

    `body` must hold nothing personal; `at` is an aware time. The tree stays locked until the transaction ends, so
    this has to be the last lock that the caller takes. Three round trips.
    Raises NotInitialised when the tenant has no log, AuditBroken when its tree is damaged, ValueError on a field name
    that the leaf uses itself or a time without a zone.
    """
    openings = [_salted(part.payload) for part in parts]
    leaf = leaf_bytes(action, body, [sha256(opening).digest() for opening in openings], at)
    # Not in a pipeline: between its statements the server counts a client that was stopped as active, not as idle in a
    # transaction, and would let it keep the tree's lock for ever.
    conn.execute(_Q["lock_tree"], {"tenant": keys.tenant})
    seq, peaks = head(conn, keys.tenant)
    pairs = zip(parts, openings, strict=True)
    sealed = [_seal(keys, seq, n, part, opening) for n, (part, opening) in enumerate(pairs)]
    _, nodes = tree.grow(peaks, seq, tree.leaf_hash(leaf))
    written = execute(
        conn,
        _Q["insert_leaf"],
        tenant=keys.tenant,
        seq=seq,
        leaf=leaf,
        levels=[node.level for node in nodes],
        ns=[node.n for node in nodes],
        hashes=[node.hash for node in nodes],
        epochs=[row.epoch for row in sealed],
        locators=[row.locator for row in sealed],
        sealed=[row.sealed for row in sealed],
        expires_at=at + PART_TERMS[action] if action in PART_TERMS else None,
    )
    if written != 1:
        raise AuditBroken(f"the tree changed while leaf {seq} was written: its lock was not held")
    return Leaf(seq, at)


def head(conn: Conn, tenant: str) -> TreeHead:
    """Returns size and peaks as one statement sees them.

    Raises NotInitialised when the tenant has no log, AuditBroken when a peak is missing.
    """
    rows = fetch(conn, _Q["list_peaks"], tenant=tenant)
    if not rows:
        raise NotInitialised(f"tenant {tenant} has no audit log")
    size, peaks = int(rows[0]["size"]), [row["hash"] for row in rows if row["hash"] is not None]
    if len(peaks) != size.bit_count():
        raise AuditBroken(f"the tree of {size} leaves lacks one of its {size.bit_count()} subtrees")
    return TreeHead(size, peaks)


def leaf_bytes(action: str, body: Mapping[str, Any], commitments: Sequence[bytes], at: datetime) -> bytes:
    """Encodes a leaf: RFC 8785 JSON of `v`, `at` (RFC 3339 with microseconds, UTC), `action`, the body's fields and
    `commitments` (hex). Raises ValueError on a body field of one of those names and on a time without a zone."""
    taken = _OWN_FIELDS & body.keys()
    if taken:
        raise ValueError(f"the leaf itself has the fields {sorted(taken)}")
    fields = {"v": 1, "at": rfc3339(at), "action": action, **body, "commitments": [c.hex() for c in commitments]}
    return rfc8785.dumps(fields)


def is_expired(leaf: Mapping[str, Any], now: datetime) -> bool:
    """Tells whether the term of a leaf's parts is over, by its time, which the tree vouches for. An empty part of
    another leaf was altered. Raises LookupError and ValueError on a leaf that is none."""
    term = PART_TERMS.get(leaf["action"])
    return term is not None and parse_rfc3339(leaf["at"]) + term <= now


def open_part(key: bytes | TenantKeys, tenant: str, seq: int, part: int, sealed: bytes, commitment: bytes) -> bytes:
    """Opens a part with its subject's key, or the tenant's keys where it is about nobody, checks it against the leaf's
    commitment and returns its canonical payload.

    Raises SealBroken when it does not open, AuditBroken when it is not what the leaf committed to.
    """
    return check_opening(open_salted(key, tenant, seq, part, sealed), seq, part, commitment)


def open_salted(key: bytes | TenantKeys, tenant: str, seq: int, part: int, sealed: bytes) -> bytes:
    """Returns salt and canonical payload of a part: the opening of its commitment. Raises SealBroken."""
    if isinstance(key, TenantKeys):
        return unseal_for_tenant(key, "audit", sealed, str(seq), str(part), tenant)
    return unseal(key, sealed, *_part_id(seq, part), tenant)


def open_part_by(
    subject_keys: Iterable[bytes], tenant: str, seq: int, part: int, sealed: bytes, commitment: bytes
) -> bytes:
    """Opens a part as `open_part` does, with the one of these keys that opens it. Raises SealBroken, AuditBroken."""
    for key in subject_keys:
        with suppress(SealBroken):
            return open_part(key, tenant, seq, part, sealed, commitment)
    raise SealBroken


def reseal_part(subject_keys: Sequence[bytes], tenant: str, seq: int, part: int, sealed: bytes) -> bytes | None:
    """Seals a part under the first of these keys; None where it lies under that already, or none opens it."""
    for n, key in enumerate(subject_keys):
        with suppress(SealBroken):
            salted = open_salted(key, tenant, seq, part, sealed)
            return seal(subject_keys[0], salted, *_part_id(seq, part), tenant) if n else None
    return None


def check_opening(salted: bytes, seq: int, part: int, commitment: bytes) -> bytes:
    """Checks an opening against the leaf's commitment and returns its canonical payload.

    Raises AuditBroken when it is not what the leaf committed to, SealBroken when it is too short.
    """
    if not hmac.compare_digest(sha256(salted).digest(), commitment):
        raise AuditBroken(f"part {part} of leaf {seq} is not what the leaf committed to")
    if len(salted) < _SALT_BYTES:
        raise SealBroken(f"part {part} of leaf {seq} is too short")
    return salted[_SALT_BYTES:]


def part_pseudonym(keys: TenantKeys, seq: int, part: int, epoch: int, locator: bytes) -> bytes:
    """Returns the pseudonym of the subject of a part, as long as that epoch's key exists. Raises SealBroken."""
    return open_locator(keys, epoch, locator, *_part_id(seq, part))


def part_locator(keys: TenantKeys, seq: int, part: int, pseudonym: bytes) -> bytes:
    """Makes the locator of a part about that subject, under the live epoch of `keys`."""
    return seal_locator(keys, pseudonym, *_part_id(seq, part))


def leaves(conn: Conn, tenant: str, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Yields the leaves [start, stop) in order, page by page. Leaves never change, so this needs no snapshot."""
    for first in range(start, stop, _PAGE):
        for row in fetch(conn, _Q["list_leaves"], tenant=tenant, start=first, stop=min(first + _PAGE, stop)):
            yield row["seq"], row["leaf"]


def _salted(payload: Mapping[str, Any]) -> bytes:
    return secrets.token_bytes(_SALT_BYTES) + rfc8785.dumps(dict(payload))


def _seal(keys: TenantKeys, seq: int, n: int, part: Part, salted: bytes) -> _Sealed:
    if part.pseudonym is None or part.subject_key is None:
        return _Sealed(None, None, seal_for_tenant(keys, "audit", salted, str(seq), str(n), keys.tenant))
    keys = keys.now()  # the live epoch inside this transaction, whenever the caller began
    sealed = seal(part.subject_key, salted, *_part_id(seq, n), keys.tenant)
    return _Sealed(keys.epoch, part_locator(keys, seq, n, part.pseudonym), sealed)


def _part_id(seq: int, part: int) -> tuple[str, str, str]:
    return "audit", str(seq), str(part)
