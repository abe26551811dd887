"""Runs uvicorn as the HTTP/1.1 server, with limits against hostile peers that uvicorn lacks.

Connections are bounded, in all and of each address (`Connections`); one too many is closed without an answer. A head
must have arrived within HEAD_SECONDS. A body that nobody reads any more is discarded for LINGER_SECONDS, so that the
answer can be read; then the connection is closed, and also where the peer takes nothing of an answer for
UNREAD_SECONDS. Anything that is not HTTP gets the same answer, however its bytes were cut into segments.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from functools import partial
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from assent.core.errors import AssentError, BadRequest, HeadTooLarge, RequestTooSlow
from assent.core.settings import Settings
from assent.http.connections import BACKLOG, Connections, claim_descriptors
from assent.http.problems import assent_problem_response

HEAD_SECONDS = 10.0
LINGER_SECONDS = 2.0
UNREAD_SECONDS = 20.0
_MAX_EVENT = 32 << 10  # bytes of a head or of a chunk's first line; assent.http.guard sets the exact limit of a head
_PIECE = 16 << 10


def uvicorn_server(settings: Settings, app: FastAPI) -> uvicorn.Server:
    """Returns the server of `assent serve`, on the settings' host and port."""
    for name in ("uvicorn.error", "python_multipart"):
        # They warn of every bad request: a stranger could fill the log.
        logging.getLogger(name).setLevel(logging.ERROR)
    connections = Connections(claim_descriptors(), settings.proxies)
    config = uvicorn.Config(
        app,
        settings.host,
        settings.port,
        http=partial(Protocol, connections),  # type: ignore[arg-type]  # called as the class would be
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=[str(network) for network in settings.proxies],
        backlog=BACKLOG,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=_MAX_EVENT,
    )
    return uvicorn.Server(config)


class Protocol(H11Protocol):
    """uvicorn's protocol, with a time-out for heads, a limit for unread bodies, and problem+json for errors."""

    _head_timer: asyncio.TimerHandle | None = None
    _linger_timer: asyncio.TimerHandle | None = None

    def __init__(self, connections: Connections, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counted = connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        peer: tuple[Any, ...] = transport.get_extra_info("peername") or ("",)  # none: it is gone already
        if not self._counted.admit(self, str(peer[0])):
            self.transport = transport
            transport.abort()
            return
        if sys.platform == "linux":
            tcp: socket.socket = transport.get_extra_info("socket")
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1000))
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._counted.release(self)
        for timer in (self._head_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is None and self.conn.their_state is h11.IDLE:
            self._expect_head()
        # In pieces: the parser's limit looks at what is left over, so that one large segment would slip through.
        for start in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                break
            super().data_received(data[start : start + _PIECE])
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._counted.note_request(self)
        if self._head_timer is not None and self.conn.their_state is not h11.IDLE:
            self._head_timer.cancel()
            self._head_timer = None
        if self._linger_timer is not None and self.conn.their_state is not h11.SEND_BODY:
            self._linger_timer.cancel()
            self._linger_timer = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:
            self._counted.await_request(self)
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own words, which say nothing
        too_long = len(self.conn.trailing_data[0]) > _MAX_EVENT
        self._refuse(HeadTooLarge() if too_long else BadRequest("this is no HTTP/1.1 request"))

    def _expect_head(self) -> None:
        self._counted.await_request(self)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_overdue)

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self.conn.trailing_data[0]:
            self._refuse(RequestTooSlow(f"the head did not come within {HEAD_SECONDS:.0f} s"))
        else:
            self.transport.close()

    def _refuse(self, error: AssentError) -> None:
        """Sends the error in the application's place, unless an answer has begun, and closes the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = assent_problem_response(error)
            headers: list[Any] = [*answer.raw_headers, (b"connection", b"close")]
            # A request that was read as far as its body may be a HEAD, whose answer has none.
            head = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
            events: list[h11.Event] = [h11.Response(status_code=error.status, headers=headers)]
            events += [h11.Data(data=b"" if head else bytes(answer.body)), h11.EndOfMessage()]
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
