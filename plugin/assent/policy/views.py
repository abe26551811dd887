"""Builds each audience's view: the tags that count, less what rules and filters withhold. Pure.

Nothing is withheld silently: whatever an audience is not told stands in `withheld`, with the rule, filter or label that
withholds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from assent.core.values import Audience, AudienceView, Event, Tag, Withheld
from assent.policy.input import above
from assent.policy.model import Filter, LoadedRule, Policy

AUDIENCES: tuple[Audience, ...] = get_args(Audience)
# Faces and matches where no filter says otherwise: the platform has the picture anyway and shows the names; somebody
# who is tagged gets their own face and no other.
SHOWN: dict[Audience, tuple[bool, bool]] = {
    "platform": (True, True),
    "author": (True, False),
    "person": (True, True),
    "public": (False, False),
}


def build_audience_views(
    policy: Policy, event: Event, held: Sequence[LoadedRule], counted: Mapping[int, Tag]
) -> tuple[dict[Audience, AudienceView], tuple[Withheld, ...]]:
    """Returns each audience's view of the tags that may be told (by their index), and what is withheld from it."""
    suppressing = [rule for rule in held if rule.suppress]
    renaming = [rule for rule in held if rule.rename]
    withholders = {n: _withheld_by(policy, suppressing, held, tag.name) for n, tag in counted.items()}
    from_all = {n: withholder for n, withholder in withholders.items() if withholder}
    tellable = tuple((n, _told_name(renaming, tag.name)) for n, tag in counted.items() if n not in from_all)
    views: dict[Audience, AudienceView] = {}
    withheld: list[Withheld] = []
    for audience in AUDIENCES:
        filters = [one for one in policy.filters if one.fits(audience, event)]
        by = {**from_all, **_withheld_by_filters(filters, counted, from_all)} if filters else from_all
        withheld += (Withheld(audience, counted[n].name, withholder) for n, withholder in by.items())
        faces, matches = SHOWN[audience]
        for emit in filters:
            faces = faces if emit.faces is None else emit.faces
            matches = matches if emit.matches is None else emit.matches
        tags = tuple(tag for tag in tellable if tag[0] not in by) if filters else tellable
        views[audience] = AudienceView(tags, faces, faces and matches and policy.recognises)
    return views, tuple(dict.fromkeys(withheld))


def _withheld_by_filters(
    filters: Sequence[Filter], counted: Mapping[int, Tag], from_all: Mapping[int, str]
) -> dict[int, str]:
    """Returns, for each tag that nothing else withholds, the first filter that does."""
    withholders: dict[int, str] = {}
    for n, tag in counted.items():
        by = next((emit.id for emit in filters if emit.withholds(tag.name)), "")
        if by and n not in from_all:
            withholders[n] = by
    return withholders


def _withheld_by(policy: Policy, suppressing: Sequence[LoadedRule], held: Sequence[LoadedRule], label: str) -> str:
    """Returns the rule, or the entry of `labels`, that withholds a label from everybody; empty where none does."""
    over = above(label)
    for rule in suppressing:
        if not rule.suppress.isdisjoint(over):
            return rule.id
    entry = policy.entry(label)
    if entry not in policy.withheld_entries or any(not rule.emit.isdisjoint(over) for rule in held):
        return ""
    return f"labels.{entry}"


def _told_name(renaming: Sequence[LoadedRule], label: str) -> str:
    """Returns the name that a label is told by.

    The first rule that renames it or a group above it counts, the longest name first.
    """
    for rule in renaming:
        for group in reversed(above(label)):
            if group in rule.rename:
                return rule.rename[group]
    return label
