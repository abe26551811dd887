"""Reads a case as one moderator of the console sees it: with their claim, the queue's rules and the notes on it."""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from assent.audit.log import Part, append
from assent.core.clock import parse_rfc3339
from assent.core.errors import NotFound
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.review.cases import Case
from assent.review.queues import QueueRules, rules_of

_OF_CASE = tuple(Case.__dataclass_fields__)
_Q, _CLAIMS = named_queries("review"), named_queries("claims")


@dataclass(frozen=True, slots=True)
class CaseNote:
    """A note for whoever opens the case next; `by` is an account's id."""

    by: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class CaseInHand:
    """A case as one moderator sees it.

    `claim`: the token of their claim, lapsed or not, None where they have none. `kept`: a copy of its image is.
    `newer`: the open case of the same media item, if that is another one.
    """

    case: Case
    claim: UUID | None
    rules: QueueRules
    kept: bool
    newer: UUID | None
    notes: tuple[CaseNote, ...]

    @property
    def remaining(self) -> timedelta | None:
        """Returns how long the claim in force lasts; None where there is none."""
        return self.case.claimed_until - self.rules.now if self.case.claimed_until else None

    @property
    def is_deleted(self) -> bool:
        """Tells whether the platform deleted the media item."""
        return self.case.closed_at is not None and self.case.media_id == f"deleted {self.case.id}"


@dataclass(frozen=True, slots=True)
class OwnClaim:
    """An open case that a moderator has in hand."""

    case_id: UUID
    queue: str
    reason: str
    opened_at: datetime
    remaining: timedelta


@dataclass(frozen=True, slots=True)
class LastDecision:
    """A moderator's last decision, with the time that is left to undo it."""

    case_id: UUID
    action: str
    remaining: timedelta


def read_case_in_hand(conn: Conn, keys: TenantKeys, by: str, case_id: UUID) -> CaseInHand:
    """Returns the case as `by` sees it. Raises NotFound, and SealBroken for a note that was altered."""
    row = fetch_one(conn, _Q["read_case_of_staff"], tenant=keys.tenant, case=case_id, by=by)
    if row is None:
        raise NotFound("no case of that id")
    case = Case(**{name: row[name] for name in _OF_CASE})
    notes = tuple(_note(keys, case_id, note) for note in row["notes"])
    return CaseInHand(case, row["own_claim"], rules_of(row), row["kept"], row["newer"], notes)


def add_note(conn: Conn, keys: TenantKeys, by: str, case_id: UUID, text: str) -> None:
    """Keeps a note on a case, sealed, for whoever opens it next."""
    note_id = uuid4()
    sealed = seal_for_tenant(keys, "staff", text.encode(), "note", by, case_id.bytes, note_id.bytes)
    execute(conn, _Q["insert_note"], tenant=keys.tenant, case=case_id, id=note_id, by=by, sealed=sealed)


def own_claims(conn: Conn, tenant: str, by: str, queue: str | None = None) -> list[OwnClaim]:
    """Returns the open cases that a moderator has in hand, of one queue or of all, the oldest claim first."""
    return [_own_claim(row) for row in fetch(conn, _CLAIMS["list_own_claims"], tenant=tenant, by=by, queue=queue)]


def release_own_claims(conn: Conn, tenant: str, by: str) -> None:
    """Lets all cases that a moderator has in hand wait for anybody."""
    execute(conn, _CLAIMS["release_own_claims"], tenant=tenant, by=by)


def last_decision(conn: Conn, tenant: str, by: str, case_id: UUID | None = None) -> LastDecision | None:
    """Returns what a moderator decided last, or on that case, while it may be undone."""
    row = fetch_one(conn, _CLAIMS["read_undoable"], tenant=tenant, by=by, case=case_id)
    return LastDecision(row["case_id"], row["outcome"] or "", row["remaining"]) if row else None


def note_lost(conn: Conn, keys: TenantKeys, by: str, case_id: UUID, typed: Mapping[str, Any]) -> None:
    """Appends the leaf `case.lost` for work on a media item that was deleted meanwhile; what was typed lies sealed."""
    append(conn, keys, "case.lost", {}, [Part({"by": by, "case": str(case_id), **typed})], datetime.now(UTC))


def note_denied(conn: Conn, keys: TenantKeys, by: str, case_id: UUID) -> None:
    """Appends the leaf `case.denied` for an account that asked for a case that its tenant does not have.

    At most one a minute and account: whoever tries ids does not fill the log.
    """
    now = datetime.now(UTC)
    mac = hmac.digest(keys.seal_key, f"case.denied\0{by}\0{int(now.timestamp()) // 60}".encode(), "sha256")
    if execute(conn, named_queries("rotate")["insert_broken_note_once"], tenant=keys.tenant, key_mac=mac):
        append(conn, keys, "case.denied", {}, [Part({"by": by, "case": str(case_id)})], now)


def _own_claim(row: Row) -> OwnClaim:
    remaining = row["claimed_until"] - row["now"]
    return OwnClaim(row["id"], row["queue"], row["reason"], row["opened_at"], remaining)


def _note(keys: TenantKeys, case_id: UUID, row: Mapping[str, Any]) -> CaseNote:
    place = ("note", row["by"], case_id.bytes, UUID(row["id"]).bytes)
    text = unseal_for_tenant(keys, "staff", b64decode(row["sealed"]), *place).decode()
    return CaseNote(row["by"], parse_rfc3339(row["at"]), text)
