"""People in a test's installation, and the ways in which they opt in.

- `opt_in` writes the rows: a key, a consent and templates of given vectors, without an audit log or an enrolment;
- `give` and `enrol` go through the product's consents, with templates drawn at random;
- `enrol_photo` goes through its enrolment, with a photo.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from assent.audit.log import open_part, open_part_by, part_pseudonym
from assent.db.pool import Conn, Pool, transaction
from assent.keys.authority import authority_key, authority_mac
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import seal
from assent.keys.subject_keys import SubjectKey, seal_template
from assent.subjects import consent
from assent.subjects.consent import Given, Scope, active_consent, open_subject
from assent.subjects.enrol import enrol as work_enrolment
from assent.subjects.enrol import request_enrolment
from assent.subjects.renew import keys_of_parts
from assent.worker.jobs import WorkerContext

MODEL = "test-128@000000000000"
DIMENSION = 128
NOTICE = "We recognise you in photos."
Vectors = NDArray[np.float32]


def unit(vectors: NDArray[np.floating[Any]]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / lengths, np.float32)


def strangers(count: int, seed: int = 0) -> Vectors:
    """Draws unit vectors (count, 128), no two of which are alike: cosines near 0."""
    return unit(np.random.default_rng(seed).standard_normal((count, DIMENSION)))


@dataclass(frozen=True, slots=True)
class Person:
    pseudonym: bytes
    subject: SubjectKey
    consent: UUID
    templates: list[UUID] = field(default_factory=list)


def opt_in(
    conn: Conn,
    keys: TenantKeys,
    name: str,
    faces: Sequence[Vectors] = (),
    scope: str = "connections",
    lasts: str = "1 year",
) -> Person:
    """Writes a subject with its key, a consent that lasts that long, and a template of each face."""
    subject = add_subject(conn, keys, name)
    person = Person(subject.pseudonym, subject, add_consent(conn, keys, subject.pseudonym, scope, lasts))
    person.templates.extend(add_template(conn, keys, subject, person.consent, face) for face in faces)
    return person


def opt_in_all(pool: Pool, keys: TenantKeys, *names: str) -> list[SubjectKey]:
    """Writes people under the live epoch, each with a template of one and the same face."""
    face, live = list(strangers(1)), keys.now()
    with transaction(pool) as conn, conn.pipeline():
        return [opt_in(conn, live, name, face).subject for name in names]


def add_subject(conn: Conn, keys: TenantKeys, name: str) -> SubjectKey:
    """Writes a subject and its key."""
    subject = SubjectKey.new(keys, derive_pseudonym(keys, name))
    ref = seal(subject.key, name.encode(), "ref", keys.tenant, subject.pseudonym)
    conn.execute("INSERT INTO subject (tenant, pid, sealed) VALUES (%s, %s, %s)", [keys.tenant, subject.pseudonym, ref])
    wrapped = [keys.tenant, subject.pseudonym, keys.epoch, subject.wrap(keys)]
    conn.execute("INSERT INTO subject_key VALUES (%s, %s, %s, %s)", wrapped)
    return subject


def add_consent(conn: Conn, keys: TenantKeys, pid: bytes, scope: str, lasts: str) -> UUID:
    """Writes a consent without ending the one before."""
    id_ = uuid4()
    next_one = "SELECT 1 + count(*), now(), now() + %s::interval FROM consent WHERE tenant = %s AND pid = %s"
    ((n, given_at, expires_at),) = conn.execute(next_one, [lasts, keys.tenant, pid]).fetchall()
    row = {"tenant": keys.tenant, "id": id_, "pid": pid, "purpose": "face-match", "scope": scope, "series": id_, "n": n}
    row |= {"given_at": given_at, "expires_at": expires_at, "withdrawn_at": None, "expired_at": None}
    conn.execute(
        "INSERT INTO consent (tenant, id, pid, purpose, scope, notice_sha256, jurisdiction, method, given_at,"
        " expires_at, series, n, mac) VALUES (%(tenant)s, %(id)s, %(pid)s, %(purpose)s, %(scope)s, '', 'DE', 'test',"
        " %(given_at)s, %(expires_at)s, %(series)s, %(n)s, %(mac)s)",
        row | {"mac": authority_mac(authority_key(keys), "consent", row)},
    )
    return id_


def add_template(conn: Conn, keys: TenantKeys, subject: SubjectKey, consent_id: UUID, face: Vectors) -> UUID:
    id_ = uuid4()
    row = {"tenant": keys.tenant, "id": id_, "pid": subject.pseudonym, "consent_id": consent_id, "model": MODEL}
    row |= {"version": 1, "sealed": seal_template(subject, id_, MODEL, face)}
    conn.execute(
        "INSERT INTO template (tenant, id, pid, consent_id, model, sealed, quality, mac)"
        " VALUES (%(tenant)s, %(id)s, %(pid)s, %(consent_id)s, %(model)s, %(sealed)s, 0.75, %(mac)s)",
        row | {"mac": authority_mac(authority_key(keys), "template", row)},
    )
    return id_


def given(subject: str, **changes: Any) -> Given:
    """States what somebody agrees to who leaves everything as it is."""
    said: dict[str, Any] = {"scope": "connections", "notice": NOTICE, "jurisdiction": "DE", "method": "test"}
    said |= {"valid_for": timedelta(days=365), "notice_version": "2026-11", "age": "adult"}
    return Given(subject, **{**said, **changes})


def give(pool: Pool, keys: TenantKeys, subject: str, declared: str | None = None, **changes: Any) -> UUID:
    """Gives a consent; returns its id."""
    with transaction(pool) as conn:
        return consent.give(conn, keys, given(subject, **changes), declared)


def enrol(conn: Conn, keys: TenantKeys, subject: str, seed: int = 0) -> UUID:
    """Adds a template under the consent in force. Raises ConsentMissing as the job does."""
    pid = derive_pseudonym(keys, subject)
    stands_on = active_consent(conn, keys, pid)
    face = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return add_template(conn, keys, open_subject(conn, keys, pid), stands_on, face / np.linalg.norm(face))


def enrol_photo(bench: WorkerContext, keys: TenantKeys, subject: str, photo: bytes, scope: Scope) -> UUID:
    """Gives a consent and enrols one photo; returns the consent's id once the gallery has the template."""
    job = uuid4()
    with transaction(bench.pool) as conn:
        declared = "Searching all uploads is lawful here."
        consent_id = consent.give(conn, keys, given(subject, scope=scope), declared)
        request_enrolment(conn, keys, job, derive_pseudonym(keys, subject), [photo])
    work_enrolment(bench.pool, keys, bench.stages, bench.gallery.wait_for, job)
    return consent_id


