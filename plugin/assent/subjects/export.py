"""Exports all that is stored about one person, opened, as one JSON document for them.

The document says what it lacks: rows that do not open, and rows that cannot be attributed, are counted by part.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from assent.audit import log
from assent.audit.broken import record_broken_seal
from assent.core.clock import coarse_after, parse_rfc3339, rfc3339
from assent.core.encoding import encode_base64
from assent.core.errors import AuditBroken, DecisionUnreadable, NotFound, SealBroken
from assent.core.strict import representable
from assent.core.values import MediaItem
from assent.db.locks import lock_shared
from assent.db.pool import Conn, Row, fetch, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.decisions.match_list import MatchRows, find_own_matches
from assent.decisions.retract import find_matches, is_any_altered
from assent.decisions.retraction_jobs import retraction_waits
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import unseal
from assent.keys.subject_keys import SubjectKey, open_match, open_template
from assent.refusals import Refusal, open_refusal, sealed_refusals
from assent.subjects.connections import author_mac
from assent.subjects.consent import open_evidence
from assent.subjects.matches import SubjectMatch, newest_first, read_subject_match
from assent.subjects.renew import keys_of_parts
from assent.subjects.waiting import count_unopened_jobs, waiting_jobs

_T = TypeVar("_T")
EXPORT_SCHEMA = "assent.export/1"
_PAGE = 2000  # audit payloads read at a time
_Q = named_queries("export")
_AUDIT = named_queries("audit")
NOTES = (
    "Connections are kept as keyed hashes of account names, which cannot be opened: only their number is known.",
    "A link's or session's token is not kept, only its hash: what is known is its kind and times.",
    "Pictures that were posted are not looked through: their events lie sealed for a short retention, then they go.",
    "A template's vector is base64 of little-endian float16.",
    "Of the log `said` is null where its term is over: after 90 days an author who was throttled is named no more.",
    "A number of the evidence that JSON does not have stands as text: NaN, Infinity or -Infinity.",
    "`unreadable` counts by part what is stored about you and does not open, `unattributed` what cannot be attributed"
    " to anybody any more, so that some of it may be yours. Where both are empty this is everything.",
)


class _Parts:
    """Opens what is the subject's, and counts by part what does not open; `altered` where one should have."""

    def __init__(self, subject: SubjectKey | None) -> None:
        self.subject = subject
        self.unreadable: Counter[str] = Counter()
        self.altered = False

    def open(self, part: str, read: Callable[[SubjectKey], _T | None], former: Callable[[], bool] = bool) -> _T | None:
        """Returns what `read` makes of a row with the subject's key; None, and it is counted, where it makes nothing.

        `former` tells whether the row is of the time before an erasure or the end of a consent, so that the key that
        would open it is gone.
        """
        value = None
        if self.subject is not None:
            try:
                value = read(self.subject)
            # The others: of a row in the clear that was altered.
            except (SealBroken, DecisionUnreadable, AuditBroken, ValueError, LookupError, TypeError):
                value = None
        if value is None:
            self.unreadable[part] += 1
            self.altered = self.altered or not former()
        return value


