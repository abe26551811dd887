"""Finds words that an operator blocks, whatever alphabet and digits they are spelt with. Pure but for `load_words`.

A text is compared word by word, never inside a word: "Scunthorpe" holds no blocked word. Both are folded first: case,
accents and look-alike letters (Unicode's own compatibility forms, and the Cyrillic and Greek letters below); digits and
signs that stand for letters count as letters where a word holds real ones too. Letters that are spread out are drawn
together, letters drawn out are shortened.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assent.core.errors import WordListInvalid

MAX_WORD_LIST = 4 << 20  # bytes
# Letters that look like Latin ones (a selection of Unicode's confusables.txt: those of one letter to one).
_LOOKALIKES = str.maketrans(
    "аАвВеЕзЗиИкКмМнНоОрРсСтТуУхХіІјЈѕЅԁѡһӏԛԝɡαΑβΒγεΕζΖηΗιΙκΚμΜνΝοΟρΡτΤυΥχΧωıɑøØłŁđĐ",
    "aAbBeE33uUkKmMhHoOpPcCtTyYxXiIjJsSdwhlqwgaAbByeEzZnHiIkKmMvNoOpPtTuYxXwiaoOlLdD",
)
_SIGNS = {"@": "a", "$": "s", "€": "e", "£": "l", "+": "t", "|": "l", "!": "i"}
_DIGITS = {"0": "o", "1": "i", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g"}
_LEET = (str.maketrans(_SIGNS | _DIGITS), str.maketrans(_SIGNS | _DIGITS | {"1": "l", "!": "l", "|": "i"}))
_WORD = re.compile(r"[\w@$€£+|!]+")
_SPREAD = re.compile(r"(?<!\w)(?:\w[\s.\-_*·]+){2,}\w(?!\w)")
_RUN = re.compile(r"(\w)\1{2,}")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")  # Thai, kana, Han: written without spaces


@dataclass(frozen=True, slots=True)
class WordLists:
    """Folded words, phrases (words with a space between), and strings of scripts that are written without spaces."""

    words: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    strings: tuple[str, ...] = ()


NO_WORDS = WordLists()


def load_words(folder: Path) -> WordLists:
    """Reads the lists in a folder, a file a language (`en.txt`): a word or phrase a line; a # begins a comment.

    Raises WordListInvalid where no such folder or no list is there, or a file is not readable UTF-8 of at most 4 MiB.
    """
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise WordListInvalid(f"{folder} holds no word list, such as en.txt")
    return parse_words("\n".join(_text(file) for file in files))


def parse_words(text: str) -> WordLists:
    """Parses lists from their text."""
    entries = {fold(line.partition("#")[0]).strip() for line in text.splitlines()} - {""}
    strings = {entry for entry in entries if _UNSPACED.search(entry)}
    phrases = {" ".join(_letters(word, _LEET[0]) for word in _WORD.findall(entry)) for entry in entries - strings} - {
        ""
    }
    words = {phrase for phrase in phrases if " " not in phrase}
    return WordLists(frozenset(words), tuple(sorted(phrases - words)), tuple(sorted(strings)))


def is_blocked(lists: WordLists, text: str) -> bool:
    """Tells whether the text holds a word or phrase of the lists."""
    plain = fold(text)
    if any(string in plain for string in lists.strings):
        return True
    for words in _readings(plain):
        if not lists.words.isdisjoint(words):
            return True
        spaced = f" {' '.join(words)} "
        if any(f" {phrase} " in spaced for phrase in lists.phrases):
            return True
    return False


def fold(text: str) -> str:
    """Removes case and accents and turns look-alikes into the Latin letters they look like."""
    plain = unicodedata.normalize("NFKD", text.translate(_LOOKALIKES))
    return "".join(one for one in plain if not unicodedata.combining(one)).casefold()


def _readings(plain: str) -> Iterator[list[str]]:
    """Yields the words of a folded text in each way they may be meant."""
    drawn = _SPREAD.sub(lambda match: re.sub(r"\W|_", "", match.group()), plain)
    for text in dict.fromkeys((plain, drawn)):
        yield re.findall(r"\w+", text)
        for table in _LEET:
            words = [_unleet(word, table) for word in _WORD.findall(text)]
            yield words
            yield [_RUN.sub(r"\1", word) for word in words]
            yield [_RUN.sub(r"\1\1", word) for word in words]


def _unleet(word: str, table: dict[int, str]) -> str:
    """Turns signs and digits into letters, where at most half are digits: "A55" is a telephone, 455 a number.

    Signs at the end are punctuation."""
    return _letters(word.rstrip("!|+"), table)


def _letters(word: str, table: dict[int, str]) -> str:
    return word.translate(table) if 2 * sum(one.isdigit() for one in word) <= len(word) else word


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_WORD_LIST:
            raise WordListInvalid(f"{file} is larger than {MAX_WORD_LIST} bytes")
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise WordListInvalid(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WordListInvalid(f"{file} is not UTF-8: byte {error.start}") from error
