"""Enrols photos that a subject sent: they become sealed templates, under a consent in force.

The photos lie sealed under the subject's own key until the job has run. They are removed at its end, whatever its
outcome.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import numpy as np

from assent.audit.broken import ALTERED, note_altered_row
from assent.audit.log import Part, append
from assent.core.clock import coarse
from assent.core.enrolment_errors import (
    EnrolmentWaiting,
    FaceBlurred,
    FaceMismatch,
    FaceNotLive,
    FaceTooSmall,
    FaceTurned,
    MultipleFaces,
    NoFace,
    NotCalibrated,
    PhotoRefused,
    TemplateLimitReached,
)
from assent.core.errors import AssentError, ConsentMissing, NotFound
from assent.core.media_errors import UnexpectedFailure
from assent.core.telemetry import log
from assent.core.values import Face, Vector
from assent.db.pool import Conn, Pool, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.decisions.store import announce
from assent.intake.accept import Origin, SealedJob, open_upload, store_job
from assent.keys.authority import authority_key, authority_mac
from assent.keys.keystore import TenantKeys
from assent.keys.seal import seal, unseal
from assent.keys.subject_keys import SubjectKey, open_template, seal_template
from assent.media.fingerprint import fingerprinted
from assent.pipeline import Stages
from assent.subjects.consent import consent_in_force, open_subject, touch_last_interaction
from assent.subjects.waiting import Request, drop_jobs, open_request, seal_request, waiting_jobs

ModelTurn = Callable[[], AbstractContextManager[None]]  # waits for a turn with the models
MOST_TEMPLATES = 10  # of one person and model
MOST_TRIES = 5  # of an enrolment that fails as nobody foresaw, or takes the worker down
AT_ONCE = 2  # photos of one enrolment looked at together, each in a turn of its own; each may take 50 MB while it is
# Measured on 40 stills of eight people, and copies of them, with the default pack:
# No sharp still is below 0.9 (a Laplacian of 0.184). Blurred by 1 % of the face's width 1 of 40 copies is below 0.5, by
# 1.5 % 22 of 40, by 2 % 29 of the 34 that still show a face; those keep a cosine of 0.83 (median) to the sharp still.
LEAST_SHARPNESS = 0.5
# Below it the landmarks were not found (`quality.MOST_SPREAD`), or the nose stands 0.42 of the eyes' distance aside. No
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


class _Stored(NamedTuple):
    """The templates that an enrolment stored, and how many the subject then has for their model."""

    pseudonym: bytes
    total: int
    templates: list[dict[str, Any]]


def request_enrolment(conn: Conn, keys: TenantKeys, job: UUID, pseudonym: bytes, photos: Sequence[bytes]) -> None:
    """Stores the photos sealed and queues their job, below all live events.

    Raises ConsentMissing, and EnrolmentWaiting where photos of the subject wait already: nothing is stored then.
    """
    execute(conn, _ENROL["lock_enrolments_of_subject"], tenant=keys.tenant, pid=pseudonym)
    series = consent_in_force(conn, keys, pseudonym).series
    if waiting_jobs(conn, keys, pseudonym):
        raise EnrolmentWaiting
    subject = open_subject(conn, keys, pseudonym)
    touch_last_interaction(conn, keys.tenant, pseudonym, datetime.now(UTC))
    sealed = seal_request(keys, job, Request(pseudonym, len(photos), series))
    sealed_photos = [seal(subject.key, photo, *_photo(keys, pseudonym, job, n)) for n, photo in enumerate(photos)]
    store_job(conn, keys, job, SealedJob(Origin("enrolment", "enrolment"), sealed, sealed_photos, task="enrol"))


def enrol(
    pool: Pool,
    keys: TenantKeys,
    stages: Stages,
    in_gallery: Callable[[str, bytes, int], None],
    job: UUID,
    turn: ModelTurn = nullcontext,
) -> None:
    """Runs an enrolment job: one template for each photo, all or none, and announces the outcome.

    Safe to run twice. Each photo waits for a `turn`, so that more urgent images go between. An announced template can
    be matched: `in_gallery` waits until the gallery holds that many templates of the subject. Raises the errors after
    which another try may help. An outage costs no try; after MOST_TRIES others, those included that took a worker down,
    the outcome is UnexpectedFailure.
    """
    with transaction(pool) as conn:
        row = fetch_one(conn, _INTAKE["claim_event"], tenant=keys.tenant, event=job)
    if row is None:
        return
    try:
        if row["tries"] > MOST_TRIES:
            raise UnexpectedFailure
        outcome = None
        if stored := _enrol(pool, keys, stages, turn, job, row["sealed"]):
            in_gallery(keys.tenant, stored.pseudonym, stored.total)
            outcome = {"templates": stored.templates}
    except AssentError as error:
        if error.retryable:
            with transaction(pool) as conn:
                execute(conn, _INTAKE["release_event_claim"], tenant=keys.tenant, event=job)
            raise
        outcome = _refuse(pool, keys, job, error)
    except Exception as error:
        log.error("unexpected failure", tenant=keys.tenant, event_id=str(job), kind=type(error).__name__)
        if row["tries"] < MOST_TRIES:
            raise
        outcome = _refuse(pool, keys, job, UnexpectedFailure())
    if outcome is not None:
        with transaction(pool) as conn:
            announce(conn, f"{keys.tenant} {job} {json.dumps(outcome)}")


def _refuse(pool: Pool, keys: TenantKeys, job: UUID, error: AssentError) -> dict[str, Any]:
    """Drops the enrolment and returns the outcome to announce."""
    with transaction(pool) as conn:
        drop_jobs(conn, keys.tenant, [job])
    if isinstance(error, ALTERED):
        note_altered_row(pool, keys, "enrol")
    return {"error": error.code, "detail": error.detail}


def _enrol(
    pool: Pool,
    keys: TenantKeys,
    stages: Stages,
    turn: ModelTurn,
    job: UUID,
    sealed: bytes,
) -> _Stored | None:
    """Returns what was stored; None where another worker or an erasure ended the job meanwhile."""
    if math.isinf(stages.alike):
        raise NotCalibrated  # a template lies around the calibration's mean, and there is none yet
    request = open_request(keys, job, sealed)
    with transaction(pool) as conn:  # no face is embedded where the consent that the photos came under has ended
        request = replace(request, series=request.series or _first_series(conn, keys, request.pseudonym))
        consent_in_force(conn, keys, request.pseudonym, request.series)
        photos = _open_photos(conn, keys, job, request)
    faces = _analyse_photos(stages, keys.tenant, photos, turn)
    with transaction(pool) as conn:
        count = _store(conn, keys, stages.alike, job, request, faces)
    return None if count is None else _Stored(request.pseudonym, count, [_template_json(face) for face in faces])


def _first_series(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> UUID:
    """Returns the series of the subject's first consent.

    Photos of before requests named theirs came under it unless a consent has ended since: then nobody can tell.
    """
    row = fetch_one(conn, _ENROL["read_first_series"], tenant=keys.tenant, pid=pseudonym)
    if row is None:
        raise ConsentMissing
    series: UUID = row["series"]
    return series


def _photo(keys: TenantKeys, pseudonym: bytes, job: UUID, n: int) -> tuple[str | bytes, ...]:
    return "photo", keys.tenant, pseudonym, str(job), str(n)


def _open_photos(conn: Conn, keys: TenantKeys, job: UUID, request: Request) -> list[bytes]:
    subject = open_subject(conn, keys, request.pseudonym)
    uploads = (open_upload(conn, keys, job, n) for n in range(request.photos))
    sealed = [upload for upload in uploads if upload is not None]
    if len(sealed) != request.photos:
        raise NotFound("the photos are no longer stored")
    return [unseal(subject.key, photo, *_photo(keys, request.pseudonym, job, n)) for n, photo in enumerate(sealed)]


def _analyse_photos(
    stages: Stages, tenant: str, photos: Sequence[bytes], turn: ModelTurn = nullcontext
) -> list[Enrolled]:
    """Returns the one face of each photo; AT_ONCE photos are analysed in parallel.

    Raises the error of the first photo that has one.
    """

    def analyse(n: int) -> Enrolled:
        with turn():
            return _only_face(stages, tenant, n + 1, photos[n])

    with ThreadPoolExecutor(min(AT_ONCE, len(photos)), "enrol") as threads:
        return list(threads.map(analyse, range(len(photos))))


def _only_face(stages: Stages, tenant: str, n: int, photo: bytes) -> Enrolled:
    picture = fingerprinted(stages.decoder.decode(photo, tenant))
    if stages.find_listed(tenant, picture):
        raise PhotoRefused(f"photo {n} cannot be used")
    perception = stages.perceive(picture, True)
    if not perception.faces:
        raise NoFace(f"photo {n} shows no face")
    if len(perception.faces) > 1:
        raise MultipleFaces(f"photo {n} shows {len(perception.faces)} faces")
    face = perception.faces[0]
    if face.embedding is None:
        raise FaceTooSmall(f"the face in photo {n} is too small")
    if face.sharpness < LEAST_SHARPNESS:
        raise FaceBlurred(f"the face in photo {n} is blurred")
    if face.pose < LEAST_POSE:
        raise FaceTurned(f"the face in photo {n} is turned or tilted too far")
    if not stages.live(picture, face):
        raise FaceNotLive(f"the face in photo {n} looks like a print or a screen")
    return Enrolled(uuid4(), face, face.embedding, perception.embedder)


def _store(
    conn: Conn, keys: TenantKeys, alike: float, job: UUID, request: Request, faces: Sequence[Enrolled]
) -> int | None:
    """Stores the templates and returns how many the subject then has for this model.

    Returns None where the job was ended meanwhile.
    """
    model, pseudonym = faces[0].model, request.pseudonym
    execute(conn, _ENROL["lock_enrolments_of_subject"], tenant=keys.tenant, pid=pseudonym)
    # Nobody withdraws it until the commit: a withdrawal meanwhile waits, then removes what was stored.
    consent = consent_in_force(conn, keys, pseudonym, request.series).id
    subject = open_subject(conn, keys, pseudonym)
    stored = _stored(conn, subject, model)
    if not drop_jobs(conn, keys.tenant, [job]):
        return None
    if len(stored) + len(faces) > MOST_TEMPLATES:
        raise TemplateLimitReached(
            f"{len(stored)} templates are stored; {len(faces)} more would be over {MOST_TEMPLATES}"
        )
    check_same(stored, [face.vector for face in faces], alike)
    for face in faces:
        _insert(conn, keys, subject, consent, face)
    payload = {"consent": str(consent), "templates": [_template_json(face) for face in faces]}
    part = Part(payload, pseudonym, subject.key)
    append(conn, keys, "template.enrolled", {"model": model}, [part], datetime.now(UTC))
    return len(stored) + len(faces)


def _stored(conn: Conn, subject: SubjectKey, model: str) -> list[Vector]:
    rows = fetch(conn, _ENROL["list_sealed_templates"], tenant=subject.tenant, pid=subject.pseudonym, model=model)
    return [open_template(subject, row["id"], model, row["sealed"]).astype(np.float32) for row in rows]


def check_same(stored: Sequence[Vector], fresh: Sequence[Vector], alike: float) -> None:
    """Raises FaceMismatch for the first fresh vector that is too unlike a known one.

    Known vectors are the stored ones and the fresh ones before it.
    """
    vectors = list(stored)
    for n, vector in enumerate(fresh, 1):
        if vectors and float(min(np.stack(vectors) @ vector)) < alike:
            raise FaceMismatch(f"photo {n} seems to show somebody else than the other photos")
        vectors.append(vector)


def _insert(conn: Conn, keys: TenantKeys, subject: SubjectKey, consent: UUID, enrolled: Enrolled) -> None:
    sealed = seal_template(subject, enrolled.id, enrolled.model, enrolled.vector)
    row = {"tenant": keys.tenant, "id": enrolled.id, "pid": subject.pseudonym, "consent_id": consent}
    row |= {"model": enrolled.model, "version": 1}
    mac = authority_mac(authority_key(keys), "template", row)
    quality, at = round(enrolled.face.quality, 2), coarse(database_time(conn))
    execute(conn, _Q["insert_template"], **row, quality=quality, sealed=sealed, at=at, mac=mac)


def _template_json(enrolled: Enrolled) -> dict[str, Any]:
    return {"id": str(enrolled.id), "quality": round(enrolled.face.quality, 2)}
