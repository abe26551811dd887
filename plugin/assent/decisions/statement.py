"""Builds the statement of reasons for a restriction (Digital Services Act, Article 17). Pure.

The EU's transparency database gets its fields, the author gets its notice. Fields, values and limits are those of
version 2 of the database's API, in force since 1 July 2025
(https://transparency.dsa.ec.europa.eu/page/api-documentation, and `resources/markdown/api-documentation-two.md` in
https://github.com/digital-services-act/transparency-database); version 1 had other categories.

Nothing in a statement says who posted, who is in the image, which image it is, or which words were read in it: it holds
labels, the policy's own words and dates only. The puid is keyed, so that nobody without the tenant's keys can tell
whether a statement is of an image that they know.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assent.core.clock import format_day
from assent.core.taxonomy import BY_NAME as LABELS
from assent.core.taxonomy import Label
from assent.core.values import Action, MediaItem, Perception, Verdict
from assent.keys.keystore import TenantKeys
from assent.policy.input import above, most_specific
from assent.policy.model import LoadedRule, Policy
from assent.policy.schema import StatementModel, StatementsModel

MAX_BATCH = 100  # statements the database takes at once
_MAX_FACTS, _MAX_EXPLANATION = 5_000, 2_000  # characters
EU = (
    *("AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE"),
    *("IT", "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE"),
)
# What each action does to a picture, in the database's words. A limited picture is hidden behind a warning, for which
# it has none.
_OTHER = "DECISION_VISIBILITY_OTHER"
_VISIBILITY = {
    Action.label: "DECISION_VISIBILITY_CONTENT_LABELLED",
    Action.limit: _OTHER,
    Action.review: _OTHER,
    Action.block: "DECISION_VISIBILITY_CONTENT_DISABLED",
}
_OTHER_WORDS = {
    Action.limit: "Hidden behind a warning until the viewer asks to see it",
    Action.review: "Held back until a person has looked at it",
}
# The author's notice by language: what was done, by action; why; that nobody looked; how to object.
_DONE: dict[str, dict[Action, str]] = {
    "en": {
        Action.label: "Your picture was given a label.",
        Action.limit: "Your picture was hidden behind a warning.",
        Action.review: "Your picture is held back until a person has looked at it.",
        Action.block: "Your picture is not shown.",
    },
    "de": {
        Action.label: "Dein Bild wurde gekennzeichnet.",
        Action.limit: "Dein Bild wurde hinter einem Warnhinweis verborgen.",
        Action.review: "Dein Bild wird zurückgehalten, bis ein Mensch es angesehen hat.",
        Action.block: "Dein Bild wird nicht gezeigt.",
    },
    "fr": {
        Action.label: "Votre image a reçu une étiquette.",
        Action.limit: "Votre image est masquée derrière un avertissement.",
        Action.review: "Votre image est retenue jusqu’à ce qu’une personne l’ait regardée.",
        Action.block: "Votre image n’est pas affichée.",
    },
}
_WHY = {"en": "Reason: {}", "de": "Grund: {}", "fr": "Motif : {}"}
_HOW = {
    "en": "This was found and decided by a program.",
    "de": "Das wurde von einem Programm erkannt und entschieden.",
    "fr": "Cela a été détecté et décidé par un programme.",
}
_FOUND = {
    "en": "This was found by a program; a person looks at it.",
    "de": "Das wurde von einem Programm erkannt; ein Mensch sieht es sich an.",
    "fr": "Cela a été détecté par un programme ; une personne l’examine.",
}
_SAME = {
    "en": "This was found by a program; a person decided the same of this picture before.",
    "de": "Das wurde von einem Programm erkannt; ein Mensch hat über dieses Bild zuvor dasselbe entschieden.",
    "fr": "Cela a été détecté par un programme ; une personne a déjà décidé de même pour cette image.",
}
_BY_PERSON = {
    "en": "A person looked at your picture and decided this.",
    "de": "Ein Mensch hat dein Bild angesehen und so entschieden.",
    "fr": "Une personne a examiné votre image et en a décidé ainsi.",
}
_TERMS = {"en": "The rules: {}", "de": "Die Regeln: {}", "fr": "Les règles : {}"}
_APPEAL = {"en": "You can object here: {}", "de": "Widersprechen: {}", "fr": "Contester : {}"}


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of reasons before it has a puid and dates; `notice` is the author's, by language."""

    fields: dict[str, Any]
    notice: dict[str, str]


