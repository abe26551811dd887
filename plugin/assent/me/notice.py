"""Reads the notice shown before a person consents: a plain text file, the deployer's own or the shipped one.

Its first line may be `Version: …`. Paragraphs are set apart by an empty line; `# ` begins a heading, `- ` an item.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Literal

from assent.core.errors import NoticeInvalid

DEFAULT = Path(__file__).with_name("pages") / "notice.txt"
MAX_LETTERS = 20_000  # as much as a consent may carry
LineKind = Literal["heading", "list", "text"]


@dataclass(frozen=True, slots=True)
class Notice:
    """The text that is shown, and the version that its author gave it."""

    version: str
    text: str

    @property
    def sha256(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    @property
    def blocks(self) -> list[tuple[LineKind, list[str]]]:
        """Returns headings, lists and paragraphs in order, each with its lines."""
        blocks: list[tuple[LineKind, list[str]]] = []
        open_block = False
        for line in self.text.splitlines():
            kind, words = _line(line)
            if open_block and blocks[-1][0] == kind != "heading" and words:
                blocks[-1][1].append(words)
            elif words:
                blocks.append((kind, [words]))
            open_block = bool(words)
        return blocks


def parse_notice(text: str) -> Notice:
    """Returns the notice in this text; without a version line the beginning of its hash is its version.

    Raises ValueError when it is empty or longer than 20,000 letters.
    """
    first, _, rest = text.strip().partition("\n")
    named = first.lower().startswith("version:")
    shown = rest.strip() if named else text.strip()
    if not 0 < len(shown) <= MAX_LETTERS:
        raise ValueError(f"a notice has 1 to {MAX_LETTERS} letters; this one has {len(shown)}")
    version = first.partition(":")[2].strip()[:64] if named else ""
    return Notice(version or sha256(shown.encode()).hexdigest()[:12], shown)


def read_notice(file: Path | None) -> Notice:
    """Returns the notice in that file, or the shipped one; it is read again once the file has changed.

    Raises NoticeInvalid.
    """
    file = file or DEFAULT
    try:
        return _read(file, file.stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise NoticeInvalid(f"{file}: {error}") from error


@lru_cache(maxsize=4)
def _read(file: Path, _changed: int) -> Notice:
    return parse_notice(file.read_text(encoding="utf-8"))


def _line(line: str) -> tuple[LineKind, str]:
    line = line.strip()
    if line.startswith("# "):
        return "heading", line[2:].strip()
    if line.startswith("- "):
        return "list", line[2:].strip()
    return "text", line
