"""What the README tells its reader to type works."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assent.cli import COMMANDS, app
from assent.core.settings import Settings
from assent.policy.load import load_policy
from tests.shell import typed

ROOT = Path(__file__).parents[2]
GROUPS = "audit|dead-letters|hash-lists|policy|endpoint|secret|decision|statements|api-key|review|learn"
README = (ROOT / "README.md").read_text()


LINES = re.findall(r"<!-- tests/integration/\w+.py runs these lines -->\n```sh\n(.*?)```", README, re.DOTALL)


def ask(name: str) -> str:
    """The line that has the group photo decided; the answer goes to a file of that name."""
    key = "$(grep -o 'assent_default_[^\"]*' out/init.json)"
    send = f'curl -sf -H "Authorization: Bearer {key}" -F image=@out/group.jpg http://127.0.0.1:8400/v1/images'
    return f"{send} > out/{name}.json\n"


@pytest.mark.timeout(240)
def test_one_event_by_hand_and_one_change_of_the_policy(open_folder: Path, six_people: bytes) -> None:
    place = open_folder / "readme"
    (place / "out").mkdir(parents=True)
    (place / "out/group.jpg").write_bytes(six_people)
    for name, target in (("examples", ROOT / "examples"), (".venv", Path(sys.prefix))):
        (place / name).symlink_to(target)
    event, change = LINES
    data = str(open_folder / "by-hand")
    event = event.replace("/tmp/assent-by-hand", data)  # noqa: S108 - what the reader is told
    change, found, back = change.partition(".venv/bin/assent policy rollback")
    lines = event + ask("before") + change + ask("changed") + found + back + ask("after")
    said = typed(lines + "\nkill %1 %2; wait %1 %2 || true\n", place)
    assert "media.tagged photo-1: allow, signature verified" in said
    assert re.search(r"ok: assent/default, \d+ leaves", said)
    trace = json.JSONDecoder().raw_decode(said[said.index('{\n  "event"') :])[0]
    assert trace["jobs"][0]["status"] == "succeeded"
    assert trace["pictures"][0]["decision"]["action"] == "allow"
    assert trace["pictures"][0]["leaf"]["hashes"]
    assert trace["pictures"][0]["deliveries"][0]["state"] == "delivered"
    rules = 1 + len(load_policy(ROOT / "policies/default.yaml").rules)
    assert f"{rules} rules, 0 warnings, 1 cases, 0 wrong" in said
    assert "2 pictures decided again" in said
    assert "1 would be decided otherwise" in said
    assert "ours 1 is tried beside the active policy" in said
    assert re.search(r"ours 1 \([0-9a-f]{12}\) decides for default; leaf \d+ of the log", said)
    assert "the policy of the installation (ASSENT_POLICY) decides for default" in said
    assert "rolled back to 0" in said
    assert (place / "out/change.svg").read_text().startswith("<svg")
    answers = (json.loads((place / f"out/{name}.json").read_text()) for name in ("before", "changed", "after"))
    decided = [(answer["action"], answer["policy"]["name"]) for answer in answers]
    assert decided == [("allow", "default"), ("label", "ours"), ("allow", "default")]


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
