"""The gallery follows every change of the primary database, across interruptions of either."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from assent.db.pool import IDLE_LIMIT, Conn
from assent.db.queries import named_queries
from assent.embedded.clusters import in_memory
from assent.gallery.memory import GalleryServer, Stop, connect_gallery, follow, is_ready
from tests.integration.holder import postmaster_of
from tests.integration.world import World
from tests.people import strangers
from tests.waiting import until

FACES = strangers(4)


@contextmanager
def following(world: World, server: GalleryServer) -> Iterator[None]:
    with Stop() as stop:
        thread = threading.Thread(target=follow, args=(world.url, server, world.keystore, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(20)
            assert not thread.is_alive()


def pids(gallery: Conn) -> set[bytes]:
    return {row[0] for row in gallery.execute("SELECT pid FROM template").fetchall()}


def test_every_change_arrives(world: World, gallery: Conn, gallery_url: str) -> None:
    ana = world.opt_in("ana", FACES[0])
    with following(world, lambda: nullcontext(gallery_url)):
        until(lambda: is_ready(gallery, world.keystore.database), "the gallery is filled", 20)
        assert pids(gallery) == {ana.pseudonym}
        bea = world.opt_in("bea", FACES[1])
        until(lambda: pids(gallery) == {ana.pseudonym, bea.pseudonym}, "the gallery follows", 20)
        world.withdraw(ana)
        until(lambda: pids(gallery) == {bea.pseudonym}, "the gallery follows", 20)
        world.consent_anew(bea, "own")
        until(lambda: gallery.execute("SELECT scope FROM template").fetchall() == [("own",)], "the gallery follows", 20)
        world.primary_database.execute("DELETE FROM subject WHERE pid = %s", [bea.pseudonym])
        until(lambda: pids(gallery) == set(), "the gallery follows", 20)


def test_lost_connections_are_made_again_and_nothing_is_missed(world: World, gallery: Conn, gallery_url: str) -> None:
    with following(world, lambda: nullcontext(gallery_url)):
        until(lambda: is_ready(gallery, world.keystore.database), "the gallery is filled", 20)
        world.primary_database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        ana = world.opt_in("ana", FACES[0])
        until(lambda: pids(gallery) == {ana.pseudonym}, "the gallery follows", 20)


def test_what_nobody_sends_is_answered_by_a_full_comparison(world: World, gallery: Conn, gallery_url: str) -> None:
    with following(world, lambda: nullcontext(gallery_url)):
        until(lambda: is_ready(gallery, world.keystore.database), "the gallery is filled", 20)
        gallery.execute("DELETE FROM ready")
        world.primary_database.execute("NOTIFY assent_gallery, 'club no-hex'")
        until(lambda: is_ready(gallery, world.keystore.database), "the gallery is filled", 20)


def test_a_process_stopped_while_it_writes_does_not_keep_others_from_writing(
    world: World, gallery: Conn, gallery_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "'10s'" in IDLE_LIMIT.as_string()
    monkeypatch.setattr("assent.gallery.memory.IDLE_LIMIT", sql.SQL(IDLE_LIMIT.as_string().replace("10s", "1s")))
    with connect_gallery(gallery_url) as stopped:
        stopped.execute("BEGIN")
        stopped.execute(named_queries("gallery_memory")["lock_gallery_writes"])
        with following(world, lambda: nullcontext(gallery_url)):
            until(lambda: is_ready(gallery, world.keystore.database), "the gallery is ready")
        with pytest.raises(psycopg.Error):
            stopped.execute("SELECT")


def test_a_killed_gallery_is_started_and_filled_again(world: World, open_folder: Path, gallery_dir: Path) -> None:
    ana = world.opt_in("ana", FACES[0])
    server = partial(in_memory, gallery_dir, open_folder / uuid4().hex[:8], unsafe_on_disk=True)
    with server() as url, following(world, server):
        with connect_gallery(url) as first:
            until(lambda: is_ready(first, world.keystore.database), "the gallery is filled", 20)
            data = first.execute("SHOW data_directory").fetchone()
            assert data is not None
        postmaster = postmaster_of(Path(data[0]))
        postmaster.kill()
        postmaster.wait(20)

        def filled_again() -> bool:
            try:
                with connect_gallery(url) as again:
                    return is_ready(again, world.keystore.database) and pids(again) == {ana.pseudonym}
            except psycopg.OperationalError:
                return False

        until(filled_again, "the gallery is filled again", 20)
