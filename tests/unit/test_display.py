"""What users chose is shown without acting on whoever reads it."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

import pytest

from assent.cli.text import cell
from assent.core.display import visible, visible_json, visible_lines
from assent.learn.report import Plot, Report, Table, write_report
from assent.me.pages import page

TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ACTING = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(chr(code)) in TURNS
]


def test_every_character_that_acts_is_spelled_out() -> None:
    assert len(ACTING) > 2048 + 65 + 9
    for character in ACTING:
        assert visible(f"a{character}b") == f"a{{U+{ord(character):04X}}}b"
        assert json.loads(visible_json([character])) == [character]
    assert visible_lines("a\tb\r\nc\x1b[2J") == "a\tb\r\nc{U+001B}[2J"
    assert visible_json({"a": "\u202e\x9bé"}) == '{"a": "\\u202e\\u009bé"}'


@pytest.mark.parametrize("name", ["alice", "https://a.example/users/x", "Zoë", "שלום", "می‌خواهم", "👩‍👧", "{U+202E}"])
def test_every_other_stays_as_it_is(name: str) -> None:
    assert visible(name) == visible_lines(name) == cell(name) == name
    assert visible_json(name) == f'"{name}"'


def test_a_cell_is_no_markup() -> None:
    assert cell("[bold]\u202e") == "\\[bold]{U+202E}"


def test_the_evaluations_page_shows_names_of_folders_as_they_are(tmp_path: Path) -> None:
    table = Table("t", "of \u202e", ("label", "photos"), (("cat\u2066<b>", 3), ("dog", None)))
    report = Report("r\u202e", "assent eval 'x\x9b'", ("left out: \u200f",), (table,), (Plot("p", "p", "<svg></svg>"),))
    write_report(report, tmp_path)
    html = (tmp_path / "report.html").read_text("utf-8")
    assert "cat{U+2066}&lt;b&gt;" in html
    assert "<svg></svg>" in html
    assert not {*ACTING} - {"\n"} & {*html}


def test_the_persons_page_keeps_a_name_apart_from_its_own_words() -> None:
    class Visitor:
        ref, form, minutes = "Zoe\u202e<b>", "0", 3

    answer = page("data", title="My data", here="/me/data", me=Visitor(), message="", wrong="", accesses=[])
    html = bytes(answer.body).decode()
    assert "<bdi>Zoe{U+202E}&lt;b&gt;</bdi>" in html
