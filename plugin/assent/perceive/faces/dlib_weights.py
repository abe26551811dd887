"""Converts dlib's face network (dlib_face_recognition_resnet_model_v1.dat) into ONNX, so that chips go in batches.

The .dat file is dlib's own serialisation, innermost layer first (dlib/serialize.h, dlib/dnn/layers.h). Integers are one
control byte (low nibble: how many bytes follow; top bit: sign) and then little-endian bytes. Only the tensors are of
interest: each stands behind the text that names its layer.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from assent.core.errors import ModelMissing, ModelUnknown
from assent.core.files import replace_file

Array = NDArray[np.float32]

_OPSET = 17
_IR_VERSION = 8  # read by every onnxruntime ≥ 1.13
_MEAN = (122.782, 117.001, 104.298)  # RGB, of the network's input layer; then divided by 256
_STAGES = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))  # width and blocks; every stage but the first begins smaller
_DESCRIPTOR = 128


class _Conv(NamedTuple):
    weight: Array  # (out, in, height, width)
    bias: Array  # (out,)


def _integer(data: bytes, offset: int) -> tuple[int, int]:
    """Returns the integer at that offset, and the offset where it ends."""
    control = data[offset]
    end = offset + 1 + (control & 0x0F)
    value = int.from_bytes(data[offset + 1 : end], "little")
    return (-value if control & 0x80 else value), end


def _tensor(data: bytes, offset: int) -> tuple[Array, int]:
    """Returns the tensor at that offset, and the offset where it ends.

    It is stored as its version (2), four dimensions, raw little-endian float32. Raises ModelUnknown where there is
    none."""
    header = []
    for _ in range(5):
        value, offset = _integer(data, offset)
        header.append(value)
    version, *shape = header
    count = int(np.prod(shape))
    if version != 2 or min(shape) < 1 or offset + 4 * count > len(data):
        raise ModelUnknown("the dlib file holds no tensor where one belongs")
    return np.frombuffer(data, "<f4", count, offset).reshape(shape), offset + 4 * count


def _find(data: bytes, name: bytes, start: int) -> int:
    offset = data.find(name, start)
    if offset < 0:
        raise ModelUnknown(f"the dlib file holds no further layer {name.decode()}")
    return offset + len(name)


def _layers(data: bytes) -> tuple[list[_Conv], Array]:
    """Returns all convolutions, input side first, and the last matrix (256, 128).

    The affine layer behind each convolution is folded in. A convolution's tensor holds all filters and then the
    biases, an affine layer's its gammas and then its betas; the file does not give their shape: it follows from the
    order."""
    shapes, channels = [(32, 3, 7)], 32
    for width, blocks in _STAGES:
        for _ in range(blocks):
            shapes += [(width, channels, 3), (width, width, 3)]
            channels = width
    convs, offset = [], 0
    for out, into, size in shapes:
        packed, offset = _tensor(data, _find(data, b"con_4", offset))
        affine, offset = _tensor(data, _find(data, b"affine_", offset))
        if packed.size != out * (into * size * size + 1) or affine.size != 2 * out:
            raise ModelUnknown("a layer of the dlib file has another size than the face network's")
        gamma, beta = affine.ravel()[:out], affine.ravel()[out:]
        weight = packed.ravel()[:-out].reshape(out, into, size, size) * gamma.reshape(out, 1, 1, 1)
        convs.append(_Conv(weight, packed.ravel()[-out:] * gamma + beta))
    offset = _find(data, b"fc_2", offset)
    for _ in range(2):  # how many outputs and inputs; the tensor behind tells it again
        _, offset = _integer(data, offset)
    matrix, _ = _tensor(data, offset)
    return convs, matrix.reshape(-1, _DESCRIPTOR)


class _Graph:
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

    def conv(self, x: str, conv: _Conv, stride: int, pad: int) -> str:
        w, b = self.weight(conv.weight), self.weight(conv.bias)
        return self.op("Conv", x, w, b, strides=[stride, stride], pads=[pad] * 4)

    def grow(self, x: str, channels: int, side: int) -> str:
        """Pads with zeros behind the last channel, row and column."""
        if not (channels or side):
            return x
        pads = np.array([0, 0, 0, 0, 0, channels, side, side], np.int64)
        return self.op("Pad", x, self.weight(pads))


def _block(graph: _Graph, x: str, first: _Conv, second: _Conv) -> str:
    y = graph.op("Relu", graph.conv(x, first, 1, 1))
    return graph.op("Relu", graph.op("Add", graph.conv(y, second, 1, 1), x))


def _down_block(graph: _Graph, x: str, side: int, first: _Conv, second: _Conv) -> tuple[str, int]:
    """Adds a block that halves the side, and returns its output and side.

    Its branches round differently: zeros make the smaller as large as the other."""
    y = graph.op("Relu", graph.conv(x, first, 2, 0))
    y = graph.conv(y, second, 1, 1)
    short = graph.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    y_side, short_side = (side - 3) // 2 + 1, side // 2
    new = max(y_side, short_side)
    out, into = first.weight.shape[:2]
    y = graph.grow(y, 0, new - y_side)
    short = graph.grow(short, out - into, new - short_side)
    return graph.op("Relu", graph.op("Add", y, short)), new


def dlib_to_onnx(data: bytes) -> bytes:
    """Converts the network of a dlib_face_recognition_resnet_model_v1.dat into an ONNX file.

    Its input `chips` is uint8 RGB (n, 150, 150, 3) as `dlib.get_face_chip(…, 150, 0.25)` cuts it, its output
    `descriptors` float32 (n, 128), not normalised: dlib's own `compute_face_descriptor` within 1e-4 (tested). Raises
    ModelUnknown when the file holds anything else than that network.
    """
    convs, matrix = _layers(data)
    graph, side, index = _Graph(), 150, 1
    x = graph.op("Cast", graph.op("Transpose", "chips", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    x = graph.op("Sub", x, graph.weight(np.array(_MEAN, np.float32).reshape(1, 3, 1, 1)))
    x = graph.op("Mul", x, graph.weight(np.array(1 / 256, np.float32)))
    x = graph.op("Relu", graph.conv(x, convs[0], 2, 0))
    x = graph.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    side = ((side - 7) // 2 + 1 - 3) // 2 + 1
    for stage, (_, blocks) in enumerate(_STAGES):
        for block in range(blocks):
            if stage and block == 0:
                x, side = _down_block(graph, x, side, convs[index], convs[index + 1])
            else:
                x = _block(graph, x, convs[index], convs[index + 1])
            index += 2
    x = graph.op("Flatten", graph.op("GlobalAveragePool", x), axis=1)
    graph.nodes.append(helper.make_node("MatMul", [x, graph.weight(matrix)], ["descriptors"]))
    return _serialised(graph)


def _serialised(graph: _Graph) -> bytes:
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "dlib-resnet",
            [helper.make_tensor_value_info("chips", TensorProto.UINT8, ["n", 150, 150, 3])],
            [helper.make_tensor_value_info("descriptors", TensorProto.FLOAT, ["n", _DESCRIPTOR])],
            graph.weights,
        ),
        producer_name="assent",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString()
    return written


def convert_once(data: bytes, models_dir: Path, onnx_sha256: str) -> bytes:
    """Returns the ONNX form of a .dat file's bytes, stored as `<models_dir>/dlib-resnet-<source sha12>.onnx`.

    A stored file is used only when its sha256 is `onnx_sha256`; otherwise it is made again from the source and replaced
    in one step, so that processes starting together never read half a file. Raises ModelUnknown when the bytes are not
    that network, ModelMissing when the folder cannot be written.
    """
    path = models_dir / f"dlib-resnet-{hashlib.sha256(data).hexdigest()[:12]}.onnx"
    if path.is_file() and hashlib.sha256(stored := path.read_bytes()).hexdigest() == onnx_sha256:
        return stored
    model = dlib_to_onnx(data)
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        replace_file(path, model)
    except OSError as error:
        raise ModelMissing(f"the converted face network cannot be written to {models_dir}: {error.strerror}") from error
    return model
