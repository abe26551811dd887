"""Spells out, in texts that users chose, the characters that act on a reader's screen instead of standing on it.

These are control characters (terminals obey some of them), the marks that turn the direction of what follows (Unicode
Standard Annex 9), invisible ones, and halves of surrogate pairs, which nothing can print. Joiners stay: scripts need
them.
"""

from __future__ import annotations

import json
import re
from typing import Any

_BUT_LINES = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff"
)
_IN_LINES = re.compile(f"[{_BUT_LINES}]")
_IN_NAME = re.compile(rf"[\t\n\r{_BUT_LINES}]")


def visible(name: str) -> str:
    """Returns a name, or any text of one line, with each such character spelled as `{U+202E}`."""
    return _IN_NAME.sub(_spell, name)


def visible_lines(text: str) -> str:
    """Returns a text as `visible` does, with its line breaks and tabs."""
    return _IN_LINES.sub(_spell, text)


def visible_json(document: Any, indent: int | None = None) -> str:
    """Returns JSON, readable beyond ASCII, in which each such character is escaped: the same document to a parser."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    return _IN_LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _spell(match: re.Match[str]) -> str:
    return f"{{U+{ord(match[0]):04X}}}"
