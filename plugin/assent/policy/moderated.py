"""Applies earlier moderator decisions on a file when the same file comes again. Pure.

Corrections come first: a denied label does not count, nor does any below it; a confirmed one does; and the policy
decides on that. Areas that a moderator hid stay hidden. The moderator's action holds as long as models and policy alone
bring nothing that the moderator was not shown: no stronger action, no other rule, no label that did not count then.
Otherwise the stronger action of the two is taken, with the policy's review.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from assent.core.clock import format_day
from assent.core.taxonomy import BY_NAME
from assent.core.values import (
    Analysis,
    Event,
    ModeratedVerdict,
    ModerationHistory,
    ModeratorDecision,
    Perception,
    Rule,
    Tag,
    Verdict,
)
from assent.policy.decide import decide
from assent.policy.input import above
from assent.policy.model import Policy

MODERATOR = "moderator"  # the origin that tags and rules of a moderator name


def apply_moderation(
    policy: Policy, event: Event, analysis: Analysis, history: ModerationHistory
) -> ModeratedVerdict | None:
    """Returns the verdict with the moderation history applied, or None where that changes nothing.

    `analysis` carries the verdict of models and policy without the history. Entries of hash lists cannot be denied
    here: those are corrected in the list.
    """
    perception, automated, moderator = analysis.perception, analysis.verdict, history.decision
    counted = _counted(policy, {tag.name: tag.score for tag in sorted(perception.tags, key=lambda tag: tag.score)})
    denied = {label for label, holds in history.labels.items() if not holds and not _is_listed(label)}
    confirmed = {label for label, holds in history.labels.items() if holds and label in BY_NAME}
    added = tuple(sorted(confirmed - counted))
    removed = tuple(sorted(name for name in counted - confirmed if not denied.isdisjoint(above(name))))
    if not (added or removed or moderator or history.hidden):
        return None
    corrected = _corrected(perception, denied, confirmed, added)
    matched = {match.face for match in analysis.matches}
    verdict = decide(policy, event, analysis.picture, corrected, matched)
    verdict = _with_added(policy, verdict, corrected.tags[len(perception.tags) :], len(perception.tags))
    hidden = tuple(box for box in history.hidden if box not in verdict.redact)
    verdict = replace(verdict, redact=verdict.redact + hidden)
    new_evidence = ""
    if moderator:
        new_evidence = _new_evidence(policy, automated, counted - set(history.labels), moderator)
        verdict = _with_action(verdict, moderator, new_evidence)
    return ModeratedVerdict(verdict, automated, corrected, added, removed, moderator, new_evidence, history.hidden)


def _corrected(
    perception: Perception, denied: Collection[str], confirmed: Collection[str], added: Sequence[str]
) -> Perception:
    """Returns the perception with denied labels at score 0, and after them the added ones at score 1.

    A label above a denied one loses that one's share of its score, so that it is not said in its place."""
    tags = [
        tag if tag.name in confirmed else replace(tag, score=_without(tag, perception.tags, denied))
        for tag in perception.tags
    ]
    by_moderator = (Tag(name, BY_NAME[name].category, 1.0, None, 0, MODERATOR) for name in added)
    return replace(perception, tags=(*tags, *by_moderator))


def _without(tag: Tag, tags: Sequence[Tag], denied: Collection[str]) -> float:
    """Returns the score of a tag less that of the highest denied labels below it, of the whole frame and its model."""
    if not {*denied}.isdisjoint(above(tag.name)):
        return 0.0
    share = sum(
        one.score
        for one in tags
        if one.name in denied
        and (one.model, one.box, tag.box) == (tag.model, None, None)
        and tag.name in above(one.name)
        and {*denied} & {*above(one.name)} == {one.name}
    )
    return max(0.0, round(tag.score - share, 4)) if share else tag.score


def _with_added(policy: Policy, verdict: Verdict, added: Sequence[Tag], perceived: int) -> Verdict:
    """Returns the verdict with the added tags that the policy does not list, told to the platform alone.

    The first `perceived` tags are the perception's own: no other audience is told of any other.
    """
    unlisted = tuple(tag for tag in added if policy.threshold(tag.name) > tag.score)
    views = {
        audience: replace(view, tags=tuple(tag for tag in view.tags if tag[0] < perceived))
        for audience, view in verdict.audience_views.items()
    }
    return replace(verdict, tags=verdict.tags + unlisted, audience_views=views)


def _counted(policy: Policy, scores: Mapping[str, float]) -> set[str]:
    return {name for name, score in scores.items() if score >= policy.threshold(name)}


def _is_listed(label: str) -> bool:
    return label in BY_NAME and BY_NAME[label].category == "hash"


def _new_evidence(policy: Policy, automated: Verdict, counted: Collection[str], decision: ModeratorDecision) -> str:
    """Describes what the moderator was not shown; empty where they were shown all of it.

    `counted` are the labels that count now and that no moderator confirmed or denied. One above or below a label that
    counted then is no new one.
    """
    if automated.action > decision.automated_action:
        return f"the policy asks for {automated.action.name}, then for {decision.automated_action.name}"
    if rules := sorted({rule.id for rule in automated.rules} - decision.automated_rules):
        return f"rule {rules[0]} holds, and did not then"
    known = _counted(policy, decision.scores)
    spoken_for = {group for name in known for group in above(name)}
    if labels := sorted(name for name in set(counted) - spoken_for if known.isdisjoint(above(name))):
        return f"{labels[0]} counts, and did not then"
    return ""


def _with_action(verdict: Verdict, decision: ModeratorDecision, new_evidence: str) -> Verdict:
    """Returns the verdict with the moderator's action, or with the stronger of the two where there is new evidence."""
    rule = Rule(MODERATOR, f"a moderator decided it of the same file on {format_day(decision.at)}")
    if new_evidence:
        stronger = decision.action > verdict.action
        rules = (*verdict.rules, rule) if stronger else verdict.rules
        return replace(verdict, action=max(verdict.action, decision.action), rules=rules)
    rules = (*verdict.rules, rule) if decision.action is verdict.action else (rule,)
    return replace(verdict, action=decision.action, rules=rules, review=None)
