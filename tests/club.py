"""An installation in one process: its people consent, wait with photos, are found, leave and come back.

Its database can be copied and set back, its jobs run when a test says so, and all that it would tell anybody of a
picture can be read. A picture shows its person as the embedder would see them; nothing else is made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

from pydantic import SecretStr

from assent.core.errors import ConsentMissing, NotFound
from assent.core.settings import Settings
from assent.core.values import (
    Action,
    Analysis,
    Approval,
    Band,
    Event,
    Face,
    Match,
    MediaRef,
    Perception,
    Picture,
    Vector,
    Verdict,
)
from assent.db.locks import lock_shared
from assent.db.pool import Pool, open_pool, transaction
from assent.db.queue import ENROLMENTS, RIGHTS
from assent.decisions.assemble import assemble, message_body, suggestions
from assent.decisions.media_items import MediaKey
from assent.decisions.store import NewDecision, record
from assent.intake.accept import Origin, store_event
from assent.keys.installation import open_or_create_keys
from assent.keys.keyfile import read_export, write_export
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.media.sandbox import Decoder
from assent.pipeline import Stages, no_match, nobody
from assent.policy.load import load_policy
from assent.subjects import consent, matches
from assent.subjects.enrol import enrol, request_enrolment
from assent.subjects.erase import erase
from assent.subjects.recover import Recovered, import_keys
from assent.subjects.rotation import rotate
from assent.tenants import add_endpoint, init_tenant
from assent.worker.jobs import WorkerContext
from assent.worker.queue import queue_app
from assent.worker.turns import Turns
from tests import people
from tests.events import SOURCE, media_item, rows
from tests.fixtures.database import Drop, create_database
from tests.people import MODEL, strangers

DAY = timedelta(days=1)


class _Decoder:
    """Takes a file for what it says, without a child process."""

    def decode(self, data: bytes, tenant: str = "") -> Picture:  # noqa: ARG002 - the decoder's form
        return Picture(sha256(data).hexdigest(), "jpeg", 90, 80, 1, ())


class _Gallery:
    """Is never behind."""

    def wait_for(self, tenant: str, pseudonym: bytes, templates: int) -> None:
        pass


def _one_face(picture: Picture, _compare: bool) -> Perception:
    """Sees the same face in equal files."""
    face = Face((10, 20, 30, 40), 0, 0.9, 0.8, 1.0, 1.0, _face(picture.sha256))
    return Perception((), (face,), ("test@0",), MODEL)


STAGES = Stages(cast(Decoder, _Decoder()), _one_face, nobody, no_match, alike=0.5)


def photo_of(ref: str) -> bytes:
    return f"a photo that shows {ref}".encode()


def face_of(ref: str) -> Vector:
    """What is stored, sealed, of that photo's face."""
    return _face(sha256(photo_of(ref)).hexdigest())


def _face(digest: str) -> Vector:
    face: Vector = strangers(1, int(digest[:8], 16))[0]
    return face


@dataclass(frozen=True, slots=True)
class Found:
    """A face that a worker has compared and not recorded yet."""

    ref: str
    matches: tuple[Match, ...]


