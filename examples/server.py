"""Starts an Assent of the demo's own: a data folder under the temporary folder, `assent init`, `assent serve`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import psutil

READY_WITHIN_SECONDS = 120
STOPPED_WITHIN_SECONDS = 30
GONE_WITHIN_SECONDS = 20


class DemoFailed(Exception):
    """Something was not as it had to be; the message says what."""


class Place(NamedTuple):
    """An initialised data folder: the environment that leads to it, and what `assent init` printed."""

    environment: dict[str, str]
    port: int
    printed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assent:
    """A running server; the client carries its API key."""

    url: str
    events_url: str
    audit_key: str
    events_secret: str = field(repr=False)
    deliveries_secret: str = field(repr=False)
    client: httpx2.Client = field(repr=False)


def free_listener() -> socket.socket:
    """A socket listening on a free port of 127.0.0.1."""
    return socket.create_server(("127.0.0.1", 0))


@contextmanager
def temporary_data() -> Iterator[Path]:
    """A data folder that is gone afterwards; others may pass through it, since as root the database runs as another
    user."""
    folder = Path(tempfile.mkdtemp(prefix="assent-demo-"))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        _await_gone(folder)
        shutil.rmtree(folder)


def _await_gone(data: Path) -> None:
    """Until no process works with that data folder: the database's keeper outlives the server by a moment, and what
    still runs would make the folder anew. Raises DemoFailed, naming them, when they stay."""
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while left := [process for process in psutil.process_iter() if _works_with(process, str(data))]:
        if time.monotonic() > deadline:
            raise DemoFailed(f"still running: {', '.join(str(process.pid) for process in left)}")
        time.sleep(0.1)


def _works_with(process: psutil.Process, data: str) -> bool:
    try:
        return data in process.cmdline() or process.environ().get("ASSENT_DATA_DIR") == data
    except psutil.Error:  # ended meanwhile, or another user's
        return False


def initialise(data: Path, platform_url: str, log: Path) -> Place:
    """Runs `assent init` for one tenant, one source and one endpoint. Raises DemoFailed when it fails."""
    with free_listener() as listener:
        port = listener.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")}
    environment |= {
        "ASSENT_DATA_DIR": str(data),
        "ASSENT_PORT": str(port),
        "ASSENT_ALLOW_PRIVATE": f"{platform_url.removeprefix('http://')}@127.0.0.0/8",
    }
    hook = f"{platform_url}/hooks/assent"
    words = ["init", "--tenant", "demo", "--source", "platform", "--deliver-to", hook, "--json"]
    with log.open("wb") as errors:
        done = subprocess.run([command(), *words], env=environment, stdout=subprocess.PIPE, stderr=errors, check=False)
    try:
        return Place(environment, port, json.loads(done.stdout))
    except ValueError:
        raise DemoFailed(f"`assent init` printed no JSON and ended with {done.returncode}") from None


@contextmanager
def started(place: Place, log: Path) -> Iterator[Assent]:
    """`assent serve` in a process group of its own, ready; ended by SIGTERM when the block ends.

    Raises DemoFailed when it ends by itself or is not ready in time.
    """
    url, printed = f"http://127.0.0.1:{place.port}", place.printed
    with log.open("ab") as output, httpx2.Client(base_url=url, timeout=60) as client:
        client.headers["authorization"] = f"Bearer {printed['api_key']}"
        process = subprocess.Popen(
            [command(), "serve"],
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _await_ready(process, client)
            yield Assent(
                url=url,
                events_url=url + printed["source"]["path"],
                audit_key=printed["audit_key"],
                events_secret=printed["source"]["secret"],
                deliveries_secret=printed["endpoint"]["secret"],
                client=client,
            )
        finally:
            _stop(process)


def command() -> str:
    """The `assent` that was installed beside this Python."""
    return str(Path(sys.executable).with_name("assent"))


def _await_ready(process: subprocess.Popen[bytes], client: httpx2.Client) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed(f"`assent serve` ended with {process.returncode}")
        with suppress(httpx2.TransportError):
            if client.get("/readyz").status_code == httpx2.codes.OK:
                return
        time.sleep(0.1)
    raise DemoFailed(f"`assent serve` was not ready within {READY_WITHIN_SECONDS} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the server; what is left of its process group after the deadline is killed."""
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
