"""Gathers what speaks for and against a decision that waits for a moderator: rules, labels, lists, people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from assent.core.errors import PolicyInvalid
from assent.core.taxonomy import BY_NAME, above
from assent.core.values import Rule, Tag
from assent.db.pool import Conn, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import Decision
from assent.hashlists.search import SEVERE_LABEL
from assent.keys.keystore import TenantKeys
from assent.policy.load import stored_policy
from assent.policy.model import Policy
from assent.policy.moderated import MODERATOR
from assent.review.cases import Case
from assent.review.clusters import count_alike
from assent.review.precision import MeasuredHere, ShippedFigure, is_shipped, measured_here, own_figures, shipped_figure

PDQ_BITS = 256
_COMPILED = 64  # policies kept compiled
_Q = named_queries("policy")


@dataclass(frozen=True, slots=True)
class HeldRule:
    """A rule that held. `words`: its reason as the author reads it, empty where the policy gives none.

    `label`, `score` and `threshold` are of the strongest label that its condition names; None where no label that the
    platform is told counts for it.
    """

    id: str
    because: str
    words: str = ""
    label: str | None = None
    score: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class LabelEvidence:
    """A label with how far it can be trusted; `times`: how often it was found, `score`: the highest.

    `threshold`: from which it counts by the decision's policy; None where that does not read. `by_moderator`: somebody
    added it, no model said it.
    """

    name: str
    meaning: str
    score: float
    threshold: float | None
    model: str
    times: int
    by_moderator: bool
    shipped: ShippedFigure | None
    measured: MeasuredHere


@dataclass(frozen=True, slots=True)
class ListHit:
    """An entry of a hash list that the image was found to be. `distance`: bits of the PDQ hash; 0: the very file."""

    list: str
    severe: bool
    distance: int


@dataclass(frozen=True, slots=True)
class PeopleLine:
    """Counts faces, and how many of them are of people who agreed to be recognised; nobody is named.

    `strong` and `likely` are published matches.
    """

    faces: int = 0
    strong: int = 0
    likely: int = 0


@dataclass(frozen=True, slots=True)
class Why:
    """Holds what a case page shows beside the image. `withheld`: labels that the platform is not told.

    `alike`: open cases of its queue whose images look like this one, at most `clusters.MOST_MEMBERS`.
    """

    case: Case
    rules: tuple[HeldRule, ...] = ()
    labels: tuple[LabelEvidence, ...] = ()
    hits: tuple[ListHit, ...] = ()
    people: PeopleLine = field(default_factory=PeopleLine)
    withheld: int = 0
    alike: int = 0


def why_of(conn: Conn, keys: TenantKeys, case: Case, decision: Decision | None, language: str = "en") -> Why:
    """Gathers the evidence beside a case, in three round trips, or four where a model of the operator's own spoke.

    `decision`: as it was assembled for the platform; None where there is none any more. `language`: of a rule's words
    where its policy has them.
    """
    alike = count_alike(conn, keys.tenant, case.id)
    if decision is None:
        return Why(case, alike=alike)
    policy = policy_of_decision(conn, keys.tenant, decision)
    labels = [tag for tag in decision.tags if tag.category not in ("face", "hash")]
    measured = measured_here(conn, keys.tenant, {tag.name for tag in labels})
    foreign = {tag.model for tag in labels if tag.model != MODERATOR and not is_shipped(tag.model)}
    own = own_figures(conn, keys, foreign) if foreign else {}
    bands = [face.match.band for face in decision.faces if face.match]
    return Why(
        case,
        tuple(_rule(rule, policy, decision.tags, language) for rule in decision.rules),
        tuple(_label(found, policy, own, measured) for found in _strongest_first(labels)),
        tuple(_hit(tag) for tag in decision.tags if tag.category == "hash"),
        PeopleLine(len(decision.faces), bands.count("strong"), bands.count("likely")),
        sum(one.labels for one in decision.withheld),
        alike,
    )


@lru_cache(_COMPILED)
def compiled_policy(canonical: str) -> Policy:
    """Loads a stored policy, once. Raises PolicyInvalid."""
    return stored_policy(canonical)


def policy_of_decision(conn: Conn, tenant: str, decision: Decision) -> Policy | None:
    """Returns the decision's policy; None where it is not stored, does not read, or is another than its hash says."""
    row = fetch_one(conn, _Q["read_policy"], tenant=tenant, sha256=decision.policy.sha256)
    try:
        policy = compiled_policy(row["canonical"]) if row else None
    except PolicyInvalid:
        return None
    return policy if policy and policy.ref.sha256 == decision.policy.sha256 else None


def _rule(rule: Rule, policy: Policy | None, tags: Sequence[Tag], language: str) -> HeldRule:
    loaded = next((one for one in policy.rules if one.id == rule.id), None) if policy else None
    if policy is None or loaded is None:
        return HeldRule(rule.id, rule.because)
    reasons = loaded.model.reason
    words = reasons.get(language) or reasons.get("en") or next(iter(reasons.values()), "")
    about = [tag for tag in tags if tag.model != MODERATOR and not set(loaded.about).isdisjoint(above(tag.name))]
    if not about:
        return HeldRule(rule.id, rule.because, words)
    top = max(about, key=lambda tag: tag.score)
    return HeldRule(rule.id, rule.because, words, top.name, top.score, policy.threshold(top.name))


def _strongest_first(tags: Sequence[Tag]) -> list[list[Tag]]:
    """Returns the tags of each label, both in the order of the scores."""
    by_name: dict[str, list[Tag]] = {}
    for tag in sorted(tags, key=lambda tag: -tag.score):
        by_name.setdefault(tag.name, []).append(tag)
    return list(by_name.values())


def _label(
    found: Sequence[Tag],
    policy: Policy | None,
    own: Mapping[tuple[str, str], ShippedFigure],
    measured: Mapping[str, MeasuredHere],
) -> LabelEvidence:
    top = found[0]
    return LabelEvidence(
        top.name,
        BY_NAME[top.name].meaning if top.name in BY_NAME else "",
        top.score,
        _threshold(policy, top.name),
        top.model,
        len(found),
        top.model == MODERATOR,
        own.get((top.model, top.name)) or shipped_figure(top.model, top.name, top.score),
        measured.get(top.name, MeasuredHere()),
    )


def _threshold(policy: Policy | None, label: str) -> float | None:
    threshold = policy.threshold(label) if policy else None
    return threshold if threshold is not None and threshold <= 1 else None


def _hit(tag: Tag) -> ListHit:
    return ListHit(tag.model.partition("@")[0], tag.name == SEVERE_LABEL, round((1 - tag.score) * PDQ_BITS))