def export_subject(conn: Conn, keys: TenantKeys, ref: str) -> dict[str, Any]:
    """Returns the document, with times in RFC 3339 and hashes in hex.

    What was altered is counted in `unreadable` and `unattributed`, and noted in the log: the tree is locked then, so
    call it last in a transaction. Reads through the tenant's audit log. Raises NotFound for a person of whom nothing is
    stored.
    """
    pseudonym = derive_pseudonym(keys, ref)
    who = {"tenant": keys.tenant, "pid": pseudonym}
    lock_shared(conn, keys.tenant, [pseudonym])  # the key stays the same meanwhile
    row = fetch_one(conn, _Q["read_subject"], **who)
    links = fetch(conn, _Q["list_links"], **who)
    connections = fetch_one(conn, _Q["count_connections"], **who, author_mac=author_mac(keys, ref)) or {}
    if row is None and not links and not connections["chosen_by"]:
        raise NotFound("nothing is held about this person")
    parts = _Parts(_subject_key(keys, pseudonym, row))
    matches = _find_matches(conn, keys, pseudonym, parts, is_known=row is not None)
    payloads, nobodys = _payloads(conn, keys, pseudonym)
    document = {
        "schema": EXPORT_SCHEMA,
        "made_at": rfc3339(datetime.now(UTC)),
        "tenant": keys.tenant,
        "pseudonym": pseudonym.hex(),
        "subject": _subject(keys, pseudonym, parts, row) if row else None,
        "consents": [_consent(parts, one) for one in fetch(conn, _Q["list_consents"], **who)],
        "templates": [_template(parts, one) for one in fetch(conn, _Q["list_templates"], **who)],
        "matches": _matches(conn, keys, parts, pseudonym, matches.theirs),
        "refusals": _refusals(parts, sealed_refusals(conn, keys.tenant, pseudonym)),
        "connections": _plain(connections),
        "links": [_plain(link) for link in links],
        "enrolments": [_plain(asdict(job)) for job in waiting_jobs(conn, keys, pseudonym)],
        "audit": _leaves(conn, keys, pseudonym, parts, payloads, row["created_at"] if row else None),
        "notes": list(NOTES),
    }
    jobs = count_unopened_jobs(conn, keys)
    unattributed = Counter(matches=len(matches.unattributed), audit=len(nobodys), enrolments=jobs)
    if parts.altered or jobs or is_any_altered(keys, [*matches.unattributed, *nobodys]):
        record_broken_seal(conn, keys, "export", datetime.now(UTC))
    return {**document, "unreadable": dict(parts.unreadable), "unattributed": dict(+unattributed)}


def _find_matches(conn: Conn, keys: TenantKeys, pseudonym: bytes, parts: _Parts, *, is_known: bool) -> MatchRows:
    """Reads the subject's own list of matches.

    Reads through all of the tenant's where the key of the list was altered, or went and the retraction still waits.
    """
    if (is_known and parts.subject is None) or retraction_waits(conn, keys, pseudonym):
        return find_matches(conn, keys, pseudonym)
    return find_own_matches(conn, keys, pseudonym, [parts.subject] if parts.subject else [])


def _subject_key(keys: TenantKeys, pseudonym: bytes, row: Row | None) -> SubjectKey | None:
    try:
        return SubjectKey.unwrap(keys, pseudonym, row["epoch"], row["wrapped"]) if row and row["wrapped"] else None
    except SealBroken:
        return None


def _subject(keys: TenantKeys, pseudonym: bytes, parts: _Parts, row: Row) -> dict[str, Any]:
    ref = parts.open(
        "subject", lambda subject: unseal(subject.key, row["sealed"], "ref", keys.tenant, pseudonym).decode()
    )
    columns = {name: row[name] for name in ("refusals", "created_at", "interacted_at")}
    return {"ref": ref, "key_epoch": row["epoch"], **_plain(columns)}


def _consent(parts: _Parts, row: Row) -> dict[str, Any]:
    sealed = row["evidence"]
    evidence = sealed and parts.open("consents", lambda subject: open_evidence(subject, row["id"], sealed))
    return {**_plain(row), "evidence": representable(evidence)}


def _template(parts: _Parts, row: Row) -> dict[str, Any]:
    vector = parts.open("templates", lambda subject: open_template(subject, row["id"], row["model"], row["sealed"]))
    columns = _plain({name: value for name, value in row.items() if name != "sealed"})
    if vector is None:
        return {**columns, "dimension": None, "vector": None}
    return {**columns, "dimension": len(vector), "vector": encode_base64(vector.tobytes())}


def _matches(
    conn: Conn, keys: TenantKeys, parts: _Parts, pseudonym: bytes, rows: Sequence[Row]
) -> list[dict[str, Any]]:
    """Returns the matches that open and whose decision is there, newest first."""

    def read(row: Row) -> SubjectMatch | None:
        item, face = MediaItem(row["source"], row["media_id"]), row["face"]

        def opened(subject: SubjectKey) -> SubjectMatch | None:
            return read_subject_match(conn, keys, item, face, lambda sealed: open_match(subject, item.id, face, sealed))

        return parts.open("matches", opened, former)

    def former() -> bool:
        return retraction_waits(conn, keys, pseudonym)

    opened = [match for match in map(read, rows) if match is not None]
    return [_match(match) for match in newest_first(opened)]


