"""Shared by all tests: the fixtures of `tests/fixtures`, one module a subject."""

from __future__ import annotations

pytest_plugins = [
    "tests.fixtures.album",
    "tests.fixtures.api",
    "tests.fixtures.browser",
    "tests.fixtures.command",
    "tests.fixtures.database",
    "tests.fixtures.club",  # it needs the one before
    "tests.fixtures.figures",
    "tests.fixtures.gallery",
    "tests.fixtures.house",
    "tests.fixtures.keys",
    "tests.fixtures.log",
    "tests.fixtures.me",
    "tests.fixtures.worker",
]
