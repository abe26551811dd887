"""Reads the texts of the console: one table, `words.toml`, from which templates and routes take all their words."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WORDS: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))


def error_words(code: str, detail: str) -> tuple[str, str]:
    """Returns the title and text of an error, by its code; the detail stands for one that has no text of its own."""
    known = WORDS["wrong"].get(code)
    return (known["title"], known["text"]) if known else (WORDS["wrong"]["other"]["title"], detail)


def said(name: str) -> str:
    """Returns the message of what has just been done, by its name in the address; empty for any other name."""
    message: str = WORDS["said"].get(name, "")
    return message
