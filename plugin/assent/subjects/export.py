"""Exports all that is stored about one person, opened, as one JSON document for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from assent.audit import log
from assent.core.clock import rfc3339
from assent.core.encoding import encode_base64
from assent.core.errors import AuditBroken, NotFound, SealBroken
from assent.core.strict import representable
from assent.db.pool import Conn, Row, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import unseal
from assent.keys.subject_keys import SubjectKey, open_template
from assent.refusals import refusals
from assent.subjects.connections import author_mac
from assent.subjects.consent import open_evidence
from assent.subjects.enrol import waiting_jobs
from assent.subjects.matches import matches_of

EXPORT_SCHEMA = "assent.export/1"
_PAGE = 2000  # audit payloads read at a time
_Q = named_queries("export")
_AUDIT = named_queries("audit")
NOTES = (
    "Connections are kept as keyed hashes of account names, which cannot be opened: only their number is known.",
    "A link's or session's token is not kept, only its hash: what is known is its kind and times.",
    "Pictures that were posted are not looked through: their events lie sealed for a short retention, then they go.",
    "A template's vector is base64 of little-endian float16.",
    "A number of the evidence that JSON does not have stands as text: NaN, Infinity or -Infinity.",
)


def export_subject(conn: Conn, keys: TenantKeys, ref: str) -> dict[str, Any]:
    """Returns the document, with times in RFC 3339 and hashes in hex.

    Reads through the tenant's matches and audit log. Raises NotFound for a person of whom nothing is stored, SealBroken
    or AuditBroken where one of their rows was altered.
    """
    pseudonym = derive_pseudonym(keys, ref)
    who = {"tenant": keys.tenant, "pid": pseudonym}
    row = fetch_one(conn, _Q["read_subject"], **who)
    links = fetch(conn, _Q["list_links"], **who)
    connections = fetch_one(conn, _Q["count_connections"], **who, author_mac=author_mac(keys, ref)) or {}
    if row is None and not links and not connections["chosen_by"]:
        raise NotFound("nothing is held about this person")
    subject = SubjectKey.unwrap(keys, pseudonym, row["epoch"], row["wrapped"]) if row else None
    return {
        "schema": EXPORT_SCHEMA,
        "made_at": rfc3339(datetime.now(UTC)),
        "tenant": keys.tenant,
        "pseudonym": pseudonym.hex(),
        "subject": _subject(keys, pseudonym, subject, row) if row and subject else None,
        "consents": [_consent(subject, one) for one in fetch(conn, _Q["list_consents"], **who)] if subject else [],
        "templates": [_template(subject, one) for one in fetch(conn, _Q["list_templates"], **who)] if subject else [],
        "matches": [_plain(asdict(match)) for match in matches_of(conn, keys, pseudonym)],
        "refusals": [asdict(refusal) for refusal in refusals(conn, subject)] if subject else [],
        "connections": _plain(connections),
        "links": [_plain(link) for link in links],
        "enrolments": [_plain(asdict(job)) for job in waiting_jobs(conn, keys, pseudonym)],
        "audit": list(_leaves(conn, keys, subject)) if subject else [],
        "notes": list(NOTES),
    }


def _subject(keys: TenantKeys, pseudonym: bytes, subject: SubjectKey, row: Row) -> dict[str, Any]:
    ref = unseal(subject.key, row["sealed"], "ref", keys.tenant, pseudonym).decode()
    columns = {name: row[name] for name in ("refusals", "created_at", "interacted_at")}
    return {"ref": ref, "key_epoch": row["epoch"], **_plain(columns)}


def _consent(subject: SubjectKey, row: Row) -> dict[str, Any]:
    evidence = open_evidence(subject, row["id"], row["evidence"]) if row["evidence"] is not None else None
    return {**_plain(row), "evidence": representable(evidence)}


def _template(subject: SubjectKey, row: Row) -> dict[str, Any]:
    vector = open_template(subject, row["id"], row["model"], row["sealed"])
    columns = _plain({name: value for name, value in row.items() if name != "sealed"})
    return {**columns, "dimension": len(vector), "vector": encode_base64(vector.tobytes())}


def _leaves(conn: Conn, keys: TenantKeys, subject: SubjectKey) -> Iterator[dict[str, Any]]:
    """Yields what the audit log records of the subject, leaf by leaf."""
    last = {"seq": -1, "part": 0}
    while rows := fetch(conn, _Q["list_next_payloads"], tenant=keys.tenant, most=_PAGE, **last):
        yield from (_leaf(conn, subject, row) for row in rows if _is_of(keys, subject.pseudonym, row))
        last = {"seq": rows[-1]["seq"], "part": rows[-1]["part"]}


def _is_of(keys: TenantKeys, pseudonym: bytes, row: Row) -> bool:
    try:
        return log.part_pseudonym(keys, row["seq"], row["part"], row["epoch"], row["locator"]) == pseudonym
    except SealBroken:
        return False  # of somebody erased: its epoch is gone


def _leaf(conn: Conn, subject: SubjectKey, row: Row) -> dict[str, Any]:
    seq, part = row["seq"], row["part"]
    stored = fetch_one(conn, _AUDIT["read_leaf"], tenant=subject.tenant, seq=seq)
    if stored is None:
        raise AuditBroken(f"leaf {seq} is missing")
    leaf = json.loads(stored["leaf"])
    commitment = bytes.fromhex(leaf["commitments"][part])
    payload = json.loads(log.open_part(subject.key, subject.tenant, seq, part, row["sealed"], commitment))
    return {"seq": seq, "action": leaf["action"], "at": leaf["at"], "said": payload}


def _plain(row: Row) -> dict[str, Any]:
    return {name: _text(value) for name, value in row.items()}


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, bool | int | float | tuple | list) else str(value)