def state_restriction(
    policy: Policy, perception: Perception, verdict: Verdict, by_person: bool = False
) -> Statement | None:
    """Returns the statement that a verdict calls for; None where it restricts nothing or the policy makes none.

    `by_person`: a person decided the same of the same file before.
    """
    wanted = policy.statements
    held = {rule.id for rule in verdict.rules} - set(verdict.broken)
    rules = [rule for rule in policy.rules if rule.id in held and rule.action is verdict.action]
    if wanted is None or verdict.action.name not in wanted.for_actions or not rules:
        return None
    labels = tuple(_labels(policy, perception, rules))
    model = rules[0].model.then.statement
    fields = {
        "decision_visibility": [_VISIBILITY[verdict.action]],
        **({"decision_visibility_other": _OTHER_WORDS[verdict.action]} if verdict.action in _OTHER_WORDS else {}),
        **_ground(rules[0], wanted),
        "content_type": ["CONTENT_TYPE_IMAGE"],
        "category": f"STATEMENT_CATEGORY_{model.category or _category(labels)}",
        "territorial_scope": list(wanted.territory or EU),
        "decision_facts": _facts(rules, labels),
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": f"AUTOMATED_DECISION_{'PARTIALLY' if by_person or verdict.review else 'FULLY'}",
    }
    keywords = model.keywords or tuple(dict.fromkeys(label.keyword for label in labels if label.keyword))
    if keywords:
        fields["category_specification"] = [f"KEYWORD_{keyword}" for keyword in keywords]
    how = _SAME if by_person else _FOUND if verdict.review else _HOW
    return Statement(fields, _notices(rules[0], verdict.action, how, wanted))


def state_moderator_decision(
    policy: Policy, action: Action, names: Sequence[str], ground: LoadedRule | None
) -> Statement | None:
    """Returns the statement that a moderator's action calls for; None where the policy makes none for it.

    `names`: the labels of the picture as the moderator left them. `ground`: the policy's rule that the restriction
    rests on; without one it rests on the terms alone, and the author is told no further reason.
    """
    wanted = policy.statements
    if wanted is None or action.name not in wanted.for_actions:
        return None
    about = set(ground.about) if ground else set()
    named = [LABELS[name] for name in dict.fromkeys(names) if name in LABELS and about & set(above(name))]
    fields = {
        "decision_visibility": [_VISIBILITY[action]],
        **({"decision_visibility_other": _OTHER_WORDS[action]} if action in _OTHER_WORDS else {}),
        **(_ground(ground, wanted) if ground else _terms_alone(wanted)),
        "content_type": ["CONTENT_TYPE_IMAGE"],
        "category": f"STATEMENT_CATEGORY_{(ground and ground.model.then.statement.category) or _category(named)}",
        "territorial_scope": list(wanted.territory or EU),
        "decision_facts": _facts_of_person(named, ground),
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",  # a program brought the picture before them
        "automated_decision": "AUTOMATED_DECISION_NOT_AUTOMATED",
    }
    keywords = ground.model.then.statement.keywords if ground else ()
    if keywords := keywords or tuple(dict.fromkeys(label.keyword for label in named if label.keyword)):
        fields["category_specification"] = [f"KEYWORD_{keyword}" for keyword in keywords]
    return Statement(fields, _notices(ground, action, _BY_PERSON, wanted))


