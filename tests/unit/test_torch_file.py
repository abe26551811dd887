"""A file of weights is read without torch, and nothing in it runs, whatever it names."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assent.core.errors import ModelUnknown
from assent.perceive.networks.torch_file import read_state
from tests.unit.weight_files import name, number, state_dict, storage, tensor, text, weight_file, written

ONE = tensor(storage("a", 6), [2, 3])
SIX = np.arange(6, dtype="<f4").tobytes()
GOOD = weight_file(state_dict(("w", ONE)), [("a", SIX)])


def refused(data: bytes, why: str) -> None:
    with pytest.raises(ModelUnknown, match=why):
        read_state(data)


def test_a_good_files_tensors_are_read() -> None:
    tensors = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7, np.int64)}
    read = read_state(written(tensors))
    assert list(read) == ["w", "n"]
    assert all(np.array_equal(read[key], values) and read[key].dtype == values.dtype for key, values in tensors.items())


def test_tensors_may_share_a_storage_and_lie_column_by_column() -> None:
    turned, last = tensor(storage("a", 6), [3, 2], [1, 3]), tensor(storage("a", 6), [2], offset=4)
    read = read_state(weight_file(state_dict(("turned", turned), ("last", last)), [("a", SIX)]))
    assert read["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert read["last"].tolist() == [4, 5]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", range(5))
def test_a_foreign_name_anywhere_is_refused_and_never_called(tmp_path: Path, place: int, protocol: int) -> None:
    class Touch:
        def __reduce__(self) -> Any:
            return os.mknod, (str(tmp_path / "made"),)

    parts: list[Any] = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    parts += [state_dict(("w", ONE)), pickle.dumps(["a"], 2)]
    parts[place] = pickle.dumps(OrderedDict(w=Touch()), protocol)
    refused(b"".join(parts) + struct.pack("<q", 6) + SIX, "names|operation")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "foreign", ["builtins.eval", "collections.Counter", "torch.ByteStorage", "torch._utils.rebuild", "os.system"]
)
def test_what_is_named_is_told(foreign: str) -> None:
    refused(weight_file(state_dict(("w", name(foreign))), [("a", SIX)]), foreign.rpartition(".")[2])


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (name("torch.FloatStorage") + b")R", "a call of something else"),
        (name("collections.OrderedDict") + b"(" + text("x") + b"tR", "a call of something else"),
        (ONE + b"}b", "a state of something"),
        (number(3), "other things than tensors"),
        (text("w"), "other things than tensors"),
        (b"}", "other things than tensors"),
        (tensor(text("a"), [2, 3]), "described otherwise"),
        (b"(" + text("storage") + name("torch.FloatStorage") + text("a") + b"tQ", "described otherwise"),
        (tensor(storage("a", -6), [2, 3]), "described otherwise"),
        (tensor(storage("a", 6), [2, -3]), "described otherwise"),
        (tensor(storage("a", 6), [2, 0]), "has the size"),
        (tensor(storage("a", 6), [2, 3], [3]), "has the size"),
        (tensor(storage("a", 6), [1] * 9), "described otherwise"),
        (tensor(storage("a", 6), [2, 4]), "reaches out"),
        (tensor(storage("a", 6), [2, 3], offset=1), "reaches out"),
        (tensor(storage("a", 6), [2, 3], offset=-1), "described otherwise"),
        (tensor(storage("a", 6), [2, 3], [5, 1]), "reaches out"),
        (tensor(storage("a", 6), [2_000_000_000, 2_000_000_000], [0, 0]), "reaches out"),
        (tensor(storage("a", 2_000_000_000), [2_000_000_000]), "ends early"),
        (tensor(storage("b", 6), [2, 3]), "other storages"),
        (tensor(storage("a", 6, "torch.LongStorage"), [2, 3]), "ends early"),
    ],
)
def test_what_is_no_tensor_within_its_storage_is_refused(value: bytes, why: str) -> None:
    refused(weight_file(state_dict(("w", value)), [("a", SIX)]), why)


@pytest.mark.parametrize(
    ("other", "why"), [("torch.LongStorage", "two kinds|holds"), ("torch.FloatStorage", "two|out")]
)
def test_one_storage_is_not_two(other: str, why: str) -> None:
    second = tensor(storage("a", 5 if "Float" in other else 6, other), [2])
    refused(weight_file(state_dict(("w", ONE), ("v", second)), [("a", SIX)]), f"{why}|ends early")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    refused(written({"w": np.array([1, bad], np.float32)}), "w holds numbers that are not finite")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x02.", pickle.dumps(1), GOOD + b"\0", GOOD[:-1]])
def test_other_files_are_refused(data: bytes) -> None:
    refused(data, "no file of weights")


def test_other_marks_are_refused() -> None:
    refused(weight_file(state_dict(("w", ONE)), [("a", SIX)], magic=1), "other marks")


def test_bombs_cost_nothing() -> None:
    """References to references, which hash in 2^60 steps; an index that wants gigabytes; endless operations."""
    nested = b"(" + number(1) + b"t" + b"".join(b"q\x00h\x00\x86" for _ in range(60))
    refused(weight_file(b"\x80\x02}(" + nested + number(1) + b"u.", [("a", SIX)]), "names")
    refused(weight_file(state_dict(("w", nested)), [("a", SIX)]), "other things than tensors")
    assert read_state(weight_file(b"\x80\x02}r\xff\xff\xff\xff.", [])) == {}
    refused(weight_file(b"\x80\x02" + b")" * 5_000_000 + b".", []), "too many operations")
    refused(weight_file(b"\x80\x02X\xff\xff\xff\x7fabc.", []), "no file of weights")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    altered = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        altered[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(GOOD)))
    for version in (bytes(altered), GOOD[:cut]):
        try:
            read = read_state(version)
        except ModelUnknown:
            continue
        assert all(np.isfinite(values).all() for values in read.values())
