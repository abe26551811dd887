"""Searches among 10,000 and 1,000,000 decisions: `python -m tests.bench.searching` prints milliseconds and ratios.

The index is filled by SQL, with labels as they lie: one on 30 % of the media items, one on ten. The decisions that a
page is read from are not there: they are found by their primary key, a page at most.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
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
from assent.decisions.search_index import near_parts
from assent.embedded.clusters import embedded

SIZES, ROUNDS, TENANT = (10_000, 1_000_000), 30, "bench"
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


def fill(pool: Pool, size: int) -> None:
    """Fills the index of an empty database with that many media items."""
    with transaction(pool) as conn:
        conn.execute("INSERT INTO tenant (tenant) VALUES (%s) ON CONFLICT DO NOTHING", (TENANT,))
        for statement in (_FILL, _LABELS):
            conn.execute(statement, {"tenant": TENANT, "size": size})
    with transaction(pool) as conn:
        conn.execute("ANALYZE media_search, media_label")


def measure(pool: Pool) -> dict[str, float]:
    """Returns the median milliseconds of each search of SEARCHES, after one that is not counted."""
    found: dict[str, float] = {}
    for name, search in SEARCHES.items():
        times = []
        for _ in range(ROUNDS + 1):
            begin = time.perf_counter()
            with transaction(pool) as conn:
                rows_of(conn, search)
            times.append((time.perf_counter() - begin) * 1000)
        found[name] = median(times[1:])
    return found


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
    values |= {"others": ["food"], "labels": ["animal"], "pdq": "0" * 256, "bands": near_parts(PDQ)}
    execute(conn, queries["set_planner_by_index"])
    near = _explain(conn, "list_near", values)
    conn.execute("SET LOCAL enable_seqscan = on")
    by_label = ("list_found", "list_found_of_action", "walk_label", "walk_label_of_action")
    return {name: _explain(conn, name, values) for name in by_label} | {"list_near": near}


def _explain(conn: psycopg.Connection[Any], name: str, values: Mapping[str, Any]) -> str:
    statement = sql.SQL("EXPLAIN ") + named_queries("search")[name]
    return "\n".join(str(row[0]) for row in conn.execute(statement, values))


def main() -> None:
    """Prints the figures; sizes may be given."""
    sizes = [int(size) for size in sys.argv[1:] if size.isdigit()] or list(SIZES)
    figures = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o711)
            with embedded(Path(name) / "server") as url:
                migrate(url)
                with open_pool(url, size=1) as pool:
                    fill(pool, size)
                    figures.append(measure(pool))
                    with transaction(pool) as conn:
                        (row,) = fetch(conn, sql.SQL(_SIZE))
                        if "--plans" in sys.argv:
                            _write("\n\n".join(plans(conn).values()))
                    _write(f"{size}: {row['bytes'] / size:.0f} bytes of index a media item")
    for search in SEARCHES:
        times = [figure[search] for figure in figures]
        _write(f"{search:25}" + "".join(f"{ms:8.2f} ms" for ms in times) + f"{times[-1] / times[0]:6.2f} x")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


_SIZE = "SELECT pg_total_relation_size('media_search') + pg_total_relation_size('media_label') AS bytes"


if __name__ == "__main__":
    main()
