"""Pooled features come out of the same forward pass as the boxes, which stay what they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from assent.core.errors import ModelUnknown
from assent.perceive import open_backbone
from assent.perceive.labels.backbone import backbone, with_features
from assent.perceive.networks.runtime import run_all
from assent.perceive.packs.manifest import read_pack, read_verified
from assent.perceive.safety.detect import prepare_frames
from tests.unit.perceive_photos import INSIGHTFACE, SKIMAGE, photo

FILE = read_pack("embedded").one("safety")


def test_the_boxes_are_untouched_and_the_features_are_what_numpy_makes_of_the_maps() -> None:
    base, model = open_backbone(threads=1)
    inputs = prepare_frames([photo(name) for name in (*SKIMAGE[:2], INSIGHTFACE[0])], model.spec)
    boxes, features = run_all(model.net, inputs)
    plain = onnxruntime.InferenceSession(read_verified(FILE), providers=["CPUExecutionProvider"])
    assert np.allclose(boxes, plain.run(None, {"images": inputs})[0], atol=1e-3)
    assert features.shape == (3, base.width)
    means, maxima, parts = [], [], []
    for one, values in zip(FILE.maps, inner_maps(inputs), strict=True):
        assert values.shape == (3, one.channels, one.side, one.side)
        means.append(values.mean(axis=(2, 3)))
        maxima.append(values.max(axis=(2, 3)))
        if one.part:
            starts = [row * (one.side - one.part) // 2 for row in range(3)]
            those = [values[:, :, y : y + one.part, x : x + one.part].mean(axis=(2, 3)) for y in starts for x in starts]
            parts.append(np.stack(those, axis=2).reshape(3, -1))
    assert np.allclose(features, np.concatenate([*means, *maxima, *parts], axis=1), atol=2e-3)


def inner_maps(
    inputs: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """The maps themselves, by a network that gives them as outputs."""
    import onnx

    network = onnx.load_from_string(read_verified(FILE))
    names = [one.tensor for one in FILE.maps]
    for name in names:
        network.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    maps: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = session.run(names, {"images": inputs})
    return maps


def test_a_network_without_chosen_maps_and_a_file_without_them_are_refused() -> None:
    with pytest.raises(ModelUnknown, match="no backbone"):
        backbone(read_pack("embedded").one("embedder"))
    other = replace(FILE, maps=(replace(FILE.maps[0], tensor="/model.99/nothing"),))
    with pytest.raises(ModelUnknown, match=r"model\.99"):
        with_features(other, read_verified(FILE))
