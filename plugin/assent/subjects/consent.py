"""Records consents to being recognised: each for one purpose and scope, until it ends or is withdrawn.

A consent is a record: its content never changes, only its end is noted. At most one consent of a subject is in force
for a purpose. A new consent ends the one before and takes over its templates. So the newest alone sets scope and
duration: withdrawing an older one changes nothing, and an older, wider one never applies again.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from assent.audit.broken import record_broken_seal
from assent.audit.log import Part, append
from assent.core.clock import coarse, rfc3339_with_offset
from assent.core.errors import AnyoneUndeclared, BadRequest, ConsentMissing, GuardianMissing, NotFound, SealBroken
from assent.core.names import ref_fault
from assent.db import locks
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.decisions.retraction_jobs import queue_retraction
from assent.keys.authority import authority_key, authority_mac, end_authority, holds_mac, is_authentic
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import seal, unseal
from assent.keys.subject_keys import SubjectKey
from assent.subjects.renew import renew_key
from assent.subjects.waiting import drop_waiting

Scope = Literal["own", "connections", "anyone"]
Age = Literal["adult", "minor", "unknown"]
EVIDENCE_BYTES = 4096
EXPIRE_AT_ONCE = 100  # people whose consents are ended in one transaction: all of them are locked meanwhile
_RANDOM = random.SystemRandom()
_Q = named_queries("subjects")


@dataclass(frozen=True, slots=True)
class Given:
    """A consent as a person gave it: scope, notice, jurisdiction, method and duration."""

    subject: str
    scope: Scope
    notice: str  # the text shown
    jurisdiction: str
    method: str
    valid_for: timedelta
    notice_version: str
    age: Age
    guardian: str | None = None  # how a guardian agreed, for whoever is not known to be an adult
    evidence: str | Mapping[str, Any] | None = None  # at most EVIDENCE_BYTES


class InForce(NamedTuple):
    """The consent in force: its id, and that of the first of its series (consents that followed without a break)."""

    id: UUID
    series: UUID


def give(conn: Conn, keys: TenantKeys, given: Given, declared: str | None = None) -> UUID:
    """Records a consent and returns its id; the subject's row and key are created with the first one.

    It ends the consent that was in force and takes over its templates, unless that one was altered or put back. Where
    the scope differs, a match that is under way does not count any more. `declared` is the deployer's declaration that
    scope `anyone` is lawful; it is logged when first seen. Raises GuardianMissing, AnyoneUndeclared, and BadRequest for
    too much evidence.
    """
    _check(given, declared)
    pseudonym, now = derive_pseudonym(keys, given.subject), database_time(conn)
    locks.try_lock_exclusive(conn, keys.tenant, pseudonym)
    lapsed = _end_lapsed(conn, keys, [pseudonym], now)
    replaced = _withdraw_active(conn, keys, pseudonym, None, coarse(now))
    broken = [replaced] if replaced and not replaced["authentic"] else []
    if broken:  # it was altered, or put back after its end: nothing of it passes to the new one
        _drop(conn, keys, broken)
        replaced = None
    subject = _open_or_create(conn, keys, pseudonym, given.subject, now)
    consent = uuid4()
    terms = _insert(conn, keys, subject, _Place(consent, replaced["series"] if replaced else consent), given, now)
    if replaced:
        _move_templates(conn, keys, replaced, consent, given.scope)
    touch_last_interaction(conn, keys.tenant, pseudonym, now)
    if given.scope == "anyone" and declared is not None:
        declare(conn, keys, declared)
    _log_ended(conn, keys, "consent.expired", lapsed, now)
    _log_ended(conn, keys, "consent.withdrawn", broken, now)
    if broken:
        record_broken_seal(conn, keys, "consent", now)
    part = Part({**terms, "replaces": str(replaced["id"]) if replaced else None}, pseudonym, subject.key)
    append(conn, keys, "consent.given", {}, [part], now)
    # Last: what fails before leaves the consent in force that would have been replaced.
    end_authority(keys, [("consent", replaced["id"])] if replaced else [])
    return consent


def withdraw_consent(conn: Conn, keys: TenantKeys, consent: UUID) -> None:
    """Withdraws a consent: its templates go with the commit, and the subject's matches are retracted.

    The subject's key is renewed, so that old copies of what goes die with the next rotation. Nobody is matched by the
    templates any more. Repeating it changes nothing, nor does withdrawing a consent that ended before. Raises NotFound
    for a consent that this tenant does not have.
    """
    row = fetch_one(conn, _Q["read_subject_of_consent"], tenant=keys.tenant, id=consent)
    if row is None:
        raise NotFound("no such consent")
    _end_consent(conn, keys, row["pid"], consent)


def withdraw_all(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> None:
    """Withdraws any consent of the subject that is in force, as `withdraw_consent` does."""
    _end_consent(conn, keys, pseudonym, None)


def end_consents(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> None:
    """Remembers any consent in force of a subject who is erased as ended, should somebody put its row back."""
    rows = fetch(conn, _Q["list_consents_in_force"], tenant=keys.tenant, people=[pseudonym])
    end_authority(keys, [("consent", row["id"]) for row in rows])


def end_again(conn: Conn, keys: TenantKeys, consents: Sequence[UUID]) -> int:
    """Ends those of these consents that a restore has brought back, though they had ended, and returns how many."""
    people = fetch(conn, _Q["list_subjects_of_consents_in_force"], tenant=keys.tenant, ids=list(consents))
    for row in people:
        locks.try_lock_exclusive(conn, keys.tenant, row["pid"])
    now = database_time(conn)
    who = [row["pid"] for row in people]
    before = fetch(conn, _Q["list_consents_in_force"], tenant=keys.tenant, people=who)
    ended = fetch(conn, _Q["withdraw_consents"], tenant=keys.tenant, ids=list(consents), at=coarse(now))
    _seal_end(conn, keys, before, ended, {"withdrawn_at": coarse(now)})
    _drop(conn, keys, ended)
    _log_ended(conn, keys, "consent.withdrawn", ended, now)
    return len(ended)


def expire_due(conn: Conn, keys: TenantKeys, now: datetime) -> int:
    """Ends the consents whose time is over, of at most EXPIRE_AT_ONCE subjects, and returns how many.

    Call it until it returns 0. Nobody is matched by these consents before that either.
    """
    values = {"tenant": keys.tenant, "now": now, "most": EXPIRE_AT_ONCE}
    people = sorted(row["pid"] for row in fetch(conn, _Q["list_subjects_with_lapsed_consent"], **values))
    for pseudonym in people:
        locks.try_lock_exclusive(conn, keys.tenant, pseudonym)
    ended = _end_lapsed(conn, keys, people, now)
    _log_ended(conn, keys, "consent.expired", ended, now)
    return len(ended)


def declare(conn: Conn, keys: TenantKeys, words: str) -> None:
    """Logs the deployer's declaration about scope `anyone` when it is new or was changed.

    The leaf holds its hash; the words are sealed beside it.
    """
    digest = hashlib.sha256(words.encode()).digest()
    if execute(conn, _Q["set_declaration"], tenant=keys.tenant, sha256=digest):
        append(conn, keys, "anyone.declared", {"words": digest.hex()}, [Part({"words": words})], datetime.now(UTC))


def touch_last_interaction(conn: Conn, tenant: str, pseudonym: bytes, now: datetime) -> None:
    """Records that the subject did something themselves: the term after which they are erased begins anew."""
    execute(conn, _Q["touch_last_interaction"], tenant=tenant, pid=pseudonym, at=coarse(now))


def active_consent(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> UUID:
    """Returns the id of the consent in force as `consent_in_force` does."""
    return consent_in_force(conn, keys, pseudonym).id


def consent_in_force(conn: Conn, keys: TenantKeys, pseudonym: bytes, series: UUID | None = None) -> InForce:
    """Returns the consent in force, which nobody can withdraw before the transaction ends.

    Raises ConsentMissing, also where it is not one of the series that is given: what arose under another ended with it.
    Raises SealBroken for one that nobody with the keys has written.
    """
    locks.lock_shared(conn, keys.tenant, [pseudonym])
    row = fetch_one(conn, _Q["read_active_consent"], tenant=keys.tenant, pid=pseudonym)
    if row is None or series not in (None, row["series"]):
        raise ConsentMissing
    if not is_authentic(keys, "consent", row):
        raise SealBroken("the consent was altered")
    return InForce(row["id"], row["series"])


def open_subject(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> SubjectKey:
    """Returns the subject's data key. Raises ConsentMissing for a person who never consented."""
    row = fetch_one(conn, _Q["read_subject_key"], tenant=keys.tenant, pid=pseudonym)
    if row is None:
        raise ConsentMissing
    return SubjectKey.unwrap(keys, pseudonym, row["epoch"], row["wrapped"])


