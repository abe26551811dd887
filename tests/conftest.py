"""Shared by all tests: the fixtures of `tests/fixtures`, one module a subject."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

# The collector would go through all modules a dozen times while thousands of tests are imported.
gc.disable()

pytest_plugins = [
    "tests.fixtures.acting",
    "tests.fixtures.album",
    "tests.fixtures.api",
    "tests.fixtures.browser",
    "tests.fixtures.command",
    "tests.fixtures.console",
    "tests.fixtures.database",
    "tests.fixtures.club",  # it needs the one before
    "tests.fixtures.figures",
    "tests.fixtures.gallery",
    "tests.fixtures.house",
    "tests.fixtures.keys",
    "tests.fixtures.log",
    "tests.fixtures.me",
    "tests.fixtures.npm",
    "tests.fixtures.worker",
]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    try:
        yield
    finally:
        gc.freeze()  # what was imported stays, and is not gone through later either
        gc.enable()
