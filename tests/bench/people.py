"""The person's side: filling the gallery, searching it, enrolling, moving everybody to a new epoch, and leaving."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, LiteralString
from uuid import UUID, uuid4

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector import HalfVector
from psycopg import sql

from assent.core.settings import Settings
from assent.db.migrate import migrate
from assent.db.pool import Conn, Pool, open_pool, transaction
from assent.decisions.retract import retract
from assent.embedded.clusters import embedded, in_memory
from assent.gallery.matching import host_gallery
from assent.gallery.memory import connect_gallery, reconcile
from assent.gallery.search import SearchSpace, search
from assent.keys.authority import authority_key, authority_mac
from assent.keys.installation import open_or_create_keys
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import seal
from assent.keys.subject_keys import SubjectKey, seal_match, seal_template
from assent.media.sandbox import Decoder
from assent.perceive import load_models as load_models
from assent.subjects import consent
from assent.subjects.consent import Given
from assent.subjects.enrol import enrol, request_enrolment
from assent.subjects.erase import erase
from assent.subjects.rotate import rotate_epoch
from assent.tenants import init_tenant
from assent.worker.loop import open_worker_context
from tests.bench.rounds import Size, Tick
from tests.events import SOURCE

TENANT, MODEL = "bench", "bench-128@000000000000"
DIMENSION = 128
CANDIDATES = 500
FACES = 8
ROUNDS = 7
FILLS = 3
DISTINCT = 10_000  # vectors made; larger galleries hold them several times, which an exact search does not notice
BATCH = 10_000
MATCHES = 5_000
_CONSENT = {
    "purpose": "face-match",
    "scope": "anyone",
    "given_at": datetime(2026, 1, 1, tzinfo=UTC),
    "expires_at": datetime(2100, 1, 1, tzinfo=UTC),
}
_NOT_ENDED = {"withdrawn_at": None, "expired_at": None}
ERASED = 30


@dataclass(frozen=True, slots=True)
class Exact:
    """Milliseconds to compare one face, and eight at once, with that many templates of that many numbers."""

    templates: int
    dimension: int
    one_ms: float
    eight_ms: float


@dataclass(frozen=True, slots=True)
class People:
    """What was measured. `matched_meanwhile` and `failed_meanwhile` count the searches during the rotation;
    `erased_ms` are of people who are known and of unknown ones, which must not be told apart by them."""

    people: int
    filled_per_s: float
    disk_bytes_each: float
    gallery_bytes_each: float
    circle: Exact
    exact: tuple[Exact, ...]
    rotated_s: float
    matched_meanwhile: int
    failed_meanwhile: int
    enrolled_per_s: list[float]
    looked_through_us: float
    erased_ms: tuple[float, float]


def measure(folder: Path, photo: bytes, size: Size, tick: Tick) -> People:
    """Everything, one after the other; `photo` shows exactly one face."""
    settings = Settings(data_dir=folder)
    with ExitStack() as stack:
        url = stack.enter_context(embedded(folder))
        migrate(url)
        pool = stack.enter_context(open_pool(url))
        keystore = open_or_create_keys(settings, pool)
        init_tenant(pool, keystore, TENANT, "bench", None)
        faces = _unit(size.people)
        pseudonyms = _opt_in(url, keystore.tenant(TENANT), faces)
        tick()
        with in_memory(settings.gallery_dir, folder, unsafe_on_disk=False) as gallery_url:
            gallery = stack.enter_context(connect_gallery(gallery_url))
            primary_database = stack.enter_context(psycopg.connect(url, autocommit=True))
            filled = [_fill(primary_database, gallery, keystore, size.people) for _ in range(FILLS)]
            tick()
            candidates = _timed(gallery, faces, CANDIDATES, connections=pseudonyms[:CANDIDATES])
            disk = _bytes(primary_database, "template", "subject", "subject_key", "consent") / size.people
            memory = _bytes(gallery, "template") / size.people
            rotated, matched, failed = _rotate(pool, keystore, gallery, faces[0], pseudonyms[0])
            tick()
            gallery.execute("TRUNCATE template")
            exact = tuple(_exact(gallery, *case, tick) for case in size.exact)
        keys = keystore.tenant(TENANT)
        retraction_us, erased = _look_through(pool, keys), _erase(pool, keys)
        photos = _enrolments(settings, url, photo, size)
        tick()
    rotation = rotated, matched, failed
    return People(
        size.people, median(filled), disk, memory, candidates, exact, *rotation, photos, retraction_us, erased
    )


def _fill(primary_database: Conn, gallery: Conn, keystore: Keystore, people: int) -> float:
    """Templates a second, into an empty gallery."""
    gallery.execute("TRUNCATE template")
    began = time.perf_counter()
    done = reconcile(primary_database, gallery, keystore)
    took = time.perf_counter() - began
    assert done.inserted == people, done
    return people / took


def _unit(count: int, dimension: int = DIMENSION) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).standard_normal((count, dimension), np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _opt_in(url: str, keys: TenantKeys, faces: NDArray[np.float32]) -> list[bytes]:
    """That many people with a consent and a template each, as enrolment stores them; their pids."""
    pseudonyms = [derive_pseudonym(keys, f"person-{n}") for n in range(len(faces))]
    people = [SubjectKey.new(keys, pseudonym) for pseudonym in pseudonyms]
    consents, templates = [uuid4() for _ in pseudonyms], [uuid4() for _ in pseudonyms]
    key = authority_key(keys)

    def subject(n: int) -> dict[str, Any]:
        return {"sealed": seal(people[n].key, b"person", "ref", TENANT, pseudonyms[n])}

    def subject_key(n: int) -> dict[str, Any]:
        return {"epoch": keys.epoch, "wrapped": people[n].wrap(keys)}

    def consent_row(n: int) -> dict[str, Any]:
        row = {"id": consents[n], "series": consents[n], "n": 1} | _CONSENT
        mac = authority_mac(key, "consent", {"tenant": TENANT, "pid": pseudonyms[n], **_NOT_ENDED, **row})
        return row | {"notice_sha256": bytes(32), "jurisdiction": "DE", "method": "bench", "mac": mac}

    def template(n: int) -> dict[str, Any]:
        row = {"id": templates[n], "consent_id": consents[n], "model": MODEL, "version": 1}
        mac = authority_mac(key, "template", {"tenant": TENANT, "pid": pseudonyms[n], **row})
        return row | {"sealed": seal_template(people[n], templates[n], MODEL, faces[n]), "mac": mac}

    with psycopg.connect(url) as conn:
        for table, row in {
            "subject": subject,
            "subject_key": subject_key,
            "consent": consent_row,
            "template": template,
        }.items():
            columns = sql.SQL(", ").join(map(sql.Identifier, ("tenant", "pid", *row(0))))
            into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)
            with conn.cursor().copy(into) as copy:
                for n, pseudonym in enumerate(pseudonyms):
                    copy.write_row((TENANT, pseudonym, *row(n).values()))
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE)")  # as it has been done where people opted in one by one
    return pseudonyms


def _timed(gallery: Conn, faces: NDArray[np.float32], templates: int, **space: Any) -> Exact:
    def ms(count: int) -> float:
        took = []
        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            result = search(gallery, SearchSpace(TENANT, MODEL, bytes(32), **space), faces[:count])
            took.append(1000 * (time.perf_counter() - began))
            assert result.searched == templates, result.searched
        return median(took[1:])

    return Exact(templates, faces.shape[1], ms(1), ms(FACES))


def _exact(gallery: Conn, templates: int, dimension: int, tick: Tick) -> Exact:
    """A gallery of that size, all of it in scope."""
    faces = _unit(min(templates, DISTINCT), dimension)
    columns = "tenant, pid, model, template_id, version, scope, expires_at, strictness, embedding"
    with gallery.cursor().copy(f"COPY template ({columns}) FROM STDIN") as copy:
        for n, face in enumerate(faces):
            pseudonym = n.to_bytes(32)
            copy.write_row(
                (TENANT, pseudonym, MODEL, UUID(int=n), 1, "anyone", "2100-01-01", 0, HalfVector(face).to_text())
            )
    again = templates // len(faces) - 1
    gallery.execute(f"INSERT INTO template SELECT t.* FROM template t, generate_series(1, {again})")  # noqa: S608 - ours
    gallery.execute("ANALYZE template")
    try:
        return _timed(gallery, faces, templates, anyone=True)
    finally:
        gallery.execute("TRUNCATE template")
        tick()


def _bytes(conn: Conn, *tables: LiteralString) -> int:
    total = 0
    for table in tables:
        row = conn.execute("SELECT pg_total_relation_size(%s::regclass)", [table]).fetchone()
        assert row is not None
        total += row[0]
    return total


def _rotate(
    pool: Pool, keystore: Keystore, gallery: Conn, face: NDArray[np.float32], pseudonym: bytes
) -> tuple[float, int, int]:
    """Seconds of a rotation, and how many searches and confirmations meanwhile found the person, and did not."""
    over, counts = threading.Event(), [0, 0]

    def match() -> None:
        while not over.is_set():
            hits = search(gallery, SearchSpace(TENANT, MODEL, pseudonym), face[None]).faces[0]
            with transaction(pool) as conn:
                subject = consent.open_subject(conn, keystore.tenant(TENANT), pseudonym)
            counts[0 if hits and hits[0].pseudonym == subject.pseudonym else 1] += 1

    def counted() -> None:
        try:
            match()
        except Exception:
            counts[1] += 1
            raise

    thread = threading.Thread(target=counted)
    thread.start()
    began = time.perf_counter()
    rotate_epoch(pool, keystore, TENANT)
    took = time.perf_counter() - began
    over.set()
    thread.join()
    return took, counts[0], counts[1]


def _look_through(pool: Pool, keys: TenantKeys) -> float:
    """Microseconds a match that a retraction has to open, because its row does not say whose it is."""
    stranger = SubjectKey.new(keys, bytes(32))
    with transaction(pool) as conn, conn.cursor() as cursor:
        columns = "tenant, source, media_id, face, revision, epoch, locator, sealed"
        with cursor.copy(f"COPY match ({columns}) FROM STDIN") as copy:
            for n in range(MATCHES):
                row = seal_match(keys, stranger, f"photo {n}", 0, {"band": "likely"})
                copy.write_row((TENANT, SOURCE, f"photo {n}", 0, 1, *row))
    began = time.perf_counter()
    assert retract(pool, keys, derive_pseudonym(keys, "nobody")) == 0
    return 1e6 * (time.perf_counter() - began) / MATCHES


def _erase(pool: Pool, keys: TenantKeys) -> tuple[float, float]:
    """Milliseconds of the erasure of somebody who is known, and of somebody who is not: medians, in turn."""
    took: dict[str, list[float]] = {"person": [], "nobody": []}
    for n in range(ERASED):
        for name, ms in took.items():
            began = time.perf_counter()
            with transaction(pool) as conn:
                erase(conn, keys, f"{name}-{n}")
            ms.append(1000 * (time.perf_counter() - began))
    return median(took["person"]), median(took["nobody"])


def _enrolments(settings: Settings, url: str, photo: bytes, size: Size) -> list[float]:
    """Photos a second, of enrolments of eight photos each: stored, decoded, looked at, sealed, in the gallery."""
    models = load_models(settings.models_dir, settings.threads)
    rates = []
    with Decoder() as decoder, open_worker_context(settings, url, models, decoder, host_gallery(settings)) as bench:
        bench.gallery.wait_ready()
        keys = bench.keystore.tenant(TENANT)
        for n in range(size.enrolments + 1):
            ref, job = f"enrolled-{n}", uuid4()
            given = Given(ref, "own", "notice", "DE", "bench", timedelta(days=365), notice_version="1", age="adult")
            with transaction(bench.pool) as conn:
                consent.give(conn, keys, given)
            began = time.perf_counter()
            with transaction(bench.pool) as conn:
                request_enrolment(conn, keys, job, derive_pseudonym(keys, ref), [photo] * FACES)
            enrol(bench.pool, keys, bench.stages, bench.gallery.wait_for, job)
            rates.append(FACES / (time.perf_counter() - began))
    return rates[1:]
