"""Servers that drip, lie, inflate and redirect: every fetch ends typed, within 5 s, 10 s and 20 MB."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, repeat

import pytest

from assent.core.errors import AssentError, FetchFailed, FetchRefused, FetchTooLarge
from assent.media.fetch import FIRST_BYTE_S, TOTAL_S, fetch_media
from assent.media.files import MAX_IMAGE_BYTES
from tests.fixtures.figures import Figure
from tests.unit.wire_server import WireServer, answer

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
Pieces = Iterable[bytes]
Reply = Callable[[bytes], Pieces]


def fetched(server: WireServer) -> bytes | type[AssentError]:
    """The body, or how the fetch failed."""
    try:
        return fetch_media(server.url(), server.allowed())
    except AssentError as error:
        return type(error)


# Time

SLOW: dict[str, tuple[Reply, float]] = {  # what is sent, and seconds between pieces
    "silence": (lambda _: [b""], 30),
    "a head, a byte at a time": (lambda _: cycle([b"H", b"T"]), 0.3),
    "headers without end": (lambda _: [OK, *repeat(b"X: y\r\n", 300)], 0.3),
    "early hints without end": (lambda _: repeat(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", 300), 0.3),
    "a body, a byte at a time": (lambda _: [OK + b"Content-Length: 900\r\n\r\n", *repeat(b"x", 300)], 0.3),
    "a body without a length": (lambda _: [OK + b"\r\n", *repeat(b"x", 300)], 0.3),
    "a chunk's extension": (lambda _: [CHUNKED + b"1;", *repeat(b"e=e;", 300)], 0.3),
    "chunks of one byte": (lambda _: [CHUNKED, *repeat(b"1\r\nx\r\n", 300)], 0.3),
    "trailers without end": (lambda _: [CHUNKED + b"0\r\n", *repeat(b"X: y\r\n", 300)], 0.3),
    "gzip that never ends": (
        lambda _: [OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"x")[:10], *repeat(b"\0\0\0\xff\xff", 300)],
        0.3,
    ),
    "redirects, each slow": (lambda _: [b"", *answer(b"", "302 Found", Location="/next")], 0.6),
}


def test_no_slow_server_holds_a_fetch_longer_than_it_may(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (FIRST_BYTE_S, TOTAL_S) == (5, 10)
    first_byte, total = FIRST_BYTE_S * 0.3, TOTAL_S * 0.3
    monkeypatch.setattr("assent.media.fetch.FIRST_BYTE_S", first_byte)
    monkeypatch.setattr("assent.media.fetch.TOTAL_S", total)

    def attack(name: str) -> tuple[str, bytes | type[AssentError], float]:
        reply, pause = SLOW[name]
        with WireServer(reply, pause=pause) as server:
            start = time.monotonic()
            return name, fetched(server), time.monotonic() - start

    with ThreadPoolExecutor(len(SLOW)) as pool:
        ended = list(pool.map(attack, SLOW))
    for name, outcome, seconds in ended:
        assert outcome is FetchFailed, name
        assert seconds < (first_byte if name == "silence" else total) + 1.0, (name, seconds)
    figure(f"slow servers: {len(ended)} cases, 0 beyond {total:.0f} s")


# Size

PLAIN = MAX_IMAGE_BYTES // 2


def deflated(size: int) -> Iterator[bytes]:
    """A deflate stream of `size` zeros, ten million at a time, without an end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(PLAIN)) + packer.flush(zlib.Z_FULL_FLUSH)
    yield from repeat(block, size // PLAIN)


def encoded(encoding: bytes, body: Pieces) -> Pieces:
    yield OK + b"Content-Encoding: " + encoding + b"\r\n\r\n"
    yield from body


GZIP_HEAD = b"\x1f\x8b\x08" + bytes(7)
LARGE: dict[str, tuple[Reply, type[AssentError]]] = {
    "gzip, 10 GB in 10 MB": (lambda _: encoded(b"gzip", [GZIP_HEAD, *deflated(10**10)]), FetchTooLarge),
    "deflate, 10 GB": (lambda _: encoded(b"deflate", [b"\x78\xda", *deflated(10**10)]), FetchTooLarge),
    "gzip, a byte too many": (lambda _: encoded(b"gzip", [gzip.compress(bytes(MAX_IMAGE_BYTES + 1))]), FetchTooLarge),
    "gzip of noughts before inflating": (lambda _: encoded(b"gzip", repeat(b"\0\0\0\xff\xff" * 9_999)), FetchFailed),
    "empty blocks, 20 MB of them": (
        lambda _: encoded(b"gzip", [GZIP_HEAD, *repeat(b"\0\0\0\xff\xff" * 9_999, 500)]),
        FetchTooLarge,
    ),
    "brotli": (lambda _: encoded(b"br", repeat(b"\x5b\xff\xff" * 9_999, 500)), FetchRefused),
    "zstandard": (lambda _: encoded(b"zstd", repeat(b"\x28\xb5\x2f\xfd" * 9_999, 500)), FetchRefused),
    "gzip in gzip": (lambda _: encoded(b"gzip, gzip", [gzip.compress(gzip.compress(b"x"))]), FetchRefused),
    "gzip said twice": (lambda _: encoded(b"gzip\r\nContent-Encoding: gzip", [gzip.compress(b"x")]), FetchRefused),
    "gzip as transfer coding": (
        lambda _: [OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"0\r\n\r\n"],
        FetchFailed,
    ),
    "announced: a byte too many": (lambda _: [OK + b"Content-Length: 20000001\r\n\r\n"], FetchTooLarge),
    "announced: 20 digits": (lambda _: [OK + b"Content-Length: 99999999999999999999\r\n\r\n"], FetchTooLarge),
    "announced: 21 digits": (lambda _: [OK + b"Content-Length: 100000000000000000000\r\n\r\n"], FetchFailed),
    "announced: less than none": (lambda _: [OK + b"Content-Length: -1\r\n\r\nx"], FetchFailed),
    "announced: two lengths": (lambda _: [OK + b"Content-Length: 1, 2\r\n\r\nxx"], FetchFailed),
    "announced: more than comes": (lambda _: [OK + b"Content-Length: 20000000\r\n\r\nx"], FetchFailed),
    "a chunk larger than memory": (
        lambda _: [CHUNKED + b"FFFFFFFFFFFFFFFF\r\n", *repeat(bytes(99_999), 300)],
        FetchTooLarge,
    ),
    "a chunk of negative size": (lambda _: [CHUNKED + b"-1\r\nx\r\n0\r\n\r\n"], FetchFailed),
    "no length, no end": (lambda _: [OK + b"\r\n", *repeat(bytes(99_999), 300)], FetchTooLarge),
    "headers, 10 MB": (lambda _: [OK, *repeat(b"X: " + b"y" * 9_999 + b"\r\n", 1_000)], FetchFailed),
    "one header, 10 MB": (lambda _: [OK + b"X: ", *repeat(b"y" * 9_999, 1_000)], FetchFailed),
    "a status line, 10 MB": (lambda _: [b"HTTP/1.1 200 ", *repeat(b"O" * 9_999, 1_000)], FetchFailed),
    "a protocol of another kind": (lambda _: [b"HTTP/1.1 101 Switching\r\nUpgrade: a\r\n\r\n", bytes(99)], FetchFailed),
}


def test_no_body_grows_beyond_what_is_counted(figure: Figure) -> None:
    tracemalloc.start()
    try:
        for name, (reply, error) in LARGE.items():
            with WireServer(reply) as server:
                start = time.monotonic()
                assert fetched(server) is error, name
                assert time.monotonic() - start < TOTAL_S, name
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    figure(f"bombs and lies about length: {len(LARGE)} cases, 0 unpacked, at most {peak:.0f} MB in Python")
    assert peak < 100


def test_a_body_longer_than_it_said_is_cut_at_what_it_said() -> None:
    with WireServer(lambda _: [OK + b"Content-Length: 5\r\n\r\nhello, and more"]) as server:
        assert fetched(server) == b"hello"


def test_where_both_lengths_stand_chunks_count() -> None:
    reply = OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with WireServer(lambda _: [reply]) as server:
        assert fetched(server) == b"hello"


# Location

FOLLOWED = {  # what stands in Location: the request that follows
    b"/a": b"/a",
    b"b?c=d&e#f": b"/b?c=d&e",
    b"/%0d%0aX-Injected:%20yes": b"/%0d%0aX-Injected:%20yes",
    b"/a%00b": b"/a%00b",
    b"/a\tb": b"/a%09b",
    b"/a b": b"/a%20b",
    b"/a\r\n\tb": b"/a%20b",  # the folding of old, read as a space
    "/ü".encode(): b"/%C3%BC",
    b"/\xfc": b"/%FC",
    b"java\tscript:a": b"/java%09script:a",
    b"/../../up": b"/up",
    b"/a\r\nLocation: http://127.0.0.1/": b"/a,%20http://127.0.0.1/",
    b"/a\r\nX-Other: b": b"/a",  # a header of the answer's own
}


@pytest.mark.parametrize("location", FOLLOWED)
def test_a_location_cannot_write_into_the_next_request(location: bytes) -> None:
    def redirect(request: bytes) -> Pieces:
        if request.startswith(b"GET / "):
            return [b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"]
        return answer(b"picture")

    with WireServer(redirect) as server:
        outcome = fetched(server)
        assert outcome == b"picture"
        first, second = (request.split(b"\r\n") for request in server.requests)
    assert second[0] == b"GET " + FOLLOWED[location] + b" HTTP/1.1"
    assert second[1:] == first[1:]


ELSEWHERE = [
    *(b"file:///etc/passwd", b"ftp://127.0.0.1/a", b"gopher://127.0.0.1:6379/_INFO", b"data:image/png;base64,AAAA"),
    *(b"javascript:alert(1)", b"unix:///run/a.sock", b"ws://127.0.0.1/", b"blob:http://a/", b"https://", b"HTTPS:///a"),
    *(b"http://user:word@127.0.0.1/", b"//user@127.0.0.1/", b"http://[::1", b"http://127.0.0.1:port/", b"//[]/"),
    *(b"http://127.0.0.1:0/", b"http:\\\\127.0.0.1\\a", b"//127.0.0.1\\@public/", b"http://127.0.0.1/\\a"),
    *(b"http://127.0\t.0.1/", b"http://127.0.0.1\r\n /", b"http://b\xfccher/", b"http://a,b/", b"http://a b/"),
    *("http://１２７.0.0.1/".encode(), b"http://%31%32%37.0.0.1/"),
    *(b"http://localhost/", b"http://[::1]/", b"http://0x7f.1/", b"http://2130706433/", b"http://169.254.169.254/"),
]


def test_a_location_leads_nowhere_but_to_permitted_http(figure: Figure) -> None:
    for location in ELSEWHERE:
        head = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
        with WireServer(lambda _, head=head: [head]) as server:  # type: ignore[misc]  # mypy infers no default
            assert fetched(server) is FetchRefused, location
            assert server.accepted == 1, location
    figure(f"redirects to elsewhere: {len(ELSEWHERE)} cases, 0 followed")


def test_letters_that_fold_to_ascii_are_no_ascii_host() -> None:
    with pytest.raises(FetchRefused, match="ASCII"):
        fetch_media("http://\u212aelvin.example/", ())
