"""Somebody posts variants of a face again and again, to feel their way to a person: the budget ends before that.

The climber here is stronger than any author: it knows each score, which the house never says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from assent.core.resources import resource
from assent.core.values import Event, Face, Match, Perception, Vector
from assent.db.pool import Conn
from assent.gallery import throttle
from assent.gallery.matching import Gallery, MatchingRules
from assent.gallery.memory import prepare_gallery, reconcile
from assent.gallery.search import Candidate, Candidates, SearchSpace
from assent.gallery.throttle import PERSON_HITS, PROBE_HITS, PROBED_IMAGES, Throttled, charge_probe_budget, probe_hits
from assent.keys.keystore import TenantKeys
from assent.perceive import Models
from assent.perceive.faces.calibration import read_calibration
from tests.fixtures.figures import Figure
from tests.integration.world import World
from tests.people import MODEL, strangers, unit

SEED = 20261124
AUTHOR = "the climber"


@dataclass
class Climb:
    """The gallery as a worker has it, one victim, and what came of every probe."""

    gallery: Gallery
    noted: list[tuple[str, str | None, bytes]] = field(default_factory=list)
    compared: int = 0
    matched: int = 0

    def probe(self, faces: np.ndarray[Any, Any], author: str = AUTHOR) -> tuple[Match, ...]:
        """One picture with those faces; as the pipeline, nobody is compared where the search space is empty."""
        event = Event("media.created", (), "public", "post", author, ("victim",))
        if self.gallery.candidate_count("club", event) == 0:
            return ()
        self.compared += 1
        seen = Perception((), tuple(Face((0, 0, 50, 50), 0, 0.9, 0.9, embedding=one) for one in faces), (), MODEL)
        matches = self.gallery.match("club", event, seen)
        self.matched += bool(matches)
        return matches


@pytest.fixture
def climb(world: World, gallery: Conn, gallery_url: str) -> Any:
    victim = world.opt_in("victim", strangers(1)[0])
    assert victim
    reconcile(world.primary_database, gallery, world.keystore)
    calibration = read_calibration(resource("models") / "calibration" / "dlib.json")
    models = cast(Models, SimpleNamespace(embedder_id=MODEL, calibration=calibration))
    noted: list[tuple[str, str | None, bytes]] = []

    def note(keys: TenantKeys, author: str | None, pid: bytes) -> None:
        noted.append((keys.tenant, author, pid))

    with ConnectionPool[Conn](
        gallery_url, kwargs={"autocommit": True}, min_size=1, max_size=2, configure=prepare_gallery
    ) as pool:
        rules = MatchingRules(False, lambda _keys, _author, stated: stated, lambda _tenant: True, note)
        yield Climb(Gallery(pool, world.keystore, models, rules), noted)


def variants(rng: np.random.Generator, best: Vector, victim: Vector) -> Any:
    """Steps towards whatever scores higher, as random as an attacker's, kept when they help."""
    while True:
        step = unit(best + 0.25 * strangers(1, int(rng.integers(2**31)))[0])
        best = step if float(step @ victim) > float(best @ victim) else best
        yield step


