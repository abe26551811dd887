"""Reads the tensors of a file in torch's old serialisation, without torch, and without running anything that is in it.

Such a file is five pickles one after another: a magic number, the protocol, facts about the system, the state dict, the
storages' keys; then for each key how many numbers follow (int64) and the numbers, little-endian. Pickles are programs.
The machine below knows only the operations that such files use, and of everything that a pickle can name only four
names, none of which is ever imported.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Iterator
from enum import Enum
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assent.core.errors import ModelUnknown

Tensor = NDArray[np.float32] | NDArray[np.int64]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_OPERATIONS = 100_000  # of all five pickles; a network of 386 tensors takes 15,000
_MOST_SIDES = 8  # of a tensor
_MARK = object()


class _Known(Enum):
    """All that a pickle may name."""

    DICT = "collections OrderedDict"
    TENSOR = "torch._utils _rebuild_tensor_v2"
    FLOATS = "torch FloatStorage"
    INTEGERS = "torch LongStorage"


_TYPES: dict[_Known, type[np.float32 | np.int64]] = {_Known.FLOATS: np.float32, _Known.INTEGERS: np.int64}


class _Storage(NamedTuple):
    kind: _Known
    key: str
    count: int


class _View(NamedTuple):
    """A tensor: which numbers of a storage, in which shape."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]  # numbers, not bytes


