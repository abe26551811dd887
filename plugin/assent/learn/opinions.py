"""Compares the two opinions on nudity, body parts and the picture as a whole, and the policy's verdict on both.

Images are labelled as for `safety`. A verdict is that of a public post.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from assent.core.values import Action, Event, Perception, Picture, Verdict
from assent.learn.dataset import Example
from assent.learn.measure import Bools, Floats, proportion, wilson
from assent.learn.report import Cell, Table
from assent.learn.safety import HARMLESS, HEADLINE, names_of
from assent.policy.decide import decide
from assent.policy.input import SECOND_OPINION, above, strongest
from assent.policy.model import Policy

OPINION_SCORES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85)
_POST = Event("media.created", (), "public", "post")


@dataclass(frozen=True, slots=True, eq=False)
class Opinions:
    """By image (n,): the strongest score of each opinion, and the verdicts with both and without the second.

    `counted`: whether a body part reaches its threshold in the policy."""

    names: tuple[str, ...]
    parts: Floats
    whole: Floats  # 0 where the second opinion was not asked
    counted: Bools
    verdicts: tuple[Verdict, ...]
    without: tuple[Verdict, ...]
    shows: Bools
    harmless: Bools


def compare_opinions(
    examples: Sequence[Example], pictures: Sequence[Picture], perceptions: Sequence[Perception], policy: Policy
) -> Opinions:
    """Returns the opinions and the policy's verdicts on each image; the three sequences are of one length."""
    scores = [strongest(perception.tags, (HEADLINE, SECOND_OPINION)) for perception in perceptions]
    pairs = list(zip(pictures, perceptions, strict=True))
    labels = [names_of(example.label) for example in examples]
    return Opinions(
        tuple(str(example.path) for example in examples),
        np.array([score[HEADLINE] for score in scores]),
        np.array([score[SECOND_OPINION] for score in scores]),
        np.array([_counts(perception, policy) for perception in perceptions], np.bool_),
        tuple(decide(policy, _POST, picture, perception) for picture, perception in pairs),
        tuple(decide(policy, _POST, picture, _without(perception)) for picture, perception in pairs),
        np.array([any({HEADLINE, SECOND_OPINION} & {*above(name)} for name in names) for names in labels], np.bool_),
        np.array([HARMLESS in names for names in labels], np.bool_),
    )


def opinion_tables(opinions: Opinions) -> tuple[Table, ...]:
    """Returns the tables `opinions`, side by side, `rules` and `stopped`."""
    return _side_by_side(opinions), _by_rule(opinions), _listed(opinions)


def _counts(perception: Perception, policy: Policy) -> bool:
    return any(HEADLINE in above(tag.name) and tag.score >= policy.threshold(tag.name) for tag in perception.tags)


def _without(perception: Perception) -> Perception:
    return replace(perception, tags=tuple(tag for tag in perception.tags if tag.name != SECOND_OPINION))


def _stopped(verdicts: Sequence[Verdict]) -> Bools:
    return np.array([verdict.action >= Action.limit for verdict in verdicts], np.bool_)


def _side_by_side(opinions: Opinions) -> Table:
    of_policy = "policy's"
    flagged = [("parts", f"{least:.2f}", opinions.parts >= least) for least in OPINION_SCORES]
    flagged += [("parts", of_policy, opinions.counted)]
    flagged += [("whole picture", f"{least:.2f}", opinions.whole >= least) for least in OPINION_SCORES]
    flagged += [
        ("parts and whole", f"{least:.2f}", opinions.counted & (opinions.whole >= least)) for least in OPINION_SCORES
    ]
    flagged += [("fused", of_policy, _stopped(opinions.verdicts)), ("without", of_policy, _stopped(opinions.without))]
    shown = ("opinion", "from", "photos that show it", "recall", "recall 95 %")
    columns = (*shown, "precision", "harmless stopped", "their share", "their share 95 %")
    title = "Body parts, the whole picture, parts at their thresholds with the whole picture, and the policy's verdict"
    return Table("opinions", title, columns, tuple(_figures(opinions, *row) for row in flagged))


def _figures(opinions: Opinions, name: str, least: str, hit: Bools) -> tuple[Cell, ...]:
    right, wrong = hit[opinions.shows], hit[opinions.harmless]
    given = int(right.sum()) + int(wrong.sum())
    precision = int(right.sum()) / given if given and len(right) else None
    shown = (name, least, len(right), proportion(right), _bounds(right))
    return (*shown, precision, int(wrong.sum()), proportion(wrong), _bounds(wrong))


def _bounds(part: Bools) -> str | None:
    interval = wilson(int(part.sum()), len(part))
    return f"{interval[0]:.4f}–{interval[1]:.4f}" if interval else None


def _by_rule(opinions: Opinions) -> Table:
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for harmless, verdict in zip(opinions.harmless.tolist(), opinions.verdicts, strict=True):
        counts[harmless].update(rule.id for rule in verdict.rules)
    rules = sorted({*counts[True], *counts[False]})
    rows = tuple((rule, counts[True][rule], counts[False][rule]) for rule in rules)
    return Table("rules", "The policy's rules that held", ("rule", "harmless photos", "other photos"), rows)


def _listed(opinions: Opinions) -> Table:
    """Lists the images whose action is another without the second opinion, and the harmless that either stops.

    What is let through comes first, then what is newly stopped."""
    stopped = _stopped(opinions.verdicts) | _stopped(opinions.without)
    rows = [
        (before.action.name, after.action.name, float(opinions.parts[n]), float(opinions.whole[n]), opinions.names[n])
        for n, (before, after) in enumerate(zip(opinions.without, opinions.verdicts, strict=True))
        if before.action != after.action or (opinions.harmless[n] and stopped[n])
    ]
    rows.sort(key=lambda row: (-abs(Action[row[1]] - Action[row[0]]), Action[row[1]], row[4]))
    columns = ("without", "with the second opinion", "parts", "whole picture", "photo")
    return Table("stopped", "Decided otherwise by the second opinion, or stopped and harmless", columns, tuple(rows))
