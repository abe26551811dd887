"""The text that people read before they agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from assent.core.errors import NoticeInvalid
from assent.me.notice import MAX_LETTERS, parse_notice, read_notice


def test_a_text_is_split_into_what_a_page_shows() -> None:
    notice = parse_notice("version: 7 \n\n# Head\nOne\ntwo.\n- a\n- b\n\nThree.\n# End\n# Again\n")
    assert notice.version == "7"
    assert notice.blocks == [
        ("heading", ["Head"]),
        ("text", ["One", "two."]),
        ("list", ["a", "b"]),
        ("text", ["Three."]),
        ("heading", ["End"]),
        ("heading", ["Again"]),
    ]


def test_the_version_is_no_part_of_the_text_that_is_recorded() -> None:
    assert (
        parse_notice("Version: 1\nText").sha256
        == parse_notice("Version: 2\r\nText\n").sha256
        == parse_notice("Text").sha256
    )
    assert parse_notice("Text").version == parse_notice("Text").sha256[:12]
    assert parse_notice("Text").sha256 != parse_notice("Other").sha256


@pytest.mark.parametrize("text", ["", "  \n", "Version: 1", "Version: 1\n \n", "x" * (MAX_LETTERS + 1)])
def test_nothing_and_too_much_are_no_notice(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="letters"):
        parse_notice(text)
    (tmp_path / "notice.txt").write_text(text)
    with pytest.raises(NoticeInvalid):
        read_notice(tmp_path / "notice.txt")


def test_a_file_that_cannot_be_read_is_no_notice(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xe9\xe8")
    for file in (tmp_path / "latin", tmp_path / "missing", tmp_path):
        with pytest.raises(NoticeInvalid):
            read_notice(file)


def test_the_shipped_text_is_one() -> None:
    notice = read_notice(None)
    assert notice.version == "default-2"
    assert "of every face in it, for a moment" in notice.text
    assert "also for people who never agreed" in notice.text
    assert len(read_notice(None).blocks) >= 8
