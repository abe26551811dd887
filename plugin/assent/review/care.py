"""Lowers what a moderator has to look at, and tells them, and nobody else, how much it was.

Limits are told and never enforced: a moderator may be the only one on duty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from assent.core.taxonomy import LABELS
from assent.core.values import Category
from assent.db.pool import Conn, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.review.claims import LEASE, SENIOR_QUEUE, Claim, claim_of

# YouTube lets moderators look at such pictures for four hours a day (2018): the only figure that was published.
LONGEST_DAY = timedelta(minutes=240)
MOST_GRAVE_LOOKS = 60  # in an hour
PAUSE_AFTER = timedelta(minutes=50)
_GAP = timedelta(minutes=10)  # a longer one between two decisions is a pause
_MOST_CLOSINGS = 1_000
_GRAVE_IN_A_ROW = 7  # the eighth case of a grave queue is an ordinary one
# What an account may mute: the groups that moderators are asked about.
MUTABLE = tuple(
    dict.fromkeys(label.name.split(".")[0] for label in LABELS if label.category in ("safety", "text", "hash"))
)
_Q = named_queries("care")


@dataclass(frozen=True, slots=True)
class ExposureLine:
    """Counts how much of one category an account looked at in full: looks, and seconds, today and in seven days."""

    category: str
    grave: bool
    looks_today: int
    seconds_today: int
    looks_week: int
    seconds_week: int


@dataclass(frozen=True, slots=True)
class CareMeter:
    """Tells one account, and nobody else, what it has looked at and how long it has worked.

    `working_since`: since the last pause of ten minutes; None where it does not decide now. `grave_looks`: within the
    last hour.
    """

    lines: tuple[ExposureLine, ...]
    grave_looks: int
    working_since: datetime | None
    now: datetime

    @property
    def worked(self) -> timedelta:
        return self.now - self.working_since if self.working_since else timedelta()

    @property
    def today(self) -> timedelta:
        return timedelta(seconds=sum(line.seconds_today for line in self.lines))

    @property
    def is_pause_due(self) -> bool:
        """Tells whether a pause is to be offered: after 50 minutes of work."""
        return self.worked >= PAUSE_AFTER

    @property
    def is_day_full(self) -> bool:
        """Tells whether it looked at pictures for 240 minutes today."""
        return self.today >= LONGEST_DAY

    @property
    def is_hour_full(self) -> bool:
        """Tells whether it looked at 60 pictures of grave queues within the hour."""
        return self.grave_looks >= MOST_GRAVE_LOOKS


@dataclass(frozen=True, slots=True)
class CaseTaker:
    """Names who takes a next case: the account, the queues that it may work in (None: all), and what it muted.

    `senior`: it also takes cases that were escalated. `muted`: labels, groups above them, or categories.
    """

    by: str
    queues: tuple[str, ...] | None = None
    senior: bool = False
    muted: tuple[str, ...] = ()


def care_meter(conn: Conn, tenant: str, by: str) -> CareMeter:
    """Returns an account's meter, in two round trips."""
    lines = fetch(conn, _Q["list_exposure"], tenant=tenant, by=by)
    work = fetch(conn, _Q["list_work"], tenant=tenant, by=by, most=_MOST_CLOSINGS)[0]
    since = working_since(work["closings"], work["now"])
    return CareMeter(tuple(ExposureLine(**line) for line in lines), work["grave_looks"], since, work["now"])


def working_since(closings: Sequence[datetime], now: datetime) -> datetime | None:
    """Returns the first of the decisions, given newest first, with no pause of ten minutes since; None after one."""
    since, last = None, now
    for at in closings:
        if last - at > _GAP:
            break
        since = last = at
    return since


def claim_next_for(conn: Conn, tenant: str, taker: CaseTaker, queue: str | None = None) -> Claim | None:
    """Claims the first case of a queue, or of all the account's queues, whose labels it has not muted.

    Every eighth case of a grave queue is one of an ordinary queue, where any waits. Muted are cases whose labels the
    platform is told of; nobody works on the case and `taker` has not skipped it. Returns None where none waits.
    """
    due = queue and fetch_one(
        conn, _Q["is_ordinary_case_due"], tenant=tenant, by=taker.by, queue=queue, most=_GRAVE_IN_A_ROW
    )
    if due and due["due"]:
        ordinary = _claim(conn, tenant, taker, None, ordinary=True)
        if ordinary is not None:
            return ordinary
    return _claim(conn, tenant, taker, queue, ordinary=False)


def muted_labels(muted: Sequence[str]) -> list[str]:
    """Returns labels and groups for what an account muted: a category stands for all its first parts."""
    categories = {name for name in muted if name in get_args(Category)}
    roots = {label.name.split(".")[0] for label in LABELS if label.category in categories}
    return sorted(roots | (set(muted) - categories))


def purge_exposure(conn: Conn) -> None:
    """Removes what accounts of all tenants looked at more than 30 days ago."""
    execute(conn, _Q["purge_exposure"])
    execute(conn, _Q["purge_grave_looks"])


def _claim(conn: Conn, tenant: str, taker: CaseTaker, queue: str | None, *, ordinary: bool) -> Claim | None:
    values = {
        "queue": queue,
        "queues": None if taker.queues is None else list(taker.queues),
        "but": [] if taker.senior else [SENIOR_QUEUE],
        "muted": muted_labels(taker.muted),
        "ordinary": ordinary,
    }
    row = fetch_one(conn, _Q["claim_next_unmuted_case"], tenant=tenant, by=taker.by, lease=LEASE, **values)
    return claim_of(row) if row else None