def check_form(conn: Conn, keys: TenantKeys, ref: str) -> None:
    """Raises BadRequest for an id that no consent is taken for, unless one was taken for it before that was so.

    Else an erasure would say 202 where the person is on record under another form of Unicode.
    """
    values = {"tenant": keys.tenant, "pid": derive_pseudonym(keys, ref)}
    if (why := ref_fault(ref)) and fetch_one(conn, _Q["read_subject_key"], **values) is None:
        raise BadRequest(f"ref: {why}")


def open_evidence(subject: SubjectKey, consent: UUID, sealed: bytes) -> dict[str, Any]:
    """Returns the fields `guardian` and `evidence` as they were given. Raises SealBroken."""
    fields: dict[str, Any] = json.loads(unseal(subject.key, sealed, "evidence", *_seal_context(subject, consent)))
    return fields


def _check(given: Given, declared: str | None) -> None:
    if given.age != "adult" and not given.guardian:
        raise GuardianMissing
    if given.scope == "anyone" and declared is None:
        raise AnyoneUndeclared
    if given.evidence is not None and len(json.dumps(given.evidence).encode()) > EVIDENCE_BYTES:
        raise BadRequest(f"evidence: more than {EVIDENCE_BYTES} bytes")


class _Place(NamedTuple):
    """The id of a new consent, and the series that it continues or begins."""

    id: UUID
    series: UUID


