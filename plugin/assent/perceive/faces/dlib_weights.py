"""Converts dlib's face network (dlib_face_recognition_resnet_model_v1.dat) into ONNX, so that chips go in batches.

The .dat file is dlib's own serialisation, innermost layer first (dlib/serialize.h, dlib/dnn/layers.h). Integers are one
control byte (low nibble: how many bytes follow; top bit: sign) and then little-endian bytes. Only the tensors are of
interest: each stands behind the text that names its layer.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from assent.core.errors import ModelUnknown
from assent.perceive.networks.conversion import Array, Conv, Graph, serialise

_MEAN = (122.782, 117.001, 104.298)  # RGB, of the network's input layer; then divided by 256
_STAGES = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))  # width and blocks; every stage but the first begins smaller
_DESCRIPTOR = 128


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


def _layers(data: bytes) -> tuple[list[Conv], Array]:
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
        convs.append(Conv(weight, packed.ravel()[-out:] * gamma + beta))
    offset = _find(data, b"fc_2", offset)
    for _ in range(2):  # how many outputs and inputs; the tensor behind tells it again
        _, offset = _integer(data, offset)
    matrix, _ = _tensor(data, offset)
    return convs, matrix.reshape(-1, _DESCRIPTOR)


def _conv(graph: Graph, x: str, conv: Conv, stride: int, pad: int) -> str:
    return graph.conv(x, conv, strides=[stride, stride], pads=[pad] * 4)


def _grow(graph: Graph, x: str, channels: int, side: int) -> str:
    """Pads with zeros behind the last channel, row and column."""
    if not (channels or side):
        return x
    return graph.op("Pad", x, graph.weight(np.array([0, 0, 0, 0, 0, channels, side, side], np.int64)))


def _block(graph: Graph, x: str, first: Conv, second: Conv) -> str:
    y = graph.op("Relu", _conv(graph, x, first, 1, 1))
    return graph.op("Relu", graph.op("Add", _conv(graph, y, second, 1, 1), x))


def _down_block(graph: Graph, x: str, side: int, first: Conv, second: Conv) -> tuple[str, int]:
    """Adds a block that halves the side, and returns its output and side.

    Its branches round differently: zeros make the smaller as large as the other."""
    y = graph.op("Relu", _conv(graph, x, first, 2, 0))
    y = _conv(graph, y, second, 1, 1)
    short = graph.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    y_side, short_side = (side - 3) // 2 + 1, side // 2
    new = max(y_side, short_side)
    out, into = first.weight.shape[:2]
    y = _grow(graph, y, 0, new - y_side)
    short = _grow(graph, short, out - into, new - short_side)
    return graph.op("Relu", graph.op("Add", y, short)), new


def dlib_to_onnx(data: bytes) -> bytes:
    """Converts the network of a dlib_face_recognition_resnet_model_v1.dat into an ONNX file.

    Its input `chips` is uint8 RGB (n, 150, 150, 3) as `dlib.get_face_chip(…, 150, 0.25)` cuts it, its output
    `descriptors` float32 (n, 128), not normalised: dlib's own `compute_face_descriptor` within 1e-4 (tested). Raises
    ModelUnknown when the file holds anything else than that network.
    """
    convs, matrix = _layers(data)
    graph, side, index = Graph(), 150, 1
    x = graph.op("Cast", graph.op("Transpose", "chips", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    x = graph.op("Sub", x, graph.weight(np.array(_MEAN, np.float32).reshape(1, 3, 1, 1)))
    x = graph.op("Mul", x, graph.weight(np.array(1 / 256, np.float32)))
    x = graph.op("Relu", _conv(graph, x, convs[0], 2, 0))
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
    chips = helper.make_tensor_value_info("chips", TensorProto.UINT8, ["n", 150, 150, 3])
    descriptors = helper.make_tensor_value_info("descriptors", TensorProto.FLOAT, ["n", _DESCRIPTOR])
    return serialise(graph, "dlib-resnet", [chips], [descriptors])
