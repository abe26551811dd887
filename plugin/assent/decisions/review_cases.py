"""Keeps a media item's review case in step with its newest decision, in the transaction that stores the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from assent.core.values import HASH_SEVERE, Analysis, Quarantined, ReviewQueue, Unprocessable
from assent.db.pool import Conn, execute
from assent.db.queries import named_queries
from assent.decisions.document import SEVERE_QUEUE, Decision
from assent.decisions.search_index import pdq_bits

_Q = named_queries("record")


def update_cases(
    conn: Conn,
    key: Mapping[str, Any],
    outcome: Analysis | Quarantined | Unprocessable,
    decision: Decision,
    before: Decision | None,
) -> None:
    """Closes the case of the media item `key`, and opens one where its newest decision is to be reviewed.

    That is where a rule or the action asks for it, and where the analysis failed. A case that waits already keeps its
    place where the decision before shows a moderator the same.
    """
    queue, reason = _review_of(outcome)
    decoded = decision.media.sha256 is not None
    stays = queue is not None and before is not None and decoded and _shown(before) == _shown(decision)
    if stays and execute(conn, _Q["revise_open_cases"], **key, revision=decision.revision):
        return
    execute(conn, _Q["close_open_cases"], **key)
    if queue is not None:
        pdq = decision.media.pdq
        case: dict[str, Any] = {**key, "revision": decision.revision, "reason": reason or decision.rules[0].id}
        case["pdq"] = pdq and pdq_bits(pdq)
        execute(conn, _Q["insert_case"], **case, **asdict(queue))


def _shown(decision: Decision) -> tuple[object, ...]:
    """Returns the parts of a decision that a moderator is shown: file, action, queue, rules and labels."""
    rules, labels = {rule.id for rule in decision.rules}, {tag.name for tag in decision.tags}
    return decision.media.sha256, decision.action, decision.review, rules, labels


def _review_of(outcome: Analysis | Quarantined | Unprocessable) -> tuple[ReviewQueue | None, str]:
    """Returns the review queue, if there is one, and the reason where no rule of the policy gives it."""
    if isinstance(outcome, Quarantined):
        return SEVERE_QUEUE, HASH_SEVERE
    if isinstance(outcome, Unprocessable):
        return ReviewQueue(), outcome.error.code
    return outcome.verdict.review, ""
