"""Defines the form of a policy file, `assent.policy/1`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from assent.core.names import COUNTRY, POLICY_NAME
from assent.core.values import Action, ActionName, Approval, Audience, Category, EventType, Surface, Visibility
from assent.policy.acts import ActName

MAX_EXPRESSION = 2_000  # characters
Identifier = Annotated[str, StringConstraints(pattern=f"^{POLICY_NAME}$")]
Group = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$", max_length=128)]
Groups = Annotated[tuple[Group, ...], Field(max_length=256)]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Score = Annotated[float, Field(ge=0, le=1)]

AgeBand = Literal["child", "teen", "adult", "unknown"]
Region = Annotated[str, StringConstraints(pattern=f"^{COUNTRY}$")]
StatementCategory = Literal[
    "ANIMAL_WELFARE",
    "CONSUMER_INFORMATION",
    "CYBER_VIOLENCE",
    "CYBER_VIOLENCE_AGAINST_WOMEN",
    "DATA_PROTECTION_AND_PRIVACY_VIOLATIONS",
    "ILLEGAL_OR_HARMFUL_SPEECH",
    "INTELLECTUAL_PROPERTY_INFRINGEMENTS",
    "NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS",
    "NOT_SPECIFIED_NOTICE",
    "OTHER_VIOLATION_TC",
    "PROTECTION_OF_MINORS",
    "RISK_FOR_PUBLIC_SECURITY",
    "SCAMS_AND_FRAUD",
    "SELF_HARM",
    "UNSAFE_AND_PROHIBITED_PRODUCTS",
    "VIOLENCE",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelModel(_Strict):
    """The score from which a label, or every label of a group, counts; the longest name that fits a label wins."""

    threshold: Annotated[float, Field(ge=0.05, le=1.0)]
    emit: bool = Field(True, description="false: rules see it, but it is said only where a rule emits it.")
    uncalibrated: bool = Field(False, description="true: nobody measured this threshold, and that is known.")


class ReviewModel(_Strict):
    """Asks for a moderator, whatever the action is."""

    queue: Identifier = "default"
    priority: Annotated[int, Field(ge=0, le=100)] = 0


class StatementModel(_Strict):
    """The rule's part of a statement of reasons for the EU's transparency database."""

    category: StatementCategory | None = Field(None, description="Else the one of the rule's strongest label.")
    keywords: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z_]+$")], ...] = ()
    ground: Words = Field("Terms of service", description="The clause of the terms, or the law.")
    illegal: bool = False


def _is_empty(acts: object) -> bool:
    return not acts


class ThenModel(_Strict):
    """The effects of a rule whose condition holds."""

    action: ActionName = "allow"
    emit: Groups = Field((), description="Says these although `labels` keeps them unsaid.")
    suppress: Groups = Field((), description="Says these to nobody; wins over emit.")
    rename: Annotated[dict[Group, Group], Field(max_length=256)] = Field(default_factory=dict)
    redact: Groups = Field((), description="Hides the boxes of these in the redacted picture.")
    review: ReviewModel | None = None
    notify: tuple[Literal["author", "public"], ...] = Field((), description="Endpoints of these hear of it as well.")
    statement: StatementModel = StatementModel()
    # Left out where there is none: the sha256 of a policy without acts is what it was before there were any.
    act: tuple[ActName, ...] = Field(
        (), exclude_if=_is_empty, description="Does these at the platform itself, once the operator switched it on."
    )

    @property
    def strength(self) -> Action:
        return Action[self.action]


class RuleModel(_Strict):
    """One rule: a CEL condition over `PolicyInput/1`, and its effects when the condition holds."""

    id: Identifier
    when: Annotated[str, StringConstraints(min_length=1)]
    then: ThenModel
    reason: Annotated[dict[Language, Words], Field(max_length=24)] = Field(
        default_factory=dict, description="The rule in words for the author, by language."
    )


class EmitModel(_Strict):
    """A filter on what some audiences are told of the events that it fits.

    Every filter that fits counts for tags; for faces and matches the last one that sets them.
    """

    id: Identifier
    to: Annotated[tuple[Audience, ...], Field(min_length=1)]
    regions: tuple[Region, ...] = Field((), description="ISO 3166-1; empty: everywhere.")
    ages: tuple[AgeBand, ...] = Field((), description="Of the audience: child < 13, teen < 18, adult.")
    surfaces: tuple[Surface, ...] = ()
    only: Groups | None = Field(None, description="Nothing but these.")
    never: Groups = ()
    faces: bool | None = None
    matches: bool | None = None

    @model_validator(mode="after")
    def _platform_sees_faces(self) -> EmitModel:
        if self.faces is False and "platform" in self.to:
            raise ValueError("the platform needs the boxes of faces to hide them; keep `matches` from it instead")
        return self


class MatchesModel(_Strict):
    """The settings for recognising people: whether to, and whether a match waits for the person's approval.

    A match waits never, where somebody else posted the image (`others`), or always.
    """

    enabled: bool = True
    approval: Approval = "never"


class StatementsModel(_Strict):
    """Statements of reasons (Digital Services Act, Article 17) for every decision that restricts a picture."""

    languages: Annotated[tuple[Literal["en", "de", "fr"], ...], Field(min_length=1)] = ("en",)
    territory: tuple[Region, ...] = Field((), description="Where the restriction holds; empty: the whole EU.")
    terms: str | None = Field(None, pattern=r"^https://[^\s]{1,400}$", description="Where the terms can be read.")
    appeal: str | None = Field(None, pattern=r"^https://[^\s]{1,400}$", description="Where the author can object.")
    for_actions: tuple[Literal["label", "limit", "review", "block"], ...] = ("limit", "block")


class GivenModel(_Strict):
    """The image of a case: the strongest score by label, and how many faces; `near_face` says whether one is close.

    `partial`: of its frames one that differs from those looked at was not looked at."""

    tags: dict[str, Score] = Field(default_factory=dict)
    faces: Annotated[int, Field(ge=0, le=1000)] = 0
    matched: Annotated[int, Field(ge=0, le=1000)] = 0
    near_face: bool = False
    partial: bool = False
    type: EventType = "media.created"
    surface: Surface = "post"
    visibility: Visibility = "public"
    region: Region | None = None
    lang: str | None = None
    audience_age: Annotated[int, Field(ge=0, le=150)] | None = None


class ExpectModel(_Strict):
    """The expected outcome of a case; only `action` and `tags`, as the platform gets them, are required."""

    action: ActionName
    tags: tuple[str, ...]
    approval: Approval | None = None
    rules: tuple[Identifier, ...] | None = None
    to: dict[Audience, tuple[str, ...]] = Field(default_factory=dict, description="Tags by audience.")
    queue: Identifier | None = None


class CaseModel(_Strict):
    """A test case that the policy carries with it."""

    name: str
    given: GivenModel
    expect: ExpectModel


class CasesModel(_Strict):
    """A file of cases beside a policy, `<name>.cases.yaml`."""

    cases: tuple[CaseModel, ...]


class PolicyModel(_Strict):
    """A policy file. With `include` it adds to others and replaces their labels, rules and filters of the same name."""

    schema_: Literal["assent.policy/1"] = Field(alias="schema")
    name: Identifier
    version: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    include: Annotated[tuple[str, ...], Field(max_length=8)] = Field(
        (), description="A shipped policy by name (`default`), or a file beside this one (`./ours.yaml`)."
    )
    drop: tuple[Identifier, ...] = Field((), description="Rules and filters of the included ones that do not count.")
    matches: MatchesModel = MatchesModel()
    labels: Annotated[dict[Group, LabelModel], Field(max_length=4096)] = Field(default_factory=dict)
    informative: tuple[Category, ...] = Field((), description="Categories that are said without any rule on them.")
    rules: Annotated[tuple[RuleModel, ...], Field(max_length=200)] = ()
    emit: Annotated[tuple[EmitModel, ...], Field(max_length=64)] = ()
    statements: StatementsModel | None = None
    cases: tuple[CaseModel, ...] = ()

    @field_validator("rules", "emit")
    @classmethod
    def _distinct(cls, named: tuple[RuleModel | EmitModel, ...]) -> tuple[RuleModel | EmitModel, ...]:
        ids = [one.id for one in named]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"two have the same id {twice[0]}")
        return named
