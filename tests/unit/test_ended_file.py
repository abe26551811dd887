"""What has ended is remembered whole, or the act that ends it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assent.keys.ended import append_ended, digest_of, ended_file, read_ended


def test_a_write_that_takes_a_part_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {digest_of("consent", f"{n}") for n in range(5)}
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    append_ended(tmp_path, "default", digests)
    assert read_ended(ended_file(tmp_path, "default")) == digests
