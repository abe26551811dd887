"""Features for heads: a network's inner maps, pooled, from the same forward pass as its boxes.

The network's file stays as its manifest describes it; the pooling is added to the graph in memory, after the file was
verified. Each map gives the mean and the standard deviation of its channels over all places; some also the means of
3 × 3 overlapping parts, so that a head knows where something is: a shirt's sleeves are not where its collar is.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from assent.errors import ModelUnknown
from assent.perceive.packs import ModelFile

OUTPUT = "features"


class Map(NamedTuple):
    """An inner map of a network: the tensor's name in its ONNX file, how many channels it has and how many places a
    side; `part`: places a side of each of the 3 × 3 parts, 0 where only the whole is pooled."""

    tensor: str
    channels: int
    side: int
    part: int = 0

    @property
    def width(self) -> int:
        return self.channels * (11 if self.part else 2)


# The maps that heads may look at, by the network's name in its manifest. Chosen by cross-validation on 3,068 photos of
# clothes (10 classes) and 2,640 of groceries (43): the mean and maximum of seven maps gave 75.6 % on clothes, mean and
# deviation of all below 81.5 %, with the parts 84.8 %. The outputs of the detection branches added nothing.
POOLED: dict[str, tuple[Map, ...]] = {
    "nudenet-320n": (
        Map("/model.1/act/Mul_output_0", 32, 80),
        Map("/model.2/cv2/act/Mul_output_0", 32, 80),
        Map("/model.3/act/Mul_output_0", 64, 40),
        Map("/model.4/Concat_output_0", 128, 40),
        Map("/model.4/cv2/act/Mul_output_0", 64, 40),
        Map("/model.5/act/Mul_output_0", 128, 20),
        Map("/model.6/Concat_output_0", 256, 20),
        Map("/model.6/cv2/act/Mul_output_0", 128, 20, part=8),
        Map("/model.7/act/Mul_output_0", 256, 10),
        Map("/model.8/Concat_output_0", 384, 10),
        Map("/model.8/cv2/act/Mul_output_0", 256, 10),
        Map("/model.9/cv2/act/Mul_output_0", 256, 10, part=4),
        Map("/model.12/cv2/act/Mul_output_0", 128, 20, part=8),
        Map("/model.15/cv2/act/Mul_output_0", 64, 40, part=16),
        Map("/model.16/act/Mul_output_0", 64, 20),
        Map("/model.18/cv2/act/Mul_output_0", 128, 20),
        Map("/model.19/act/Mul_output_0", 128, 10),
        Map("/model.21/cv2/act/Mul_output_0", 256, 10),
    ),
}


class Backbone(NamedTuple):
    """A network whose maps are pooled. `id` names file and maps: another choice of maps is another backbone."""

    id: str  # nudenet-320n@c15d8273adad+5e1f0c2a
    width: int  # numbers a picture


def backbone(file: ModelFile) -> Backbone:
    """What heads are trained on. Raises ModelUnknown for a network of which no maps are chosen."""
    if file.name not in POOLED:
        raise ModelUnknown(f"{file.name} is no backbone for heads; there are: {', '.join(sorted(POOLED))}")
    maps = POOLED[file.name]
    chosen = hashlib.sha256("\n".join(map(repr, maps)).encode()).hexdigest()
    return Backbone(f"{file.id}+{chosen[:8]}", sum(one.width for one in maps))


def with_features(file: ModelFile, model: bytes) -> bytes:
    """The network with one output more: `features`, float32 (n, width); map by map the channels' means, their standard
    deviations, and where the map has parts their means, channel by channel.

    Raises ModelUnknown as `backbone` does, and when the file has no such maps."""
    width = backbone(file).width
    network = onnx.load_from_string(model)
    graph = network.graph
    known = {name for node in graph.node for name in node.output}
    pooled: list[str] = []
    for number, one in enumerate(POOLED[file.name]):
        if one.tensor not in known:
            raise ModelUnknown(f"{file.name} has no inner map {one.tensor}")
        pooled += _pool(graph, one, f"{OUTPUT}/{number}")
    graph.node.append(helper.make_node("Concat", pooled, [OUTPUT], axis=1))
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", width]))
    widened: bytes = network.SerializeToString()
    return widened


def _pool(graph: onnx.GraphProto, one: Map, name: str) -> list[str]:
    """Adds the pooling of one map; the names of what it gives, each (n, some multiple of its channels)."""

    def op(kind: str, *inputs: str, **attributes: int | list[int]) -> str:
        out = f"{name}/{len(graph.node)}"
        node = helper.make_node(kind, list(inputs), [out])
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        graph.node.append(node)
        return out

    places = numpy_helper.from_array(np.array(one.side**2, np.float32), f"{name}/places")
    graph.initializer.append(places)
    mean = op("GlobalAveragePool", one.tensor)
    # The variance is the mean of squares less the square of the mean; rounding may leave it just below zero.
    squares = op("Div", op("ReduceSumSquare", one.tensor, axes=[2, 3], keepdims=1), places.name)
    deviation = op("Sqrt", op("Relu", op("Sub", squares, op("Mul", mean, mean))))
    found = [mean, deviation]
    if one.part:
        step = (one.side - one.part) // 2
        found.append(op("AveragePool", one.tensor, kernel_shape=[one.part] * 2, strides=[step] * 2))
    return [op("Flatten", each, axis=1) for each in found]
