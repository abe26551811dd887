"""While an epoch is rotated people are matched, enrolled and followed as before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import psycopg
import pytest
from psycopg.rows import dict_row

from assent.db.pool import Conn, Pool, transaction
from assent.gallery.memory import Reconciled, reconcile
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import SubjectKey, match_pseudonym, open_match, seal_match
from assent.subjects.rotate import rotate_epoch
from tests.events import SOURCE
from tests.integration.lives import recognise, templates
from tests.people import opt_in_all


@contextmanager
def at_it(work: Callable[[int], None]) -> Iterator[list[int]]:
    """Runs `work` again and again in a thread, and fails with its error; yields the numbers of the runs done."""
    stop, done = threading.Event(), list[int]()

    def run() -> None:
        for n in count():
            if stop.is_set():
                return
            work(n)
            done.append(n)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run)
        try:
            yield done
        finally:
            stop.set()
            running.result()


def match_again(pool: Pool, keys: TenantKeys, who: SubjectKey, n: int) -> None:
    """What `record` and `assemble` do with a match: the key from its row, the match sealed, and opened again."""
    media_id = f"picture {n}"
    with transaction(pool) as conn:
        found = conn.execute("SELECT pid, epoch, wrapped FROM subject_key WHERE pid = %s", [who.pseudonym]).fetchone()
        assert found is not None
        subject = SubjectKey.unwrap(keys, *found)
    recognise(pool, keys, subject, media_id)
    with transaction(pool) as conn, conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("SELECT epoch, locator, sealed FROM match WHERE media_id = %s", [media_id]).fetchone()
        assert row is not None
        assert match_pseudonym(keys, media_id, 0, row["epoch"], row["locator"]) == who.pseudonym
        assert open_match(subject, media_id, 0, row["sealed"]) == {"band": "strong"}


def test_matching_and_enrolling_go_on(pool: Pool, keystore: Keystore, keys: TenantKeys) -> None:
    """Both with keys taken long before, as a job has them."""
    (ana,) = opt_in_all(pool, keys, "ana")
    opt_in_all(pool, keys, *(f"person {n}" for n in range(200)))
    with (
        at_it(lambda n: match_again(pool, keys, ana, n)) as matched,
        at_it(lambda n: (opt_in_all(pool, keys, f"late {n}"), None)[1]) as enrolled,
    ):
        for _ in range(5):
            before = len(matched), len(enrolled)
            rotate_epoch(pool, keystore, "default")
            assert len(matched) > before[0]
            assert len(enrolled) > before[1]
    rotate_epoch(pool, keystore, "default")
    names = {"ana", *(f"person {n}" for n in range(200)), *(f"late {n}" for n in enrolled)}
    assert templates(pool, keys) == names
    with transaction(pool) as conn:
        rows = conn.execute("SELECT media_id, face, epoch, locator, slot FROM match").fetchall()
        assert len(rows) == len(matched)
        assert {match_pseudonym(keys, *row) for row in rows} == {ana.pseudonym}


def test_a_gallery_that_fills_meanwhile_leaves_nobody_out(
    pool: Pool, keystore: Keystore, keys: TenantKeys, database_url: str, gallery: Conn
) -> None:
    opt_in_all(pool, keys, *(f"person {n}" for n in range(300)))
    fills = []
    with psycopg.connect(database_url, autocommit=True) as primary_database:

        def fill(_n: int) -> None:
            gallery.execute("DELETE FROM template")
            fills.append(reconcile(primary_database, gallery, keystore))

        with at_it(fill) as done:
            for _ in range(4):
                before = len(done)
                while len(done) == before:  # a rotation may end before the gallery is full again
                    rotate_epoch(pool, keystore, "default")
    assert set(fills) == {Reconciled(inserted=300)}


def crowd(pool: Pool, keys: TenantKeys, size: int) -> None:
    """That many people, each with a key and a match."""
    people = [SubjectKey.new(keys, derive_pseudonym(keys, f"one of {n}")) for n in range(size)]
    with transaction(pool) as conn, conn.cursor() as cursor:
        with cursor.copy("COPY subject (tenant, pid, sealed) FROM STDIN") as copy:
            for who in people:
                copy.write_row(("default", who.pseudonym, b""))
        with cursor.copy("COPY subject_key (tenant, pid, epoch, wrapped) FROM STDIN") as copy:
            for who in people:
                copy.write_row(("default", who.pseudonym, keys.epoch, who.wrap(keys)))
        columns = "tenant, source, media_id, face, revision, epoch, locator, sealed"
        with cursor.copy(f"COPY match ({columns}) FROM STDIN") as copy:
            for n, who in enumerate(people):
                row = seal_match(keys, who, f"photo {n}", 0, {"band": "likely"})
                copy.write_row(("default", SOURCE, f"photo {n}", 0, 1, *row))


@pytest.mark.parametrize("size", [5000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_people_are_matched_while_a_crowd_is_rotated(
    pool: Pool, keystore: Keystore, keys: TenantKeys, size: int
) -> None:
    (ana,) = opt_in_all(pool, keys, "ana")
    crowd(pool, keys, size)
    with at_it(lambda n: match_again(pool, keys, ana, n)) as matched:
        before = len(matched)
        done = rotate_epoch(pool, keystore, "default")
        assert len(matched) > before
    assert (done.people, done.broken) == (size + 1, 0)
    assert done.matches >= size
