"""Only those whom the author's connections and their own consent allow are ever compared."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import psycopg
import pytest

from assent.core.errors import GalleryUnavailable
from assent.db.pool import Conn
from assent.gallery.memory import connect_gallery, reconcile
from assent.gallery.search import Candidates, SearchSpace, count_candidates
from tests.integration.world import World, ask
from tests.people import MODEL, strangers, unit

FACES = strangers(8)


def found(candidates: Candidates) -> list[list[bytes]]:
    return [[candidate.pseudonym for candidate in near] for near in candidates.faces]


@pytest.mark.parametrize(
    ("scope", "as_author", "as_connection", "as_anyone"),
    [("own", 1, 0, 0), ("connections", 1, 1, 0), ("anyone", 1, 1, 1)],
)
def test_scope_decides_who_can_be_found(
    world: World, gallery: Conn, scope: str, as_author: int, as_connection: int, as_anyone: int
) -> None:
    ana = world.opt_in("ana", FACES[0], scope=scope)
    reconcile(world.primary_database, gallery, world.keystore)
    assert ask(gallery, FACES[:1]).searched == 0
    assert ask(gallery, FACES[:1], author=ana.pseudonym).searched == as_author
    assert ask(gallery, FACES[:1], connections=(ana,)).searched == as_connection
    assert ask(gallery, FACES[:1], anyone=True).searched == as_anyone


def test_each_face_gets_its_own_people_best_first(world: World, gallery: Conn) -> None:
    ana, bea = world.opt_in("ana", FACES[0], FACES[1]), world.opt_in("bea", FACES[2])
    reconcile(world.primary_database, gallery, world.keystore)
    probes = np.stack([FACES[2], unit(FACES[0] + 0.3 * FACES[5]), FACES[1]])
    result = ask(gallery, probes, author=ana.pseudonym, connections=(bea,))
    assert result.searched == 3
    assert [near[0].pseudonym for near in result.faces] == [bea.pseudonym, ana.pseudonym, ana.pseudonym]
    assert [near[0].template for near in result.faces] == [bea.templates[0], *ana.templates]
    assert result.faces[0][0].score == pytest.approx(1, abs=2e-3)
    for near in result.faces:
        assert [candidate.score for candidate in near] == sorted((c.score for c in near), reverse=True)


def test_scores_are_the_cosines(world: World, gallery: Conn) -> None:
    people = [world.opt_in(f"person {n}", face, scope="anyone") for n, face in enumerate(FACES[:5])]
    reconcile(world.primary_database, gallery, world.keystore)
    probe = unit(FACES[6:7] + FACES[0])
    expected = {person.pseudonym: float(face @ probe[0]) for person, face in zip(people, FACES, strict=False)}
    near = ask(gallery, probe, anyone=True).faces[0]
    assert {candidate.pseudonym: candidate.score for candidate in near} == pytest.approx(expected, abs=2e-3)


def test_only_the_five_nearest_come_back(world: World, gallery: Conn) -> None:
    for n, face in enumerate(FACES):
        world.opt_in(f"person {n}", face, scope="anyone")
    reconcile(world.primary_database, gallery, world.keystore)
    result = ask(gallery, FACES[:2], anyone=True)
    assert result.searched == 8
    assert [len(near) for near in result.faces] == [5, 5]


def test_another_tenant_or_model_is_another_world(world: World, gallery: Conn) -> None:
    ana = world.opt_in("ana", FACES[0], scope="anyone")
    reconcile(world.primary_database, gallery, world.keystore)
    assert ask(gallery, FACES[:1], author=ana.pseudonym, anyone=True, tenant="other").searched == 0
    assert ask(gallery, FACES[:1], author=ana.pseudonym, anyone=True, model="another").searched == 0


def test_an_expired_consent_is_not_searched_even_before_it_is_removed(world: World, gallery: Conn) -> None:
    ana = world.opt_in("ana", FACES[0])
    reconcile(world.primary_database, gallery, world.keystore)
    gallery.execute("UPDATE template SET expires_at = now() - interval '1 second'")
    assert ask(gallery, FACES[:1], author=ana.pseudonym).searched == 0


def test_nobody_is_searched_before_the_gallery_is_filled(world: World, gallery: Conn) -> None:
    ana = world.opt_in("ana", FACES[0])
    reconcile(world.primary_database, gallery, world.keystore, tenant="club", pseudonym=ana.pseudonym)
    with pytest.raises(GalleryUnavailable, match="filled"):
        ask(gallery, FACES[:1], author=ana.pseudonym)
    with pytest.raises(GalleryUnavailable, match="filled"):
        count_candidates(gallery, SearchSpace("club", MODEL, ana.pseudonym))


def test_a_lost_gallery_is_said(world: World, gallery_url: str) -> None:
    with connect_gallery(gallery_url) as gallery:
        reconcile(world.primary_database, gallery, world.keystore)
        with psycopg.connect(gallery_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [gallery.info.backend_pid])
        with pytest.raises(GalleryUnavailable):
            ask(gallery, FACES[:1])


def test_no_faces_need_no_gallery(world: World, gallery: Conn) -> None:
    assert ask(gallery, FACES[:0]) == Candidates(0, ())


def test_candidate_count_is_what_is_searched(world: World, gallery: Conn) -> None:
    ana = world.opt_in("ana", FACES[0], FACES[1], scope="own")
    bea = world.opt_in("bea", FACES[2])
    world.opt_in("cem", FACES[3], scope="anyone")
    reconcile(world.primary_database, gallery, world.keystore)
    for connections, anyone, expected in ((), False, 2), ((bea,), False, 3), ((bea,), True, 4):
        pids = [person.pseudonym for person in connections]
        space = SearchSpace("club", MODEL, ana.pseudonym, [*pids, uuid4().bytes], anyone)
        assert count_candidates(gallery, space) == expected
        assert ask(gallery, FACES[:1], ana.pseudonym, connections, anyone).searched == expected


def test_faces_are_found_with_people_of_the_search_space_only(world: World, gallery: Conn) -> None:
    ana, bea = world.opt_in("ana", FACES[0]), world.opt_in("bea", FACES[1])
    reconcile(world.primary_database, gallery, world.keystore)
    assert found(ask(gallery, FACES[1:2], author=ana.pseudonym)) == [[ana.pseudonym]]
    assert found(ask(gallery, FACES[1:2], author=ana.pseudonym, connections=(bea,))) == [[bea.pseudonym, ana.pseudonym]]
