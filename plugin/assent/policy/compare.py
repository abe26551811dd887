"""Two outcomes of one picture beside each other, as counts: what a shadow keeps and a replay adds up. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

from assent.core.values import Verdict

Kind = Literal["action", "rule", "label", "group", "said"]


class Key(NamedTuple):
    """What is counted: pictures by action, by a rule that held, by a label or group that was said under either policy
    (`was` and `becomes` are actions), and what is said (`was` and `becomes` are yes or no)."""

    kind: Kind
    name: str
    was: str
    becomes: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What counts of a decision: its action, the rules that held, and the tags that the platform is told."""

    action: str
    rules: frozenset[str]
    tags: frozenset[str]

    @classmethod
    def of_verdict(cls, verdict: Verdict) -> Outcome:
        rules, tags = (rule.id for rule in verdict.rules), (tag.name for tag in verdict.tags)
        return cls(verdict.action.name, frozenset(rules), frozenset(tags))


def compare(old: Outcome, new: Outcome) -> Counter[Key]:
    """The counts of one picture, each 1."""
    actions = (old.action, new.action)
    labels = old.tags | new.tags
    found = [Key("action", "", *actions)]
    found += [Key("rule", rule, *actions) for rule in old.rules | new.rules]
    found += [Key("label", label, *actions) for label in labels]
    found += [Key("group", group, *actions) for group in {label.split(".")[0] for label in labels}]
    found += [Key("said", label, _yes(label in old.tags), _yes(label in new.tags)) for label in labels]
    return Counter(found)


def _yes(said: bool) -> str:
    return "yes" if said else "no"
