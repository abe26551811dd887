"""A platform that posts signed webhooks at a fixed rate, whatever comes back: an order as JSON in, latencies out.

    python -m tests.bench.sender < order.json

It sends on an open loop and counts each latency from the moment the delivery was due: a server that stalls pays for
everything that it kept waiting, not for one request only.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from assent.platforms.standard_webhooks import sign_webhook

WITHIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Order:
    """`count` events at `rate` a second to `url`, over the pictures in turn; ids begin with `prefix`."""

    url: str
    secret: str
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
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, request: bytes) -> int:
        """Sends a request and reads its answer. Returns the HTTP status."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*self._place)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        self._idle.append((reader, writer))
        return int(head.split()[1])

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()


def requests(order: Order) -> list[bytes]:
    """The HTTP requests, signed."""
    url = urlsplit(order.url)
    signed = []
    for n in range(order.count):
        name = f"{order.prefix}-{n}"
        media = {"id": name, "url": order.pictures[n % len(order.pictures)]}
        event = {"schema": "assent.event/1", "type": "media.created", "media": [media], "author": "somebody"}
        body = json.dumps(event | {"connections": order.connections}).encode()
        headers = {"host": url.netloc, "content-type": "application/json", "content-length": str(len(body))}
        headers |= sign_webhook(f"msg_{name}", datetime.now(UTC), body, [order.secret])
        lines = [f"POST {url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        signed.append("\r\n".join(lines).encode() + body)
    return signed


async def send(order: Order) -> list[Answer]:
    """Posts all of them on time and waits for the answers."""
    loop = asyncio.get_running_loop()
    url = urlsplit(order.url)
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
    json.dump([asdict(answer) for answer in asyncio.run(send(Order(**json.load(sys.stdin))))], sys.stdout)
