"""Secrets that a command prints into a file are its owner's alone, and no command's memory is dumped."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from assent.core.settings import Settings
from tests.command import environment_of
from tests.installed import need

ABORTS = """
import atexit, os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
atexit.register(os.abort)
"""
A_COMMAND = "sys.argv = ['assent', 'api-key', 'list']; from assent.cli import main; main()"


def test_secrets_that_go_into_a_file_are_its_owners_alone(settings: Settings, tmp_path: Path) -> None:
    for words in (
        ["init", "--json"],
        ["init", "--tenant", "other", "--source", "other"],
        ["api-key", "add", "--scope", "images:tag"],
    ):
        file = tmp_path / words[0]
        file.touch(0o644)
        file.chmod(0o644)
        with file.open("w") as output:
            command = [sys.executable, "-m", "assent", *words]
            subprocess.run(command, env=environment_of(settings), stdout=output, check=True)
        assert file.stat().st_size > 40
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(("mode", "refused"), [(0o644, True), (0o600, False)])
def test_a_file_of_another_user_that_others_can_read_gets_no_secret(tmp_path: Path, mode: int, refused: bool) -> None:
    if os.geteuid() != 0:
        need("only root can run as another user")
    file = tmp_path / "output"
    file.touch()
    file.chmod(mode)
    words = "import os; from assent.core.files import restrict_output; os.setuid(12345); restrict_output()"
    with file.open("w") as output:
        command = [sys.executable, "-c", words]
        ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, "StoreUnsafe" in ended.stderr) == (int(refused), refused)
    assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.parametrize(("main", "dumped"), [("", True), (A_COMMAND, False)], ids=["interpreter", "command"])
def test_a_command_that_is_aborted_leaves_no_core_dump(
    settings: Settings, tmp_path: Path, main: str, dumped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the kernel may write one
    words = [sys.executable, "-c", ABORTS + main]
    pid = os.posix_spawn(sys.executable, words, environment_of(settings))
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == 6
    if not os.WCOREDUMP(status) and dumped:
        pytest.skip("this kernel dumps no cores")
    assert os.WCOREDUMP(status) == dumped
