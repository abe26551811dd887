"""Lists queues with what waits in them, and one queue's cases page by page, through filters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from assent.db.pool import Conn, Row, fetch, fetch_one
from assent.db.queries import named_queries
from assent.review.cases import Case, read_case

COUNTED = 1_000  # open cases of a queue that the list of queues counts; beyond, it says that there are more
_Q = named_queries("review")


@dataclass(frozen=True, slots=True)
class QueueRules:
    """Says how a queue is treated: within how many minutes a case is to be decided (None: no clock), and if it is
    grave: seen in full only after a sign-in of the last minutes."""

    due: timedelta | None
    grave: bool
    now: datetime

    def is_late(self, opened_at: datetime) -> bool:
        return self.due is not None and self.now - opened_at > self.due


@dataclass(frozen=True, slots=True)
class WaitingQueue:
    """A queue with its number of open cases, COUNTED + 1 for more, and since when the oldest waits."""

    name: str
    rules: QueueRules
    open: int
    oldest: datetime | None

    @property
    def is_late(self) -> bool:
        return self.oldest is not None and self.rules.is_late(self.oldest)


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Narrows a queue's list; None and False let everything through. `late`: beyond the queue's clock."""

    reason: str | None = None
    source: str | None = None
    urgent: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class QueuePage:
    """A page of a queue: cases, whether more follow, how many the filters hide, and what may be filtered by.

    `kept`: ids of those of whose image a copy is kept.
    """

    rules: QueueRules
    cases: tuple[Case, ...]
    more: bool
    open: int
    hidden: int
    reasons: tuple[str, ...]
    sources: tuple[str, ...]
    kept: frozenset[UUID]


def list_queues(conn: Conn, tenant: str) -> list[WaitingQueue]:
    """Returns all queues that cases wait in or that were set up, by name."""
    return [
        WaitingQueue(row["name"], rules_of(row), row["open"], row["oldest"])
        for row in fetch(conn, _Q["list_queues"], tenant=tenant)
    ]


def page_of_queue(
    conn: Conn, tenant: str, queue: str, filtered: QueueFilter, most: int, after: UUID | None = None
) -> QueuePage:
    """Returns at most `most` open cases of a queue behind the case `after`. Raises NotFound where that never was."""
    if after is not None:
        read_case(conn, tenant, after)
    rules = rules_of(fetch_one(conn, _Q["read_queue"], tenant=tenant, queue=queue) or {})
    late = rules.now - rules.due if rules.due else None
    counts = fetch(conn, _Q["count_queue"], tenant=tenant, queue=queue, late=late)
    only_late = filtered.late and late is not None
    found = fetch(
        conn,
        _Q["list_queue_cases"],
        tenant=tenant,
        queue=queue,
        reason=filtered.reason,
        of_source=filtered.source,
        urgent=filtered.urgent,
        late=late if only_late else None,
        after=after,
        most=most + 1,
    )
    everything = sum(row["open"] for row in counts)
    shown = sum(row["late" if only_late else "open"] for row in _let_through(counts, filtered))
    return QueuePage(
        rules,
        tuple(Case(**{name: row[name] for name in row if name != "kept"}) for row in found[:most]),
        len(found) > most,
        everything,
        everything - shown,
        tuple(dict.fromkeys(row["reason"] for row in counts)),
        tuple(sorted({row["source"] for row in counts})),
        frozenset(row["id"] for row in found if row["kept"]),
    )


def rules_of(row: Row) -> QueueRules:
    """Returns how the queue in a row is treated, from its `due_minutes`, `grave` and `now`."""
    due = row["due_minutes"]
    return QueueRules(None if due is None else timedelta(minutes=due), row["grave"], row["now"])


def _let_through(counts: Iterable[Row], filtered: QueueFilter) -> list[Row]:
    return [
        row
        for row in counts
        if filtered.reason in (None, row["reason"])
        and filtered.source in (None, row["source"])
        and (row["urgent"] or not filtered.urgent)
    ]
