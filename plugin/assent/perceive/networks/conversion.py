"""Builds ONNX files from other files of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

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
