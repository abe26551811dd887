"""The embedded server dies under a running installation, or an installation under its first steps."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.adversarial import faults
from tests.adversarial.faults import site
from tests.adversarial.ledger import Ledger, send
from tests.command import assent
from tests.fixtures.figures import Figure
from tests.house import is_ready
from tests.waiting import until


def supervisors(data: Path) -> list[psutil.Process]:
    """The processes that watch the server of that data folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "assent.embedded.clusters" in line and str(data) in line and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def test_a_server_that_dies_comes_back_under_a_running_api(open_folder: Path, figure: Figure) -> None:
    ledger, deaths = Ledger(), 2
    with site(open_folder / "dies", "--no-worker") as at:
        api = at.house.process
        for number in range(deaths):
            server = faults.truth(at)
            assert server is not None
            server.kill()
            # Its children answer until they notice.
            until(lambda: _answer(at.house.url) == 503, "the API says that its database is away", 10)
            until(lambda: is_ready(at.house), "the API has its database again", 30)
            send(at.house, ledger, f"photo-{number}", at.photo(random.Random(number)))
        assert at.house.process is api
        assert api.is_running()
        assert len(ledger.acknowledged) == deaths
        until(lambda: len(supervisors(at.data)) == 1, "one supervisor is left", 10)
        _kill_supervisor_and_server(at.data)
        assert assent(at.house.environment, "audit", "verify").startswith("ok:")
        until(lambda: is_ready(at.house) and len(supervisors(at.data)) == 1, "whoever joins brings both back", 30)
    until(lambda: not supervisors(open_folder / "dies"), "the supervisor ends with the last one out", 20)
    figure(f"{deaths} deaths of the database: each time 503, then ready again; 0 restarts of serve")


def _kill_supervisor_and_server(data: Path) -> None:
    server = faults.postmaster(data)
    assert server is not None
    for process in (*supervisors(data), server):
        process.kill()


def _answer(url: str) -> int:
    return httpx2.get(f"{url}/readyz", timeout=30).status_code


@pytest.mark.timeout(300)
def test_init_killed_at_any_moment_can_be_run_again(open_folder: Path, figure: Figure) -> None:
    rng, kills = random.Random(7), 5
    data = open_folder / "init"
    environment = {"PATH": "/usr/bin:/bin", "ASSENT_DATA_DIR": str(data)}
    killed = 0
    for number in range(kills):
        command = [sys.executable, "-m", "assent", "init", "--json"]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(rng.uniform(0.5, 1.0 + number / 2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
    assert killed > 0
    made = json.loads(assent(environment, "init", "--tenant", "last", "--source", "last", "--json"))
    assert made["tenant"] == "last"
    assert assent(environment, "audit", "verify", "--tenant", "last").startswith("ok:")
    figure(f"{killed} of {kills} runs of init killed: the next one worked; 0 locked out")
