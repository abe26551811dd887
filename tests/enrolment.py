"""Enrolments as a worker runs them, and what it announces of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from assent.db.channels import DONE_CHANNEL
from assent.db.pool import transaction
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects.enrol import enrol, request_enrolment
from assent.worker.jobs import WorkerContext
from tests.events import rows


def request(bench: WorkerContext, keys: TenantKeys, ref: str, *photos: bytes) -> UUID:
    """Queues an enrolment; returns the job's id."""
    job = uuid4()
    with transaction(bench.pool) as conn:
        request_enrolment(conn, keys, job, derive_pseudonym(keys, ref), photos)
    return job


def work_one(bench: WorkerContext, keys: TenantKeys, job: UUID) -> None:
    enrol(bench.pool, keys, bench.stages, bench.gallery.wait_for, job)


@contextmanager
def announced(bench: WorkerContext, count: int) -> Iterator[list[dict[str, Any]]]:
    """Listens while the block runs; that many announcements are in the list after it."""
    heard: list[dict[str, Any]] = []
    with bench.pool.connection() as listener:
        listener.autocommit = True
        listener.execute(f"LISTEN {DONE_CHANNEL}")
        yield heard
        for note in listener.notifies(timeout=5, stop_after=count):
            heard.append(json.loads(note.payload.split(" ", 2)[2]))
        listener.execute("UNLISTEN *")
        listener.autocommit = False


def work(bench: WorkerContext, keys: TenantKeys, *jobs: UUID) -> list[dict[str, Any]]:
    """Runs the jobs, one after the other; returns what they announce."""
    with announced(bench, len(jobs)) as heard:
        for job in jobs:
            work_one(bench, keys, job)
    return heard


def outcome(bench: WorkerContext, keys: TenantKeys, ref: str, *photos: bytes) -> dict[str, Any]:
    """Enrols photos of somebody; returns what is announced of it."""
    [said] = work(bench, keys, request(bench, keys, ref, *photos))
    return said


def stored(bench: WorkerContext) -> list[Any]:
    """Lists the templates that the database holds."""
    return rows(bench, "SELECT id, quality FROM template ORDER BY enrolled_at, id")