@dataclass
class Club:
    server: str
    name: str  # of its database there
    url: str
    settings: Settings
    pool: Pool
    keystore: Keystore
    databases: list[str] = field(default_factory=list)  # all that were made: the one in use, older ones, backups

    @property
    def keys(self) -> TenantKeys:
        return self.keystore.tenant("default")

    def pid(self, ref: str) -> bytes:
        return derive_pseudonym(self.keys, ref)

    # What people do

    def consent(self, ref: str, scope: str = "connections", valid_for: timedelta = 365 * DAY) -> UUID:
        return people.give(self.pool, self.keys, ref, scope=scope, valid_for=valid_for, evidence=f"ticked by {ref}")

    def withdraw(self, ref: str) -> None:
        with transaction(self.pool) as conn:
            consent.withdraw_all(conn, self.keys, self.pid(ref))

    def lapse(self) -> None:
        """Ends the consents that were given for a day."""
        with transaction(self.pool) as conn:
            consent.expire_due(conn, self.keys, datetime.now(UTC) + 2 * DAY)

    def erase(self, ref: str) -> None:
        with transaction(self.pool) as conn:
            erase(conn, self.keys, ref)

    def in_force(self, ref: str) -> UUID | None:
        with transaction(self.pool) as conn:
            try:
                return consent.active_consent(conn, self.keys, self.pid(ref))
            except ConsentMissing:
                return None

    def send_photo(self, ref: str) -> UUID:
        """Leaves a photo waiting; returns its job."""
        job = uuid4()
        with transaction(self.pool) as conn:
            request_enrolment(conn, self.keys, job, self.pid(ref), [photo_of(ref)])
        return job

    # What workers do

    def run_photo(self, job: UUID) -> None:
        enrol(self.pool, self.keys, STAGES, _Gallery().wait_for, job)

    def work(self) -> None:
        """Runs what waits in the queue of photos and retractions."""
        nothing = cast(Any, None)
        context = WorkerContext(
            self.settings, self.pool, self.keystore, STAGES, cast(Any, _Gallery()), nothing, nothing, nothing, Turns(1)
        )

        async def once() -> None:
            app = queue_app(self.url, context)
            async with app.open_async():
                await app.run_worker_async(queues=[ENROLMENTS, RIGHTS], wait=False, install_signal_handlers=False)

        asyncio.run(once())

    def find(self, ref: str, band: Band = "strong") -> Found:
        """Compares a face of the person with the templates that lie there now."""
        stored = rows(self.pool, "SELECT id, version FROM template WHERE pid = %s ORDER BY id LIMIT 1", self.pid(ref))
        return Found(ref, tuple(Match(0, self.pid(ref), row, version, band) for row, version in stored))

    def record(self, found: Found, media_id: str, approval: Approval = "never") -> None:
        """Records a picture of that face, as it was compared."""
        media, event_id = MediaRef(media_id, None), uuid4()
        event = Event("media.created", (media,), "public", "post", found.ref)
        picture = _Decoder().decode(photo_of(found.ref))
        verdict = Verdict(Action.allow, (), (), approval)
        analysis = Analysis(picture, _one_face(picture, True), found.matches, verdict)
        with transaction(self.pool) as conn:
            store_event(conn, self.keys, event_id, event, Origin(SOURCE, "live"))
        with transaction(self.pool) as conn:
            media_key = MediaKey("default", event_id, SOURCE, 0, event, media)
            record(conn, self.keys, media_key, NewDecision(analysis, load_policy(None).ref))

    def post(self, ref: str, media_id: str, approval: Approval = "never", band: Band = "strong") -> None:
        self.record(self.find(ref, band), media_id, approval)

    # What it says

    def told(self, media_id: str) -> set[str]:
        """Who is named to the platform, to whoever asks people first, or in a message that waits."""
        item = media_item(media_id)
        with transaction(self.pool) as conn:
            decision, suggested = assemble(conn, self.keys, item), suggestions(conn, self.keys, item)
            waiting = conn.execute(
                "SELECT o.source, o.media_id, o.revision, o.type, o.created_at, e.audience FROM outbox o"
                " JOIN endpoint e ON e.tenant = o.tenant AND e.name = o.endpoint"
                " WHERE o.media_id = %s AND o.state = 'waiting'",
                [media_id],
            )
            names = ("source", "media_id", "revision", "type", "created_at", "audience")
            messages = [dict(zip(names, row, strict=True)) for row in waiting.fetchall()]
            bodies = [message_body(conn, self.keys, message, lock_shared) for message in messages]
        documents = [asdict(document) for document in (decision, suggested) if document]
        documents += [body["data"] for body in bodies if body]
        return {name for document in documents for name in _names_in(document)}

    def shown(self, ref: str) -> set[str]:
        """The pictures that the person's own page shows them."""
        with transaction(self.pool) as conn:
            return {match.item.id for match in matches.matches_of(conn, self.keys, self.pid(ref))}

    def templates(self, ref: str) -> int:
        [(count,)] = rows(self.pool, "SELECT count(*) FROM template WHERE pid = %s", self.pid(ref))
        return int(count)

    def answer(self, ref: str, media_id: str, *, yes: bool) -> None:
        """Answers on the person's own page; where nothing is asked any more, nothing happens."""
        change = matches.approve if yes else matches.refuse
        with suppress(NotFound, ConsentMissing):
            change(self.pool, self.keys, self.pid(ref), media_item(media_id), 0)

    # What the operator does

    def rotate(self) -> Path:
        """Rotates; returns the key export that was made by it."""
        rotated = rotate(self.pool, self.keystore, "default")
        return self.settings.keys_dir / "exports" / f"default-epoch-{rotated.new}.json"

    def export(self, file: Path) -> Path:
        write_export(self.pool, self.keystore, file, ["default"])
        return file

    def back_up(self) -> str:
        """Copies the database's files; returns the copy's name."""
        with self._nobody_connected():
            return self._copy(self.name)

    def address(self, copy: str) -> str:
        """The URL of a copy, which somebody else opens as it is."""
        return urlunsplit(urlsplit(self.server)._replace(path=f"/{copy}"))

    def restore(self, copy: str, export: Path | None) -> Recovered | None:
        """Goes on with a backup, and imports an export of keys, where there is one, as `assent restore` does."""
        with self._nobody_connected():
            self.name = self._copy(copy)
            self.url = self.address(self.name)
        return self.bring_in(export) if export else None

    def _copy(self, database: str) -> str:
        self.databases.append(name := f"club_{uuid4().hex}")
        create_database(self.server, name, database)
        return name

    def bring_in(self, export: Path) -> Recovered:
        return import_keys(self.pool, self.keystore, read_export(self.keystore, export))

    @contextmanager
    def _nobody_connected(self) -> Iterator[None]:
        self.pool.close()
        yield
        self.pool = open_pool(self.url, size=4)


def _names_in(document: dict[str, Any]) -> Iterator[str]:
    yield from (face["match"]["subject"] for face in document.get("faces", ()) if face["match"])
    yield from (suggestion["subject"] for suggestion in document.get("suggestions", ()))


def everything(pool: Pool) -> dict[str, list[str]]:
    """Every row of every table as text."""
    tables = rows(pool, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    return {name: sorted(str(row) for row in rows(pool, f'SELECT * FROM "{name}"')) for (name,) in tables}  # noqa: S608


@contextmanager
def open_club(server: str, template: str, drop: Drop, data: Path) -> Iterator[Club]:
    """Makes an installation with tenant `default`, whose endpoints nobody listens on."""
    name = f"club_{uuid4().hex}"
    url = create_database(server, name, template)
    settings = Settings(data_dir=data, database_url=SecretStr(url))
    pool = open_pool(url, size=4)
    with transaction(pool) as conn:
        conn.execute("UPDATE instance SET id = gen_random_uuid()")
    club = Club(server, name, url, settings, pool, open_or_create_keys(settings, pool), [name])
    init_tenant(pool, club.keystore, "default", "platform", "http://127.0.0.1:9/hooks")
    with transaction(pool) as conn:
        add_endpoint(conn, club.keys, "people", "http://127.0.0.1:9/people", "person")
    try:
        yield club
    finally:
        club.pool.close()
        for database in club.databases:
            drop(server, database)
