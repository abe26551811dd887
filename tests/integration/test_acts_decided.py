"""From an event to a report: a rule that acts, a real picture, the worker's own jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from assent.core.values import MediaRef
from assent.db.pool import transaction
from assent.keys.keystore import TenantKeys
from assent.outbox.connections import connect_platform, switch_actions
from assent.platforms.calls import ActCredentials
from assent.policy.versions import Policies
from assent.worker.jobs import WorkerContext, act_job, decide_event, postpone_act
from assent.worker.maintenance import queue_due_acts
from tests.events import SOURCE, rows, store
from tests.platform_api import TOKEN, Api
from tests.unit.policy_files import policy, rule

MEDIA = "status/9001/55"


@pytest.fixture
def acting_bench(bench: WorkerContext, keys: TenantKeys, api: Api, tmp_path: Path) -> WorkerContext:
    """A bench whose policy reports every picture with faces, at a source that is a Mastodon."""
    rules = [rule("faces", "faces.count > 0", action="limit", act=["report"])]
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE source SET adapter = 'mastodon' WHERE name = %s", [SOURCE])
        connect_platform(conn, keys, SOURCE, ActCredentials(api.url, TOKEN))
    with transaction(bench.pool) as conn:
        switch_actions(conn, keys, SOURCE, on=True)
    settings = bench.settings.model_copy(update={"allow_private": (*bench.settings.allow_private, api.allowed)})
    return replace(bench, policies=Policies(policy(tmp_path, rules=rules)), settings=settings)


def queued(bench: WorkerContext) -> list[UUID]:
    """Brings due acts into the queue, as a worker does every second; the actions of the new jobs."""
    before = rows(bench, "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'act'")[0][0]
    queue_due_acts(bench.settings, bench.pool, bench.keystore)
    jobs = rows(bench, "SELECT queue_name, args FROM procrastinate_jobs WHERE task_name = 'act' ORDER BY id")
    assert all(queue == "outbox" and args["source"] == SOURCE for queue, args in jobs)
    return [UUID(args["action"]) for _, args in jobs[before:]]


def test_a_picture_is_reported_and_its_deletion_resolves_that(
    acting_bench: WorkerContext, keys: TenantKeys, api: Api, six_people: bytes, cat: bytes
) -> None:
    bench = acting_bench
    decide_event(bench, "default", store(bench, keys, MediaRef(MEDIA, None), six_people, author="7"))
    decide_event(bench, "default", store(bench, keys, MediaRef("status/9002/1", None), cat, author="7"))
    (action,) = queued(bench)
    assert queued(bench) == []
    postpone_act(bench, "default", action)
    assert queued(bench) == []  # not yet
    act_job(bench, "default", action)
    assert api.reports == []
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE platform_action SET next_at = now()")
    assert queued(bench) == [action]
    act_job(bench, "default", action)
    act_job(bench, "default", action)  # a job may run twice
    (report,) = api.reports
    assert report["status_ids"] == ["9001"]
    assert "The rule faces holds." in report["comment"]
    assert queued(bench) == []
    store(bench, keys, MediaRef(MEDIA, None), type="media.deleted")
    assert queued(bench) == [action]
    act_job(bench, "default", action)
    assert report["action_taken"]
    assert rows(bench, "SELECT count(*) FROM platform_action") == [(0,)]
    act_job(bench, "default", action)  # nothing is left of it


def test_a_picture_that_is_no_longer_served_changes_nothing(
    acting_bench: WorkerContext, keys: TenantKeys, api: Api, six_people: bytes
) -> None:
    bench = acting_bench
    decide_event(bench, "default", store(bench, keys, MediaRef(MEDIA, None), six_people, author="7"))
    (action,) = queued(bench)
    act_job(bench, "default", action)
    decide_event(bench, "default", store(bench, keys, MediaRef(MEDIA, None), b"no picture", author="7"))
    assert queued(bench) == []
    assert not api.reports[0]["action_taken"]
