"""Small ONNX networks that tests make themselves, as bytes."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = list[int | str]


def net(shape: Shape, out: int, *, kind: int = TensorProto.FLOAT, inputs: int = 1) -> bytes:
    """Averages each channel over the picture (n, c, h, w) and multiplies by a fixed matrix: vectors (n, out)."""
    channels = shape[1] if isinstance(shape[1], int) else 3
    weight = np.random.default_rng(7).normal(size=(channels, out)).astype(np.float32)
    feeds = [helper.make_tensor_value_info(f"in{n}", kind, shape) for n in range(inputs)]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["in0"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("GlobalAveragePool", ["float"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["out"]),
        ],
        "small",
        feeds,
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [shape[0], out])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def arcface_shaped(size: int = 112, dimension: int = 512) -> bytes:
    """What insightface takes for a recogniser: (n, 3, 112, 112) → (n, 512). It tells pictures apart, not people: it
    sees 49 colours, the averages of 7 × 7 parts."""
    parts, side = 7, size // 7
    weight = np.random.default_rng(7).normal(size=(3 * parts * parts, dimension)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["data"], ["small"], kernel_shape=[side, side], strides=[side, side]),
            helper.make_node("Flatten", ["small"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["out"]),
        ],
        "arcface",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["n", 3, size, size])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", dimension])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
