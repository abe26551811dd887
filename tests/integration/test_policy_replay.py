"""Recorded perceptions are decided again exactly, by the same policy and by another, in bounded memory."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Json, Jsonb

from assent.cli import comparison
from assent.core.resources import resource
from assent.core.taxonomy import LABELS
from assent.core.values import Analysis, Event, Face, MediaRef, Perception, Picture, Tag
from assent.db.pool import Pool, transaction
from assent.decisions import views as audiences
from assent.decisions.document import decision_of, perception_json, to_json
from assent.decisions.replay import circumstances, recorded
from assent.decisions.simulate import how_many, replay
from assent.keys.keystore import TenantKeys
from assent.policy.compare import CountKey
from assent.policy.decide import decide
from assent.policy.load import load_policy
from assent.policy.model import Policy
from assent.policy.versions import store_policy as keep
from assent.worker.jobs import WorkerContext, decide_event
from tests.command import assent
from tests.events import SOURCE, store
from tests.unit.policy_files import policy, rule

SCORES = st.floats(0.05, 1.0) | st.sampled_from([0.6, 0.59995, 0.59996, 0.75, 0.5])
BOXES = st.tuples(*[st.integers(0, 900)] * 2, *[st.integers(1, 300)] * 2)
TAGS = st.builds(
    lambda label, score, box: Tag(label.name, label.category, score, box, 0, "m"),
    st.sampled_from(LABELS),
    SCORES,
    st.none() | BOXES,
)
FACES = st.builds(lambda box, score, quality: Face(box, 0, score, quality), BOXES, SCORES, SCORES)
EVENTS = st.builds(
    Event,
    st.sampled_from(["media.created", "media.updated"]),
    st.just(()),
    st.sampled_from(["public", "unlisted", "followers", "direct"]),
    st.sampled_from(["post", "avatar", "message", "story"]),
    author=st.just("somebody"),
    region=st.none() | st.just("DE"),
    audience_age=st.none() | st.integers(0, 40),
    lang=st.none() | st.just("no"),
)
POLICIES = [load_policy(path) for path in sorted(resource("policies").glob("*.yaml"))]


@given(EVENTS, st.lists(TAGS, max_size=8), st.lists(FACES, max_size=3), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_replay_decides_what_was_decided(
    event: Event, tags: list[Tag], faces: list[Face], data: st.DataObject
) -> None:
    made = data.draw(st.sampled_from(POLICIES))
    matched = frozenset(data.draw(st.sets(st.integers(0, len(faces) - 1)))) if faces else frozenset[int]()
    picture, seen = Picture("ab", "gif", 1000, 800, 7, ()), Perception(tuple(tags), tuple(faces), ("m",))
    verdict = decide(made, event, picture, seen, matched)
    looked = Analysis(picture, seen, (), verdict)
    stored = {
        "perceptions": perception_json(looked.perception),
        "document": to_json(decision_of("t", None, MediaRef("m", None), 1, looked, made.ref)),
        "given": circumstances(event, picture),
        "matched": sorted(matched),
    }
    again = recorded(json.loads(json.dumps(stored)))
    assert again is not None
    assert again.exact
    assert decide(made, again.event, again.picture, again.perception, again.matched) == verdict
    assert "somebody" not in json.dumps(stored)


def remember(pool: Pool, keys: TenantKeys, made: Policy, count: int, score: float) -> None:
    """Decisions on a picture with one exposed breast of that score near a face, as `record` stores them."""
    event, picture = Event("media.created", (), "public", "post", "hidden-author"), Picture("ab", "jpeg", 99, 99, 1, ())
    tag = Tag("nudity.explicit.breast", "safety", score, (1, 1, 9, 9), 0, "m")
    seen = Perception((tag,), (Face((1, 1, 9, 9), 0, 0.9, 0.9),), ("m",))
    looked = Analysis(picture, seen, (), decide(made, event, picture, seen))
    with transaction(pool) as conn:
        for n in range(count):
            media, event_id = MediaRef(f"{score}-{n}", None), uuid4()
            document = to_json(decision_of(keys.tenant, event_id, media, 1, looked, made.ref))
            conn.execute(
                "INSERT INTO decision (tenant, source, media_id, revision, event_id, n, event_revision, action,"
                " document, perceptions, given, audiences, leaf, decided_at)"
                " VALUES (%s, %s, %s, 1, %s, 0, 1, %s, %s, %s, %s, %s, 0, now())",
                [
                    keys.tenant,
                    SOURCE,
                    media.id,
                    event_id,
                    document["action"],
                    Json(document),
                    Jsonb(perception_json(looked.perception)),
                    Jsonb(circumstances(event, picture)),
                    Jsonb(audiences.stored_views(looked.verdict, seen)),
                ],
            )


def test_counts_of_what_would_change(pool: Pool, keys: TenantKeys, tmp_path: Path) -> None:
    default = load_policy()
    remember(pool, keys, default, 30, 0.65)
    remember(pool, keys, default, 20, 0.85)
    stricter = policy(tmp_path, include=["default"], labels={"nudity.explicit.breast": {"threshold": 0.8}}, rules=[])
    ticks: list[None] = []
    with transaction(pool) as conn:
        assert how_many(conn, "default", None, None) == 50
        found = replay(conn, "default", stricter, tick=lambda: ticks.append(None))
        same = replay(conn, "default", default)
        sampled = [replay(conn, "default", stricter, sample=10) for _ in range(2)]
    assert len(ticks) == 50
    assert (found.decided, found.changed, found.inexact, found.broken) == (50, 30, 0, 0)
    assert found.counts[CountKey("action", "", "limit", "allow")] == 30
    assert found.counts[CountKey("action", "", "limit", "limit")] == 20
    assert found.counts[CountKey("rule", "explicit-nudity", "limit", "allow")] == 30
    assert found.counts[CountKey("group", "nudity", "limit", "allow")] == 30
    assert found.counts[CountKey("said", "nudity.explicit.breast", "yes", "no")] == 30
    assert len(found.examples["limit", "allow"]) == 5
    assert same.changed == 0
    assert [one.decided for one in sampled] == [10, 10]
    assert sampled[0].counts == sampled[1].counts


def test_what_the_worker_recorded_is_replayed(
    bench: WorkerContext, keys: TenantKeys, six_people: bytes, tmp_path: Path
) -> None:
    decide_event(bench, "default", store(bench, keys, MediaRef("t1", None), six_people, region="DE"))
    decide_event(bench, "default", store(bench, keys, MediaRef("bad", None), b"no picture"))
    crowd = policy(tmp_path, rules=[rule("crowd", "faces.count == 6 && event.region == 'DE'", action="limit")])
    with transaction(bench.pool) as conn:
        same, other = replay(conn, "default", load_policy()), replay(conn, "default", crowd)
    assert (same.decided, same.changed, same.not_looked_at, same.inexact) == (1, 0, 1, 0)
    assert other.examples == {("allow", "limit"): ["t1"]}


def test_decisions_from_before_are_replayed_as_public_posts_and_counted(pool: Pool, keys: TenantKeys) -> None:
    remember(pool, keys, load_policy(), 3, 0.9)
    with transaction(pool) as conn:
        conn.execute("UPDATE decision SET given = NULL")
        assert replay(conn, "default", load_policy()).inexact == 3


def test_tables_csv_and_plot(pool: Pool, keys: TenantKeys, tmp_path: Path, environment: dict[str, str]) -> None:
    remember(pool, keys, load_policy(), 4, 0.65)
    other = tmp_path / "other.yaml"
    other.write_text((resource("policies") / "default.yaml").read_text().replace("threshold: 0.60", "threshold: 0.80"))
    words = ("policy", "simulate", other, "--since", "1d", "--csv", tmp_path / "c.csv", "--svg", tmp_path / "p.svg")
    printed = assent(environment | {"COLUMNS": "160"}, *words)
    assert "4 pictures decided again" in printed
    assert "limit → allow, for example: 0.65-" in printed
    with (tmp_path / "c.csv").open() as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["kind", "name", "was", "becomes", "pictures"]
    assert ["action", "", "limit", "allow", "4"] in lines
    assert (tmp_path / "p.svg").read_text().startswith("<svg xmlns")
    assert comparison._WEAKER in (tmp_path / "p.svg").read_text()


def test_the_why_card(pool: Pool, keys: TenantKeys, environment: dict[str, str]) -> None:
    remember(pool, keys, load_policy(), 1, 0.65)
    with transaction(pool) as conn:
        keep(conn, "default", load_policy())
    printed = assent(environment | {"COLUMNS": "160"}, "decision", "explain", "0.65-0")
    assert "0.65-0: limit, revision 1" in printed
    assert f"policy default 5 ({load_policy().ref.sha256[:12]})" in printed
    assert "rule explicit-nudity: nudity.explicit.breast 0.65 ≥ 0.60" in printed
    assert "0.6500" in printed
    assert "1 1 9 9" in printed
    said = json.loads(assent(environment, "decision", "explain", "0.65-0", "--author"))
    assert said["tags"] == [{"name": "nudity.explicit.breast", "category": "safety", "box": [1, 1, 9, 9], "frame": 0}]
    assert said["rules"] == [{"id": "explicit-nudity"}]
    assert "0.65" not in json.dumps({name: value for name, value in said.items() if name not in ("media", "event")})
