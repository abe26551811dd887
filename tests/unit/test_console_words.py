"""The console's pages take their words from one table: neither templates nor scripts hold any of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import assent.console.pages as pages
from assent.console.keys_table import FIXED_KEYS, USUAL_KEYS, changed_keys, keys_of
from assent.console.words import WORDS
from assent.staff.accounts import StaffSettings

FOLDER = Path(pages.__file__).parent
TEMPLATES = sorted(FOLDER.glob("*.html"))
SCRIPTS = sorted(FOLDER.glob("*.js"))
TOLD = re.compile(r'\b(?:aria-label|alt|title|placeholder|aria-description)="([^"]*)"')


def left(text: str) -> str:
    """What a template says itself: without expressions, statements, comments, commands and tags."""
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", text, flags=re.DOTALL)
    text = re.sub(r"<(code|pre)\b.*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r'<[^>]*>|[a-z-]+="[^"]*"', "", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_holds_no_words(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"[A-Za-z]{2,}", left(text)) == []
    told = [re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", words) for words in TOLD.findall(text)]
    assert [words for words in told if re.search("[A-Za-z]", words)] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_holds_no_words_and_makes_no_markup(path: Path) -> None:
    text = re.sub(r"^\s*//.*|;?\s+// .*", "", path.read_text(), flags=re.MULTILINE)
    literals = re.findall(r"\"([^\"\n]*)\"|'([^'\n]*)'|`([^`]*)`", text)
    assert [one for three in literals for one in three if re.search(r"\b[A-Z]?[a-z]+ [a-z]+ [a-z]+\b", one)] == []
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", ".style"):
        assert unsafe not in text
    assert len(path.read_text().splitlines()) <= 250


def test_every_key_is_said_and_none_stands_for_two_actions() -> None:
    assert set(USUAL_KEYS) | {"digits", "cover"} == set(WORDS["key"]["names"])
    assert len(set(USUAL_KEYS.values())) == len(USUAL_KEYS)
    assert not set(USUAL_KEYS.values()) & set("123456789")


def test_other_letters_may_be_chosen_but_not_one_for_two() -> None:
    assert changed_keys({"allow": "X", "block": "k", "look": "y", "skip": "", "note": "1"}) == {"allow": "x"}
    assert changed_keys({"allow": "k", "block": "a"}) == {"allow": "k", "block": "a"}
    with pytest.raises(ValueError, match="k"):
        changed_keys({"allow": "k"})
    assert keys_of(StaffSettings(key_map={"allow": "x"}))["allow"] == "x"
    assert keys_of(StaffSettings(keys=False)) == {}
    assert set(USUAL_KEYS) > FIXED_KEYS
