"""Counts every look at an image in full: it is asked for, counted, and then shown once, within a minute."""

from __future__ import annotations

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from assent.core.errors import NotFound
from assent.core.values import HASH_SEVERE
from assent.db.pool import Conn, execute, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import Decision
from assent.review.cases import Case

LOOK_VALID = timedelta(seconds=60)
MOST_LOOK_SECONDS = 300  # that one report of time may add: as long as a claim lasts
OTHER = "other"  # the category of what carries no label of harm
_HARM = ("safety", "text", "hash")
_Q = named_queries("looks")


class CaseLooks(NamedTuple):
    """Tells how often an account looked at a case's image in full, and how long, in seconds."""

    looks: int
    seconds: int


def ask_look(conn: Conn, tenant: str, by: str, case: Case, category: str, grave: bool) -> str:
    """Counts a look at a case's image and returns the token that shows it once; the token is not stored.

    `category`: `look_category`'s. `grave`: the case's queue is.
    """
    token = secrets.token_urlsafe(32)
    values = {"sha256": _sha256(token), "case": case.id, "by": by, "valid_for": LOOK_VALID}
    execute(conn, _Q["insert_look"], tenant=tenant, **values)
    counted = {"category": category, "grave": grave, "looks": 1, "seconds": 0}
    execute(conn, _Q["count_exposure"], tenant=tenant, by=by, **counted)
    execute(conn, _Q["count_case_looks"], tenant=tenant, case=case.id, by=by, looks=1, seconds=0)
    return token


def take_look(conn: Conn, tenant: str, by: str, token: str) -> UUID:
    """Spends a token and returns its case. Raises NotFound where it was spent, is over, or is somebody else's."""
    row = fetch_one(conn, _Q["take_look"], tenant=tenant, by=by, sha256=_sha256(token))
    if row is None:
        raise NotFound("this look is over")
    case_id: UUID = row["case_id"]
    return case_id


def count_seconds(conn: Conn, tenant: str, by: str, category: str, grave: bool, seconds: int) -> None:
    """Counts for how long an image was seen in full, 1 to MOST_LOOK_SECONDS seconds; anything else is passed over."""
    if 0 < seconds <= MOST_LOOK_SECONDS:
        counted = {"category": category, "grave": grave, "looks": 0, "seconds": seconds}
        execute(conn, _Q["count_exposure"], tenant=tenant, by=by, **counted)


def count_case_seconds(conn: Conn, tenant: str, by: str, case_id: UUID, seconds: int) -> None:
    """Counts the seconds at the case, too, for the leaf of its decision."""
    if 0 < seconds <= MOST_LOOK_SECONDS:
        execute(conn, _Q["count_case_looks"], tenant=tenant, case=case_id, by=by, looks=0, seconds=seconds)


def take_case_looks(conn: Conn, tenant: str, by: str, case_id: UUID) -> CaseLooks:
    """Returns how often and how long an account looked at a case, and forgets it."""
    row = fetch_one(conn, _Q["take_case_looks"], tenant=tenant, case=case_id, by=by)
    return CaseLooks(row["looks"], row["seconds"]) if row else CaseLooks(0, 0)


def look_category(case: Case, decision: Decision | None) -> str:
    """Returns the category that a look at the case's image counts under: the first part of a label, or `other`.

    Of several labels of harm it is that of the highest score.
    """
    if case.reason == HASH_SEVERE:
        return "hash"
    tags = [tag for tag in decision.tags if tag.category in _HARM] if decision else []
    return max(tags, key=lambda tag: tag.score).name.partition(".")[0] if tags else OTHER


def _sha256(token: str) -> bytes:
    return sha256(token.encode()).digest()
