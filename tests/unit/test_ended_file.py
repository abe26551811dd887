"""What has ended is remembered whole, or the act that ends it fails."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from assent.core.audit_errors import HeadNotRemembered
from assent.keys import signed_head
from assent.keys.ended import append_ended, digest_of, ended_file, read_ended


def test_a_write_that_takes_a_part_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {digest_of("consent", f"{n}") for n in range(5)}
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    append_ended(tmp_path, "default", digests)
    assert read_ended(ended_file(tmp_path, "default")) == digests


def test_a_folder_that_takes_nothing_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "ended").write_text("no folder")
    with pytest.raises(HeadNotRemembered, match="cannot be written"):
        append_ended(tmp_path, "default", [digest_of("consent", "one")])


def test_who_was_stopped_with_the_file_locked_stops_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_ended(tmp_path, "default", [digest_of("consent", "one")])
    monkeypatch.setattr(signed_head, "HEAD_LOCK_SECONDS", 0.1)
    with ended_file(tmp_path, "default").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(HeadNotRemembered, match="does not go on"):
            append_ended(tmp_path, "default", [digest_of("consent", "two")])
