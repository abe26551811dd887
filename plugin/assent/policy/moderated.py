"""Applies earlier moderator decisions on a file when the same file comes again. Pure.

Corrections come first: a denied label does not count, a confirmed one does, and the policy decides on that. The
moderator's action holds as long as models and policy alone bring nothing that the moderator was not shown: no stronger
action, no other rule, no label that did not count then. Otherwise the stronger action of the two is taken, with the
policy's review.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from assent.core.taxonomy import BY_NAME
from assent.core.values import (
    Audience,
    AudienceView,
    Event,
    ModeratedVerdict,
    ModerationHistory,
    ModeratorDecision,
    Perception,
    Picture,
    Rule,
    Tag,
    Verdict,
)
from assent.policy.decide import decide
from assent.policy.model import Policy

MODERATOR = "moderator"  # what tags and rules of a person's say name as their origin


def apply_moderation(
    policy: Policy,
    event: Event,
    picture: Picture,
    seen: Perception,
    matched: Collection[int],
    alone: Verdict,
    word: ModerationHistory,
) -> ModeratedVerdict | None:
    """Returns the verdict with the moderation history applied, or None where that changes nothing.

    `alone` is the verdict of `decide` on the same without the history. Entries of hash lists cannot be denied here:
    those are corrected in the list.
    """
    counted = _counted(policy, {tag.name: tag.score for tag in sorted(seen.tags, key=lambda tag: tag.score)})
    denied = {label for label, holds in word.labels.items() if not holds and not _is_listed(label)}
    added = tuple(
        sorted(name for name, holds in word.labels.items() if holds and name in BY_NAME and name not in counted)
    )
    removed = tuple(sorted(denied & counted))
    if not (added or removed or word.judged):
        return None
    tags = tuple(replace(tag, score=0.0) if tag.name in denied else tag for tag in seen.tags)
    said = {name: Tag(name, BY_NAME[name].category, 1.0, None, 0, MODERATOR) for name in added}
    corrected = replace(seen, tags=tags + tuple(said.values()))
    verdict = decide(policy, event, picture, corrected, matched)
    unlisted = tuple(tag for tag in said.values() if policy.threshold(tag.name) > tag.score)
    verdict = replace(verdict, tags=verdict.tags + unlisted, said=_perceived(verdict.said, len(seen.tags)))
    news = _new_evidence(policy, alone, counted - set(word.labels), word.judged) if word.judged else ""
    if word.judged:
        verdict = _with_action(verdict, word.judged, news)
    return ModeratedVerdict(verdict, alone, corrected, added, removed, word.judged, news)


def _counted(policy: Policy, scores: Mapping[str, float]) -> set[str]:
    return {name for name, score in scores.items() if score >= policy.threshold(name)}


def _is_listed(label: str) -> bool:
    return label in BY_NAME and BY_NAME[label].category == "hash"


def _new_evidence(policy: Policy, alone: Verdict, counted: Collection[str], judged: ModeratorDecision) -> str:
    """Describes what the moderator was not shown; empty where they were shown all of it.

    `counted` are the labels that count now and that no moderator confirmed or denied.
    """
    if alone.action > judged.was:
        return f"the policy asks for {alone.action.name}, then for {judged.was.name}"
    if rules := sorted({rule.id for rule in alone.rules} - judged.rules):
        return f"rule {rules[0]} holds, and did not then"
    if labels := sorted(set(counted) - _counted(policy, judged.seen)):
        return f"{labels[0]} counts, and did not then"
    return ""


def _with_action(verdict: Verdict, judged: ModeratorDecision, news: str) -> Verdict:
    said = Rule(MODERATOR, f"a moderator decided it of the same file on {judged.at:%Y-%m-%d}")
    if news:
        stronger = judged.action > verdict.action
        rules = (*verdict.rules, said) if stronger else verdict.rules
        return replace(verdict, action=max(verdict.action, judged.action), rules=rules)
    rules = (*verdict.rules, said) if judged.action is verdict.action else (said,)
    return replace(verdict, action=judged.action, rules=rules, review=None)


def _perceived(said: Mapping[Audience, AudienceView], most: int) -> dict[Audience, AudienceView]:
    """Returns the audience views with the perception's own tags only.

    A label that a moderator added is told to the platform alone.
    """
    return {
        audience: replace(one, tags=tuple(tag for tag in one.tags if tag[0] < most)) for audience, one in said.items()
    }
