"""Writes rows of people anew each hour, in one transaction and in random order.

A row's transaction number and its place say which rows of jobs, leaves and media items were written beside it. After
that all rows that changed within the hour have one number, and their places no order. Their times are whole hours.
"""

from __future__ import annotations

from psycopg import sql

from assent.core.clock import coarse
from assent.db.pool import Conn, execute, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import database_time

# Every table whose rows name a pseudonym.
PEOPLE_TABLES = (
    "subject",
    "subject_key",
    "consent",
    "template",
    "refusal",
    "connection_list",
    "connection",
    "person_link",
    "ended_key",
)
# An older copy of the rows tells whose the consents of erased people were.
REWRITTEN = (*PEOPLE_TABLES, "ended_consent")
_Q = named_queries("rewrite")


def rewrite_people(conn: Conn) -> int:
    """Writes anew what changed since the last time, unless that was done in this hour; returns how many rows.

    It waits for no row: what somebody has locked is left to the next time.
    """
    last = fetch_one(conn, _Q["claim_rewriting"], hour=coarse(database_time(conn)))
    if last is None:
        return 0
    execute(conn, _Q["set_planner_shuffled"])
    return sum(
        conn.execute(_Q["rewrite_rows"].format(table=sql.Identifier(table)), last).rowcount for table in REWRITTEN
    )
