"""Warns the author of a policy that loads about what is probably not meant. `load` raises the errors."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import cel

from assent.core.resources import resource
from assent.core.taxonomy import LABELS, Label
from assent.core.values import Event, EventType, Face, Perception, Picture, Surface, Tag, Visibility
from assent.policy.input import ROOTS, above, policy_input
from assent.policy.load import CEL_ERRORS
from assent.policy.model import LoadedRule, Policy

_PROBES = 500  # random pictures on which a condition that never holds is called unreachable
_LITERAL = re.compile(r"""["']([^"']*)["']|(?<![\w.])(\d+(?:\.\d+)?)""")
_NEAR, _FAR = (10, 10, 10, 10), (9_000, 9_000, 10, 10)


def warnings(policy: Policy) -> Iterator[str]:
    """Yields one line for each warning."""
    yield from _no_rule(policy)
    yield from _not_measured(policy)
    for rule in policy.rules:
        if not _can_hold(rule, policy):
            yield f"rule {rule.id} held on none of {_PROBES} pictures made for it: it may be unreachable"


def _no_rule(policy: Policy) -> Iterator[str]:
    """Yields a warning for each category that is told but that no rule covers.

    Categories that the policy lists as `informative` are meant so.
    """
    named = {name for rule in policy.rules for name in rule.about}
    listed = {label.category for label in LABELS if policy.entry(label.name)}
    ruled = {label.category for label in LABELS if named & {*above(label.name)}} | named
    if "tags" in policy.needs.lists:
        return  # a rule looks through all tags
    for category in sorted(listed - ruled - set(policy.model.informative)):
        yield f"category {category} has thresholds and no rule; write it under `informative` if that is meant"


def _not_measured(policy: Policy) -> Iterator[str]:
    """Yields a warning for each threshold where nobody measured how many harmless images it flags, or its precision.

    What lies below a label that was measured is said with it."""
    figures = measured_on()
    for entry, limit in policy.model.labels.items():
        if limit.uncalibrated:
            continue
        below = [label for label in LABELS if policy.entry(label.name) == entry]
        missing = [
            label.name for label in below if limit.threshold < min(figures.get(name, 2.0) for name in above(label.name))
        ]
        if missing:
            yield f"labels.{entry}: no figure on harmless pictures at {limit.threshold:.2f} for {_some(missing)}"


@cache
def measured_on() -> dict[str, float]:
    """Returns the lowest score at which each label was measured, for every label that was.

    The figures are those of `flagged` (harmless images) and `measured` (labelled ones) in `models/calibration/*.json`.
    """
    lowest: dict[str, float] = {}
    for path in sorted((resource("models") / "calibration").glob("*.json")):
        file: dict[str, Any] = json.loads(path.read_text("utf-8"))
        for label in file.get("flagged", {}):
            lowest[label] = min(file["at"])
        lowest |= file.get("measured", {})
    return lowest


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _can_hold(rule: LoadedRule, policy: Policy) -> bool:
    """Tells whether the condition holds on one of many random images, drawn from what it names and compares with."""
    rng = random.Random(rule.id)  # noqa: S311 - probes, not secrets
    labels = [label for label in LABELS if {*above(label.name)} & {*rule.about}]
    labels += [Label(name, "object", "", None, None) for name in rule.about if name in ROOTS]
    literals = [text or float(number) for text, number in _LITERAL.findall(rule.model.when)]
    for _ in range(_PROBES):
        event, picture, tags, faces = _probe(rng, labels, literals, policy)
        matched = range(rng.randint(0, len(faces)))
        try:
            perception = Perception(tuple(tags), tuple(faces), ())
            given = policy_input(event, picture, perception, tags, matched, policy.needs)
            if rule.program.execute(cel.Context(given)):
                return True
        except CEL_ERRORS:
            continue
    return False


def _probe(
    rng: random.Random, labels: list[Label], literals: list[str | float], policy: Policy
) -> tuple[Event, Picture, list[Tag], list[Face]]:
    words = [one for one in literals if isinstance(one, str)]
    numbers = [int(one) + more for one in literals if isinstance(one, float) for more in (-1, 0, 1)]
    drawn = [label for label in labels if rng.random() < 0.6]
    boxes = (_NEAR, _FAR)
    tags = [
        Tag(label.name, label.category, rng.choice((1.0, policy.threshold(label.name))), rng.choice(boxes), 0, "")
        for label in drawn
        if policy.entry(label.name)
    ]
    faces = [Face(_NEAR, 0, 0.9, rng.random()) for _ in range(rng.choice((0, 1, 2, *numbers[:3])) % 300)]
    count = max(1, rng.choice((1, 1_000, *numbers)))
    event = Event(
        rng.choice(get_args(EventType)),
        (),
        rng.choice(get_args(Visibility)),
        rng.choice(get_args(Surface)),
        region=rng.choice((None, *words)),
        lang=rng.choice((None, *words)),
        audience_age=rng.choice((None, 8, 15, 30, *(abs(one) for one in numbers))),
    )
    frames, looked_at = rng.choice(((1, 1), (9, 9), (40, 16), *((max(1, n), max(1, n)) for n in numbers)))
    partial = frames > looked_at and rng.random() < 0.5
    media_format = rng.choice(("jpeg", "gif", *words))
    return event, Picture("", media_format, count, count, frames, (), looked_at, partial), tags, faces
