"""A platform that posts signed webhooks at a fixed rate, whatever comes back: an order as JSON in, latencies out.

    python -m tests.bench.sender < order.json

It sends on an open loop and counts each latency from the moment the delivery was due: a server that stalls pays for
everything that it kept waiting, not for one request only.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from assent.platforms.registry import ADAPTERS

ACCEPTED = 202
WITHIN_SECONDS = 60
IDLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Stream:
    """A source: its webhook's address, its secret, and the platform in whose form it is sent to."""

    url: str
    secret: str
    platform: str


@dataclass(frozen=True, slots=True)
class Order:
    """`count` events at `rate` a second to the streams in turn, over the pictures in turn; ids begin with `prefix`."""

    streams: list[Stream]
    prefix: str
    pictures: list[str]
    connections: list[str]
    rate: float
    count: int


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP status, milliseconds from when it was due to the end of the answer, and how late it was sent."""

    status: int
    ms: float
    late_ms: float


class Connections:
    """Kept-alive connections, as many as are under way at once."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []  # since when

    async def post(self, request: bytes) -> int:
        """Sends a request and reads its answer. Returns the HTTP status."""
        reader, writer = await self._connection()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        self._idle.append((asyncio.get_running_loop().time(), reader, writer))
        return int(head.split()[1])

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Returns the connection used last, or a new one: a server closes what was idle for a few seconds."""
        if self._idle:
            since, reader, writer = self._idle.pop()
            if asyncio.get_running_loop().time() - since < IDLE_SECONDS:
                return reader, writer
            writer.close()
        return await asyncio.open_connection(*self._place)

    async def close(self) -> None:
        for _, _, writer in self._idle:
            writer.close()
            await writer.wait_closed()


def requests(order: Order) -> list[bytes]:
    """The HTTP requests, signed."""
    signed = []
    for n in range(order.count):
        name, stream = f"{order.prefix}-{n}", order.streams[n % len(order.streams)]
        picture = order.pictures[n // len(order.streams) % len(order.pictures)]
        body = json.dumps(_BODIES[stream.platform](name, picture, order.connections)).encode()
        url = urlsplit(stream.url)
        headers = {"host": url.netloc, "content-type": "application/json", "content-length": str(len(body))}
        headers |= ADAPTERS[stream.platform].sign(body, stream.secret, f"msg_{name}")
        path = f"{url.path}?{url.query}" if url.query else url.path
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        signed.append("\r\n".join(lines).encode() + body)
    return signed


def _standard(name: str, picture: str, connections: list[str]) -> dict[str, Any]:
    media = [{"id": name, "url": picture}]
    event = {"schema": "assent.event/1", "type": "media.created", "media": media, "author": "somebody"}
    return event | {"connections": connections}


def _mastodon(name: str, picture: str, _connections: list[str]) -> dict[str, Any]:
    media = [{"id": "1", "type": "image", "url": picture}]
    status = {"id": name, "visibility": "public", "account": {"id": "7"}, "media_attachments": media}
    return {"event": "status.created", "created_at": "2026-01-02T03:04:05Z", "object": status}


def _discourse(name: str, picture: str, _connections: list[str]) -> dict[str, Any]:
    cooked = f'<p>Look at this.</p><p><img src="{picture}" width="640" height="480"></p>'
    return {"post": {"id": name, "user_id": 31, "version": 1, "topic_archetype": "regular", "cooked": cooked}}


_BODIES = {"standard": _standard, "mastodon": _mastodon, "discourse": _discourse}


def send_apart(order: Order) -> list[Answer]:
    """Posts from a process of its own, so that what this one serves delays nothing there."""
    command, root = [sys.executable, "-m", "tests.bench.sender"], Path(__file__).resolve().parents[2]
    done = subprocess.run(
        command, input=json.dumps(asdict(order)), capture_output=True, text=True, cwd=root, check=True
    )
    return [Answer(**answer) for answer in json.loads(done.stdout)]


def read_order(text: str) -> Order:
    """Reads an order that was written as JSON."""
    order = json.loads(text)
    return Order(**{**order, "streams": [Stream(**stream) for stream in order["streams"]]})


async def send(order: Order) -> list[Answer]:
    """Posts all of them on time and waits for the answers."""
    loop = asyncio.get_running_loop()
    url = urlsplit(order.streams[0].url)  # all are on one server
    connections = Connections(url.hostname or "", url.port or 80)

    async def one(request: bytes, due: float) -> Answer:
        late = loop.time() - due
        status = await connections.post(request)
        return Answer(status, 1000 * (loop.time() - due), 1000 * late)

    prepared = requests(order)
    tasks = []
    start = loop.time() + 0.1
    for n, request in enumerate(prepared):
        due = start + n / order.rate
        await asyncio.sleep(due - loop.time())  # a negative time yields only
        tasks.append(asyncio.create_task(one(request, due)))
    async with asyncio.timeout(WITHIN_SECONDS):
        answers = await asyncio.gather(*tasks)
    await connections.close()
    return answers


if __name__ == "__main__":
    json.dump([asdict(answer) for answer in asyncio.run(send(read_order(sys.stdin.read())))], sys.stdout)