def _match(match: SubjectMatch) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(match).items() if name != "item"}
    return {"source": match.item.source, "media_id": match.item.id, **_plain(fields)}


def _refusals(parts: _Parts, rows: Sequence[Row]) -> list[dict[str, Any]]:
    def read(row: Row) -> Refusal | None:
        return parts.open("refusals", lambda subject: open_refusal(subject, row))

    return [asdict(refusal) for refusal in map(read, rows) if refusal is not None]


def _payloads(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> tuple[list[Row], list[Row]]:
    """Returns the log's sealed parts about the subject, and those whose locator does not open."""
    theirs: list[Row] = []
    nobodys: list[Row] = []
    last = {"seq": -1, "part": 0}
    while rows := fetch(conn, _Q["list_next_payloads"], tenant=keys.tenant, most=_PAGE, **last):
        for row in rows:
            owner = _owner(keys, row)
            if owner in (pseudonym, None):
                (nobodys if owner is None else theirs).append(row)
        last = {"seq": rows[-1]["seq"], "part": rows[-1]["part"]}
    return theirs, nobodys


def _owner(keys: TenantKeys, row: Row) -> bytes | None:
    try:
        return log.part_pseudonym(keys, row["seq"], row["part"], row["epoch"], row["locator"])
    except SealBroken:
        return None


def _leaves(
    conn: Conn, keys: TenantKeys, pseudonym: bytes, parts: _Parts, payloads: Sequence[Row], since: datetime | None
) -> list[dict[str, Any]]:
    """Returns what the audit log records of the subject, leaf by leaf; `since`: the hour in which they became known."""
    subject_keys = [subject.key for subject in keys_of_parts(conn, keys, pseudonym)]
    opened: list[dict[str, Any]] = []

    def read(row: Row) -> dict[str, Any] | None:
        def former() -> bool:  # the rotation that completes an erasure takes from such parts whose they were
            if since is None:
                return True
            waits = fetch_one(conn, _Q["has_incomplete_erasure"], tenant=keys.tenant)
            older = not opened and _is_older(conn, keys.tenant, row["seq"], coarse_after(since))
            return older and waits is not None and bool(waits["waits"])

        return parts.open("audit", lambda _subject: _leaf(conn, keys.tenant, subject_keys, row), former)

    for row in payloads:
        leaf = read(row)
        opened += [leaf] if leaf is not None else []
    return opened


def _leaf(conn: Conn, tenant: str, subject_keys: Sequence[bytes], row: Row) -> dict[str, Any]:
    seq, part = row["seq"], row["part"]
    leaf = _stored_leaf(conn, tenant, seq)
    commitment = bytes.fromhex(leaf["commitments"][part])
    said = None
    if row["sealed"] or not log.is_expired(leaf, database_time(conn)):
        said = json.loads(log.open_part_by(subject_keys, tenant, seq, part, row["sealed"], commitment))
    return {"seq": seq, "action": leaf["action"], "at": leaf["at"], "said": said}


def _is_older(conn: Conn, tenant: str, seq: int, since: datetime) -> bool:
    try:
        return parse_rfc3339(_stored_leaf(conn, tenant, seq)["at"]) < since
    except (AuditBroken, ValueError, LookupError, TypeError):
        return False


def _stored_leaf(conn: Conn, tenant: str, seq: int) -> dict[str, Any]:
    stored = fetch_one(conn, _AUDIT["read_leaf"], tenant=tenant, seq=seq)
    if stored is None:
        raise AuditBroken(f"leaf {seq} is missing")
    leaf: dict[str, Any] = json.loads(stored["leaf"])
    return leaf


def _plain(row: Row) -> dict[str, Any]:
    return {name: _text(value) for name, value in row.items()}


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, bool | int | float | tuple | list) else str(value)
