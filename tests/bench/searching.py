"""Searches among 10,000 and 1,000,000 decisions: `python -m tests.bench.searching [SIZES]` prints milliseconds, ratios.

The tables are filled by SQL, with labels as they lie: one on 30 % of the media items, one on ten; their indexes are
built afterwards. The decisions that a page is read from are not there: they are found by their primary key, a page at
most.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg import sql

from assent.core.values import ActionName
from assent.db.migrate import migrate
from assent.db.pool import Pool, execute, fetch, open_pool, transaction
from assent.db.queries import named_queries
from assent.decisions import search as searching
from assent.decisions.search import Search
from assent.decisions.search_index import KEY_BITS, near_parts
from assent.embedded.clusters import embedded
from examples.server import temporary_data
from tests.bench.rounds import FULL, Case, Tick, in_turn, ratio

TENANT = "bench"
PDQ = "0123456789abcdef" * 4
_BLOCK: ActionName = "block"
SEARCHES: Mapping[str, Search] = {
    "all": Search(),
    "common label": Search(("animal",)),
    "rare label": Search(("animal.cat",)),
    "common label and action": Search(("animal",), _BLOCK),
    "common and rare label": Search(("animal", "animal.cat")),
    "two common labels": Search(("animal", "food")),
    "common labels apart": Search(("animal", "vehicle")),
    "three labels and action": Search(("animal", "food", "vehicle"), _BLOCK),
    "near": Search(pdq=PDQ),
    "near, of a label": Search(("animal",), pdq=PDQ),
}
_FILL = """
INSERT INTO media_search (tenant, source, media_id, action, decided_at, pdq, bands)
SELECT %(tenant)s, 'api', 'photo-' || n, CASE WHEN n %% 1000 = 0 THEN 'block' ELSE 'allow' END,
       now() - n * interval '1 minute', h.pdq, (
           SELECT array_agg((b << 24) | substring(h.pdq FROM 1 + 24 * b FOR CASE b WHEN 10 THEN 16 ELSE 24 END)::int)
           FROM generate_series(0, 10) b
       )
FROM generate_series(1, %(size)s) n
CROSS JOIN LATERAL (SELECT ('x' || encode(sha256(n::text::bytea), 'hex'))::bit(256) AS pdq) h
"""
_LABELS = """
INSERT INTO media_label (tenant, label, decided_at, id, action)
SELECT tenant, label, decided_at, id, action FROM media_search s
CROSS JOIN LATERAL unnest(array_remove(ARRAY[
    '', CASE WHEN id %% 10 < 3 THEN 'animal' END, CASE WHEN id %% (%(size)s / 10) = 0 THEN 'animal.cat' END,
    CASE WHEN id %% 7 < 2 THEN 'food' END, CASE WHEN id %% 10 > 6 THEN 'vehicle' END, 'scene', 'scene.street'
], NULL)) label
"""


# What is built at once when the rows are there, which takes a third of the time.
_BUILT_LAST = """
SELECT format('ALTER TABLE media_label DROP CONSTRAINT %%I', conname) AS drop,
       format('ALTER TABLE media_label ADD CONSTRAINT %%I %%s', conname, pg_get_constraintdef(oid)) AS make
