"""A sealed value opens with its own key at its own place, and nowhere else."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.core.errors import SealBroken
from assent.keys.seal import seal, unseal

KEY = bytes(range(32))
PARTS = st.lists(st.binary(max_size=6), max_size=4)


@given(st.binary(max_size=200), PARTS)
def test_opens_what_was_sealed(plain: bytes, aad: list[bytes]) -> None:
    assert unseal(KEY, seal(KEY, plain, *aad), *aad) == plain


@given(PARTS, PARTS)
def test_no_two_lists_of_parts_are_the_same_place(sealed_with: list[bytes], opened_with: list[bytes]) -> None:
    sealed = seal(KEY, b"x", *sealed_with)
    if sealed_with == opened_with:
        assert unseal(KEY, sealed, *opened_with) == b"x"
    else:
        with pytest.raises(SealBroken):
            unseal(KEY, sealed, *opened_with)


@pytest.mark.parametrize(("left", "right"), [(("ab", "c"), ("a", "bc")), (("a",), ("a", "")), ((), ("",))])
def test_parts_that_join_to_the_same_text(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    with pytest.raises(SealBroken):
        unseal(KEY, seal(KEY, b"x", *left), *right)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_found(where: int, change: int) -> None:
    sealed = bytearray(seal(KEY, b"a template", "template"))
    sealed[where % len(sealed)] ^= change
    with pytest.raises(SealBroken):
        unseal(KEY, bytes(sealed), "template")


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27])
def test_too_short(length: int) -> None:
    with pytest.raises(SealBroken):
        unseal(KEY, bytes(length))


def test_another_key() -> None:
    with pytest.raises(SealBroken):
        unseal(os.urandom(32), seal(KEY, b"x"))


def test_the_same_value_never_looks_the_same() -> None:
    assert len({seal(KEY, b"x", "a") for _ in range(100)}) == 100
