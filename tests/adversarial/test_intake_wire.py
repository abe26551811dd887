"""Requests that are no HTTP, too large, too slow or abandoned, against the server as it runs: one answer each."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from assent.http.server import HEAD_SECONDS
from tests.fixtures.figures import Figure
from tests.house import House, running
from tests.waiting import until
from tests.web import Web, serving

Answer = tuple[int, str]  # status and code; (0, "") where the connection was closed without an answer
HOOK = b"POST /v1/webhooks/platform HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HOOK + b"Transfer-Encoding: chunked\r\n\r\n"
BAD, LARGE, UNSIGNED = (400, "bad_request"), (431, "head_too_large"), (401, "signature_invalid")


def fields(count: int, size: int = 1) -> bytes:
    return b"".join(b"x-%d: %s\r\n" % (n, b"v" * size) for n in range(count))


CASES: dict[str, tuple[bytes, Answer]] = {
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500 + b"\r\n\r\n", BAD),
    "an HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", BAD),
    "HTTP/9.9": (b"GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n", BAD),
    "garbage": (b"\x00\xff\xfe\r\n\r\n", BAD),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", BAD),
    "two hosts": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
    "a space before the colon": (HOOK + b"X : 1\r\n\r\n", BAD),
    "a field without a colon": (HOOK + b"X\r\n\r\n", BAD),
    "NUL in a field": (HOOK + b"X: a\x00b\r\n\r\n", BAD),
    "a bare CR in a field": (HOOK + b"X: a\rb\r\n\r\n", BAD),
    "bytes beyond ASCII in the target": (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    "a method that is none": (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    "a length below zero": (HOOK + b"Content-Length: -1\r\n\r\n", BAD),
    "a length with a sign": (HOOK + b"Content-Length: +5\r\n\r\nhello", BAD),
    "a hexadecimal length": (HOOK + b"Content-Length: 0x5\r\n\r\nhello", BAD),
    "two lengths": (HOOK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", BAD),
    "two lengths in one": (HOOK + b"Content-Length: 5, 6\r\n\r\nhello", BAD),
    "the same length twice": (
        HOOK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        UNSIGNED,
    ),
    "length and chunks": (HOOK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    "an unknown transfer coding": (HOOK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", BAD),
    "gzip, then chunked": (HOOK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", BAD),
    "chunked twice": (HOOK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", BAD),
    "chunked in two fields": (HOOK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", BAD),
    "two authorizations": (HOOK + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", BAD),
    "a chunk of negative size": (CHUNKED + b"-1\r\nhello\r\n", BAD),
    "a chunk of size 0x5": (CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", BAD),
    "a chunk of size zz": (CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", BAD),
    "a chunk of 2**84 bytes": (CHUNKED + b"1" + b"0" * 21 + b"\r\nhello\r\n", BAD),
    "a chunk longer than it says": (CHUNKED + b"2\r\nhello\r\n0\r\n\r\n", BAD),
    "a chunk's line of 100 kB": (CHUNKED + b"1;" + b"x" * 100_000 + b"\r\na\r\n0\r\n\r\n", LARGE),
    "trailers of 100 kB": (CHUNKED + b"0\r\n" + fields(1, 100_000) + b"\r\n", LARGE),
    "65 fields": (HOOK + fields(65) + b"\r\n", LARGE),
    "500 fields": (HOOK + fields(500) + b"\r\n", LARGE),
    "20,000 fields": (HOOK + fields(20_000) + b"\r\n", LARGE),
    "a field of 17 kB": (HOOK + fields(1, 17_000) + b"\r\n", LARGE),
    "a field of 32 kB": (HOOK + fields(1, 32_700) + b"\r\n", LARGE),
    "a field of 40 kB": (HOOK + fields(1, 40_000) + b"\r\n", LARGE),
    "a field of 200 kB": (HOOK + fields(1, 200_000) + b"\r\n", LARGE),
    "a field of 2 MB": (HOOK + fields(1, 2_000_000) + b"\r\n", LARGE),
    "a field's name of 20 kB": (HOOK + b"n" * 20_000 + b": 1\r\n\r\n", LARGE),
    "a target of 20 kB": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", LARGE),
    "a query of 20 kB": (b"GET /healthz?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", LARGE),
    "a target of 100 kB": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", LARGE),
    "NUL as the source": (b"POST /v1/webhooks/%00 HTTP/1.1\r\nHost: a\r\n\r\n", UNSIGNED),
    "a path that leaves": (b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    "a method of our own": (b"DESTROY /healthz HTTP/1.1\r\nHost: a\r\n\r\n", (405, "method_not_allowed")),
    "CONNECT": (b"CONNECT media.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    "an upgrade": (
        HOOK + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
        UNSIGNED,
    ),
}


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture(scope="module")
def house(open_folder: Path, web: Web) -> Iterator[House]:
    with running(open_folder / "wire", web, "--no-worker") as house:
        yield house


def connect(house: House) -> socket.socket:
    parts = urlsplit(house.url)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def exchange(house: House, parts: Iterable[bytes], pause: float = 0.0) -> tuple[Answer, int]:
    """Sends until an answer comes or the parts end; the answer, and how many bytes went out."""
    sent, stop = 0, threading.Event()

    def send() -> None:
        nonlocal sent
        with contextlib.suppress(OSError):
            for part in parts:
                if stop.is_set():
                    return
                peer.sendall(part)
                sent += len(part)
                if pause and stop.wait(pause):
                    return

    with connect(house) as peer:
        sender = threading.Thread(target=send)
        sender.start()
        answer = read_answer(peer)
        stop.set()
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)
        sender.join(30)
    return answer, sent


def read_answer(peer: socket.socket) -> Answer:
    data = b""
    with contextlib.suppress(OSError):
        while not complete(data):
            chunk = peer.recv(65536)
            if not chunk:
                break
            data += chunk
    if not data:
        return (0, "")
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), data[:500]
    said = json.loads(body[: length_of(data)])
    assert said["status"] == int(head.split()[1])
    return (said["status"], said["code"])


def length_of(data: bytes) -> int:
    length = re.search(rb"(?i)^content-length: (\d+)", data, re.MULTILINE)
    return int(length[1]) if length else 0


def complete(data: bytes) -> bool:
    _, end, body = data.partition(b"\r\n\r\n")
    return bool(end) and len(body) >= length_of(data)


def leaves(house: House) -> int:
    return int(house.get("/v1/audit/checkpoint").text.split("\n")[1])


def test_what_is_no_request_gets_one_answer_however_it_is_cut(house: House, figure: Figure) -> None:
    before, began = leaves(house), time.monotonic()
    wrong = []
    for name, (data, expected) in CASES.items():
        cuts: list[Callable[[], Iterator[bytes]]] = [
            lambda data=data: iter([data]),  # type: ignore[misc]  # bound here
            lambda data=data: pieces(data, 1000),  # type: ignore[misc]  # bound here
            lambda data=data: pieces(data, max(1, len(data) // 3)),  # type: ignore[misc]  # bound here
        ]
        answers = {exchange(house, cut())[0] for cut in cuts}
        if answers != {expected}:
            wrong.append((name, answers))
    assert wrong == []
    more = leaves(house) - before
    assert more <= (time.monotonic() - began) / 60 + 1
    figure(f"{len(CASES)} malformed requests × 3 segmentations: 0 accepted, {more} leaves")


@pytest.mark.parametrize("path", ["/v1/webhooks/platform", "/v1/images", "/v1/consents", "/v1/subjects/a/templates"])
@pytest.mark.parametrize("framing", ["announced", "chunked"])
def test_a_body_of_100_megabytes_is_refused_early(house: House, path: str, framing: str, figure: Figure) -> None:
    size, piece = 100 << 20, b"x" * 65536
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n" + "".join(f"{n}: {v}\r\n" for n, v in house.headers.items())
    if path.endswith("templates"):
        head += "Content-Type: multipart/form-data; boundary=b\r\n"
    if framing == "announced":
        body = iter([piece] * (size // len(piece)))
        head += f"Content-Length: {size}\r\n\r\n"
    else:
        body = iter([b"%x\r\n%s\r\n" % (len(piece), piece)] * (size // len(piece)))
        head += "Transfer-Encoding: chunked\r\n\r\n"
    memory = house.process.memory_info().rss
    answer, sent = exchange(house, (part for parts in ([head.encode()], body) for part in parts))
    grown = house.process.memory_info().rss - memory
    # A form without its first boundary is malformed, which shows before it is too large.
    malformed = path.endswith("templates") and framing == "chunked"
    assert answer == (BAD if malformed else (413, "body_too_large"))
    assert sent < 16 << 20
    assert grown < 32 << 20
    figure(f"100 MB {framing} to {path}: {answer[0]} after {sent >> 10} KiB, +{grown >> 20} MiB")


def test_who_waits_for_100_continue_is_refused_before_sending(house: House) -> None:
    head = HOOK + b"Expect: 100-continue\r\nContent-Length: 104857600\r\n\r\n"
    assert exchange(house, [head])[0] == (413, "body_too_large")


def test_an_endless_body_after_the_answer_is_not_read_for_ever(house: House) -> None:
    head = HOOK + b"Content-Length: 104857600\r\n\r\n"
    with connect(house) as peer:
        peer.sendall(head)
        assert read_answer(peer)[0] == 413
        until(lambda: not accepts(peer), "the connection is closed", 10)


def accepts(peer: socket.socket) -> bool:
    try:
        peer.sendall(b"x")
    except OSError:
        return False
    return True


def test_slow_requests_end_in_time_and_delay_nobody(house: House, figure: Figure) -> None:
    body = HOOK + b"Content-Length: 1000000\r\n\r\n"
    chunks = [CHUNKED] + [b"1\r\nx\r\n"] * 10_000
    form = b"POST /v1/subjects/a/templates HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    kinds: dict[str, tuple[list[bytes], Answer]] = {
        "a body by drops": ([body] + [b"x"] * 10_000, (408, "request_too_slow")),
        "chunks by drops": (chunks, (408, "request_too_slow")),
        "a body that stops": ([body], (408, "request_too_slow")),
        "a head by drops": ([HOOK] + [b"X: 1\r\n"] * 10_000, (408, "request_too_slow")),
        "a head that stops": ([HOOK[:30]], (408, "request_too_slow")),
        "nothing": ([], (0, "")),
        "a form without a key": ([form] + [b"x"] * 10_000, (401, "unauthorized")),
    }
    ended: list[tuple[str, Answer, float]] = []

    def attack(name: str) -> None:
        began = time.monotonic()
        answer, _ = exchange(house, kinds[name][0], pause=0.3)
        ended.append((name, answer, time.monotonic() - began))

    threads = [threading.Thread(target=attack, args=[name]) for name in kinds for _ in range(8)]
    for thread in threads:
        thread.start()
    for n in range(10):
        event = {
            "schema": "assent.event/1",
            "type": "media.deleted",
            "media": [{"id": f"d{n}", "url": "http://a.example"}],
        }
        assert house.post(f"msg_slow_{n}", event).status_code == 202
    meanwhile = {name for name, _, _ in ended}
    for thread in threads:
        thread.join(60)
    assert len(ended) == len(threads)
    assert [(name, answer) for name, answer, _ in ended if answer != kinds[name][1]] == []
    longest = max(seconds for _, _, seconds in ended)
    assert longest < HEAD_SECONDS + 5
    assert meanwhile <= {"a form without a key"}  # the others were still held when all ten had been answered
    figure(f"{len(ended)} slow requests: all ended in time, others served meanwhile")


def test_abandoned_requests_leave_no_trace_in_the_log(house: House) -> None:
    for n in range(30):
        with connect(house) as peer:
            peer.sendall(HOOK + b"Content-Length: 1000\r\n\r\n" + b"x" * n)
            if n % 2:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # reset
    assert httpx2.get(house.url + "/healthz").status_code == 200
    log = house.log.read_text()
    assert "Traceback" not in log
    assert "Invalid HTTP" not in log
