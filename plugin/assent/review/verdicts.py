"""Tells what each stored policy says of one case, and which threshold is nearest to changing that."""

from __future__ import annotations

from dataclasses import dataclass, replace

from assent.core.errors import PolicyInvalid
from assent.core.values import PolicyRef
from assent.db.pool import Conn, Row, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import from_json
from assent.decisions.replay import Recorded, recorded
from assent.policy.compare import ComparedOutcome
from assent.policy.decide import decide
from assent.policy.model import NEVER, Policy
from assent.review.cases import Case
from assent.review.evidence import compiled_policy

MOST_POLICIES = 20
_MOST_TRIED = 16  # thresholds, the nearest first; each takes a decision of about 0.2 ms
_Q = named_queries("evidence")


@dataclass(frozen=True, slots=True)
class NearestThreshold:
    """The threshold whose smallest change would change the action, to `action`.

    `entry` of the policy's `labels` stands at `threshold`; the image's strongest label there has `score`.
    """

    entry: str
    threshold: float
    score: float
    action: str


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """Holds what a stored policy says of a case, without any moderator; all is empty where it does not read.

    `is_own`: the decision was made by it. `differs`: in action, rules or labels from what the decision's own says.
    """

    sha256: str
    ref: PolicyRef | None
    is_own: bool
    is_active: bool
    is_shadow: bool
    action: str = ""
    rules: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    differs: bool = False
    nearest: NearestThreshold | None = None


@dataclass(frozen=True, slots=True)
class CaseVerdicts:
    """The verdicts on a case. `exact` is false where the circumstances of the post were not kept."""

    verdicts: tuple[PolicyVerdict, ...]
    exact: bool


def verdicts_of(conn: Conn, tenant: str, case: Case) -> CaseVerdicts | None:
    """Returns what at most 20 stored policies say of a case: the decision's own, the active one, then the newest.

    Recorded scores are decided again; no image and no model is needed. None where no image could be read.
    """
    row = fetch_one(conn, _Q["read_recorded_decision"], **case.item.key(tenant))
    inputs = recorded(row) if row else None
    if row is None or inputs is None:
        return None
    own = from_json(row["document"]).policy.sha256
    stored = fetch(conn, _Q["list_stored_policies"], tenant=tenant, own=own, most=MOST_POLICIES)
    verdicts = [_verdict(one, own, inputs) for one in stored]
    first = next((one for one in verdicts if one.is_own), None)
    return CaseVerdicts(tuple(replace(one, differs=_differs(one, first)) for one in verdicts), inputs.exact)


def nearest_threshold(policy: Policy, inputs: Recorded) -> NearestThreshold | None:
    """Returns the threshold that has to move least for the policy to ask for another action; None where none would do.

    One is moved at a time, so that the image's labels under it begin to count or count no more.
    """
    action = _decide(policy, inputs).action
    for entry, score in _nearest_first(policy, inputs)[:_MOST_TRIED]:
        threshold = policy.thresholds[entry]
        moved = NEVER if score >= threshold else score
        changed = _decide(replace(policy, thresholds={**policy.thresholds, entry: moved}), inputs).action
        if changed != action:
            return NearestThreshold(entry, threshold, score, changed)
    return None


def _nearest_first(policy: Policy, inputs: Recorded) -> list[tuple[str, float]]:
    """Returns the entries of `labels` that the image has labels of, each with the strongest score."""
    scores: dict[str, float] = {}
    for tag in inputs.perception.tags:
        entry = policy.entry(tag.name)
        if entry in policy.thresholds:
            scores[entry] = max(tag.score, scores.get(entry, 0.0))
    return sorted(scores.items(), key=lambda one: abs(one[1] - policy.thresholds[one[0]]))


def _decide(policy: Policy, inputs: Recorded) -> ComparedOutcome:
    verdict = decide(policy, inputs.event, inputs.picture, inputs.perception, inputs.matched)
    return ComparedOutcome.of_verdict(verdict)


def _verdict(row: Row, own: str, inputs: Recorded) -> PolicyVerdict:
    marks = (row["sha256"] == own, row["is_active"], row["is_shadow"])
    try:
        policy = compiled_policy(row["canonical"])
    except PolicyInvalid:
        return PolicyVerdict(row["sha256"], None, *marks)
    if policy.ref.sha256 != row["sha256"]:
        return PolicyVerdict(row["sha256"], None, *marks)
    outcome = _decide(policy, inputs)
    nearest = nearest_threshold(policy, inputs) if any(marks) else None
    rules, labels = tuple(sorted(outcome.rules)), tuple(sorted(outcome.tags))
    return PolicyVerdict(row["sha256"], policy.ref, *marks, outcome.action, rules, labels, nearest=nearest)


def _differs(one: PolicyVerdict, own: PolicyVerdict | None) -> bool:
    if own is None or one.ref is None:
        return False
    return (one.action, one.rules, one.labels) != (own.action, own.rules, own.labels)