@pytest.mark.parametrize("probes", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_probes_stay_within_the_budget(climb: Climb, probes: int, figure: Figure) -> None:
    rng, victim = np.random.default_rng(SEED), strangers(1)[0]
    steps = variants(rng, strangers(2, 7)[1], victim)
    for _ in range(probes):
        climb.probe(next(steps)[None])
    figure(f"{probes} probes by score: {climb.compared} compared, {climb.matched} matched")
    assert 0 < climb.compared <= PROBED_IMAGES
    assert [author for _, author, _ in climb.noted] == [AUTHOR]


def test_who_feels_for_the_edge_of_a_match_is_stopped_by_the_misses(climb: Climb, figure: Figure) -> None:
    rng, victim = np.random.default_rng(SEED), strangers(1)[0]
    for _ in range(PROBED_IMAGES):
        away = strangers(1, int(rng.integers(2**31)))[0]
        low, high = 0.2, 0.7  # cosines
        while high - low > 0.02:  # from one more direction: yes or no is all that it takes
            middle = (low + high) / 2
            yes = climb.probe(unit(middle * victim + (1 - middle**2) ** 0.5 * away)[None])
            low, high = (low, middle) if yes else (middle, high)
    figure(f"the edge, by yes and no: {climb.compared} compared, {climb.matched} matched")
    assert climb.compared < PROBED_IMAGES / 2
    assert len(climb.noted) == 1


def test_a_collage_of_variants_is_one_picture_and_spends_the_budget(climb: Climb) -> None:
    victim = strangers(1)[0]
    climb.probe(unit(0.5 * victim + strangers(2 * PROBE_HITS, 3) * 0.8))
    assert climb.probe(victim[None]) == ()
    assert (climb.compared, len(climb.noted)) == (1, 1)


def test_other_authors_and_other_people_are_not_touched(climb: Climb, world: World) -> None:
    victim, friend = strangers(1)[0], strangers(3, 11)[2]
    climb.probe(unit(0.5 * victim + strangers(2 * PERSON_HITS, 3) * 0.8))
    assert climb.probe(victim[None]) == ()
    assert len(climb.probe(victim[None], "another")) == 1
    world.opt_in(AUTHOR, friend)
    with climb.gallery.pool.connection() as gallery:
        reconcile(world.primary_database, gallery, world.keystore)
    assert len(climb.probe(np.stack([friend, victim]))) == 1


def test_the_persons_own_account_is_no_way_around(climb: Climb) -> None:
    victim = strangers(1)[0]
    climb.probe(unit(0.5 * victim + strangers(2 * PROBE_HITS, 3) * 0.8), "victim")
    assert climb.probe(victim[None], "victim") == ()


def test_invented_authors_bring_no_budgets_of_their_own(climb: Climb) -> None:
    victim = strangers(1)[0]
    near = unit(0.5 * victim + strangers(PROBE_HITS, 3) * 0.8)  # the best of them is matched
    for n in range(2 * PERSON_HITS // PROBE_HITS):
        climb.probe(near, f"invented {n}")
    assert climb.compared == math.ceil(PERSON_HITS / (PROBE_HITS - 1))
    assert [author for _, author, _ in climb.noted] == [None]
    assert climb.probe(victim[None], "a friend") == ()
    assert len(climb.probe(victim[None], "victim")) == 1
    with climb.gallery.pool.connection() as gallery:
        gallery.execute("UPDATE probe SET until = now()")
    assert len(climb.probe(victim[None], "a friend")) == 1


def test_pictures_from_afar_are_counted_over_all_authors(climb: Climb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "PERSON_IMAGES", 6)
    victim, far = strangers(2)
    for _ in range(6):
        climb.probe(far[None], "victim")  # their own do not count
    for n in range(9):
        climb.probe(far[None], f"invented {n}")
    assert (climb.compared, len(climb.noted)) == (12, 1)
    assert len(climb.probe(victim[None], "victim")) == 1


@pytest.mark.parametrize(("declared", "compared"), [(True, 10), (False, 4)])
def test_who_agreed_to_all_posts_has_another_budget_where_that_is_declared(
    climb: Climb, world: World, monkeypatch: pytest.MonkeyPatch, declared: bool, compared: int
) -> None:
    for name, most in (("PERSON_IMAGES", 4), ("PERSON_HITS", 40), ("ANYONE_HITS", 90)):
        monkeypatch.setattr(throttle, name, most)
    victim = strangers(1)[0]
    with climb.gallery.pool.connection() as gallery:
        gallery.execute("UPDATE template SET scope = 'anyone'")
    rules = replace(climb.gallery.rules, anyone=declared)
    climber = replace(climb, gallery=replace(climb.gallery, rules=rules))
    for n in range(12):
        climber.probe(unit(0.5 * victim + strangers(10, 3) * 0.8), f"invented {n}")
    assert (climber.compared, len(climb.noted)) == (compared, 1)


def test_after_a_day_it_begins_anew(climb: Climb) -> None:
    victim = strangers(1)[0]
    climb.probe(unit(0.5 * victim + strangers(2 * PROBE_HITS, 3) * 0.8))
    assert climb.probe(victim[None]) == ()
    with climb.gallery.pool.connection() as gallery:
        gallery.execute("UPDATE probe SET until = now(), since = since - interval '1 day'")
    assert len(climb.probe(victim[None])) == 1
    with climb.gallery.pool.connection() as gallery, gallery.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SELECT pictures, near, until FROM probe WHERE author <> ''")
        assert cursor.fetchall() == [{"pictures": 1, "near": 0, "until": None}]


def test_who_posts_friends_and_strangers_all_day_is_not_throttled(climb: Climb) -> None:
    victim = strangers(1)[0]
    for n in range(100):
        climb.probe(np.concatenate([victim[None], strangers(8, 100 + n)]))
    assert (climb.compared, climb.matched, climb.noted) == (100, 100, [])


def test_of_two_who_count_at_once_one_answers(climb: Climb, gallery_url: str) -> None:
    found = {bytes(32): PROBE_HITS}
    with (
        psycopg.connect(gallery_url, autocommit=True) as first,
        psycopg.connect(gallery_url, autocommit=True) as second,
    ):
        space = SearchSpace("club", MODEL, b"author")
        answers = [charge_probe_budget(conn, space, found) for conn in (first, second)]
    assert answers == [[Throttled(bytes(32), of_everybody=False)], []]


def test_what_counts_as_near() -> None:
    def one(pid: bytes, score: float) -> Candidate:
        return Candidate(pid, cast(Any, None), 1, score)

    faces = ((one(b"a", 0.6), one(b"a", 0.5), one(b"b", 0.45)), (one(b"a", 0.55), one(b"b", 0.3)))
    matches = [Match(0, b"a", cast(Any, None), 1, "strong")]
    assert probe_hits(Candidates(3, faces), matches, 0.5) == {b"a": 1, b"b": 1}
    assert probe_hits(Candidates(3, faces), [], 0.5) == {b"a": 2, b"b": 1}
    assert probe_hits(Candidates(0, ((),)), [], 0.5) == {}
