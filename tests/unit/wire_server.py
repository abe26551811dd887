"""A listening socket for tests of the HTTP client: it says exactly the bytes it is told to, as slowly as it is told."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_network
from threading import Event, Thread
from types import TracebackType

from assent.core.settings import AllowedHost

LOOPBACK = ip_network("127.0.0.0/8")
Script = Callable[[bytes], Iterable[bytes]]


class WireServer:
    """Answers each connection with the pieces that `script(request)` yields, `pause` seconds apart, then hangs up."""

    def __init__(self, script: Script, *, pause: float = 0.0, tls: ssl.SSLContext | None = None) -> None:
        self._script, self._pause, self._tls = script, pause, tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.accepted = 0
        self.requests: list[bytes] = []
        self._closing = Event()
        self._thread = Thread(target=self._serve)

    def __enter__(self) -> WireServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._closing.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def allowed(self, host: str = "127.0.0.1") -> tuple[AllowedHost, ...]:
        return (AllowedHost(host, self.port, LOOPBACK),)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            with connection, suppress(OSError):
                if self._tls:
                    with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                        self._talk(wrapped)
                else:
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        request = read_request(connection)
        self.requests.append(request)
        for piece in self._script(request):
            connection.sendall(piece)
            if self._pause and self._closing.wait(self._pause):
                return


def read_request(connection: socket.socket) -> bytes:
    """Head and body of one request whose length is declared."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    length = int(fields.get(b"content-length", b"0"))
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes, status: str = "200 OK", **headers: str) -> list[bytes]:
    """One whole response with its length declared; `content_type="…"` becomes Content-Type."""
    fields = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return [f"HTTP/1.1 {status}\r\n{head}\r\n".encode(), body]


def seconds(start: float) -> float:
    return time.monotonic() - start
