"""A loaded policy: thresholds, rules and filters as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field

import cel
import rfc8785

from assent.core.values import Action, Approval, Audience, Event, PolicyRef, ReviewQueue, Surface
from assent.policy.input import Needs, above
from assent.policy.schema import AgeBand, CaseModel, PolicyModel, RuleModel, StatementsModel

NEVER = 2.0  # a threshold that no score reaches


@dataclass(frozen=True, slots=True)
class LoadedRule:
    id: str
    program: cel.Program
    action: Action
    about: tuple[str, ...]  # the labels its condition names, for the reason a person reads
    emit: frozenset[str]
    suppress: frozenset[str]
    rename: dict[str, str]
    redact: frozenset[str]
    review: ReviewQueue | None
    notify: tuple[Audience, ...]
    model: RuleModel


@dataclass(frozen=True, slots=True)
class Policy:
    ref: PolicyRef
    thresholds: dict[str, float]  # by entry of `labels`: a label or a group
    withheld_entries: frozenset[str]  # entries of `labels` that nobody is told of unless a rule emits them
    rules: tuple[LoadedRule, ...]
    filters: tuple[Filter, ...]
    cases: tuple[CaseModel, ...]
    needs: Needs
    approval: Approval
    recognises: bool  # whether faces are compared at all
    statements: StatementsModel | None
    model: PolicyModel = field(repr=False)
    _entries: dict[str, str] = field(default_factory=dict, repr=False, compare=False)  # what `entry` returned before

    def entry(self, label: str) -> str:
        """Returns the entry of `labels` that counts for a label: the longest name that fits; empty where none does."""
        if label not in self._entries:
            self._entries[label] = next((group for group in reversed(above(label)) if group in self.thresholds), "")
        return self._entries[label]

    def threshold(self, label: str) -> float:
        """Returns the score from which a label counts."""
        return self.thresholds.get(self.entry(label), NEVER)

    @property
    def canonical(self) -> bytes:
        """Returns the policy as it is hashed and stored: RFC 8785 JSON, includes resolved."""
        return canonical_json(self.model)


def canonical_json(model: PolicyModel) -> bytes:
    return rfc8785.dumps(model.model_dump(mode="json", by_alias=True, exclude={"include", "drop"}))


TEEN, ADULT = 13, 18  # years


@dataclass(frozen=True, slots=True)
class Filter:
    """One `emit` filter."""

    id: str
    to: frozenset[Audience]
    regions: frozenset[str]
    ages: frozenset[AgeBand]
    surfaces: frozenset[Surface]
    only: frozenset[str] | None
    never: frozenset[str]
    faces: bool | None
    matches: bool | None

    def fits(self, audience: Audience, event: Event) -> bool:
        """Tells whether the filter applies to this audience and event; an empty list of places fits all."""
        return (
            audience in self.to
            and (not self.regions or event.region in self.regions)
            and (not self.ages or age_band(event.audience_age) in self.ages)
            and (not self.surfaces or event.surface in self.surfaces)
        )

    def withholds(self, label: str) -> bool:
        """Tells whether the filter withholds that label from the audience."""
        over = above(label)
        return not self.never.isdisjoint(over) or (self.only is not None and self.only.isdisjoint(over))


def age_band(years: int | None) -> AgeBand:
    """Returns the band of an audience's age."""
    if years is None:
        return "unknown"
    if years < TEEN:
        return "child"
    return "teen" if years < ADULT else "adult"