class _Machine:
    """The stack of a pickle, and its memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def to_mark(self) -> list[Any]:
        """Takes everything above the last mark, and the mark, off the stack."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("a mark is missing")
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def last(self, count: int) -> list[Any]:
        """Takes that many values off the stack."""
        if len(self.stack) < count:
            raise ValueError("its stack is empty")
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def put(self, arg: int) -> None:
        self.memo[arg] = self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or not all(type(key) is str for key in items[::2]):
            raise ValueError("items of something that is no dictionary by names")
        target.update(zip(items[::2], items[1::2], strict=True))

    def append_items(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("items of something that is no list")
        self.stack[-1].extend(items)

    def reduce(self) -> None:
        args, called = self.stack.pop(), self.stack.pop()
        if called is _Known.DICT and type(args) is tuple and not args:
            self.stack.append({})
        elif called is _Known.TENSOR:
            self.stack.append(_view(args))
        else:
            raise ValueError("a call of something else than a tensor")

    def build(self) -> None:
        """Drops the state dict's notes about modules, the only state that such a file gives an object."""
        self.stack.pop()
        if type(self.stack[-1]) is not dict:
            raise ValueError("a state of something that is no dictionary")


_PUSHED = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"})  # their argument
_OPERATIONS: dict[str, Callable[[_Machine, Any], object]] = {
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.to_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(tuple(machine.last(1))),
    "TUPLE2": lambda machine, _: machine.stack.append(tuple(machine.last(2))),
    "TUPLE3": lambda machine, _: machine.stack.append(tuple(machine.last(3))),
    "SETITEM": lambda machine, _: machine.set_items(machine.last(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "APPEND": lambda machine, _: machine.append_items(machine.last(1)),
    "APPENDS": lambda machine, _: machine.append_items(machine.to_mark()),
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "BINGET": lambda machine, arg: machine.stack.append(machine.memo[arg]),
    "LONG_BINGET": lambda machine, arg: machine.stack.append(machine.memo[arg]),
    "GLOBAL": lambda machine, arg: machine.stack.append(_known(arg)),
    "BINPERSID": lambda machine, _: machine.stack.append(_storage(machine.stack.pop())),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
    "PROTO": lambda _machine, _: None,
    "STOP": lambda _machine, _: None,
}


def read_state(data: bytes) -> dict[str, Tensor]:
    """Returns the tensors of a state dict by name; of floats, each number is finite.

    Nothing in the file is run or imported. Raises ModelUnknown, saying what, for a file of another kind, one that names
    anything but a tensor, its storage and a dictionary, tensors that reach out of their storage, numbers that are
    missing, left over, not finite."""
    stream = BytesIO(data)
    try:
        state, keys = _header(stream)
        numbers = _numbers(data, stream.tell(), keys, {view.storage.key: view.storage for view in state.values()})
        return {name: _tensor(name, view, numbers) for name, view in state.items()}
    except (ValueError, IndexError, KeyError) as error:
        raise ModelUnknown(f"this is no file of weights as torch wrote them until 2020: {error}") from error


def _header(stream: BytesIO) -> tuple[dict[str, _View], list[str]]:
    """Runs the five pickles; returns the state dict and the storages' keys in the order of their numbers."""
    left = _MOST_OPERATIONS
    read: list[Any] = []
    for _ in range(5):
        value, left = _run(stream, left)
        read.append(value)
    magic, protocol, system, state, keys = read
    if magic != _MAGIC or protocol != _PROTOCOL or type(system) is not dict or system.get("little_endian") is not True:
        raise ValueError("it begins with other marks")
    if type(state) is not dict or not all(type(view) is _View for view in state.values()):
        raise ValueError("its state dict holds other things than tensors")
    if type(keys) is not list or not all(type(key) is str for key in keys) or len(set(keys)) != len(keys):
        raise ValueError("its list of storages is none")
    return state, keys


def _run(stream: BytesIO, left: int) -> tuple[Any, int]:
    """Runs one pickle of at most `left` operations; returns its value, and how many are left."""
    machine = _Machine()
    for name, arg in _operations(stream):
        left -= 1
        if left < 0:
            raise ValueError("it has too many operations")
        if name in _PUSHED:
            machine.stack.append(arg)
        else:
            _OPERATIONS[name](machine, arg)
    (value,) = machine.stack
    return value, left


def _operations(stream: BytesIO) -> Iterator[tuple[str, Any]]:
    """Yields the operations of a pickle and their arguments, up to its end; an unknown one's argument is not read."""
    name = ""
    while name != "STOP":
        operation = pickletools.code2op.get(stream.read(1).decode("latin-1"))
        name = operation.name if operation is not None else ""
        if operation is None or not (name in _PUSHED or name in _OPERATIONS):
            raise ValueError(f"it has an operation {name or 'that is none'}")
        if name == "GLOBAL":  # pickletools would interpret backslashes in it
            yield name, b" ".join(stream.readline().rstrip(b"\n") for _ in range(2)).decode("latin-1")
        else:
            yield name, operation.arg.reader(stream) if operation.arg is not None else None


def _known(name: str) -> _Known:
    try:
        return _Known(name)
    except ValueError:
        raise ValueError(f"it names {name[:80]!r}, which is no tensor, storage or dictionary") from None


def _storage(said: Any) -> _Storage:
    """Returns the storage that ("storage", kind, key, location, count, None) names."""
    if type(said) is not tuple or len(said) != 6 or said[0] != "storage" or said[1] not in (*_TYPES,):
        raise ValueError("a storage is described otherwise")
    _, kind, key, _, count, view = said
    if type(key) is not str or not _natural(count) or view is not None:
        raise ValueError("a storage is described otherwise")
    return _Storage(kind, key, count)


def _view(args: Any) -> _View:
    """Returns the tensor (storage, offset, size, stride, requires_grad, hooks), which lies within its storage."""
    if type(args) is not tuple or len(args) != 6 or type(args[0]) is not _Storage:
        raise ValueError("a tensor is described otherwise")
    storage, offset, size, stride = args[:4]
    if type(size) is not tuple or type(stride) is not tuple or max(len(size), len(stride)) > _MOST_SIDES:
        raise ValueError("a tensor is described otherwise")
    if not all(map(_natural, (offset, *size, *stride))):
        raise ValueError("a tensor is described otherwise")
    if len(size) != len(stride) or 0 in size:
        raise ValueError(f"a tensor has the size {size} and the strides {stride}")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= storage.count or math.prod(size) > storage.count:
        raise ValueError(f"a tensor of size {size} reaches out of its storage of {storage.count} numbers")
    return _View(storage, offset, size, stride)


def _natural(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**40


def _numbers(data: bytes, at: int, keys: list[str], storages: dict[str, _Storage]) -> dict[str, Tensor]:
    """Returns the numbers of each storage, which begin at that byte."""
    if set(keys) != set(storages):
        raise ValueError("its tensors lie in other storages than those that follow")
    numbers: dict[str, Tensor] = {}
    for key in keys:
        dtype = np.dtype(_TYPES[storages[key].kind]).newbyteorder("<")
        count, end = int.from_bytes(data[at : at + 8], "little"), at + 8 + storages[key].count * dtype.itemsize
        if count != storages[key].count or end > len(data):
            raise ValueError(f"a storage holds {count} numbers, not {storages[key].count}, or ends early")
        numbers[key] = np.frombuffer(data, dtype, count, at + 8)
        at = end
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left over")
    return numbers


def _tensor(name: str, view: _View, numbers: dict[str, Tensor]) -> Tensor:
    values = numbers[view.storage.key]
    if values.dtype.kind != {_Known.FLOATS: "f", _Known.INTEGERS: "i"}[view.storage.kind]:
        raise ValueError(f"the storage of {name} is of two kinds")
    if len(values) != view.storage.count:
        raise ValueError(f"the storage of {name} is of two lengths")
    steps = [step * values.itemsize for step in view.stride]
    tensor: Tensor = np.lib.stride_tricks.as_strided(values[view.offset :], view.size, steps, writeable=False)
    if not np.isfinite(tensor).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return tensor
