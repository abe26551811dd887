"""Blocked words are found however they are spelt, and never inside other words."""

from __future__ import annotations

from pathlib import Path

import pytest

from assent.core.errors import WordListInvalid
from assent.perceive.text.words import is_blocked, load_words, parse_words

LISTS = parse_words("""
# rude
shit   # the usual
cunt
ass
fuck
cock
kill yourself
scheiße
自殺
nazi
""")


@pytest.mark.parametrize(
    "text",
    [
        "shit",
        "SHIT!",
        "oh, shit-storm",
        "sh1t",
        "$h!t",
        "5h1t",
        "a$$",
        "@ss",
        "ѕһіt",  # Cyrillic
        "ѕhıτ",  # and Greek
        "ｓｈｉｔ",
        "𝓼𝓱𝓲𝓽",
        "šhît",
        "s h i t",
        "f.u.c.k",
        "f_u_c_k",
        "fuuuuuck",
        "fuckkk",
        "N4ZI",
        "just   KILL\tyourself now",
        "k1ll yourself",
        "SCHEISSE",
        "彼は自殺した",
    ],
)
def test_blocked(text: str) -> None:
    assert is_blocked(LISTS, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Scunthorpe United",
        "a class of assassins passes",
        "Hancock had a cocktail, said the peacock",
        "shiitake",
        "skill yourselfie",
        "kill them, not yourself",
        "Galaxy A55 for 455",
        "455",
        "U.S.A. is big",
        "nazism is another word",
        "Mass. 1:1",
        "!!! $$$ @@@",
    ],
)
def test_not_blocked(text: str) -> None:
    assert not is_blocked(LISTS, text)


def test_an_entry_is_folded_like_the_text() -> None:
    lists = parse_words("Sh1t-Storm\na$$\n88\nc++\n!!!")
    assert [is_blocked(lists, text) for text in ("shit storm", "ass", "88", "1988", "a", "c", "b!")] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip


def test_an_empty_list_blocks_nothing() -> None:
    assert not is_blocked(parse_words("# nothing\n\n"), "shit")


def test_a_folder_has_a_file_a_language(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("\ufeffdamn\r\nbloody hell # both words\r\n")
    (tmp_path / "de.txt").write_text("Mist\n")
    (tmp_path / "readme.md").write_text("good")
    lists = load_words(tmp_path)
    assert [is_blocked(lists, text) for text in ("damn", "bloody hell", "mist", "good", "hell")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_broken_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WordListInvalid, match="no word list"):
        load_words(tmp_path / "none")
    (tmp_path / "en.txt").write_bytes(b"caf\xe9")
    with pytest.raises(WordListInvalid, match="UTF-8"):
        load_words(tmp_path)
    (tmp_path / "en.txt").write_bytes(b"a" * (4 << 20) + b"a")
    with pytest.raises(WordListInvalid, match="larger"):
        load_words(tmp_path)
