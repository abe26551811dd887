"""Paths in their normal form: an id is one segment of it, however it was encoded."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from assent.core.errors import BadRequest
from assent.http.address import check_query, normal_path
from tests.command import failing

SEGMENTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=4)


@trials(max_examples=100, deadline=None, database=None, derandomize=True)
@given(SEGMENTS)
def test_segments_come_apart_where_they_were_joined(segments: list[str]) -> None:
    encoded = normal_path("/".join(quote(one, safe="") for one in segments).encode())
    assert [unquote(one) for one in encoded.split("/")] == segments
    everything = "/".join("".join(f"%{byte:02x}" for byte in one.encode()) for one in segments)
    assert normal_path(everything.encode()) == normal_path(encoded.encode()) == encoded


@pytest.mark.parametrize("raw", [b"/a%", b"/a%2", b"/a%zz", b"/%ff", b"/%ed%a0%80", b"/%c0%af", b"/\xc3\xa9", b"/\xe9"])
def test_what_cannot_be_decoded_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        normal_path(raw)
    with pytest.raises(BadRequest):
        check_query(b"ref=" + raw)


def test_a_name_stands_once_in_a_query() -> None:
    check_query(b"ref=a%26ref=b&subject=ref")
    for query in (b"ref=a&ref=a", b"ref=a&%72ef=b", b"ref&ref"):
        with pytest.raises(BadRequest):
            check_query(query)


@pytest.mark.parametrize("account", ["Zoe\u0308", ".."])
def test_an_account_that_no_event_may_name_is_refused_by_the_command_too(account: str) -> None:
    assert "--as: " in failing({}, "tag", "--as", account, "photo.jpg")
