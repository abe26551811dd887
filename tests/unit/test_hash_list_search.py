"""A picture is found on a list by its file, or by how it looks, within the distance that the list has."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from assent.core.values import Frame, Picture
from assent.hashlists.search import (
    LISTED_LABEL,
    SEVERE_LABEL,
    HashList,
    Hit,
    find_hits,
    hash_tags,
    nearest_hash,
    pdq_columns,
    sha256_sorted,
)

RNG = np.random.default_rng(7)


def hashes(count: int) -> list[bytes]:
    return [RNG.bytes(32) for _ in range(count)]


def flipped(pdq: bytes, bits: int) -> bytes:
    """The hash with that many bits changed, anywhere."""
    number = int.from_bytes(pdq)
    for place in RNG.choice(256, bits, replace=False):
        number ^= 1 << int(place)
    return number.to_bytes(32)


def known(pdq: list[bytes], sha: list[bytes] | None = None, *, severe: bool = False, distance: int = 31) -> HashList:
    columns = pdq_columns(b"".join(pdq)), sha256_sorted(b"".join(sha or []))
    return HashList("list", "f" * 32, severe, distance, *columns)


def picture(*frames: tuple[bytes, ...], file: bytes = b"a file") -> Picture:
    nothing = np.zeros((1, 1, 3), np.uint8)
    looked_at = tuple(Frame(3 * n, nothing, 1.0, pdqs) for n, pdqs in enumerate(frames))
    return Picture(sha256(file).hexdigest(), "jpeg", 1, 1, 9, looked_at)


@pytest.mark.parametrize("bits", [0, 1, 31])
def test_within_the_distance_it_is_found_and_beyond_not(bits: int) -> None:
    listed = hashes(1000)
    near, far = flipped(listed[517], bits), flipped(listed[517], 32)
    assert find_hits([known(listed)], picture((near,))) == (Hit("list", "f" * 32, False, "pdq", bits, 0),)
    assert find_hits([known(listed)], picture((far,))) == ()
    assert find_hits([known(listed, distance=32)], picture((far,)))[0].distance == 32


def test_all_changed_bits_may_lie_in_one_half() -> None:
    (one,) = hashes(1)
    for mask in ((1 << 31) - 1, ((1 << 31) - 1) << 225):
        near = (int.from_bytes(one) ^ mask).to_bytes(32)
        assert nearest_hash(pdq_columns(one), [near], 31) == (31, 0)
        assert nearest_hash(pdq_columns(one), [near], 30) is None


def test_the_search_agrees_with_counting_bit_by_bit() -> None:
    listed = [*hashes(300), *(flipped(one, 40) for one in hashes(50))]
    for query in [*hashes(20), *(flipped(one, 60) for one in listed[:20])]:
        least = min((int.from_bytes(query) ^ int.from_bytes(one)).bit_count() for one in listed)
        found = nearest_hash(pdq_columns(b"".join(listed)), [query], 128)
        assert (found or (999, 0))[0] == least or least > 128


def test_every_chunk_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assent.hashlists.search._CHUNK", 16)
    listed = hashes(50)
    for at in (0, 15, 16, 31, 49):
        assert nearest_hash(pdq_columns(b"".join(listed)), [listed[at]], 31) == (0, 0)


def test_any_frame_and_any_way_it_lies_counts() -> None:
    listed = hashes(10)
    other = hashes(8)
    hit = find_hits([known(listed)], picture(tuple(other), (*other[:5], flipped(listed[3], 9), *other[5:7])))[0]
    assert (hit.distance, hit.frame) == (9, 3)


def test_the_file_itself_needs_no_pdq() -> None:
    others = sorted(hashes(100))
    digest = sha256(b"a file").digest()
    assert find_hits([known([], [*others, digest])], picture(()))[0][3:5] == ("sha256", 0)
    assert find_hits([known([], others)], picture(())) == ()
    assert find_hits([known([], [])], picture(())) == ()


@pytest.mark.parametrize("digest", [b"\x00" * 32, b"\xff" * 32, b"\x01" + b"\x00" * 31])
def test_hashes_that_end_in_zeros_are_no_others(digest: bytes) -> None:
    one = picture(())
    assert find_hits([known([], [digest])], one) == ()
    same = Picture(digest.hex(), one.format, 1, 1, 1, one.frames)
    assert find_hits([known([], [digest])], same)[0].kind == "sha256"


def test_each_list_is_named_once_and_severe_ones_are_told_apart() -> None:
    listed = hashes(5)
    lists = [known(listed), known([flipped(listed[0], 20), *listed], severe=True), known(hashes(5))]
    said = hash_tags(find_hits(lists, picture((listed[0],))))
    assert [(tag.name, tag.category, tag.score, tag.box) for tag in said] == [
        (LISTED_LABEL, "hash", 1.0, None),
        (SEVERE_LABEL, "hash", 1.0, None),
    ]
    assert said[0].model == "list@ffffffffffff"
