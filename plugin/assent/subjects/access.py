"""Logs who read what is held about a person, or got a way to it; the person is shown what concerns them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from assent.audit import log
from assent.audit.log import Part, append
from assent.core.clock import parse_rfc3339
from assent.core.errors import AuditBroken, ConsentMissing, SealBroken
from assent.db import locks
from assent.db.pool import Conn, Row, fetch
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import SubjectKey
from assent.subjects.consent import open_subject
from assent.subjects.export import export_subject
from assent.subjects.renew import keys_of_parts

ABOUT_A_PERSON = (
    "subject.exported",
    "link.made",
    "link.visited",
    "links.ended",
    "subject.searched",  # by a command, as if the person had posted the images
    "subject.found",  # in such an image
)
PERSON = "person"  # who did it, on their own page; else `key …` of the API, or `uid …` of the operating system
_WITHOUT_VECTORS = (
    "The templates' vectors are left out: the API key that asked lacks the scope subjects:export. The person's own"
    " page gives them."
)
_Q = named_queries("access")


class Access(NamedTuple):
    """One act about a subject: the leaf's action and time, and what it says (`by`, …)."""

    action: str
    at: datetime
    said: dict[str, Any]


def record_access(
    conn: Conn, keys: TenantKeys, action: str, by: str, people: Sequence[bytes] = (), **details: object
) -> None:
    """Appends a leaf that says who did it, sealed under the tenant's key and under that of each of these subjects.

    Call it before what was read leaves the transaction, and last: the tree is locked. Whoever has no key that opens
    has no part.
    """
    locks.lock_shared(conn, keys.tenant, people)
    payload = {"by": by, **details}
    subjects = [_subject(conn, keys, pseudonym) for pseudonym in people]
    parts = [Part(payload, one.pseudonym, one.key) for one in subjects if one]
    append(conn, keys, action, {}, [Part(payload), *parts], datetime.now(UTC))


def export_for(conn: Conn, keys: TenantKeys, ref: str, by: str, vectors: bool) -> dict[str, Any]:
    """Returns a person's export, and records it; `vectors`: with the numbers made from their face.

    Raises NotFound for a person of whom nothing is stored.
    """
    document = export_subject(conn, keys, ref)
    record_access(conn, keys, "subject.exported", by, [derive_pseudonym(keys, ref)], vectors=vectors)
    if vectors:
        return document
    templates = [{**template, "vector": None} for template in document["templates"]]
    return {**document, "templates": templates, "notes": [*document["notes"], _WITHOUT_VECTORS]}


def accesses_of(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> list[Access]:
    """Returns what the log records of ABOUT_A_PERSON about a subject, newest first.

    What does not open is left out: the export counts it. Reads through all such leaves of the tenant.
    """
    begins = [f'{{"action":"{action}"%'.encode() for action in ABOUT_A_PERSON]
    stored = fetch(conn, _Q["list_parts_of_actions"], tenant=keys.tenant, begins=begins)
    subject_keys = [subject.key for subject in keys_of_parts(conn, keys, pseudonym)]
    return [access for row in stored if (access := _access(keys, pseudonym, subject_keys, row))]


def _access(keys: TenantKeys, pseudonym: bytes, subject_keys: Sequence[bytes], row: Row) -> Access | None:
    seq, part = row["seq"], row["part"]
    try:
        if log.part_pseudonym(keys, seq, part, row["epoch"], row["locator"]) != pseudonym:
            return None
        leaf = json.loads(row["leaf"])
        commitment = bytes.fromhex(leaf["commitments"][part])
        payload = log.open_part_by(subject_keys, keys.tenant, seq, part, row["sealed"], commitment)
        return Access(leaf["action"], parse_rfc3339(leaf["at"]), json.loads(payload))
    except (SealBroken, AuditBroken, ValueError, LookupError, TypeError):
        return None


def _subject(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> SubjectKey | None:
    try:
        return open_subject(conn, keys, pseudonym)
    except (SealBroken, ConsentMissing):
        return None
