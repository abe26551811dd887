"""Reads the texts of the console: one table, `words.toml`, from which templates and routes take all their words."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
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


def reason_words(reason: str) -> str:
    """Returns why a case waits: in words where that is a code of ours, else as the policy's rule is called."""
    texts: Mapping[str, str] = {**WORDS["unread"], **WORDS["waits"]}
    return texts.get(reason, reason)


def age_words(age: timedelta) -> str:
    """Returns how long something is in its largest unit: days, hours or minutes, rounded down, one minute at least."""
    minutes = max(1, int(age.total_seconds()) // 60)
    texts: Mapping[str, str] = WORDS["age"]
    if minutes < 60:
        return texts["minutes"].format(n=minutes)
    return texts["hours"].format(n=minutes // 60) if minutes < 48 * 60 else texts["days"].format(n=minutes // 1440)
