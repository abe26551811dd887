"""A platform that posts the group photo, and the people in it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from assent.core.boxes import corners_of, iou
from assent.core.values import Box, Event, MediaRef, Pixels, Vector
from assent.db.pool import transaction
from assent.db.queue import ENROLMENTS, RIGHTS
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.perceive.faces import embed as embedder
from assent.perceive.faces import quality as faces
from assent.subjects import consent
from assent.subjects.consent import Scope
from assent.subjects.matches import SubjectMatch, matches_of
from assent.worker.fetching import PLACES
from assent.worker.jobs import WorkerContext, decide_event, deliver_message
from assent.worker.queue import queue_app
from tests.contract_files import hold_to_contract
from tests.events import decision, leaves, rows, store
from tests.people import enrol_photo
from tests.photos import FACES, altered
from tests.waiting import until
from tests.web import Web


def at(box: Box) -> str:
    """Which of the six faces that is."""
    return max(FACES, key=lambda name: iou(FACES[name], box))


@dataclass(frozen=True)
class Album:
    bench: WorkerContext
    keys: TenantKeys
    photo: bytes
    web: Web

    def opt_in(self, subject: str, face: str, scope: Scope = "connections") -> UUID:
        """Gives a consent and enrols an altered copy of that face; returns the consent's id."""
        return enrol_photo(self.bench, self.keys, subject, altered(self.photo, FACES[face]), scope)

    def wait(self, subject: str, templates: int) -> None:
        """Waits until the gallery holds that many templates for what somebody posts."""
        event = Event("media.created", (), "public", "post", subject)
        until(lambda: self.bench.gallery.candidate_count("default", event) == templates, "the gallery follows", 5)

    def withdraw(self, consent_id: UUID) -> None:
        with transaction(self.bench.pool) as conn:
            consent.withdraw_consent(conn, self.keys, consent_id)

    def pid(self, subject: str) -> bytes:
        return derive_pseudonym(self.keys, subject)

    def post(self, media_id: str = "group", photo: bytes | None = None, **said: Any) -> dict[str, str]:
        """Posts the group photo, or another; who the platform then hears of, and at which face."""
        decide_event(
            self.bench, "default", store(self.bench, self.keys, MediaRef(media_id, None), photo or self.photo, **said)
        )
        return self.named(media_id)

    def named(self, media_id: str = "group") -> dict[str, str]:
        faces = [face for face in decision(self.bench, self.keys, media_id)["faces"] if face["match"]]
        named = {face["match"]["subject"]: at(tuple(face["box"])) for face in faces}
        assert len(named) == len(faces), "somebody is named twice"
        return named

    def seen(self, subject: str) -> list[SubjectMatch]:
        with transaction(self.bench.pool) as conn:
            return matches_of(conn, self.keys, self.pid(subject))

    def work(self) -> None:
        """Runs the jobs that wait, but for deliveries."""
        url: str = self.bench.pool.conninfo  # type: ignore[assignment]  # a pool may make it up; ours has it

        async def once() -> None:
            app = queue_app(url, self.bench)
            async with app.open_async():
                await app.run_worker_async(
                    queues=[*PLACES, ENROLMENTS, RIGHTS], wait=False, install_signal_handlers=False
                )

        asyncio.run(once())

    def deliver(self) -> list[dict[str, Any]]:
        """Sends what waits; the bodies that arrived since the last time, held to the OpenAPI document."""
        before = len(self.web.received)
        for (message,) in rows(self.bench, "SELECT id FROM outbox WHERE state = 'waiting' ORDER BY created_at, type"):
            deliver_message(self.bench, "default", message)
        return [hold_to_contract(json.loads(posted.body)) for posted in self.web.received[before:]]

    def leaves(self, action: str) -> int:
        return len(leaves(self.bench, action))


def embedding(album: Album, pixels: Pixels, box: Box) -> Vector:
    """Embeds what the picture shows at that place, whether a face is found there or not."""
    models = album.bench.gallery.models
    chip = faces.chip_by_landmarks(models.landmarks, pixels, corners_of(box))
    assert chip is not None
    vector: Vector = embedder.embed(models.embedder, models.calibration.mean, [chip.pixels])[0]
    return vector
