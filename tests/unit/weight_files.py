"""Files of weights in torch's old serialisation, made by hand: good ones, and such as somebody hostile would write."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
Array = NDArray[np.float32] | NDArray[np.int64]


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def name(dotted: str) -> bytes:
    module, _, what = dotted.rpartition(".")
    return f"c{module}\n{what}\n".encode()


def storage(key: str, count: int, kind: str = "torch.FloatStorage") -> bytes:
    return b"(" + text("storage") + name(kind) + text(key) + text("cpu") + number(count) + b"NtQ"


def tensor(stored: bytes, size: Sequence[int], stride: Sequence[int] | None = None, offset: int = 0) -> bytes:
    """The operations that make a tensor; without `stride` it lies row by row."""
    steps = [int(np.prod(size[at + 1 :])) for at in range(len(size))] if stride is None else stride
    hooks = name("collections.OrderedDict") + b")R"
    args = stored + number(offset) + numbers(size) + numbers(steps) + b"\x89" + hooks
    return name("torch._utils._rebuild_tensor_v2") + b"(" + args + b"tR"


def state_dict(*items: tuple[str, bytes]) -> bytes:
    """The pickle of a state dict: names, and the operations that make their values."""
    pairs = b"".join(text(key) + value for key, value in items)
    return b"\x80\x02" + name("collections.OrderedDict") + b")R(" + pairs + b"u."


def weight_file(state: bytes, follows: Sequence[tuple[str, bytes]], *, magic: int = MAGIC) -> bytes:
    """The file: `state` is the state dict's pickle; then come the storages, whose bytes are counted by fours."""
    head = b"".join(pickle.dumps(value, 2) for value in (magic, 1001, SYSTEM))
    keys = pickle.dumps([key for key, _ in follows], 2)
    return head + state + keys + b"".join(struct.pack("<q", len(data) // 4) + data for _, data in follows)


def written(tensors: dict[str, Array]) -> bytes:
    """A good file with those tensors, each in a storage of its own."""
    items, head, tail = [], [], b""
    for at, (key, values) in enumerate(tensors.items()):
        kind = "torch.FloatStorage" if values.dtype.kind == "f" else "torch.LongStorage"
        items.append((key, tensor(storage(str(at), values.size, kind), values.shape)))
        head.append((str(at), b""))
        tail += struct.pack("<q", values.size) + values.tobytes()
    empty = weight_file(state_dict(*items), head)
    return empty[: len(empty) - 8 * len(head)] + tail
