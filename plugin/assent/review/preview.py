"""Shows the statement of reasons that a moderator's action would make, as its author would read it; stores nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import TypeAdapter

from assent.db.pool import Conn, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import Decision, read_stored
from assent.decisions.statement import has_reason
from assent.policy.model import Policy
from assent.review import ground as grounds
from assent.review.decide import Final, ReviewInput, reviewed
from assent.review.evidence import policy_of_decision

_NOTICE = TypeAdapter(dict[str, str])
_Q = named_queries("policy")


@dataclass(frozen=True, slots=True)
class PossibleGround:
    """A rule that a restriction may rest on, with its reason in each language."""

    rule: str
    reason: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StatementPreview:
    """Holds what the author would be told, by language, and the fields for the EU's database.

    `none`: the policy makes no statement for this action. `kept`: the one that was made already stays as it is.
    """

    outcome: Literal["made", "kept", "none"]
    notice: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


def preview_statement(
    conn: Conn, tenant: str, decision: Decision, action: Final, ground: str | None
) -> StatementPreview:
    """Returns the statement of reasons that this action on this ground would make of the decision.

    Raises BadRequest where the policy has no rule of that name with a reason.
    """
    after = reviewed(decision, ReviewInput(action, ground=ground), datetime.now(UTC))
    if after.statement is not None:
        row = fetch_one(conn, _Q["read_notice"], tenant=tenant, puid=after.statement)
        notice = read_stored(_NOTICE, row["notice"]) if row else {}
        return StatementPreview("kept", notice)
    statement = grounds.state(conn, tenant, after, ground)
    return StatementPreview("made", statement.notice, statement.fields) if statement else StatementPreview("none")


def possible_grounds(conn: Conn, tenant: str, decision: Decision) -> tuple[PossibleGround, ...]:
    """Returns the rules of the decision's policy that a restriction may rest on; none where it makes no statements."""
    policy = policy_of_decision(conn, tenant, decision)
    return _grounds(policy) if policy and policy.statements else ()


def _grounds(policy: Policy) -> tuple[PossibleGround, ...]:
    return tuple(
        PossibleGround(rule.id, dict(rule.model.reason))
        for rule in policy.rules
        if has_reason(policy, rule) and rule.model.reason
    )
