"""Which answers mean that the picture is gone, and which are worth another try."""

from __future__ import annotations

import pytest

from assent.core.errors import FetchFailed, FetchMissing, FetchTooLarge
from assent.media.fetch import fetch_media
from assent.media.files import MAX_IMAGE_BYTES
from tests.unit.wire_server import WireServer, answer


def test_the_body_of_a_200_is_the_picture() -> None:
    with WireServer(lambda _: answer(b"\x89PNG", Content_Type="text/html")) as server:
        assert fetch_media(server.url("/a.png?sig=1#part"), server.allowed()) == b"\x89PNG"
        assert server.requests[0].startswith(b"GET /a.png?sig=1 HTTP/1.1\r\n")
        assert b"User-Agent: assent/" in server.requests[0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 451])
def test_a_client_error_means_missing(status: int) -> None:
    with WireServer(lambda _: answer(b"no", f"{status} No")) as server, pytest.raises(FetchMissing) as caught:
        fetch_media(server.url("/private/name"), server.allowed())
    assert not caught.value.retryable
    assert str(status) in caught.value.detail
    assert "name" not in caught.value.detail


@pytest.mark.parametrize("status", [204, 206, 304, 408, 425, 429, 500, 502, 503, 504])
def test_trouble_on_the_other_side_may_be_tried_again(status: int) -> None:
    with WireServer(lambda _: answer(b"", f"{status} No")) as server, pytest.raises(FetchFailed) as caught:
        fetch_media(server.url(), server.allowed())
    assert caught.value.retryable


def test_one_byte_beyond_the_limit_is_too_large() -> None:
    body = bytes(MAX_IMAGE_BYTES + 1)
    with WireServer(lambda _: [b"HTTP/1.1 200 OK\r\n\r\n", body]) as server, pytest.raises(FetchTooLarge):
        fetch_media(server.url(), server.allowed())


def test_the_limit_itself_is_not() -> None:
    with WireServer(lambda _: answer(bytes(MAX_IMAGE_BYTES))) as server:
        assert len(fetch_media(server.url(), server.allowed())) == MAX_IMAGE_BYTES
