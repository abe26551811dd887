"""Each malformed file that reaches the worker ends in one decision and one leaf of the audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any
from uuid import UUID, uuid4

import pytest

from assent.core.values import Event, MediaRef
from assent.db.pool import transaction
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.worker.jobs import WorkerContext, decide_event
from tests.adversarial.generate import made_by_hand, malformed, valid
from tests.adversarial.test_decode_disagree import two_faced
from tests.events import SOURCE
from tests.fixtures.figures import Figure

FEW, MANY, SEED = 60, 3_000, 20261123


def upload(at: WorkerContext, keys: TenantKeys, number: int, data: bytes) -> UUID:
    """Stores an event whose picture came with the request."""
    event_id = uuid4()
    event = Event("media.created", (MediaRef(f"file-{number}", None),), "public", "post", author="somebody")
    with transaction(at.pool) as conn:
        store_event(conn, keys, event_id, event, Origin(SOURCE, "live"), [data])
    return event_id


def rows(at: WorkerContext, statement: str) -> list[tuple[Any, ...]]:
    with transaction(at.pool) as conn:
        return conn.execute(statement).fetchall()


def judge(at: WorkerContext, keys: TenantKeys, files: Iterable[tuple[str, bytes]], figure: Figure) -> None:
    count = 0
    for count, (_, data) in enumerate(files, 1):
        decide_event(at, "default", upload(at, keys, count, data))
    cases = Counter(reason for (reason,) in rows(at, "SELECT reason FROM review_case"))
    types = Counter(kind for (kind,) in rows(at, "SELECT type FROM outbox"))
    leaves = rows(at, "SELECT count(*) FROM audit_leaf WHERE convert_from(leaf, 'UTF8') LIKE '%media.decided%'")
    said = ", ".join(f"{number} {reason}" for reason, number in cases.most_common())
    figure(f"malformed uploads: {count} cases, {leaves[0][0]} leaves, {dict(types)}; review: {said}")
    assert leaves == [(count,)]
    assert types.total() == count
    assert set(types) <= {"media.tagged", "media.failed"}
    assert sum(cases.values()) >= types["media.failed"]
    assert rows(at, "SELECT count(*) FROM upload") == [(0,)]


def test_malformed_uploads_end_in_a_decision_and_a_leaf(
    bench: WorkerContext,
    keys: TenantKeys,
    figure: Figure,
) -> None:
    by_hand = list(two_faced().items())
    judge(bench, keys, chain(by_hand, islice(made_by_hand(), 10), malformed(FEW, SEED)), figure)
    assert len(rows(bench, "SELECT 1 FROM review_case WHERE reason = 'decoders_disagree'")) >= len(by_hand)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_malformed_upload_ends_in_a_decision_and_a_leaf(
    bench: WorkerContext,
    keys: TenantKeys,
    figure: Figure,
) -> None:
    judge(bench, keys, chain(made_by_hand(), malformed(MANY, SEED)), figure)


def test_the_sound_files_they_are_made_from_do_not_fail(
    bench: WorkerContext,
    keys: TenantKeys,
) -> None:
    for number, data in enumerate(valid().values()):
        decide_event(bench, "default", upload(bench, keys, number, data))
    assert {kind for (kind,) in rows(bench, "SELECT type FROM outbox")} == {"media.tagged"}
