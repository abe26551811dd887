"""Pools a network's inner maps into features for heads, in the same forward pass as its boxes.

The network's file stays as its manifest describes it; the pooling is added to the graph in memory, after the file was
verified. Each map gives the mean and the maximum of its channels over all places; some also the means of 3 × 3
overlapping parts, so that a head knows where something is: a shirt's sleeves are not where its collar is.

Only pooling and joining along the channels touch a map: ONNX Runtime does those in the blocked layout of its
convolutions, and turns no map round for them. 0.6 ms a photo on two threads, of 14; deviations took 1.7.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import onnx
from onnx import TensorProto, helper

from assent.core.errors import ModelUnknown
from assent.perceive.packs.manifest import FeatureMap, ModelFile

OUTPUT = "features"
POOLING = "mean, maximum, parts"  # of each map, in this order; it is part of the backbone's name


class Backbone(NamedTuple):
    """A network whose maps are pooled. `id` names file, maps and pooling: another choice is another backbone."""

    id: str  # <the file's id>+<first 8 of the sha256 of maps and pooling>
    width: int  # numbers an image


def backbone(file: ModelFile) -> Backbone:
    """Returns the backbone of a network, on which heads are trained.

    Raises ModelUnknown for a network whose manifest names no maps."""
    if not file.maps:
        raise ModelUnknown(f"{file.name} is no backbone for heads: its manifest names no `maps`")
    digest = hashlib.sha256("\n".join([POOLING, *map(_described, file.maps)]).encode()).hexdigest()
    return Backbone(f"{file.id}+{digest[:8]}", sum(inner.width for inner in file.maps))


def _described(inner: FeatureMap) -> str:
    """Describes a map as it goes into the backbone's id, which stands in every head: the form never changes."""
    return f"Map(tensor={inner.tensor!r}, channels={inner.channels}, side={inner.side}, part={inner.part})"


def with_features(file: ModelFile, model: bytes) -> bytes:
    """Returns the network with one more output: `features`, float32 (n, width).

    These are the means of all maps' channels, then their maxima, then the means of the parts of those maps that have
    some, channel by channel.

    Raises ModelUnknown as `backbone` does, and when the file has no such maps."""
    width = backbone(file).width
    network = onnx.load_from_string(model)
    graph = network.graph
    tensors = {name for node in graph.node for name in node.output}
    if absent := [inner.tensor for inner in file.maps if inner.tensor not in tensors]:
        raise ModelUnknown(f"{file.name} has no inner map {', '.join(absent)}")
    pooled = [
        _joined(graph, [_op(graph, "GlobalAveragePool", [inner.tensor]) for inner in file.maps]),
        _joined(graph, [_op(graph, "GlobalMaxPool", [inner.tensor]) for inner in file.maps]),
    ]
    if parts := [_parts(graph, inner) for inner in file.maps if inner.part]:
        pooled.append(_joined(graph, parts))
    graph.node.append(helper.make_node("Concat", pooled, [OUTPUT], axis=1))
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", width]))
    widened: bytes = network.SerializeToString()
    return widened


def _op(graph: onnx.GraphProto, kind: str, inputs: list[str], **attributes: int | list[int]) -> str:
    out = f"{OUTPUT}/{len(graph.node)}"
    node = helper.make_node(kind, inputs, [out])
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    graph.node.append(node)
    return out


def _parts(graph: onnx.GraphProto, inner: FeatureMap) -> str:
    step = (inner.side - inner.part) // 2
    return _op(graph, "AveragePool", [inner.tensor], kernel_shape=[inner.part] * 2, strides=[step] * 2)


def _joined(graph: onnx.GraphProto, pooled: list[str]) -> str:
    """Joins maps of equal sides channel by channel and flattens them once: (n, all their numbers)."""
    return _op(graph, "Flatten", [_op(graph, "Concat", pooled, axis=1)], axis=1)