def said(pool: Pool, keys: TenantKeys, action: str) -> list[dict[str, Any]]:
    """Opens the payloads of that action's leaves about people, oldest first."""
    found = []
    with transaction(pool) as conn:
        leaves = conn.execute("SELECT seq, leaf FROM audit_leaf WHERE tenant = %s ORDER BY seq", [keys.tenant])
        for seq, leaf in leaves.fetchall():
            body = json.loads(bytes(leaf))
            if body["action"] == action:
                found.append(_payload(conn, keys, seq, body))
    return found


def _payload(conn: Conn, keys: TenantKeys, seq: int, body: dict[str, Any]) -> dict[str, Any]:
    row = conn.execute(
        "SELECT epoch, locator, sealed FROM audit_payload WHERE tenant = %s AND seq = %s AND part = 0",
        [keys.tenant, seq],
    ).fetchone()
    assert row is not None
    stored = keys.tenant, seq, 0, row[2], bytes.fromhex(body["commitments"][0])
    if row[1] is None:
        opened: dict[str, Any] = json.loads(open_part(keys, *stored))
    else:
        subjects = keys_of_parts(conn, keys, part_pseudonym(keys, seq, 0, row[0], row[1]))
        opened = json.loads(open_part_by([subject.key for subject in subjects], *stored))
    return opened


def store_of(keys: TenantKeys) -> Keystore:
    """The keystore that a tenant's keys came from."""
    assert keys.store is not None
    return keys.store
