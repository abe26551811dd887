"""Builds ONNX files from other files of weights, and keeps what was built, so that it is built once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from assent.core.errors import ModelMissing
from assent.core.files import replace_file

Array = NDArray[np.float32]

_OPSET = 17
_IR_VERSION = 8  # read by every onnxruntime ≥ 1.13


class Conv(NamedTuple):
    weight: Array  # (out, in, height, width)
    bias: Array  # (out,)


class Graph:
    """Collects nodes and weights; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: int | list[int]) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [name], name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return name

    def conv(self, x: str, conv: Conv, **attributes: int | list[int]) -> str:
        return self.op("Conv", x, self.weight(conv.weight), self.weight(conv.bias), **attributes)


def serialise(
    graph: Graph, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
) -> bytes:
    """Returns the ONNX file of a graph, the same bytes with every version of numpy and onnx."""
    model = helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, outputs, graph.weights),
        producer_name="assent",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString()
    return written


def convert_once(
    name: str, data: bytes, models_dir: Path, onnx_sha256: str, convert: Callable[[bytes], bytes]
) -> bytes:
    """Returns the ONNX form of a file's bytes, stored as `<models_dir>/<name>-<source sha12>.onnx`.

    A stored file is used only when its sha256 is `onnx_sha256`; otherwise it is made again from the source and replaced
    in one step, so that processes starting together never read half a file. Raises ModelUnknown when the bytes are not
    the network that `convert` reads, ModelMissing when the folder cannot be written.
    """
    path = models_dir / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.onnx"
    if path.is_file() and hashlib.sha256(stored := path.read_bytes()).hexdigest() == onnx_sha256:
        return stored
    model = convert(data)
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        replace_file(path, model)
    except OSError as error:
        raise ModelMissing(
            f"the converted network {name} cannot be written to {models_dir}: {error.strerror}"
        ) from error
    return model