def _insert(
    conn: Conn, keys: TenantKeys, subject: SubjectKey, place: _Place, given: Given, now: datetime
) -> dict[str, Any]:
    """Inserts the consent and returns the fields that the audit log records of it."""
    notice = hashlib.sha256(given.notice.encode()).digest()
    terms = {
        "scope": given.scope,
        "notice_version": given.notice_version,
        "jurisdiction": given.jurisdiction,
        "method": given.method,
        "age": given.age,
    }
    shown = {"guardian": given.guardian, "evidence": given.evidence}
    proof = json.dumps(shown).encode() if any(shown.values()) else None
    who = {"tenant": subject.tenant, "pid": subject.pseudonym}
    last = fetch_one(conn, _Q["read_next_consent_number"], **who)
    power = {**who, **place._asdict(), "n": last["n"] if last else 1, "purpose": "face-match", "scope": given.scope}
    power |= {"given_at": coarse(now), "expires_at": coarse(now + given.valid_for)}
    execute(
        conn,
        _Q["insert_consent"],
        notice_sha256=notice,
        evidence=proof and seal(subject.key, proof, "evidence", *_seal_context(subject, place.id)),
        mac=authority_mac(authority_key(keys), "consent", power | {"withdrawn_at": None, "expired_at": None}),
        **power | terms,
    )
    return terms | {
        "consent": str(place.id),
        "notice": notice.hex(),
        "evidence": proof and hashlib.sha256(proof).hexdigest(),
        "given_at": rfc3339_with_offset(now),
        "expires_at": rfc3339_with_offset(now + given.valid_for),
    }


def _end_consent(conn: Conn, keys: TenantKeys, pseudonym: bytes, only: UUID | None) -> None:
    """Withdraws the consent in force, or nothing where it is not the consent `only`."""
    locks.try_lock_exclusive(conn, keys.tenant, pseudonym)
    now = database_time(conn)
    row = _withdraw_active(conn, keys, pseudonym, only, coarse(now))
    if row is None:
        return
    _drop(conn, keys, [row])
    touch_last_interaction(conn, keys.tenant, pseudonym, now)
    _log_ended(conn, keys, "consent.withdrawn", [row], now)


def _end_lapsed(conn: Conn, keys: TenantKeys, people: Sequence[bytes], now: datetime) -> list[Row]:
    """Ends the consents of these subjects whose time is over; the caller holds each subject's exclusive lock."""
    who, at = {"tenant": keys.tenant, "people": list(people)}, coarse(now)
    before = fetch(conn, _Q["list_consents_in_force"], **who)
    ended = fetch(conn, _Q["expire_lapsed_consents"], **who, now=now, at=at)
    _seal_end(conn, keys, before, ended, {"expired_at": at})
    _RANDOM.shuffle(ended)  # rows come in the order of the table, and jobs and leaves are to tell none
    _drop(conn, keys, ended)
    return ended


def _withdraw_active(conn: Conn, keys: TenantKeys, pseudonym: bytes, only: UUID | None, at: datetime) -> Row | None:
    """Ends the consent in force and returns it; None where there is none, or it is not the consent `only`.

    The caller remembers it as ended: `_drop` does.
    """
    before = fetch(conn, _Q["list_consents_in_force"], tenant=keys.tenant, people=[pseudonym])
    more = {was["id"]: {"scope": was["scope"], "authentic": is_authentic(keys, "consent", was)} for was in before}
    ended = fetch(conn, _Q["withdraw_active_consent"], tenant=keys.tenant, pid=pseudonym, only=only, at=at)
    _seal_end(conn, keys, before, ended, {"withdrawn_at": at})
    found = sorted((row | more[row["id"]] for row in ended if row["id"] in more), key=lambda row: not row["authentic"])
    end_authority(keys, [("consent", row["id"]) for row in found[1:]])  # inserted beside it
    return found[0] if found else None