def has_reason(policy: Policy, rule: LoadedRule) -> bool:
    """Tells whether a restriction may rest on that rule: it gives a reason in each language of the statements."""
    return policy.statements is None or set(policy.statements.languages) <= set(rule.model.reason)


def derive_puid(keys: TenantKeys, item: MediaItem, revision: int) -> str:
    """Returns the statement's identifier, the same for the same decision: 64 hexadecimal digits of an HMAC-SHA256."""
    message = f"statement\x00{revision}\x00{item.source}\x00{item.id}".encode()
    return hmac.digest(keys.pseudonym_key, message, hashlib.sha256).hex()


def statement_body(statement: Statement, puid: str, decided_at: datetime) -> dict[str, Any]:
    """Returns the statement in the database's form. The image's own date is not known; it is the decision's."""
    day = format_day(decided_at)
    return {**statement.fields, "content_date": day, "application_date": day, "puid": puid}


def _labels(policy: Policy, perception: Perception, rules: Sequence[LoadedRule]) -> Iterator[Label]:
    """Returns the most specific labels that count and that the rules name, the strongest first, each once."""
    about = {name for rule in rules for name in rule.about}
    counted = {n: tag for n, tag in enumerate(perception.tags) if tag.score >= policy.threshold(tag.name)}
    tags = sorted(most_specific(counted).values(), key=lambda tag: -tag.score)
    names = [tag.name for tag in tags if about & set(above(tag.name))]
    return (LABELS[name] for name in dict.fromkeys(names) if name in LABELS)


def _category(labels: Sequence[Label]) -> str:
    return next((label.dsa for label in labels if label.dsa), "OTHER_VIOLATION_TC")


def _ground(rule: LoadedRule, wanted: StatementsModel) -> dict[str, str]:
    statement = rule.model.then.statement
    why = next(iter(rule.model.reason.values()), rule.id)[:_MAX_EXPLANATION]
    url = {"decision_ground_reference_url": wanted.terms} if wanted.terms else {}
    if statement.illegal:
        words = {"illegal_content_legal_ground": statement.ground, "illegal_content_explanation": why}
        return {"decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT", **words, **url}
    words = {"incompatible_content_ground": statement.ground, "incompatible_content_explanation": why}
    return {"decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT", **words, **url}


def _facts(rules: Sequence[LoadedRule], labels: Sequence[Label]) -> str:
    meanings = " ".join(label.meaning for label in labels) or "No label; the circumstances of the post."
    named = ", ".join(rule.id for rule in rules)
    return f"A program looked at the picture and found: {meanings} Rules of the policy that held: {named}."[:_MAX_FACTS]


def _terms_alone(wanted: StatementsModel) -> dict[str, str]:
    return {
        "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "incompatible_content_ground": StatementModel().ground,
        "incompatible_content_explanation": "A moderator looked at the picture and decided it.",
        **({"decision_ground_reference_url": wanted.terms} if wanted.terms else {}),
    }


def _facts_of_person(labels: Sequence[Label], ground: LoadedRule | None) -> str:
    meanings = " ".join(label.meaning for label in labels)
    shows = f" It shows: {meanings}" if meanings else ""
    rule = f" Rule of the policy that it goes against: {ground.id}." if ground else ""
    return f"A person looked at the picture and decided it.{shows}{rule}"[:_MAX_FACTS]


def _notices(
    rule: LoadedRule | None, action: Action, how: Mapping[str, str], wanted: StatementsModel
) -> dict[str, str]:
    return {language: _notice(language, rule, action, how[language], wanted) for language in wanted.languages}


def _notice(language: str, rule: LoadedRule | None, action: Action, how: str, wanted: StatementsModel) -> str:
    lines = [
        _DONE[language][action],
        *([_WHY[language].format(rule.model.reason[language])] if rule else []),
        how,
        *([_TERMS[language].format(wanted.terms)] if wanted.terms else []),
        *([_APPEAL[language].format(wanted.appeal)] if wanted.appeal else []),
    ]
    return "\n".join(lines)
