"""A tenant's policy changes while workers run: activated, rolled back, tried in the shadow; each change is a leaf."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assent.core.errors import NotFound
from assent.core.telemetry import BROKEN
from assent.core.values import MediaRef
from assent.db.pool import transaction
from assent.keys.keystore import TenantKeys
from assent.policy import versions
from assent.policy.compare import CountKey
from assent.policy.load import load_policy
from assent.policy.model import Policy
from assent.worker.jobs import WorkerContext, decide_event
from tests.events import decision, rows, store
from tests.unit.policy_files import policy, rule


def now() -> datetime:
    return datetime.now(UTC)


def named(folder: Path, name: str, when: str = "faces.count == 0", action: str = "limit") -> Policy:
    """A policy that does something with the picture of a cat."""
    return policy(folder, name=name, rules=[rule("on-cats", when, action=action)])


def post(bench: WorkerContext, keys: TenantKeys, cat: bytes, media: str) -> dict[str, object]:
    decide_event(bench, "default", store(bench, keys, MediaRef(media, None), cat))
    return decision(bench, keys, media)


def activate(bench: WorkerContext, keys: TenantKeys, made: Policy) -> None:
    with transaction(bench.pool) as conn:
        versions.activate(conn, keys, made, now())


def roll_back(bench: WorkerContext, keys: TenantKeys) -> str | None:
    with transaction(bench.pool) as conn:
        return versions.roll_back_policy(conn, keys, now())


def test_a_running_worker_follows_with_the_next_picture(
    bench: WorkerContext, keys: TenantKeys, cat: bytes, tmp_path: Path
) -> None:
    assert post(bench, keys, cat, "before")["action"] == "allow"
    made = named(tmp_path, "strict")
    activate(bench, keys, made)
    after = post(bench, keys, cat, "after")
    assert after["action"] == "limit"
    assert after["policy"] == {"name": "strict", "version": "1", "sha256": made.ref.sha256}
    roll_back(bench, keys)
    assert post(bench, keys, cat, "again")["action"] == "allow"


def test_roll_back_goes_back_one_further_each_time(bench: WorkerContext, keys: TenantKeys, tmp_path: Path) -> None:
    a, b, c = (named(tmp_path, name) for name in "abc")
    for made in (a, b, c):
        activate(bench, keys, made)
    assert [roll_back(bench, keys) for _ in range(3)] == [b.ref.sha256, a.ref.sha256, None]
    with pytest.raises(NotFound):
        roll_back(bench, keys)
    activate(bench, keys, c)
    assert roll_back(bench, keys) is None
    with transaction(bench.pool) as conn:
        history = versions.list_activations(conn, "default")
    assert [(row["n"], row["name"], row["back_to"]) for row in history] == [
        (1, "a", None),
        (2, "b", None),
        (3, "c", None),
        (4, "b", 2),
        (5, "a", 1),
        (6, None, 0),
        (7, "c", None),
        (8, None, 0),
    ]


def test_every_change_is_a_leaf_with_the_hash(bench: WorkerContext, keys: TenantKeys, tmp_path: Path) -> None:
    made = named(tmp_path, "strict")
    activate(bench, keys, made)
    roll_back(bench, keys)
    with transaction(bench.pool) as conn:
        versions.start_shadow(conn, keys, made, now())
        versions.stop_shadow(conn, keys, now())
    leaves = [json.loads(leaf) for (leaf,) in rows(bench, "SELECT leaf FROM audit_leaf ORDER BY seq")][1:]
    assert [(leaf["action"], leaf.get("policy")) for leaf in leaves] == [
        ("policy.activated", made.ref.sha256),
        ("policy.rolled-back", "installation"),
        ("policy.shadowed", made.ref.sha256),
        ("policy.shadow-ended", None),
    ]
    assert rows(bench, "SELECT leaf FROM policy_activation ORDER BY n") == [(1,), (2,)]


def test_the_active_policy_is_not_activated_twice(bench: WorkerContext, keys: TenantKeys, tmp_path: Path) -> None:
    activate(bench, keys, named(tmp_path, "strict"))
    with pytest.raises(NotFound, match="active already"):
        activate(bench, keys, named(tmp_path, "strict"))


def test_one_tenants_policy_is_not_anothers(bench: WorkerContext, keys: TenantKeys, tmp_path: Path) -> None:
    activate(bench, keys, named(tmp_path, "strict"))
    with transaction(bench.pool) as conn:
        conn.execute("INSERT INTO tenant (tenant) VALUES ('other')")
        assert bench.policies.of(conn, "default").active.ref.name == "strict"
        assert bench.policies.of(conn, "other").active.ref.name == "default"


@pytest.mark.parametrize(
    "harm", ["UPDATE policy SET canonical = replace(canonical, 'limit', 'allow')", "UPDATE policy SET canonical = '{}'"]
)
def test_a_policy_that_was_altered_decides_nothing(
    bench: WorkerContext, keys: TenantKeys, cat: bytes, tmp_path: Path, harm: str
) -> None:
    activate(bench, keys, named(tmp_path, "strict"))
    rows(bench, harm + " RETURNING 1")
    document = post(bench, keys, cat, "kept")
    assert document["action"] == "review"
    error = document["error"]
    assert isinstance(error, dict)
    assert error["code"] == "policy_invalid"
    assert rows(bench, "SELECT media_id, reason FROM review_case") == [("kept", "policy_invalid")]


def test_the_policy_that_decided_can_be_read_again(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    post(bench, keys, cat, "cat")
    with transaction(bench.pool) as conn:
        kept = versions.read_policy(conn, "default", load_policy().ref.sha256)
    assert kept.ref == load_policy().ref


def test_a_shadow_counts_what_would_change_and_keeps_no_picture(
    bench: WorkerContext, keys: TenantKeys, cat: bytes, tmp_path: Path
) -> None:
    shadow = named(tmp_path, "strict")
    with transaction(bench.pool) as conn:
        versions.start_shadow(conn, keys, shadow, now())
    assert [post(bench, keys, cat, f"cat-{n}")["action"] for n in range(3)] == ["allow"] * 3
    with transaction(bench.pool) as conn:
        row, counts = versions.shadow_report(conn, "default")
    assert row["sha256"] == shadow.ref.sha256
    assert counts[CountKey("action", "", "allow", "limit")] == 3
    assert counts[CountKey("rule", "on-cats", "allow", "limit")] == 3
    assert "cat-" not in str(rows(bench, "SELECT * FROM policy_shadow_count"))
    with transaction(bench.pool) as conn:
        versions.start_shadow(conn, keys, named(tmp_path, "other"), now())
        assert versions.shadow_report(conn, "default")[1] == {}
        versions.count_shadow(conn, "default", shadow.ref, {CountKey("action", "", "allow", "limit"): 1})
        assert versions.shadow_report(conn, "default")[1] == {}  # a late count of the one before


def test_a_condition_that_fails_on_live_traffic_is_counted_and_goes_to_review(
    bench: WorkerContext, keys: TenantKeys, cat: bytes, tmp_path: Path
) -> None:
    made = named(tmp_path, "divides", "10 / (media.width - 451) > 100", "label")  # the cat is 451 wide
    activate(bench, keys, made)
    before = BROKEN.labels("divides", "on-cats")._value.get()
    document = post(bench, keys, cat, "cat")
    assert (document["action"], document["rules"]) == (
        "review",
        [{"id": "on-cats", "because": "the condition could not be evaluated"}],
    )
    assert BROKEN.labels("divides", "on-cats")._value.get() == before + 1
    assert rows(bench, "SELECT reason, queue FROM review_case") == [("on-cats", "default")]


def test_queue_and_priority_reach_the_case(bench: WorkerContext, keys: TenantKeys, cat: bytes, tmp_path: Path) -> None:
    rules = [rule("look", "faces.count == 0", action="label", review={"queue": "cats", "priority": 7})]
    bench = replace(bench, policies=versions.Policies(policy(tmp_path, rules=rules)))
    assert post(bench, keys, cat, "cat")["action"] == "label"
    assert rows(bench, "SELECT queue, priority, reason FROM review_case") == [("cats", 7, "look")]
    assert rows(bench, "SELECT media_id FROM kept_picture") == [("cat",)]
