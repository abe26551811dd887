"""Enrols photos that a subject sent: they become sealed templates, under a consent in force.

The photos lie sealed under the subject's own key until the job has run. They are removed at its end, whatever its
outcome.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from assent.audit.log import Part, append
from assent.core.errors import (
    AssentError,
    FaceBlurred,
    FaceMismatch,
    FaceNotLive,
    FaceTooSmall,
    FaceTurned,
    MultipleFaces,
    NoFace,
    NotCalibrated,
    NotFound,
    PhotoRefused,
    SealBroken,
    TemplateLimitReached,
)
from assent.core.values import Face, Vector
from assent.db.pool import Conn, Pool, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.decisions.store import announce
from assent.intake.accept import open_upload, store_sealed
from assent.keys.keystore import TenantKeys
from assent.keys.seal import seal, unseal
from assent.keys.subject_keys import SubjectKey, open_template, seal_template
from assent.media.fingerprint import fingerprinted
from assent.pipeline import Stages
from assent.subjects.consent import acted, active_consent, open_subject

MOST_TEMPLATES = 10  # of one person and model
AT_ONCE = 4  # photos of one enrolment looked at together; each may take 50 MB while it is
# Measured on shared/data/faces (40 stills of eight people, and copies of them) with the default pack:
# No sharp still is below 0.9 (a Laplacian of 0.184). Blurred by 1 % of the face's width 1 of 40 copies is below 0.5, by
# 1.5 % 22 of 40, by 2 % 29 of the 34 that still show a face; those keep a cosine of 0.83 (median) to the sharp still.
LEAST_SHARPNESS = 0.5
# Below it the landmarks were not found (`faces.MOST_SPREAD`), or the nose stands 0.42 of the eyes' distance aside. No
# still is below 0.84. The two turned people of the group photo that the tests use, at 0.35 and 0.57, are still found in
# it: who turns that far is let in, and sees it in the quality.
LEAST_POSE = 0.3
# How often two strangers pass for one person, which gives the score that any two photos must reach (0.35 here). No set
# of two to five stills of one person is refused; one of a stranger among them passes in 4.9 % of sets of two, 1.4 % of
# five. At 1 % 4 to 12 % of the honest sets are refused, for one blurred still.
SAME_PERSON_FMR = 0.025
_INTAKE = named_queries("intake")
_ENROL = named_queries("enrol")
_Q = named_queries("subjects")


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """A template, with the face in the photo it came from."""

    id: UUID
    face: Face
    vector: Vector
    model: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """An enrolment whose job has not ended."""

    id: UUID
    received_at: datetime
    photos: int


def request_enrolment(conn: Conn, keys: TenantKeys, job: UUID, pseudonym: bytes, photos: Sequence[bytes]) -> None:
    """Stores the photos sealed and queues their job at the highest priority. Raises ConsentMissing."""
    active_consent(conn, keys, pseudonym)
    subject = open_subject(conn, keys, pseudonym)
    acted(conn, keys.tenant, pseudonym, datetime.now(UTC))
    body = json.dumps({"pid": pseudonym.hex(), "photos": len(photos)}).encode()
    sealed = seal(keys.seal_key, body, "enrolment", keys.tenant, str(job))
    sealed_photos = [seal(subject.key, photo, *_photo(keys, pseudonym, job, n)) for n, photo in enumerate(photos)]
    store_sealed(conn, keys, job, "enrolment", sealed, "interactive", sealed_photos, task="enrol")


def waiting_jobs(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> list[Waiting]:
    """Returns the subject's enrolments that have not ended, oldest first."""
    found = []
    for row in fetch(conn, _ENROL["waiting"], tenant=keys.tenant):
        try:
            asked = _asked(keys, row["id"], row["sealed"])
        except SealBroken:
            continue  # whose it was is lost, and its job will not open it either
        if bytes.fromhex(asked["pid"]) == pseudonym:
            found.append(Waiting(row["id"], row["received_at"], asked["photos"]))
    return found


def drop_jobs(conn: Conn, tenant: str, jobs: Sequence[UUID]) -> int:
    """Removes enrolments with their photos and returns how many there were."""
    execute(conn, _ENROL["drop_uploads"], tenant=tenant, jobs=list(jobs))
    return execute(conn, _ENROL["drop_jobs"], tenant=tenant, jobs=list(jobs))


def enrol(
    pool: Pool, keys: TenantKeys, tools: Stages, in_gallery: Callable[[str, bytes, int], None], job: UUID
) -> None:
    """Runs an enrolment job: one template for each photo, all or none, and announces the outcome.

    Safe to run twice. An announced template can be matched: `in_gallery` waits until the gallery holds that many
    templates of the subject.
    """
    with transaction(pool) as conn:
        row = fetch_one(conn, _INTAKE["begin_event"], tenant=keys.tenant, event=job)
    if row is None:
        return
    try:
        outcome = _enrol(pool, keys, tools, in_gallery, job, row["sealed"])
    except AssentError as error:
        if error.retryable:
            raise
        outcome = {"error": error.code, "detail": error.detail}
        with transaction(pool) as conn:
            drop_jobs(conn, keys.tenant, [job])
    if outcome is not None:
        with transaction(pool) as conn:
            announce(conn, f"{keys.tenant} {job} {json.dumps(outcome)}")


