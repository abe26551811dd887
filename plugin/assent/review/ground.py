"""States the reasons of a moderator's restriction: on which rule of the decision's policy it rests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from assent.core.errors import BadRequest, PolicyInvalid
from assent.core.telemetry import log
from assent.core.values import HASH_SEVERE, Action
from assent.db.pool import Conn
from assent.decisions.document import Decision
from assent.decisions.statement import Statement, has_reason, state_moderator_decision
from assent.hashlists.search import SEVERE_LABEL
from assent.policy.model import LoadedRule, Policy
from assent.policy.versions import read_policy


@dataclass(frozen=True, slots=True)
class Grounds:
    """Says for which actions a policy makes statements of reasons, and the rules that a moderator may rest one on.

    `rules`: id of each, and its reason in the reader's language, else the first one.
    """

    actions: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()


# By tenant, language and the policy's hash, which never says another thing.
_KNOWN: dict[tuple[str, str, str], Grounds] = {}
_MOST_KNOWN = 256


def list_grounds(conn: Conn, tenant: str, decision: Decision, language: str) -> Grounds:
    """Returns the grounds of the policy that decided; none where it makes no statements or does not read."""
    key = (tenant, language, decision.policy.sha256)
    if key in _KNOWN:
        return _KNOWN[key]
    try:
        policy = read_policy(conn, tenant, decision.policy.sha256)
    except PolicyInvalid:
        return Grounds()
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    wanted = policy.statements
    rules = [rule for rule in policy.rules if rule.model.reason and has_reason(policy, rule)] if wanted else []
    named = tuple((rule.id, _in_words(rule.model.reason, language)) for rule in rules)
    _KNOWN[key] = Grounds(tuple(wanted.for_actions) if wanted else (), named)
    return _KNOWN[key]


def state(conn: Conn, tenant: str, decision: Decision, ground: str | None) -> Statement | None:
    """Returns the statement of reasons for a decision as a moderator left it; None where its policy makes none.

    It rests on the rule `ground`, or on the first one that restricted the picture without the moderator, or on the
    terms alone. Raises BadRequest where the policy has no such rule with a reason.
    """
    try:
        policy = read_policy(conn, tenant, decision.policy.sha256)
    except PolicyInvalid as error:
        log.error("no statement of reasons: the policy does not read", tenant=tenant, code=error.code)
        return None
    held = decision.reviewed.automated.rules if decision.reviewed else ()
    rule = _named(policy, ground) if ground else _restricting(policy, held)
    return state_moderator_decision(policy, Action[decision.action], [tag.name for tag in decision.tags], rule)


def _in_words(reason: Mapping[str, str], language: str) -> str:
    return reason.get(language) or next(iter(reason.values()))


def _named(policy: Policy, ground: str) -> LoadedRule:
    grounds = {rule.id: rule for rule in policy.rules if has_reason(policy, rule)}
    if ground not in grounds:
        raise BadRequest(f"no ground {ground!r}; the policy's rules with a reason: {', '.join(sorted(grounds))}")
    return grounds[ground]


def _restricting(policy: Policy, held: Collection[str]) -> LoadedRule | None:
    rules = (rule for rule in policy.rules if rule.action > Action.allow and _holds(rule, held))
    return next((rule for rule in rules if has_reason(policy, rule)), None)


def _holds(rule: LoadedRule, held: Collection[str]) -> bool:
    """Tells whether a rule held. No policy was asked about an image on a severe list: a rule about such lists holds."""
    return rule.id in held or (HASH_SEVERE in held and SEVERE_LABEL in rule.about)
