"""The client opens no connection to an address it was not to reach: a listening canary counts."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from assent.core.errors import FetchFailed, FetchRefused
from assent.core.settings import AllowedHost
from assent.net.client import ExchangeLimits, Response, request
from tests.unit.wire_server import LOOPBACK, WireServer, answer

LIMITS = ExchangeLimits(first_byte_s=2, total_s=3, max_bytes=1000)


@pytest.fixture
def canary() -> Iterator[WireServer]:
    with WireServer(lambda _: answer(b"secret")) as server:
        yield server


def get(url: str, allow: tuple[AllowedHost, ...] = ()) -> Response:
    return request("GET", url, headers={}, limits=LIMITS, allow=allow)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0.0.0.0",  # noqa: S104 - dialled, not bound
        "127.0.0.1.",
        "127.255.0.9",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_no_spelling_of_loopback_reaches_the_canary(canary: WireServer, host: str) -> None:
    with pytest.raises((FetchRefused, FetchFailed)) as caught:
        get(canary.url("/private?token=1", host))
    assert isinstance(caught.value, FetchRefused) or "does not resolve" in caught.value.detail
    assert "token" not in caught.value.detail
    assert "private" not in caught.value.detail
    assert canary.accepted == 0


def test_the_canary_answers_where_it_is_listed(canary: WireServer) -> None:
    assert get(canary.url(), canary.allowed()).body == b"secret"
    assert canary.accepted == 1


def test_a_listing_for_another_port_or_network_does_not_help(canary: WireServer) -> None:
    for entry in (
        AllowedHost("127.0.0.1", canary.port + 1, LOOPBACK),
        AllowedHost("localhost", canary.port, LOOPBACK),
    ):
        with pytest.raises(FetchRefused):
            get(canary.url(), (entry,))
    assert canary.accepted == 0


def test_one_private_answer_among_public_ones_is_refused(canary: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    with pytest.raises(FetchRefused):
        get(canary.url("/", "rebind.example"))
    assert canary.accepted == 0


def test_a_name_is_resolved_once_and_that_answer_dialled(canary: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolves_to(monkeypatch, ["127.0.0.1"])
    got = get(canary.url("/a%20b?q=é", "media.internal"), canary.allowed("media.internal"))
    assert got.status == 200
    assert asked == ["media.internal"]
    head = canary.requests[0].decode()
    assert head.startswith("GET /a%20b?q=%C3%A9 HTTP/1.1\r\n")
    assert f"Host: media.internal:{canary.port}\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head


def test_an_answer_with_a_zone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    info = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:4700::1", 80, 0, 3))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [info])
    with pytest.raises(FetchRefused, match="zone"):
        get("http://zoned.example/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "//127.0.0.1/",
        "/relative",
        "ftp://example.org/a.png",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO",
        "unix:///run/docker.sock",
        "http://user@example.org/",
        "http://user:password@example.org/",
        "http://@example.org/",
        "http://example.org@127.0.0.1/",
        "http://exa mple.org/",
        "http://example.org/\r\nHost: other",
        "http://example.org\\@127.0.0.1/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[not-an-address]/",
        "http://[::1",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://example.org:http/",
        "http://bücher.example/",
        "http://a..b/",
        "http://" + "a" * 64 + ".example/",
        "http://-a.example/",
        "http://:80/",
        "http://a.example/\ud800",
    ],
)
def test_a_bad_url_is_refused_before_dns(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolves_to(monkeypatch, ["127.0.0.1"])
    with pytest.raises(FetchRefused):
        get(url)
    assert asked == []


def test_proxies_in_the_environment_are_ignored(canary: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer(lambda _: answer(b"direct")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, canary.url())
        monkeypatch.delenv("no_proxy", raising=False)
        assert get(server.url(), server.allowed()).body == b"direct"
    assert canary.accepted == 0


def test_a_name_that_does_not_resolve_may_be_tried_again() -> None:
    with pytest.raises(FetchFailed) as caught:
        get("http://nowhere.invalid/")
    assert caught.value.retryable


def test_a_closed_port_may_be_tried_again(canary: WireServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchFailed):
        get(f"http://127.0.0.1:{port}/", (AllowedHost("127.0.0.1", port, LOOPBACK),))


def test_a_dead_first_address_does_not_hide_a_live_second(canary: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, ["127.9.9.9", "127.0.0.1"])
    assert get(canary.url("/", "two.internal"), canary.allowed("two.internal")).body == b"secret"


def resolves_to(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> list[str]:
    """Makes every name resolve to these; returns the names asked for, as they come. (DNS is not ours to run here.)"""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked
