"""People who are recognised in pictures, consent, withdraw and answer over hours that begin at will, and what each act
changed: what a reader of rows has to guess."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import pytest

from assent.core import clock
from assent.db.pool import Pool, transaction
from assent.db.queue import database_time
from assent.decisions.retract import retract
from assent.decisions.retraction_jobs import retracted_pseudonym
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects import consent, links
from assent.subjects.erase import erase
from assent.subjects.matches import approve, refuse
from assent.subjects.rewrite import rewrite_people
from tests import people
from tests.events import media_item, rows
from tests.integration.held import recognise

YEAR = timedelta(days=365)


class Act(NamedTuple):
    """What a person did in an hour, or what befell them, and the pictures of theirs that were changed by it."""

    hour: datetime
    kind: str
    pid: bytes
    pictures: frozenset[str]


@dataclass
class Resident:
    ref: str
    pictures: list[str] = field(default_factory=list)  # that name them
    plan: list[str] = field(default_factory=list)  # what they will do, the next thing last


@dataclass
class Town:
    """Acts through the package's own functions; jobs are done at once, in the queue's order."""

    pool: Pool
    keys: TenantKeys
    rng: random.Random
    patch: pytest.MonkeyPatch
    acts: list[Act] = field(default_factory=list)

    def live(self, count: int, pictures: int, busy: int) -> list[Act]:
        """Lets so many people, each with so many pictures, act over hours with so many acts; returns these."""
        self._begin_hour()
        everybody = [self._settle(n, pictures) for n in range(count)]
        while acting := [one for one in everybody if one.plan[1:]]:
            self._begin_hour()
            for resident in self.rng.sample(
                acting, min(busy, len(acting))
            ):  # who acts early says nothing of later hours
                self._act(resident, resident.plan.pop())
        self._begin_hour()
        self._expire([one for one in everybody if one.plan == ["expire"]])
        self._begin_hour()
        return self.acts

    def _begin_hour(self) -> None:
        """Lets the next hour begin at this moment; rows of people are written anew then, as the worker does it."""
        self.patch.setattr(clock, "_EPOCH", self._now())
        with transaction(self.pool) as conn:
            rewrite_people(conn)

    def _settle(self, n: int, pictures: int) -> Resident:
        """Somebody with pictures, who withdraws, comes back, is erased, or whose time ends."""
        resident = Resident(f"resident {self.rng.randrange(10**9)}")
        end = ("expire", "withdraw", "withdraw", "erase", "withdraw", "withdraw")[n % 6]
        resident.plan = {"expire": ["expire"], "erase": ["", "erase"]}.get(end, ["", "agree", "withdraw"])
        resident.plan += self.rng.sample(["refuse", "approve"], 2)
        people.give(self.pool, self.keys, resident.ref, valid_for=YEAR if end == "expire" else 3 * YEAR)
        with transaction(self.pool) as conn:
            template = people.enrol(conn, self.keys, resident.ref)
        for k in range(pictures):
            resident.pictures.append(f"{resident.ref} {k}" + "x" * self.rng.randrange(150))
            recognise(self.pool, self.keys, resident.ref, template, resident.pictures[-1])
        return resident

    def _act(self, resident: Resident, kind: str) -> None:
        hour, pid, changed = clock.coarse(self._now()), derive_pseudonym(self.keys, resident.ref), resident.pictures
        if kind in ("refuse", "approve"):
            changed = [self.rng.choice(resident.pictures)]
            self._answer(resident, pid, kind, changed[0])
        elif kind == "withdraw":
            with transaction(self.pool) as conn:
                consent.withdraw_all(conn, self.keys, pid)
        elif kind == "erase":
            with transaction(self.pool) as conn:
                erase(conn, self.keys, resident.ref)
        else:
            people.give(self.pool, self.keys, resident.ref, valid_for=3 * YEAR)
        self._work()
        if kind != "agree":
            self.acts.append(Act(hour, kind, pid, frozenset(changed)))

    def _answer(self, resident: Resident, pid: bytes, kind: str, media_id: str) -> None:
        """Visits the person's page by a link and answers there."""
        with transaction(self.pool) as conn:
            conn.execute(
                "UPDATE match SET state = 'suggested' WHERE media_id = %s AND %s", [media_id, kind == "approve"]
            )
        with transaction(self.pool) as conn:
            token = links.mint(conn, self.keys, resident.ref)
        with transaction(self.pool) as conn:
            links.spend(conn, token)
            consent.touch_last_interaction(conn, self.keys.tenant, pid, datetime.now(UTC))
        (approve if kind == "approve" else refuse)(self.pool, self.keys, pid, media_item(media_id), 0)
        if kind == "refuse":
            resident.pictures.remove(media_id)

    def _expire(self, residents: list[Resident]) -> None:
        with transaction(self.pool) as conn:
            hour = clock.coarse(database_time(conn))
            consent.expire_due(conn, self.keys, hour + YEAR + timedelta(days=1))
        self._work()
        for one in residents:
            pid = derive_pseudonym(self.keys, one.ref)
            self.acts.append(Act(hour, "expire", pid, frozenset(one.pictures)))

    def _work(self) -> None:
        """Does the jobs that wait; the queue's triggers keep its journal."""
        query = "SELECT id, args FROM procrastinate_jobs WHERE task_name = 'retract' AND status = 'todo' ORDER BY id"
        for job, args in rows(self.pool, query):
            self._note(job, "doing")
            pseudonym, erasure = retracted_pseudonym(self.keys, args), args["erasure"]
            assert pseudonym is not None
            retract(self.pool, self.keys, pseudonym, UUID(erasure) if erasure else None, job)
            self._note(job, "succeeded")

    def _note(self, job: int, status: str) -> None:
        with transaction(self.pool) as conn:
            conn.execute("UPDATE procrastinate_jobs SET status = %s WHERE id = %s", [status, job])

    def _now(self) -> datetime:
        with transaction(self.pool) as conn:
            return database_time(conn)