def _enrol(
    pool: Pool,
    keys: TenantKeys,
    tools: Stages,
    in_gallery: Callable[[str, bytes, int], None],
    job: UUID,
    sealed: bytes,
) -> dict[str, Any] | None:
    """Returns the outcome to announce; None where another worker or an erasure ended the job meanwhile."""
    if math.isinf(tools.alike):
        raise NotCalibrated  # a template lies around the calibration's mean, and there is none yet
    asked = _asked(keys, job, sealed)
    pseudonym = bytes.fromhex(asked["pid"])
    with transaction(pool) as conn:
        photos = _open_photos(conn, keys, job, pseudonym, asked["photos"])
    faces = _look(tools, keys.tenant, photos)
    with transaction(pool) as conn:
        held = _store(conn, keys, tools.alike, job, pseudonym, faces)
    if held is None:
        return None
    in_gallery(keys.tenant, pseudonym, held)
    return {"templates": [_said(found) for found in faces]}


def _photo(keys: TenantKeys, pseudonym: bytes, job: UUID, n: int) -> tuple[str | bytes, ...]:
    return "photo", keys.tenant, pseudonym, str(job), str(n)


def _asked(keys: TenantKeys, job: UUID, sealed: bytes) -> dict[str, Any]:
    asked: dict[str, Any] = json.loads(unseal(keys.seal_key, sealed, "enrolment", keys.tenant, str(job)))
    return asked


def _open_photos(conn: Conn, keys: TenantKeys, job: UUID, pseudonym: bytes, count: int) -> list[bytes]:
    subject = open_subject(conn, keys, pseudonym)
    sealed = [open_upload(conn, keys, job, n) for n in range(count)]
    found = [photo for photo in sealed if photo is not None]
    if len(found) != count:
        raise NotFound("the photos are no longer stored")
    return [unseal(subject.key, photo, *_photo(keys, pseudonym, job, n)) for n, photo in enumerate(found)]


def _look(tools: Stages, tenant: str, photos: Sequence[bytes]) -> list[Enrolled]:
    """Returns the one face of each photo; the photos are analysed in parallel.

    Raises the error of the first photo that has one.
    """
    with ThreadPoolExecutor(min(AT_ONCE, len(photos)), "enrol") as threads:
        return list(threads.map(lambda n: _one_face(tools, tenant, n + 1, photos[n]), range(len(photos))))


def _one_face(tools: Stages, tenant: str, n: int, photo: bytes) -> Enrolled:
    picture = fingerprinted(tools.decoder.decode(photo))
    if tools.known(tenant, picture):
        raise PhotoRefused(f"photo {n} cannot be used")
    seen = tools.perceive(picture, True)
    if not seen.faces:
        raise NoFace(f"photo {n} shows no face")
    if len(seen.faces) > 1:
        raise MultipleFaces(f"photo {n} shows {len(seen.faces)} faces")
    face = seen.faces[0]
    if face.embedding is None:
        raise FaceTooSmall(f"the face in photo {n} is too small")
    if face.sharpness < LEAST_SHARPNESS:
        raise FaceBlurred(f"the face in photo {n} is blurred")
    if face.pose < LEAST_POSE:
        raise FaceTurned(f"the face in photo {n} is turned or tilted too far")
    if not tools.live(picture, face):
        raise FaceNotLive(f"the face in photo {n} looks like a print or a screen")
    return Enrolled(uuid4(), face, face.embedding, seen.embedder)


def _store(
    conn: Conn, keys: TenantKeys, alike: float, job: UUID, pseudonym: bytes, faces: Sequence[Enrolled]
) -> int | None:
    """Stores the templates and returns how many the subject then has for this model.

    Returns None where the job was ended meanwhile.
    """
    model = faces[0].model
    execute(conn, _ENROL["one_at_a_time"], tenant=keys.tenant, pid=pseudonym)
    # Nobody takes it back until the commit: a withdrawal meanwhile waits, then removes what was stored.
    consent = active_consent(conn, keys, pseudonym)
    subject = open_subject(conn, keys, pseudonym)
    stored = _stored(conn, subject, model)
    if not drop_jobs(conn, keys.tenant, [job]):
        return None
    if len(stored) + len(faces) > MOST_TEMPLATES:
        raise TemplateLimitReached(
            f"{len(stored)} templates are stored; {len(faces)} more would be over {MOST_TEMPLATES}"
        )
    check_same(stored, [found.vector for found in faces], alike)
    for found in faces:
        _insert(conn, keys, subject, consent, found)
    payload = {"consent": str(consent), "templates": [_said(found) for found in faces]}
    append(
        conn, keys, "template.enrolled", {"model": model}, [Part(payload, pseudonym, subject.key)], datetime.now(UTC)
    )
    return len(stored) + len(faces)


def _stored(conn: Conn, subject: SubjectKey, model: str) -> list[Vector]:
    rows = fetch(conn, _ENROL["templates"], tenant=subject.tenant, pid=subject.pseudonym, model=model)
    return [open_template(subject, row["id"], model, row["sealed"]).astype(np.float32) for row in rows]


def check_same(stored: Sequence[Vector], fresh: Sequence[Vector], alike: float) -> None:
    """Raises FaceMismatch for the first fresh vector that is too unlike a known one.

    Known vectors are the stored ones and the fresh ones before it.
    """
    known = list(stored)
    for n, vector in enumerate(fresh, 1):
        if known and float(min(np.stack(known) @ vector)) < alike:
            raise FaceMismatch(f"photo {n} seems to show somebody else than the other photos")
        known.append(vector)


def _insert(conn: Conn, keys: TenantKeys, subject: SubjectKey, consent: UUID, found: Enrolled) -> None:
    sealed = seal_template(subject, found.id, found.model, found.vector)
    values = {"tenant": keys.tenant, "id": found.id, "pid": subject.pseudonym, "consent": consent}
    execute(
        conn, _Q["insert_template"], **values, model=found.model, quality=round(found.face.quality, 2), sealed=sealed
    )


def _said(found: Enrolled) -> dict[str, Any]:
    return {"id": str(found.id), "quality": round(found.face.quality, 2)}
