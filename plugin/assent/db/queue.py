"""Adds jobs to the queue inside the caller's own transaction, so that a row and its job are stored together or not.

The statement calls the queue library's own versioned SQL function; its Python side is only needed by the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from assent.db.pool import Conn, execute, fetch
from assent.db.queries import named_queries

Lane = Literal["interactive", "live", "enrolment", "backfill"]

INTERACTIVE = "interactive"  # the queue of what somebody waits for
PICTURES = "pictures"  # of all other events
SLOW = "slow"  # of events that need images of a host that drips
ENROLMENTS = "enrolments"  # of people's photos
RIGHTS = "rights"  # of retractions after a withdrawal or an erasure, which nothing else holds up
OUTBOX = "outbox"  # the queue of deliveries

# Higher goes first: somebody waits for `interactive`, the platform's users see `live`, a person who sent photos is told
# when they were looked at, nobody waits for `backfill`.
PRIORITY: dict[Lane, int] = {"interactive": 100, "live": 50, "enrolment": 25, "backfill": 0}
QUEUES: dict[Lane, str] = {
    "interactive": INTERACTIVE,
    "live": PICTURES,
    "enrolment": ENROLMENTS,
    "backfill": PICTURES,
}

READ_CLOCK = named_queries("queue")["read_clock"]


def database_time(conn: Conn) -> datetime:
    """Returns the time by the database's clock, which judges what is due: hosts' own clocks differ."""
    (row,) = fetch(conn, READ_CLOCK)
    now: datetime = row["now"]
    return now


def enqueue_event(conn: Conn, tenant: str, event: UUID, lane: Lane, task: str = "decide") -> None:
    """Adds a job that carries the event's id and nothing else of it."""
    _enqueue(conn, QUEUES[lane], task, PRIORITY[lane], {"tenant": tenant, "event": str(event)})


def enqueue_match(conn: Conn, tenant: str, event: UUID, media: bytes) -> None:
    """Adds a job that decides an event's one media item again once faces can be compared; `media` is its MAC."""
    args = {"tenant": tenant, "event": str(event), "media": media.hex()}
    execute(conn, named_queries("queue")["insert_match_job"], queue=PICTURES, args=Jsonb(args))


def release_matches(conn: Conn) -> int:
    """Makes the jobs of `enqueue_match` due; returns how many waited."""
    return execute(conn, named_queries("queue")["release_match_jobs"])


def count_matches(conn: Conn) -> int:
    """Returns how many jobs of `enqueue_match` are not done."""
    (row,) = fetch(conn, named_queries("queue")["count_match_jobs"])
    return int(row["count"])


def enqueue_delivery(conn: Conn, tenant: str, endpoint: str, message: UUID) -> None:
    """Adds a job that sends one outbox message to its endpoint."""
    args = {"tenant": tenant, "endpoint": endpoint, "message": str(message)}
    _enqueue(conn, OUTBOX, "deliver", 0, args)


def enqueue_act(conn: Conn, tenant: str, source: str, action: UUID) -> None:
    """Adds a job that does or undoes an act at the platform of a source."""
    _enqueue(conn, OUTBOX, "act", 0, {"tenant": tenant, "source": source, "action": str(action)})


def enqueue_retraction(conn: Conn, tenant: str, sealed: bytes, erasure: UUID | None) -> None:
    """Adds a job that retracts a subject's matches; `retraction_done` removes the sealed pseudonym from it."""
    args = {"tenant": tenant, "sealed": sealed.hex(), "erasure": str(erasure or "")}
    _enqueue(conn, RIGHTS, "retract", 0, args)


def list_retractions(conn: Conn, tenant: str) -> list[Mapping[str, str]]:
    """Returns the arguments of the tenant's retraction jobs that wait or run."""
    return [row["args"] for row in fetch(conn, named_queries("queue")["list_retractions"], tenant=tenant)]


def retraction_done(conn: Conn, job: int) -> None:
    """Removes the sealed pseudonym from a finished retraction job, which is itself kept for a while.

    Other jobs about the same subject, who came back and left again meanwhile, still have to be done.
    """
    execute(conn, named_queries("queue")["clear_pseudonym_of_job"], job=job)


def _enqueue(conn: Conn, queue: str, task: str, priority: int, args: dict[str, str]) -> None:
    execute(conn, named_queries("queue")["insert_job"], queue=queue, task=task, priority=priority, args=Jsonb(args))