FROM pg_constraint WHERE conrelid = 'media_label'::regclass AND contype IN ('p', 'f')
UNION ALL
SELECT format('DROP INDEX %%I', indexname), indexdef
FROM pg_indexes WHERE indexname IN ('media_search_bands', 'media_label_action', 'media_label_item')
"""


def fill(pool: Pool, size: int) -> None:
    """Fills the index of an empty database with that many media items."""
    with transaction(pool) as conn:
        conn.execute("INSERT INTO tenant (tenant) VALUES (%s) ON CONFLICT DO NOTHING", (TENANT,))
        last = fetch(conn, sql.SQL(_BUILT_LAST), size=size)
        conn.execute("SET LOCAL maintenance_work_mem = '256MB'")
        for statement in (*(row["drop"] for row in last), _FILL, _LABELS, *(row["make"] for row in last)):
            conn.execute(statement, {"tenant": TENANT, "size": size})
    with psycopg.connect(pool.conninfo, autocommit=True) as conn:  # type: ignore[arg-type]  # a pool may make it up
        conn.execute("VACUUM (ANALYZE) media_search, media_label")  # as the server does by itself


@dataclass(frozen=True, slots=True)
class Searched:
    """Seconds of each search of SEARCHES in every round, among so many media items; bytes of index for each of them."""

    sizes: tuple[int, ...]
    seconds: dict[int, dict[str, list[float]]]
    bytes_each: dict[int, float]

    def times(self, search: str) -> float:
        """Returns how many times as long a search takes among the most as among the fewest."""
        return ratio(self.seconds[self.sizes[-1]][search], self.seconds[self.sizes[0]][search])


def measure(folder: Path, sizes: tuple[int, ...], rounds: int, tick: Tick) -> Searched:
    """Fills a server of its own for each size, and searches all of them in turns."""
    cases: dict[tuple[int, str], Case] = {}
    bytes_each = {}
    with ExitStack() as stack:
        for size in sizes:
            pool = stack.enter_context(_server(folder / str(size)))
            fill(pool, size)
            bytes_each[size] = _bytes(pool) / size
            cases |= {(size, name): partial(_search, pool, search) for name, search in SEARCHES.items()}
            tick()
        took = in_turn(cases, rounds, tick)
    seconds = {size: {name: took[size, name] for name in SEARCHES} for size in sizes}
    return Searched(sizes, seconds, bytes_each)


@contextmanager
def _server(folder: Path) -> Iterator[Pool]:
    with embedded(folder) as url:
        migrate(url)
        with open_pool(url, size=1) as pool:
            yield pool


def _search(pool: Pool, search: Search) -> None:
    with transaction(pool) as conn:
        rows_of(conn, search)


def _bytes(pool: Pool) -> int:
    with transaction(pool) as conn:
        (row,) = fetch(conn, sql.SQL(_SIZE))
    return int(row["bytes"])


def rows_of(conn: psycopg.Connection[Any], search: Search) -> list[Any]:
    """Returns the rows of a search's first page in the index."""
    return searching.first_rows(conn, TENANT, search, 50)[0]


def plans(conn: psycopg.Connection[Any]) -> dict[str, str]:
    """Returns the plan of each statement of the searches, as text."""
    queries = named_queries("search")
    values: dict[str, Any] = {
        "tenant": TENANT,
        "since": "-infinity",
        "until": "infinity",
        "after_id": 2**62,
        "most": 51,
    }
    values |= {"after_at": "infinity", "action": "block", "after_distance": -1, "distance": 31, "label": "animal"}
    values |= {"others": ["food"], "labels": ["animal"]}
    values |= {"pdq": "0" * 256, "bands": near_parts(PDQ), "key_bits": KEY_BITS}
    execute(conn, queries["set_planner_by_index"])
    near = _explain(conn, "list_near", values)
    conn.execute("SET LOCAL enable_seqscan = on")
    by_label = ("list_found", "list_found_of_action", "walk_label", "walk_label_of_action")
    return {name: _explain(conn, name, values) for name in by_label} | {"list_near": near}


def _explain(conn: psycopg.Connection[Any], name: str, values: Mapping[str, Any]) -> str:
    statement = sql.SQL("EXPLAIN ") + named_queries("search")[name]
    return "\n".join(str(row[0]) for row in conn.execute(statement, values))


def main() -> None:
    """Prints the figures."""
    sizes = tuple(map(int, sys.argv[1:])) or FULL.searched
    with temporary_data() as folder:
        searched = measure(folder, sizes, FULL.searches, lambda: None)
    for size in sizes:
        sys.stdout.write(f"{size}: {searched.bytes_each[size]:.0f} bytes of index a media item\n")
    for name in SEARCHES:
        each = (1000 * median(searched.seconds[size][name]) for size in sizes)
        sys.stdout.write(f"{name:25}" + "".join(f"{ms:8.2f} ms" for ms in each) + f"{searched.times(name):6.2f} x\n")


_SIZE = "SELECT pg_total_relation_size('media_search') + pg_total_relation_size('media_label') AS bytes"


if __name__ == "__main__":
    main()
