"""A small server of the tests' own: serves pictures, takes deliveries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from assent.core.settings import AllowedHost


def at_once() -> None:
    """Nothing happens before the answer."""


@dataclass(frozen=True)
class Answer:
    """What a request gets. It is noted first, then `before` is called, and its answer follows."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    before: Callable[[], object] = at_once
    raw: bytes | None = None  # what is written instead of all that; then the connection ends
    unread: bool = False  # the connection ends before the body was read, and nothing is noted


@dataclass(frozen=True)
class Posted:
    """A request that was read to its end, when that was (`time.monotonic`), and what it gets."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    at: float
    answer: Answer


@dataclass
class Web:
    """Paths and what is answered for them (anything else is 404), and what was posted to any path."""

    url: str
    port: int
    files: dict[str, bytes | Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    received: list[Posted] = field(default_factory=list)
    answers: Iterator[Answer] = field(default_factory=lambda: iter(()))  # of the next posts
    status: int = 204  # of those after them

    @property
    def allowed(self) -> AllowedHost:
        return AllowedHost.parse(f"127.0.0.1:{self.port}@127.0.0.0/8")


@contextmanager
def serving() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append(self.path)
            found = web.files.get(self.path, Answer(404))
            self._give(found if isinstance(found, Answer) else Answer(200, body=found))

        def do_POST(self) -> None:
            answer = next(web.answers, Answer(web.status))
            if answer.unread:
                return
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:  # whoever sent it was killed on the way: nothing was delivered
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            web.received.append(Posted(self.path, headers, body, time.monotonic(), answer))
            self._give(answer)

        def _give(self, answer: Answer) -> None:
            answer.before()
            if answer.raw is not None:
                self.wfile.write(answer.raw)
                return
            self.send_response(answer.status)
            for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web = Web(f"http://127.0.0.1:{server.server_port}", server.server_port)
    # How soon it sees that it shall end; the default, half a second, would be paid at the end of every test.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
