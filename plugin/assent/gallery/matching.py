"""Matches an image's faces with the templates that they may be compared with, stage 5 of the pipeline.

The gallery proposes candidates and the calibration decides. A match is checked again when it is recorded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from assent.core.errors import GalleryTooLarge, GalleryUnavailable
from assent.core.host_errors import MatchingUnavailable
from assent.core.settings import Settings
from assent.core.telemetry import log
from assent.core.values import Event, Match, Perception
from assent.db.pool import Conn, Pool, fetch_one, transaction
from assent.db.queries import named_queries
from assent.embedded.clusters import in_memory
from assent.gallery.memory import GalleryServer, Room, Stop, follow, prepare_gallery
from assent.gallery.search import Candidates, SearchSpace, count_candidates, search, select_matches
from assent.gallery.throttle import charge_probe_budget, probe_hits
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.perceive import Models


@dataclass(frozen=True, slots=True, eq=False)
class MatchingRules:
    """The bounds of matching that the deployer and the primary database set."""

    anyone: bool  # the deployer declared that searching all uploads is lawful here
    # author, and the subjects whom the event says chose them → those of whom that holds
    connected_subjects: Callable[[TenantKeys, str, Sequence[bytes]], Sequence[bytes]]
    has_templates: Callable[[str], bool]  # whether anybody of a tenant has one
    # the images of an author, or with None of everybody else, are not compared with that subject
    note_throttled: Callable[[TenantKeys, str | None, bytes], None]


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """This host's in-memory gallery, searched with one pack's embedder."""

    pool: Pool
    keystore: Keystore
    models: Models
    rules: MatchingRules
    room: Room = field(default_factory=Room)

    def has_room(self) -> bool:
        """Tells whether the host has room for the gallery, which may still be filled or be gone for a while."""
        return self.room.missing is None

    def check_room(self) -> None:
        """Raises MatchingUnavailable where the host has no room for the gallery, saying what is missing."""
        if (missing := self.room.missing) is not None:
            raise MatchingUnavailable(missing)

    def candidate_count(self, tenant: str, event: Event) -> int:
        """Counts the templates that this event's faces may be compared with; 0 without an author.

        It is 0 too where the embedder is not calibrated, and where nobody has a template. Raises GalleryUnavailable
        before the gallery is filled, and where it is gone; MatchingUnavailable where there is no room for it.
        """
        if event.author is None or not self.models.calibration.templates_supported():
            return 0
        if not self.has_room() and not self.rules.has_templates(tenant):
            return 0
        with self._connection() as conn:
            return count_candidates(conn, self._space(tenant, event))

    def match(self, tenant: str, event: Event, perception: Perception) -> tuple[Match, ...]:
        """Returns a match for each subject recognised, each at most once. Raises GalleryUnavailable.

        Where more templates are searched than the calibration supports, nobody is matched and a warning is logged.
        """
        faces = [n for n, face in enumerate(perception.faces) if face.embedding is not None]
        if not faces or event.author is None:
            return ()
        probes = np.stack([face.embedding for face in perception.faces if face.embedding is not None])
        space = self._space(tenant, event)
        with self._connection() as conn:
            candidates = search(conn, space, probes)
        try:
            matches = select_matches(candidates, self.models.calibration)
        except GalleryTooLarge as error:
            log.warning("nobody matched", code=error.code, searched=candidates.searched)
            return ()
        self._charge(space, event.author, candidates, matches)
        return tuple(replace(match, face=faces[match.face]) for match in matches)

    def _charge(self, space: SearchSpace, author: str, candidates: Candidates, matches: Sequence[Match]) -> None:
        """Charges the probe budgets for one image of the author; a budget that is spent is noted in the log."""
        if candidates.searched == 0:
            return
        hits = probe_hits(candidates, matches, self.models.calibration.threshold(candidates.searched))
        with self._connection() as conn:
            throttled = charge_probe_budget(conn, space, hits)
        for spent in throttled:
            by = None if spent.of_everybody else author
            self.rules.note_throttled(self.keystore.tenant(space.tenant), by, spent.pseudonym)

    def wait_for(self, tenant: str, pseudonym: bytes, templates: int, seconds: float = 5.0) -> None:
        """Returns once this host's gallery has that many templates of a subject, or after `seconds`.

        It returns at once where there is no room for a gallery.
        """
        if not self.has_room():
            return
        deadline = time.monotonic() + seconds
        space = SearchSpace(tenant, self.models.embedder_id, pseudonym)
        with self._connection() as conn:
            while count_candidates(conn, space) < templates and time.monotonic() < deadline:
                time.sleep(0.02)

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Returns once the gallery is filled. Raises GalleryUnavailable when that takes longer or there is no room."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self._connection() as conn:
                    count_candidates(conn, SearchSpace("", "", b""))
            except GalleryUnavailable as error:
                if isinstance(error, MatchingUnavailable) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _space(self, tenant: str, event: Event) -> SearchSpace:
        keys, author = self.keystore.tenant(tenant), event.author or ""
        stated = {derive_pseudonym(keys, ref) for ref in event.connections}
        connected = self.rules.connected_subjects(keys, author, list(stated))
        return SearchSpace(
            tenant, self.models.embedder_id, derive_pseudonym(keys, author), connected, self.rules.anyone
        )

    @contextmanager
    def _connection(self) -> Iterator[Conn]:
        self.check_room()
        try:
            with self.pool.connection(timeout=5) as conn:
                yield conn
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise GalleryUnavailable from error


def has_templates(pool: Pool, tenant: str) -> bool:
    """Tells whether anybody of the tenant has a template in the primary database."""
    with transaction(pool) as conn:
        row = fetch_one(conn, named_queries("gallery")["has_templates"], tenant=tenant)
    return row is not None and bool(row["any"])


def host_gallery(settings: Settings) -> GalleryServer:
    """Returns this host's in-memory server, which is started or joined each time it is entered."""
    return partial(in_memory, settings.gallery_dir, settings.data_dir, unsafe_on_disk=settings.unsafe_gallery_on_disk)


@contextmanager
def open_gallery(
    server: GalleryServer, url: str, keystore: Keystore, models: Models, rules: MatchingRules
) -> Iterator[Gallery]:
    """Enters that server and keeps its gallery in step with the primary database at `url` while the context lasts.

    It is being filled meanwhile: a caller that needs it ready calls `Gallery.wait_ready`. Where there is no room for
    it, `Gallery.room` says so until there is. Raises GalleryUnavailable where the server does not start.
    """
    with ExitStack() as stack:
        stop, room = stack.enter_context(Stop()), Room()
        servers = stack.enter_context(ExitStack())
        held: list[str] = []  # the server's URL, once it is held here, beside the follower, which lets go at times

        @contextmanager
        def holding() -> Iterator[str]:
            if not held:
                held.append(servers.enter_context(server()))
                pool.open()
            with server() as gallery_url:
                yield gallery_url

        pool: Pool = ConnectionPool(
            lambda: held[0],
            kwargs={"autocommit": True},
            min_size=1,
            max_size=8,
            configure=prepare_gallery,
            check=ConnectionPool.check_connection,
            open=False,
            name="gallery",
        )
        stack.callback(pool.close)
        try:
            with holding():
                pass
        except MatchingUnavailable as error:
            room.missing = error.detail
            log.warning("nobody is matched", code=error.code, why=error.detail)
        follower = threading.Thread(target=follow, args=(url, holding, keystore, stop, room), name="gallery")
        follower.start()
        stack.callback(follower.join)
        stack.callback(stop.set)
        yield Gallery(pool, keystore, models, rules, room)
