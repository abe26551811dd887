"""An installation as a small container is one: 64 MB of /dev/shm, a read-only root, root that may mount nothing."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from assent.cli.doctor import _gallery_memory, _run
from assent.core.settings import Settings
from tests.house import free_port
from tests.installed import package_file
from tests.waiting import until

CAT = package_file("skimage", "data/chelsea.png")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be a container's")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that is no part of /dev/shm."""
    with tempfile.TemporaryDirectory(prefix="assent-test-", dir="/var/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def script(folder: Path) -> str:
    """The container's beginning; what follows has the rights that Docker gives."""
    users = folder / "passwd"
    users.write_text(f"{Path('/etc/passwd').read_text()}assent:x:61000:61000::/nonexistent:/bin/false\n")
    python = shlex.quote(sys.executable)
    run = f"{python} -m assent init --json > {folder}/init.json && exec {python} -m assent serve"
    return (
        f"mount -t tmpfs -o size=64m tmpfs /dev/shm && mount --bind {users} /etc/passwd"
        f" && mount --bind {folder} {folder} && mount -o remount,bind,ro /"
        f" && exec setpriv --bounding-set=-sys_admin sh -c {shlex.quote(run)} 2> {folder}/log"
    )


def test_images_are_decided_without_room_for_a_gallery_and_it_is_made_when_there_is(folder: Path) -> None:
    port, data = free_port(), folder / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")}
    environment |= {"ASSENT_DATA_DIR": str(data), "ASSENT_PORT": str(port), "ASSENT_THREADS": "1"}
    command = ["/usr/bin/unshare", "--mount", "sh", "-c", script(folder)]
    with (
        subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2]) as process,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):

        def readiness() -> object:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                return client.get("/readyz").json()
            except httpx2.TransportError:
                return None

        try:
            until(lambda: readiness() == {"status": "ready", "matching": "unavailable"}, "it works", 90, 0.1)
            key = json.loads((folder / "init.json").read_text())["api_key"]
            answer = client.post(
                "/v1/images", files={"image": CAT.read_bytes()}, headers={"Authorization": f"Bearer {key}"}
            )
            assert answer.json()["action"] == "allow"
            enlarge = ["/usr/bin/nsenter", "-t", str(process.pid), "-m", "mount", "-o", "remount,size=1g", "/dev/shm"]  # noqa: S108 - memory
            subprocess.run(enlarge, check=True)
            until(lambda: readiness() == {"status": "ready"}, "there is room", 30, 0.1)
            log = (folder / "log").read_text()
            assert "enlarge that tmpfs" in log
            assert log.count('"worker ready"') == 1
        finally:
            process.terminate()
            process.wait(30)


def test_doctor_says_why_nobody_is_matched(folder: Path) -> None:
    settings = Settings(data_dir=folder / "data", gallery_dir=folder / "missing")
    [finding] = _run(_gallery_memory, settings)
    assert not finding.ok
    assert "set ASSENT_GALLERY_DIR to a tmpfs" in finding.detail
