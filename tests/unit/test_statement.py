"""Statements of reasons: the database's fields within its limits, the author's notice, and nothing about anybody."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assent.core.resources import resource
from assent.core.values import MediaItem
from assent.decisions.statement import EU, Statement, derive_puid, state_restriction, statement_body
from assent.keys.keystore import TenantKeys
from assent.policy.cases import decided
from assent.policy.decide import decide
from assent.policy.load import load_policy
from assent.policy.schema import StatementCategory
from tests.unit.policy_files import BREAST, PHONE, PICTURE, POST, policy, rule, seen

AT = datetime(2026, 11, 25, 23, 59, tzinfo=UTC)
WORDS = {"en": "It shows nudity.", "de": "Es zeigt Nacktheit.", "fr": "Elle montre de la nudité."}
NUDE = 'score["nudity.explicit"] > 0.0'


def made(tmp_path: Path, seen_: Any = None, **statements: Any) -> Statement | None:
    """The statement on an exposed breast beside a face."""
    told = {**rule("nude", NUDE, action="limit"), "reason": WORDS}
    built = policy(tmp_path, rules=[told], statements={"languages": ["en", "de", "fr"], **statements})
    seen_ = seen_ or seen((BREAST, 0.9), faces=1)
    return state_restriction(built, seen_, decide(built, POST, PICTURE, seen_))


def test_the_fields_are_the_databases(tmp_path: Path) -> None:
    statement = made(tmp_path, terms="https://example.org/terms")
    assert statement is not None
    assert statement_body(statement, "ab", AT) == {
        "decision_visibility": ["DECISION_VISIBILITY_OTHER"],
        "decision_visibility_other": "Hidden behind a warning until the viewer asks to see it",
        "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "decision_ground_reference_url": "https://example.org/terms",
        "incompatible_content_ground": "Terms of service",
        "incompatible_content_explanation": "It shows nudity.",
        "content_type": ["CONTENT_TYPE_IMAGE"],
        "category": "STATEMENT_CATEGORY_OTHER_VIOLATION_TC",
        "category_specification": ["KEYWORD_NUDITY"],
        "territorial_scope": list(EU),
        "decision_facts": "A program looked at the picture and found: An uncovered female breast. Rules of the policy "
        "that held: nude.",
        "source_type": "SOURCE_VOLUNTARY",
        "automated_detection": "Yes",
        "automated_decision": "AUTOMATED_DECISION_FULLY",
        "content_date": "2026-11-25",
        "application_date": "2026-11-25",
        "puid": "ab",
    }


def test_the_author_is_told_in_each_language(tmp_path: Path) -> None:
    statement = made(tmp_path, appeal="https://example.org/object")
    assert statement is not None
    assert statement.notice["de"].splitlines() == [
        "Dein Bild wurde hinter einem Warnhinweis verborgen.",
        "Grund: Es zeigt Nacktheit.",
        "Das wurde von einem Programm erkannt und entschieden.",
        "Widersprechen: https://example.org/object",
    ]
    assert set(statement.notice) == set(WORDS)
    assert "Reason: It shows nudity." in statement.notice["en"]


def test_only_what_restricts_is_stated(tmp_path: Path) -> None:
    nude = seen((BREAST, 0.9), faces=1)
    assert made(tmp_path, seen((PHONE, 0.9))) is None
    assert made(tmp_path, for_actions=["block"]) is None
    assert state_restriction(load_policy(), nude, decide(load_policy(), POST, PICTURE, nude)) is None  # it makes none


def test_a_rule_may_say_more_than_the_label(tmp_path: Path) -> None:
    then = {"action": "block", "statement": {"category": "PROTECTION_OF_MINORS", "illegal": True, "ground": "Law"}}
    told = {**rule("nude", NUDE, **then), "reason": WORDS}
    built = policy(tmp_path, rules=[told], statements={"territory": ["DE"]})
    fields = state_restriction(built, seen((BREAST, 0.9)), decide(built, POST, PICTURE, seen((BREAST, 0.9))))
    assert fields is not None
    assert fields.fields["category"] == "STATEMENT_CATEGORY_PROTECTION_OF_MINORS"
    assert fields.fields["illegal_content_legal_ground"] == "Law"
    assert fields.fields["decision_ground"] == "DECISION_GROUND_ILLEGAL_CONTENT"
    assert fields.fields["territorial_scope"] == ["DE"]
    assert fields.fields["decision_visibility"] == ["DECISION_VISIBILITY_CONTENT_DISABLED"]


def tenant_keys(pseudonym_key: bytes) -> TenantKeys:
    return TenantKeys("club", b"s" * 32, pseudonym_key, Ed25519PrivateKey.generate(), 1, b"e" * 32)


def test_the_puid_is_the_same_for_the_same_decision_and_keyed() -> None:
    one, other = tenant_keys(b"1" * 32), tenant_keys(b"2" * 32)
    item, another, elsewhere = MediaItem("app", "photo-1"), MediaItem("app", "photo-2"), MediaItem("site", "photo-1")
    puid = derive_puid(one, item, 1)
    assert derive_puid(one, item, 1) == puid
    others = [(one, item, 2), (one, another, 1), (one, elsewhere, 1), (other, item, 1)]
    assert len({puid, *(derive_puid(*other) for other in others)}) == 5
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,500}", puid)
    assert "photo" not in puid


@pytest.mark.parametrize("path", sorted(resource("policies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_case_of_the_shipped_policies_is_stated_within_the_limits(path: Path) -> None:
    built = load_policy(path)
    stated = [state_restriction(built, *decided(built, case)) for case in built.cases]
    assert any(stated) == (built.statements is not None)
    for one in filter(None, stated):
        fields = statement_body(one, "p", AT)
        assert fields["category"].removeprefix("STATEMENT_CATEGORY_") in get_args(StatementCategory)
        assert len(fields["decision_facts"]) <= 5_000
        assert set(one.notice) == set(built.statements.languages if built.statements else ())
        assert json.dumps(fields).isascii()


def test_what_a_person_decided_of_the_same_file_is_not_fully_automated(tmp_path: Path) -> None:
    built = policy(tmp_path, rules=[{**rule("nude", NUDE, action="limit"), "reason": WORDS}], statements={})
    nude = seen((BREAST, 0.9), faces=1)
    statement = state_restriction(built, nude, decide(built, POST, PICTURE, nude), by_person=True)
    assert statement is not None
    assert statement.fields["automated_decision"] == "AUTOMATED_DECISION_PARTIALLY"
    assert "a person decided the same" in statement.notice["en"]
