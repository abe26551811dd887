"""The policy change that the README shows, run line by line on an installation with a picture and a running worker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.house import House, running
from tests.web import Web

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def lines() -> tuple[str, str]:
    """What is typed up to the activation, and from the roll back on."""
    block = re.search(r"<!-- tests/integration/test_policy_readme.py.*?```sh\n(.*?)```", README, re.DOTALL)
    assert block is not None
    before, found, after = block[1].partition(".venv/bin/assent policy rollback")
    return before, found + after


def typed(house: House, place: Path, script: str) -> str:
    done = subprocess.run(
        ["/bin/bash", "-e"],
        cwd=place,
        env={**os.environ, **house.environment, "COLUMNS": "160"},
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def action(house: House, photo: bytes) -> tuple[str, str]:
    """The action on the photo now, and the policy's name."""
    answer = httpx2.post(f"{house.url}/v1/images", files={"image": photo}, headers=house.headers, timeout=90)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    return said["action"], said["policy"]["name"]


@pytest.mark.timeout(240)
def test_one_change_from_edit_to_roll_back(open_folder: Path, six_people: bytes, web: Web) -> None:
    place = open_folder / "policy-readme"
    (place / "out").mkdir(parents=True)
    (place / ".venv").symlink_to(sys.prefix)
    before, after = lines()
    with running(open_folder / "policy-house", web) as house:
        house.wait_for_worker()
        assert action(house, six_people) == ("allow", "default")
        said = typed(house, place, before)
        assert "11 rules, 0 warnings, 1 cases, 0 wrong" in said
        assert "1 pictures decided again" in said
        assert "1 would be decided otherwise" in said
        assert "ours 1 is tried beside the active policy" in said
        assert re.search(r"ours 1 \([0-9a-f]{12}\) decides for default; leaf \d+ of the log", said)
        assert (place / "out/change.svg").read_text().startswith("<svg")
        assert action(house, six_people) == ("label", "ours")
        said = typed(house, place, after)
        assert "the policy of the installation (ASSENT_POLICY) decides for default" in said
        assert "rolled back to 0" in said
        assert action(house, six_people) == ("allow", "default")
