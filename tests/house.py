"""The whole of it, as an admin runs it: `assent serve` in a process of its own, on what `assent init` made."""

from __future__ import annotations

import json
import os
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import psutil

from assent.platforms.standard_webhooks import sign_webhook
from tests.command import assent
from tests.waiting import until
from tests.web import Web


@dataclass
class House:
    """A running installation; `log` is what it wrote on standard error."""

    url: str
    environment: dict[str, str]
    printed: dict[str, Any]
    process: psutil.Popen
    log: Path
    client: httpx2.Client  # one, and no connection kept: a client made for each request costs more than the request

    def start(self, *words: str) -> None:
        """Runs `assent serve` once more, after the one before ended."""
        self.process = serve(self.environment, self.log, *words)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.printed['api_key']}"}

    def post(self, delivery: str, body: dict[str, Any], lane: str = "live") -> httpx2.Response:
        """Sends a signed webhook, in that lane."""
        raw = json.dumps(body).encode()
        headers = sign_webhook(delivery, datetime.now(UTC), raw, [self.printed["source"]["secret"]])
        address = f"{self.url}{self.printed['source']['path']}?lane={lane}"
        return self.client.post(address, content=raw, headers=headers)

    def get(self, path: str) -> httpx2.Response:
        return self.client.get(self.url + path, headers=self.headers)

    def worker(self) -> psutil.Process | None:
        """The worker process that runs now, if one does."""
        with suppress(psutil.NoSuchProcess):  # it has just ended
            for child in self.process.children():
                with suppress(psutil.NoSuchProcess):  # a zombie counts as none
                    if "worker" in child.cmdline():
                        return child
        return None

    def wait_for_worker(self) -> None:
        """Returns once a worker takes jobs: an answer that waits for one gives up after 30 s."""
        until(lambda: '"worker ready"' in self.log.read_text(), "the worker is ready", 120, 0.1)

    def run(self, *words: str) -> str:
        """A command beside the running server; what it printed."""
        return assent(self.environment, *words)


def serve(environment: dict[str, str], log: Path, *words: str) -> psutil.Popen:
    """`assent serve`, just started; what it says is added to the log."""
    with log.open("ab") as output:
        return psutil.Popen([sys.executable, "-m", "assent", "serve", *words], env=environment, stderr=output)


@contextmanager
def running(data: Path, web: Web, *words: str, **settings: str) -> Iterator[House]:
    """Initialised in `data`, delivering to `web`, ready; stopped by SIGTERM at the end. `words` are serve's options."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")}
    environment |= {
        "ASSENT_DATA_DIR": str(data),
        "ASSENT_PORT": str(port),
        "ASSENT_THREADS": "1",  # other tests run beside it
        "ASSENT_ALLOW_PRIVATE": f"127.0.0.1:{web.port}@127.0.0.0/8",
        **settings,
    }
    printed = json.loads(assent(environment, "init", "--deliver-to", f"{web.url}/hooks", "--json"))
    log = data / "serve.log"
    with httpx2.Client(timeout=30, limits=httpx2.Limits(max_keepalive_connections=0)) as client:
        house = House(f"http://127.0.0.1:{port}", environment, printed, serve(environment, log, *words), log, client)
        try:
            until(lambda: is_ready(house), "the server is ready", 60, 0.1)
            yield house
        finally:
            house.process.terminate()
            house.process.wait(30)


def free_port() -> int:
    """A port on which a server may listen a few seconds from now; none of those given to outgoing connections."""
    while True:
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(10_000, 32_000))) as listener:
            return int(listener.getsockname()[1])


def is_ready(house: House) -> bool:
    try:
        return house.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
