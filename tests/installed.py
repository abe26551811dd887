"""What this machine has: files of installed packages, and what to do where something is missing."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest


def need(reason: str) -> None:
    """Skips a test for want of something, or fails it where everything must run."""
    if os.environ.get("ASSENT_REQUIRE_ALL") == "1":
        pytest.fail(f"ASSENT_REQUIRE_ALL=1, but {reason}")
    pytest.skip(reason)


def package_file(package: str, inside: str) -> Path:
    """A file that an installed package carries, found without importing the package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / inside
