"""Redirects: at most three, each one checked like the first URL, all within one time."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from assent.core.errors import FetchFailed, FetchRefused
from assent.media.fetch import FetchKey, fetch_media
from tests.unit.wire_server import WireServer, answer


def countdown(request: bytes) -> Iterable[bytes]:
    """/3 redirects to /2, … /0 serves the picture."""
    left = int(request.split(b" ")[1].strip(b"/"))
    if left == 0:
        return answer(b"picture")
    return answer(b"x" * 100_000, "302 Found", Location=f"/{left - 1}")


def test_three_redirects_are_followed() -> None:
    with WireServer(countdown) as server:
        assert fetch_media(server.url("/3"), server.allowed()) == b"picture"
        assert server.accepted == 4


def test_a_fourth_is_not() -> None:
    with WireServer(countdown) as server:
        with pytest.raises(FetchRefused):
            fetch_media(server.url("/4"), server.allowed())
        assert server.accepted == 4


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_into_the_private_network_reaches_nothing(status: str) -> None:
    with WireServer(lambda _: answer(b"metadata")) as canary:
        with WireServer(lambda _: answer(b"", status, Location=canary.url("/latest/meta-data"))) as server:
            with pytest.raises(FetchRefused) as caught:
                fetch_media(server.url(), server.allowed())
            assert server.accepted == 1
        assert canary.accepted == 0
    assert "meta-data" not in caught.value.detail


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://[x/"])
def test_a_redirect_to_anything_but_plain_http_is_refused(location: str) -> None:
    with WireServer(lambda _: answer(b"", "302 Found", Location=location)) as server, pytest.raises(FetchRefused):
        fetch_media(server.url(), server.allowed())


def test_a_redirect_to_nowhere_may_be_tried_again() -> None:
    with WireServer(lambda _: answer(b"", "302 Found")) as server, pytest.raises(FetchFailed):
        fetch_media(server.url(), server.allowed())


def test_redirects_share_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assent.media.fetch.TOTAL_S", 0.5)

    def slow(_: bytes) -> Iterable[bytes]:
        return answer(b"", "302 Found", Location="/again")

    with WireServer(lambda request: [b"", *slow(request)], pause=0.2) as server:
        with pytest.raises(FetchFailed, match="in time"):
            fetch_media(server.url(), server.allowed())
        assert server.accepted <= 3


def test_a_platforms_key_stays_below_its_own_addresses() -> None:
    with WireServer(lambda _: answer(b"picture")) as store:

        def forum(request: bytes) -> Iterable[bytes]:
            if b"/secure-uploads/" in request:
                return answer(b"", "302 Found", Location="/uploads/1.png")
            return answer(b"", "302 Found", Location=store.url("/secure-uploads/1.png"))

        with WireServer(forum) as server:
            key = FetchKey((server.url("/secure-uploads/"),), {"api-key": "moderator"})
            allow = (*server.allowed(), *store.allowed())
            assert fetch_media(server.url("/secure-uploads/original/1X/a_2.png"), allow, key=key) == b"picture"
            sent = [b"api-key: moderator" in request for request in (*server.requests, *store.requests)]
            assert sent == [True, False, False]


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/secure-uploads/../admin/users.json",
            "/secure-uploads/%2e%2e/admin",
            "/secure-uploads//x",
            "/secure-uploads/",
        ),
        *(
            "/secure-uploads/a?b=c",
            "/secure-uploads/a#b",
            "/secure-uploads/a/../b",
            "/secure-uploads/a\\b",
            "/other/a.png",
        ),
    ],
)
def test_a_platforms_key_is_sent_to_no_address_that_may_lead_elsewhere(path: str) -> None:
    key = FetchKey(("https://forum.example/secure-uploads/",), {"api-key": "moderator"})
    assert key.headers_for("https://forum.example" + path) == {}
    for start in ("https://forum.example.evil", "https://forum.example@evil.example", "http://forum.example"):
        assert key.headers_for(start + "/secure-uploads/a.png") == {}
    assert key.headers_for("https://forum.example/secure-uploads/a.png") == key.headers