def _seal_end(
    conn: Conn, keys: TenantKeys, before: Sequence[Row], ended: Sequence[Row], end: Mapping[str, datetime]
) -> None:
    """Gives ended consents their MAC; one that was altered keeps its own, to be found."""
    key, ids = authority_key(keys), {row["id"] for row in ended}
    authentic = [row for row in before if row["id"] in ids and holds_mac(key, "consent", row)]
    macs = [authority_mac(key, "consent", {**row, **end}) for row in authentic]
    if authentic:
        values = {"ids": [row["id"] for row in authentic], "macs": macs}
        execute(conn, named_queries("authority")["set_consent_macs"], tenant=keys.tenant, **values)


def _move_templates(conn: Conn, keys: TenantKeys, replaced: Row, consent: UUID, scope: Scope) -> None:
    """Puts the templates under the consent that replaced theirs.

    A match under way was made under a template's version: with another scope that is another one. A template that was
    altered comes along with the MAC that does not hold.
    """
    key, rows = authority_key(keys), fetch(conn, _Q["list_templates_of_consent"], tenant=keys.tenant, id=replaced["id"])
    versions = [row["version"] + (scope != replaced["scope"]) for row in rows]
    macs = [
        authority_mac(key, "template", row | {"consent_id": consent, "version": version})
        if holds_mac(key, "template", row)
        else row["mac"]
        for row, version in zip(rows, versions, strict=True)
    ]
    moved = {"ids": [row["id"] for row in rows], "versions": versions, "macs": macs}
    execute(conn, _Q["move_templates_to_consent"], tenant=keys.tenant, old=replaced["id"], new=consent, **moved)


def _drop(conn: Conn, keys: TenantKeys, ended: Sequence[Row]) -> None:
    """Removes what stands on ended consents, the only ones in force of their subjects, and queues the retractions.

    These are templates, connections and waiting enrolments; the subjects' keys are renewed, so that copies of them die.
    The keys folder remembers the consents and the keys.
    """
    left = []
    for row in ended:
        execute(conn, _Q["delete_templates_of_consent"], tenant=keys.tenant, id=row["id"])
        execute(conn, _Q["delete_connection_list"], tenant=keys.tenant, pid=row["pid"])
        left += [key for key in [renew_key(conn, keys, row["pid"])] if key]
        queue_retraction(conn, keys, row["pid"])
    if ended:
        drop_waiting(conn, keys, {row["pid"] for row in ended})
    end_authority(keys, [*(("consent", row["id"]) for row in ended), *(("subject_key", key.key.hex()) for key in left)])


def _log_ended(conn: Conn, keys: TenantKeys, action: str, ended: Sequence[Row], now: datetime) -> None:
    mixed = _RANDOM.sample(ended, len(ended))
    parts = [_part(conn, keys, row["pid"], {"consent": str(row["id"])}) for row in mixed]
    if any(part.subject_key is None for part in parts):
        record_broken_seal(conn, keys, "subject_key", now)
    for part in parts:
        append(conn, keys, action, {}, [part], now)


def _part(conn: Conn, keys: TenantKeys, pseudonym: bytes, payload: Mapping[str, Any]) -> Part:
    try:
        return Part(payload, pseudonym, open_subject(conn, keys, pseudonym).key)
    except (SealBroken, ConsentMissing):  # a key that was altered, or is gone, keeps nobody from withdrawing consent
        return Part(payload)


def _seal_context(subject: SubjectKey, consent: UUID) -> tuple[str, bytes, bytes]:
    return subject.tenant, subject.pseudonym, consent.bytes


def _open_or_create(conn: Conn, keys: TenantKeys, pseudonym: bytes, ref: str, now: datetime) -> SubjectKey:
    row = fetch_one(conn, _Q["read_subject_key"], tenant=keys.tenant, pid=pseudonym)
    if row is not None:
        return SubjectKey.unwrap(keys, pseudonym, row["epoch"], row["wrapped"])
    subject = SubjectKey.new(keys, pseudonym)
    sealed = seal(subject.key, ref.encode(), "ref", keys.tenant, pseudonym)
    execute(conn, _Q["insert_subject"], tenant=keys.tenant, pid=pseudonym, sealed=sealed, at=coarse(now))
    keys = keys.now()  # the live epoch inside this transaction
    wrapped = subject.wrap(keys)
    execute(conn, _Q["insert_subject_key"], tenant=keys.tenant, pid=pseudonym, epoch=keys.epoch, wrapped=wrapped)
    return subject
