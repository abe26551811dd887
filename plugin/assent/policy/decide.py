"""Stage 6: perceptions in, verdict out. Pure."""

from __future__ import annotations

from typing import Any

from assent.policy.input import above, policy_input
from assent.policy.load import CEL_ERRORS, LoadedRule, Policy
from assent.values import Action, Approval, Event, Perception, Picture, Rule, Tag, Verdict


def decide(policy: Policy, event: Event, picture: Picture, seen: Perception, matched: int = 0) -> Verdict:
    """The action, the tags that may be said, and the rules that held.

    A tag is said from its label's threshold up; a label the policy does not list is never said. The strongest action
    of all rules that hold wins; where a condition fails to evaluate, its rule is named and the picture goes to review.
    """
    said = tuple(tag for tag in seen.tags if tag.score >= policy.thresholds.get(tag.name, 2.0))
    given = policy_input(event, picture, Perception(said, seen.faces, seen.models), matched)
    action, held = Action.allow, []
    for rule in policy.rules:
        outcome = _evaluate(rule, given)
        if outcome is None:
            action = max(action, Action.review)
            held.append(Rule(rule.id, "the condition could not be evaluated"))
        elif outcome:
            action = max(action, rule.action)
            held.append(Rule(rule.id, _because(rule, said, policy)))
    return Verdict(action, said, tuple(held), policy.approval)


def waits(approval: Approval, own: bool) -> bool:
    """Whether a match stays unsaid until the person approves it; `own`: the person posted the picture."""
    return approval == "always" or (approval == "others" and not own)


def _evaluate(rule: LoadedRule, given: dict[str, Any]) -> bool | None:
    try:
        outcome = rule.program.execute(given)
    except CEL_ERRORS:
        return None
    return outcome if isinstance(outcome, bool) else None


def _because(rule: LoadedRule, said: tuple[Tag, ...], policy: Policy) -> str:
    about = [tag for tag in said if any(name in above(tag.name) for name in rule.about)]
    if not about:
        return "its condition holds"
    top = max(about, key=lambda tag: tag.score)
    return f"{top.name} {top.score:.2f} ≥ {policy.thresholds[top.name]:.2f}"
