"""Lists a subject's matches and records the subject's answer: approval or refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import TypeAdapter

from assent.audit.broken import note_altered_row, record_broken_seal
from assent.audit.log import Part, append
from assent.core.errors import ConsentMissing, DecisionUnreadable, NotFound, SealBroken
from assent.core.values import Band, Box, MediaItem
from assent.db.locks import lock_shared, try_lock_exclusive
from assent.db.pool import Conn, Pool, Row, execute, fetch_one, transaction
from assent.db.queries import named_queries
from assent.decisions.assemble import Person, person_of, standing_match
from assent.decisions.document import read_stored
from assent.decisions.match_list import find_own_matches
from assent.decisions.retract import is_any_altered
from assent.decisions.retraction_jobs import retraction_waits
from assent.decisions.store import revise
from assent.keys.keystore import TenantKeys
from assent.keys.subject_keys import match_pseudonym, open_match
from assent.refusals import Refusal, remember

NOT_RECOGNISED = "the person is not recognised in that face"
_BOX = TypeAdapter(Box)
_Q, _FEEDBACK = named_queries("record"), named_queries("feedback")


@dataclass(frozen=True, slots=True)
class SubjectMatch:
    """A match of the subject: `suggested` waits for their approval, `published` is known to the platform."""

    item: MediaItem
    face: int
    revision: int
    state: Literal["suggested", "published"]
    band: Band
    box: Box
    decided_at: datetime


def matches_of(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> list[SubjectMatch]:
    """Returns the subject's matches that stand on the consent in force, newest first.

    Reads their list and no other's. An altered match that may be theirs is noted in the log; the tree is locked then,
    so call it last in a transaction. Raises SealBroken where another of theirs does not open, DecisionUnreadable where
    its decision was altered.
    """
    person = person_of(conn, keys, pseudonym)
    if person is None:
        return []
    found = find_own_matches(conn, keys, pseudonym, [person.subject])
    read = [_read_standing(conn, keys, person, _item_of(row), row["face"]) for row in found.theirs]
    if is_any_altered(keys, found.unattributed):
        record_broken_seal(conn, keys, "match", datetime.now(UTC))
    return newest_first([match for match in read if match is not None])


def _read_standing(conn: Conn, keys: TenantKeys, person: Person, item: MediaItem, face: int) -> SubjectMatch | None:
    return read_subject_match(
        conn, keys, item, face, lambda sealed: standing_match(conn, keys, person, item.id, face, sealed)
    )


def read_subject_match(
    conn: Conn, keys: TenantKeys, item: MediaItem, face: int, opened: Callable[[bytes], Mapping[str, Any] | None]
) -> SubjectMatch | None:
    """Reads a match that `opened` opens; None where it opens none, or its decision is not there.

    Raises DecisionUnreadable, and what `opened` raises.
    """
    row = _row(conn, keys, item, face)
    match = opened(row["sealed"]) if row else None
    if row is None or match is None:
        return None
    box = read_stored(_BOX, row["box"])
    return SubjectMatch(item, face, row["revision"], row["state"], match["band"], box, row["decided_at"])


def _item_of(row: Row) -> MediaItem:
    return MediaItem(row["source"], row["media_id"])


def newest_first(matches: Iterable[SubjectMatch]) -> list[SubjectMatch]:
    return sorted(matches, key=lambda match: match.decided_at, reverse=True)


def approve(pool: Pool, keys: TenantKeys, pseudonym: bytes, item: MediaItem, face: int) -> None:
    """Publishes a match that its subject approved: the platform is told (`tag.published`).

    Repeating it changes nothing. Raises NotFound where the person was not recognised in that face under the consent in
    force, ConsentMissing where they no longer consent.
    """
    with transaction(pool) as conn:
        execute(conn, _Q["lock_media"], **item.key(keys.tenant))
        row = _theirs(conn, keys, pseudonym, item, face)
        lock_shared(conn, keys.tenant, [pseudonym])
        person = person_of(conn, keys, pseudonym)
        if person is None or not person.consents:
            raise ConsentMissing
        if standing_match(conn, keys, person, item.id, face, row["sealed"]) is None:
            raise NotFound(NOT_RECOGNISED)
        if execute(conn, _Q["publish_suggested_match"], **item.key(keys.tenant), face=face):
            revise(conn, keys, item, "tag.published")


def refuse(pool: Pool, keys: TenantKeys, pseudonym: bytes, item: MediaItem, face: int) -> None:
    """Records a refusal, then removes the match; recipients of a published match are told (`tag.retracted`).

    Afterwards nothing names the subject there. It may be repeated after it was cut short. Raises NotFound where the
    person is not recognised in that face, DecisionUnreadable where the decision was altered.
    """
    with transaction(pool) as conn:
        row = _theirs(conn, keys, pseudonym, item, face)
    if row["sha256"] is None:
        raise DecisionUnreadable("media.sha256 is missing")
    refusal = Refusal(item.id, row["sha256"], read_stored(_BOX, row["box"]))
    with transaction(pool) as conn:
        _remember(conn, keys, pseudonym, face, refusal)
    with transaction(pool) as conn:  # another one: no transaction touches a person's rows and a picture's
        key = item.key(keys.tenant)
        execute(conn, _Q["lock_media"], **key)
        try_lock_exclusive(conn, keys.tenant, pseudonym)
        row = _theirs(conn, keys, pseudonym, item, face)
        opened = _count_refused(conn, keys, pseudonym, item, face, row)
        execute(conn, _Q["delete_match"], **key, face=face)
        if row["state"] == "published":
            revise(conn, keys, item, "tag.retracted")
    if not opened:
        note_altered_row(pool, keys, "match")


def _count_refused(conn: Conn, keys: TenantKeys, pseudonym: bytes, item: MediaItem, face: int, row: Row) -> bool:
    """Counts a refusal by the match's band, for setting the thresholds anew.

    The count does not record who refused. Returns False where the match was altered: it is refused all the same.
    """
    person = person_of(conn, keys, pseudonym)
    if person is None:
        return True
    try:
        band = open_match(person.subject, item.id, face, row["sealed"])["band"]
    except SealBroken:
        return retraction_waits(conn, keys, pseudonym)  # it may lie under a key that went
    execute(conn, _FEEDBACK["count_refused_band"], tenant=keys.tenant, band=band)
    return True


def _remember(conn: Conn, keys: TenantKeys, pseudonym: bytes, face: int, refusal: Refusal) -> None:
    try_lock_exclusive(conn, keys.tenant, pseudonym)
    person = person_of(conn, keys, pseudonym)
    if person is None:
        raise NotFound("the person is not known")
    if remember(conn, person.subject, refusal):
        payload = {"media": refusal.media_id, "face": face}
        parts = [Part(payload, pseudonym, person.subject.key)]
        append(conn, keys, "match.refused", {}, parts, datetime.now(UTC))


def _theirs(conn: Conn, keys: TenantKeys, pseudonym: bytes, item: MediaItem, face: int) -> Row:
    row = _row(conn, keys, item, face)
    if row is None or (match_pseudonym(keys, item.id, face, row["epoch"], row["locator"], row["slot"]) != pseudonym):
        raise NotFound(NOT_RECOGNISED)
    return row


def _row(conn: Conn, keys: TenantKeys, item: MediaItem, face: int) -> Row | None:
    return fetch_one(conn, _Q["read_match"], **item.key(keys.tenant), face=face)
