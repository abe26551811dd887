"""Counts how two outcomes of one image differ, for shadow policies and replays. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

from assent.core.values import Verdict

CountKind = Literal["action", "rule", "label", "group", "said"]


class CountKey(NamedTuple):
    """A counter's key: the kind and name of what is counted, with its value under the old and the new policy.

    `action`, `rule`, `label` and `group` count images, and `was` and `becomes` are actions. A rule counts where it
    held, a label or group where it was told, under either policy. For `said`, `was` and `becomes` are `yes` or `no`:
    whether the label is told.
    """

    kind: CountKind
    name: str
    was: str
    becomes: str


@dataclass(frozen=True, slots=True)
class ComparedOutcome:
    """The parts of a decision that count in a comparison: its action, rules that held, tags told to the platform."""

    action: str
    rules: frozenset[str]
    tags: frozenset[str]

    @classmethod
    def of_verdict(cls, verdict: Verdict) -> ComparedOutcome:
        rules, tags = (rule.id for rule in verdict.rules), (tag.name for tag in verdict.tags)
        return cls(verdict.action.name, frozenset(rules), frozenset(tags))


def compare_outcomes(old: ComparedOutcome, new: ComparedOutcome) -> Counter[CountKey]:
    """Returns the counts of one image, each 1."""
    actions = (old.action, new.action)
    labels = old.tags | new.tags
    keys = [CountKey("action", "", *actions)]
    keys += [CountKey("rule", rule, *actions) for rule in old.rules | new.rules]
    keys += [CountKey("label", label, *actions) for label in labels]
    keys += [CountKey("group", group, *actions) for group in {label.split(".")[0] for label in labels}]
    keys += [CountKey("said", label, _yes_no(label in old.tags), _yes_no(label in new.tags)) for label in labels]
    return Counter(keys)


def _yes_no(is_told: bool) -> str:
    return "yes" if is_told else "no"
