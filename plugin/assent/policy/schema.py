"""The form of a policy file, `assent.policy/1`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from assent.values import Action, Approval

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
ActionName = Literal["allow", "label", "limit", "review", "block"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelModel(_Strict):
    """From which score up a label is said at all."""

    threshold: Annotated[float, Field(ge=0.05, le=1.0)]


class ThenModel(_Strict):
    action: ActionName

    @property
    def strength(self) -> Action:
        return Action[self.action]


class RuleModel(_Strict):
    """One rule: a CEL condition over `PolicyInput/1`, and what follows when it holds."""

    id: Identifier
    when: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    then: ThenModel


class MatchesModel(_Strict):
    """Whether somebody who was recognised is asked before the platform hears of it: never, where somebody else posted
    the picture, or always."""

    approval: Approval = "never"


class GivenModel(_Strict):
    """A case's picture: the strongest score by label, and how many faces; `near_face` says whether one is close."""

    tags: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    faces: Annotated[int, Field(ge=0, le=1000)] = 0
    near_face: bool = False
    surface: Literal["post", "avatar", "message", "story"] = "post"


class ExpectModel(_Strict):
    action: ActionName
    tags: tuple[str, ...]
    approval: Approval | None = None  # not compared where it is left out


class CaseModel(_Strict):
    """A test that the policy carries with it."""

    name: str
    given: GivenModel
    expect: ExpectModel


class PolicyModel(_Strict):
    schema_: Literal["assent.policy/1"] = Field(alias="schema")
    name: Identifier
    version: str
    matches: MatchesModel = MatchesModel()
    labels: Annotated[dict[str, LabelModel], Field(min_length=1)]
    rules: Annotated[tuple[RuleModel, ...], Field(min_length=1, max_length=200)]
    cases: Annotated[tuple[CaseModel, ...], Field(min_length=1)]

    @field_validator("rules")
    @classmethod
    def _distinct(cls, rules: tuple[RuleModel, ...]) -> tuple[RuleModel, ...]:
        if len({rule.id for rule in rules}) != len(rules):
            raise ValueError("two rules have the same id")
        return rules
