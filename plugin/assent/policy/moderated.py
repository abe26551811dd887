"""What a moderator said of a file, heard again when the same file comes again. Pure.

Labels first: what they denied does not count, what they confirmed does, and the policy decides on that. Their action
holds as long as models and policy alone have nothing to say that they were not shown: no stronger action, no other
rule, no label that did not count then. Otherwise the stronger action of the two is taken, with the policy's review.
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
    """The verdict with that word, or None where it changes nothing. `alone` is what `decide` makes of the same without
    it. Entries of lists of known pictures cannot be denied here: those are corrected in the list."""
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
    """What the moderator was not shown; empty where they were shown all of it. `counted`: labels that count now and of
    which no moderator spoke."""
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
    """What audiences are told of the perception's own tags: what a moderator added is told to the platform alone."""
    return {
        audience: replace(one, tags=tuple(tag for tag in one.tags if tag[0] < most)) for audience, one in said.items()
    }
