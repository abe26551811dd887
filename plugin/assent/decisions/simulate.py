"""Decides recorded perceptions again by another policy; no image and no model is needed.

Rows come through a server-side cursor, a few hundred at a time. Only counts and a few examples are kept, so that memory
does not grow with what was recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from psycopg.rows import dict_row

from assent.db.pool import Conn, Row, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import Decision, from_json
from assent.decisions.replay import recorded
from assent.policy.compare import ComparedOutcome, CountKey, compare_outcomes
from assent.policy.decide import decide
from assent.policy.model import Policy

REPLAYED_ROWS = 500  # rows held at once
EXAMPLES = 5  # media ids kept of each change
_Q = named_queries("policy")


@dataclass(slots=True)
class Replay:
    """The result of a replay: numbers of images, counts of `compare_outcomes`, examples of each changed action."""

    decided: int = 0
    changed: int = 0  # another action, or other tags for the platform
    not_looked_at: int = 0  # recorded failures: there is nothing to decide again
    inexact: int = 0  # from before the circumstances were kept: taken as a public post
    broken: int = 0  # pictures on which a condition failed
    counts: Counter[CountKey] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def how_many(conn: Conn, tenant: str, since: datetime | None, sample: int | None) -> int:
    """Returns the number of decisions that a replay goes through."""
    row = fetch_one(conn, _Q["count_decisions_since"], tenant=tenant, since=since)
    count = int(row["count"]) if row else 0
    return count if sample is None else min(count, sample)


def replay(
    conn: Conn,
    tenant: str,
    policy: Policy,
    since: datetime | None = None,
    sample: int | None = None,
    tick: Callable[[], object] = lambda: None,
) -> Replay:
    """Decides the tenant's decisions recorded since then, or a sample of them, again by the policy.

    The sample is the same each time. Runs in the caller's transaction; `tick` is called after each decision.
    """
    totals = Replay()
    for row in _rows(conn, tenant, since, sample):
        _decide_again(policy, row, totals)
        tick()
    return totals


def outcome_of(decision: Decision) -> ComparedOutcome:
    """Returns the parts of a stored decision that a comparison counts."""
    rules, tags = (rule.id for rule in decision.rules), (tag.name for tag in decision.tags)
    return ComparedOutcome(decision.action, frozenset(rules), frozenset(tags))


def _rows(conn: Conn, tenant: str, since: datetime | None, sample: int | None) -> Iterator[Row]:
    with conn.cursor(name="replay", row_factory=dict_row) as cursor:
        cursor.itersize = REPLAYED_ROWS
        statement = _Q["replay_decisions" if sample is None else "replay_decision_sample"]
        cursor.execute(statement, {"tenant": tenant, "since": since, "sample": sample})
        yield from cursor


def _decide_again(policy: Policy, row: Row, totals: Replay) -> None:
    inputs = recorded(row)
    if inputs is None:
        totals.not_looked_at += 1
        return
    verdict = decide(policy, inputs.event, inputs.picture, inputs.perception, inputs.matched)
    old, new = outcome_of(from_json(row["document"])), ComparedOutcome.of_verdict(verdict)
    totals.decided += 1
    totals.inexact += not inputs.exact
    totals.broken += bool(verdict.broken)
    totals.changed += (old.action, old.tags) != (new.action, new.tags)
    totals.counts.update(compare_outcomes(old, new))
    if old.action != new.action:
        examples = totals.examples.setdefault((old.action, new.action), [])
        if len(examples) < EXAMPLES:
            examples.append(row["media_id"])
