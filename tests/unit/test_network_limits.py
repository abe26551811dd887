"""Time and bytes of an exchange are bounded, however the other side drips, lies or compresses."""

from __future__ import annotations

import gzip
import socket
import time
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator
from threading import Event

import pytest

from assent.core.errors import FetchFailed, FetchRefused, FetchTooLarge
from assent.core.settings import AllowedHost
from assent.net.client import ExchangeLimits, RequestBody, Response, request
from tests.unit.wire_server import LOOPBACK, WireServer, answer, seconds

LIMIT = 10_000


def get(server: WireServer, limits: ExchangeLimits | None = None) -> Response:
    limits = limits or ExchangeLimits(first_byte_s=2, total_s=3, max_bytes=LIMIT)
    return request("GET", server.url("/secret-path"), headers={}, limits=limits, allow=server.allowed())


def dripped(data: bytes) -> Iterator[bytes]:
    yield from (data[i : i + 1] for i in range(len(data)))


def test_silence_ends_at_the_first_byte_limit() -> None:
    with WireServer(lambda _: [b""], pause=30) as server:
        start = time.monotonic()
        with pytest.raises(FetchFailed, match="in time"):
            get(server, ExchangeLimits(first_byte_s=0.2, total_s=10, max_bytes=LIMIT))
        assert seconds(start) < 2


def test_dripped_headers_do_not_outlast_the_total() -> None:
    head = b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000
    with WireServer(lambda _: dripped(head), pause=0.02) as server:
        start = time.monotonic()
        with pytest.raises(FetchFailed, match="in time"):
            get(server, ExchangeLimits(first_byte_s=0.3, total_s=0.6, max_bytes=LIMIT))
        assert 0.5 < seconds(start) < 2


def test_a_dripped_body_does_not_outlast_the_total() -> None:
    head, body = answer(b"x" * 5000)
    with WireServer(lambda _: [head, *dripped(body)], pause=0.02) as server:
        start = time.monotonic()
        with pytest.raises(FetchFailed, match="in time"):
            get(server, ExchangeLimits(first_byte_s=0.3, total_s=0.6, max_bytes=LIMIT))
        assert 0.5 < seconds(start) < 2


def test_a_server_that_never_reads_does_not_outlast_the_first_byte_limit() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as deaf:
        port = deaf.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(FetchFailed, match="in time"):
            request(
                "POST",
                f"http://127.0.0.1:{port}/",
                headers={},
                body=RequestBody(bytes(50_000_000)),
                limits=ExchangeLimits(first_byte_s=0.3, total_s=5, max_bytes=LIMIT),
                allow=(AllowedHost("127.0.0.1", port, LOOPBACK),),
            )
        assert seconds(start) < 2


def test_slow_dns_does_not_outlast_the_first_byte_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()

    def never(*_: object, **__: object) -> list[object]:
        over.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    start = time.monotonic()
    with pytest.raises(FetchFailed, match="in time"):
        request("GET", "http://slow.example/", headers={}, limits=ExchangeLimits(0.2, 1, LIMIT), allow=())
    assert seconds(start) < 0.9
    over.set()


def test_an_announced_excess_is_refused_unread() -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {LIMIT + 1}\r\n\r\n".encode()
    with WireServer(lambda _: [head, b""], pause=30) as server:
        start = time.monotonic()
        with pytest.raises(FetchTooLarge):
            get(server)
        assert seconds(start) < 1


