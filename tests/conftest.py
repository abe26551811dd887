"""Shared by all tests: the fixtures of `tests/fixtures`, one module a subject."""

from __future__ import annotations

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.figures",
    "tests.fixtures.gallery",
    "tests.fixtures.worker",
]
