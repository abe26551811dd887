"""What the README tells its reader to type works."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assent.cli import COMMANDS, app
from assent.core.settings import Settings

ROOT = Path(__file__).parents[2]
GROUPS = "audit|dead-letters|hash-lists|policy|endpoint|secret|decision|statements|api-key|review|learn"
README = (ROOT / "README.md").read_text()


@pytest.mark.timeout(180)
def test_one_event_followed_by_hand(open_folder: Path) -> None:
    block = re.search(r"<!-- tests/integration/test_readme.py.*?```sh\n(.*?)```", README, re.DOTALL)
    assert block is not None
    place = open_folder / "readme"
    place.mkdir()
    for name, target in (("examples", ROOT / "examples"), (".venv", Path(sys.prefix))):
        (place / name).symlink_to(target)
    data = str(open_folder / "by-hand")
    script = block[1].replace("/tmp/assent-by-hand", data)  # noqa: S108 - what the reader is told
    script += "\nkill %1 %2; wait %1 %2 || true\n"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")}
    done = subprocess.Popen(
        ["/bin/bash", "-em"],
        cwd=place,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = done.communicate(script, timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(done.pid, signal.SIGKILL)
        raise
    assert done.returncode == 0, said + (place / "out/serve.log").read_text()
    assert "media.tagged photo-1: allow, signature verified" in said
    assert re.search(r"ok: assent/default, \d+ leaves", said)
    trace = json.JSONDecoder().raw_decode(said[said.index('{\n  "event"') :])[0]
    assert trace["jobs"][0]["status"] == "succeeded"
    assert trace["pictures"][0]["decision"]["action"] == "allow"
    assert trace["pictures"][0]["leaf"]["hashes"]
    assert trace["pictures"][0]["deliveries"][0]["state"] == "delivered"


def test_every_command_named_exists() -> None:
    runner = CliRunner()
    named = {tuple(words.split()) for words in re.findall(rf"`?assent ((?:(?:{GROUPS}) )?[a-z-]+)", README)}
    commands = {words for words in named if words[0] in COMMANDS}
    assert len(commands) >= 10
    for words in commands:
        assert runner.invoke(app, [*words, "--help"]).exit_code == 0, words


def test_every_setting_named_exists() -> None:
    known = {f"ASSENT_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"ASSENT_[A-Z_]+", README)) - {"ASSENT_"}
    assert named
    assert named <= known


def test_the_two_commands_lead() -> None:
    first = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first[1].strip().splitlines()] == ["make demo", "make test"]
    assert shutil.which("make")