def endless(_: bytes) -> Iterable[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"3e8\r\n" + b"x" * 1000 + b"\r\n"


def test_an_endless_body_is_cut_off() -> None:
    with WireServer(endless) as server, pytest.raises(FetchTooLarge) as caught:
        get(server)
    assert "secret-path" not in caught.value.detail


def test_a_body_of_exactly_the_limit_passes() -> None:
    with WireServer(lambda _: answer(b"x" * LIMIT)) as server:
        assert len(get(server).body) == LIMIT


@pytest.mark.parametrize("encoding", ["aws-chunked", "AWS-Chunked, identity", "utf-8", "none", "identity"])
def test_a_word_that_is_no_encoding_changes_nothing(encoding: str) -> None:
    with WireServer(lambda _: answer(b"picture", Content_Encoding=encoding)) as server:
        assert get(server).body == b"picture"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "X-GZIP", "aws-chunked,gzip", "gzip, aws-chunked"])
def test_a_compressed_body_is_inflated(encoding: str) -> None:
    plain = bytes(range(256)) * 39
    packed = zlib.compress(plain) if encoding == "deflate" else gzip.compress(plain)
    with WireServer(lambda _: answer(packed, Content_Encoding=encoding)) as server:
        assert get(server).body == plain


@pytest.mark.parametrize("size", [LIMIT + 1, 5_000_000])
def test_a_bomb_is_not_unpacked(size: int) -> None:
    packed = gzip.compress(bytes(size))
    assert len(packed) < LIMIT
    with WireServer(lambda _: answer(packed, Content_Encoding="gzip")) as server, pytest.raises(FetchTooLarge):
        get(server)


def test_a_bomb_is_not_even_unpacked_in_memory() -> None:
    packed = gzip.compress(bytes(100_000_000), 1)
    with WireServer(lambda _: answer(packed, Content_Encoding="gzip")) as server:
        tracemalloc.start()
        try:
            with pytest.raises(FetchTooLarge):
                get(server, ExchangeLimits(2, 3, len(packed)))
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("spoil", [lambda z: z[:-9], lambda z: z + b"tail", lambda z: z[:20] + b"\xff" * 9 + z[29:]])
def test_a_broken_compressed_body_is_no_picture(spoil: object) -> None:
    assert callable(spoil)
    packed = spoil(gzip.compress(bytes(range(256))))
    with WireServer(lambda _: answer(packed, Content_Encoding="gzip")) as server, pytest.raises(FetchFailed):
        get(server)


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "aes128gcm", "aws-chunked, br"])
def test_other_encodings_are_refused(encoding: str) -> None:
    with WireServer(lambda _: answer(b"whatever", Content_Encoding=encoding)) as server, pytest.raises(FetchRefused):
        get(server)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"",
    ],
    ids=["short", "short-chunked", "two-lengths", "long-header", "ssh", "nothing"],
)
def test_a_broken_answer_may_be_tried_again(reply: bytes) -> None:
    with WireServer(lambda _: [reply]) as server, pytest.raises(FetchFailed):
        get(server)


def test_an_error_body_is_cut_not_refused() -> None:
    with WireServer(lambda _: answer(b"e" * 200_000, "500 Oops")) as server:
        assert get(server, ExchangeLimits(2, 3, 1_000_000)).body == b"e" * 65_536
        assert get(server, ExchangeLimits(2, 3, 7)).body == b"e" * 7


def test_with_no_bytes_allowed_the_status_still_counts() -> None:
    with WireServer(lambda _: answer(b"x" * 100_000, "202 Accepted", Retry_After="7")) as server:
        got = get(server, ExchangeLimits(2, 3, 0))
    assert (got.status, got.body, got.headers["retry-after"]) == (202, b"", "7")


def test_a_posted_body_arrives_whole() -> None:
    body = bytes(range(256)) * 4000
    with WireServer(lambda _: answer(b"ok", "202 Accepted", X_A="1", x_a="2")) as server:
        got = request(
            "POST",
            server.url("/hook"),
            headers={"webhook-id": "msg_1", "Content-Type": "application/json"},
            body=RequestBody(body),
            limits=ExchangeLimits(2, 3, 100),
            allow=server.allowed(),
        )
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert b"webhook-id: msg_1" in head
    assert (got.status, got.body, got.headers["x-a"]) == (202, b"ok", "1, 2")
