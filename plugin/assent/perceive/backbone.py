"""Features for heads: a network's inner maps, pooled, from the same forward pass as its boxes.

The network's file stays as its manifest describes it; the pooling is added to the graph in memory, after the file was
verified. Each map gives its mean and its maximum over all places: what is there on average, and what is there at all.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import onnx
from onnx import TensorProto, helper

from assent.errors import ModelUnknown
from assent.perceive.packs import ModelFile

OUTPUT = "features"


class Map(NamedTuple):
    """An inner map of a network: the tensor's name in its ONNX file, and how many channels it has."""

    tensor: str
    channels: int


# The maps that heads may look at, by the network's name in its manifest.
POOLED: dict[str, tuple[Map, ...]] = {
    "nudenet-320n": (
        Map("/model.2/cv2/act/Mul_output_0", 32),
        Map("/model.4/cv2/act/Mul_output_0", 64),
        Map("/model.6/cv2/act/Mul_output_0", 128),
        Map("/model.9/cv2/act/Mul_output_0", 256),
        Map("/model.15/cv2/act/Mul_output_0", 64),
        Map("/model.18/cv2/act/Mul_output_0", 128),
        Map("/model.21/cv2/act/Mul_output_0", 256),
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
    chosen = hashlib.sha256("\n".join(f"{one.tensor} {one.channels}" for one in maps).encode()).hexdigest()
    return Backbone(f"{file.id}+{chosen[:8]}", 2 * sum(one.channels for one in maps))


def with_features(file: ModelFile, model: bytes) -> bytes:
    """The network with one output more: `features`, float32 (n, width), the means of all maps, then their maxima.

    Raises ModelUnknown as `backbone` does, and when the file has no such maps."""
    width = backbone(file).width
    network = onnx.load_from_string(model)
    graph = network.graph
    known = {name for node in graph.node for name in node.output}
    parts: dict[str, list[str]] = {"GlobalAveragePool": [], "GlobalMaxPool": []}
    for number, one in enumerate(POOLED[file.name]):
        if one.tensor not in known:
            raise ModelUnknown(f"{file.name} has no inner map {one.tensor}")
        for kind, pooled in parts.items():
            pooled.append(f"{OUTPUT}/{kind}/{number}")
            graph.node.append(helper.make_node(kind, [one.tensor], [pooled[-1]]))
    every = [name for pooled in parts.values() for name in pooled]
    graph.node.append(helper.make_node("Concat", every, [f"{OUTPUT}/maps"], axis=1))
    graph.node.append(helper.make_node("Flatten", [f"{OUTPUT}/maps"], [OUTPUT], axis=1))
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", width]))
    widened: bytes = network.SerializeToString()
    return widened
