"""Stage 6: turns the perception of an image into a verdict. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import cel

from assent.core.values import (
    Action,
    Approval,
    Audience,
    Box,
    Event,
    Perception,
    Picture,
    ReviewQueue,
    Rule,
    Tag,
    Verdict,
    WantedAct,
)
from assent.policy.input import above, most_specific, policy_input
from assent.policy.load import CEL_ERRORS
from assent.policy.model import LoadedRule, Policy
from assent.policy.views import build_audience_views

_BROKEN = "the condition could not be evaluated"


def decide(
    policy: Policy, event: Event, picture: Picture, perception: Perception, matched: Collection[int] = frozenset()
) -> Verdict:
    """Returns the verdict of the policy on one image: its action, audience views and the rules that held.

    `matched` holds the indices in `perception.faces` of subjects recognised with consent. A tag counts from its label's
    threshold up; a label that the policy does not list never counts. The strongest action of all rules that hold wins.
    Rules see all tags that count; of a classifier's, audiences are told the most specific.
    Where a condition fails to evaluate, its rule is named and the image goes to review.
    """
    counted = {n: tag for n, tag in enumerate(perception.tags) if tag.score >= policy.threshold(tag.name)}
    tags, told = tuple(counted.values()), most_specific(counted)
    context = cel.Context(policy_input(event, picture, perception, tags, matched, policy.needs))
    held: list[LoadedRule] = []
    broken: list[str] = []
    reasons: list[Rule] = []
    for rule in policy.rules:
        outcome = _evaluate(rule, context)
        if outcome is None:
            broken.append(rule.id)
            reasons.append(Rule(rule.id, _BROKEN))
        elif outcome:
            held.append(rule)
            reasons.append(Rule(rule.id, _because(rule, tuple(told.values()), policy)))
    action = max((rule.action for rule in held), default=Action.allow)
    if broken:
        action = max(action, Action.review)
    views, withheld = build_audience_views(policy, event, held, told)
    return Verdict(
        action,
        tuple(_renamed(perception.tags[n], name) for n, name in views["platform"].tags),
        tuple(reasons),
        policy.approval,
        views,
        withheld,
        _hidden(held, tags),
        _to_review(action, held),
        _notified(held),
        tuple(broken),
        _acts(held),
    )


def waits(approval: Approval, own: bool) -> bool:
    """Tells whether a match stays unpublished until the person approves it; `own`: the person posted the image."""
    return approval == "always" or (approval == "others" and not own)


def _evaluate(rule: LoadedRule, context: cel.Context) -> bool | None:
    try:
        outcome = rule.program.execute(context)
    except CEL_ERRORS:
        return None
    return outcome if isinstance(outcome, bool) else None


def _renamed(tag: Tag, name: str) -> Tag:
    return tag if tag.name == name else replace(tag, name=name)


def _because(rule: LoadedRule, tags: Sequence[Tag], policy: Policy) -> str:
    about = [tag for tag in tags if any(name in above(tag.name) for name in rule.about)]
    if not about:
        return "its condition holds"
    top = max(about, key=lambda tag: tag.score)
    return f"{top.name} {top.score:.2f} ≥ {policy.threshold(top.name):.2f}"


def _to_review(action: Action, held: Sequence[LoadedRule]) -> ReviewQueue | None:
    """Returns the most urgent queue that rules ask for; the default one where the action alone asks for a person."""
    queues = [rule.review for rule in held if rule.review is not None]
    if queues:
        return max(queues, key=lambda queue: queue.priority)
    return ReviewQueue() if action is Action.review else None


def _hidden(held: Sequence[LoadedRule], tags: Sequence[Tag]) -> tuple[Box, ...]:
    """Returns the boxes to hide, of the first frame only: the redacted image shows no other."""
    hide = {name for rule in held for name in rule.redact}
    boxes = (tag.box for tag in tags if tag.frame == 0 and not hide.isdisjoint(above(tag.name)))
    return tuple(dict.fromkeys(box for box in boxes if box is not None))


def _notified(held: Sequence[LoadedRule]) -> tuple[Audience, ...]:
    return tuple(dict.fromkeys(audience for rule in held for audience in rule.notify))


def _acts(held: Sequence[LoadedRule]) -> tuple[WantedAct, ...]:
    """Returns each act once, for the first rule that asks for it."""
    acts: dict[str, WantedAct] = {}
    for rule in held:
        reason = rule.model.reason
        words = reason.get("en") or next(iter(reason.values()), "")
        for act in rule.model.then.act:
            acts.setdefault(act, WantedAct(act, rule.id, words))
    return tuple(acts.values())
