"""EfficientNet-lite as ONNX: the numbers that its weights give by their definition, and no other file is taken."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assent.core.errors import ModelUnknown
from assent.perceive.frames.prepare import placed, tensor
from assent.perceive.labels.efficientnet_weights import efficientnet_to_onnx, network_of
from assent.perceive.networks.backend import LoadedModel, classify_with_features, open_file
from assent.perceive.networks.torch_file import Tensor, read_state
from assent.perceive.packs.manifest import ModelFile, Pack, input_of, read_pack, read_verified
from tests.unit.perceive_photos import photo

PACK = read_pack("embedded")
FILE = PACK.one("labels")
# ImageNet's classes of what skimage's photos show, as the package's own authors' code would be right to call them.
SHOWN = {
    "chelsea.png": {281, 282, 285},  # tabby, tiger cat, Egyptian cat
    "coffee.png": {504, 967, 968},  # coffee mug, espresso, cup
    "rocket.jpg": {657, 744},  # missile, projectile
    "motorcycle_left.png": {665, 670},  # moped, motor scooter
}
Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def opened(folder: Path) -> LoadedModel:
    return open_file(PACK, FILE, folder, 2)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return read_state(read_verified(FILE))


def by_definition(state: dict[str, Tensor], x: Array) -> tuple[Array, Array]:
    """Probabilities and features of an input (3, 224, 224): layer after layer, nothing folded, in numpy alone."""
    blocks = [(1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1), (4, 5, 2), (1, 3, 1)]  # how many, kernel, stride

    def convolved(x: Array, conv: str, norm: str, stride: int = 1) -> Array:
        weight = state[f"{conv}.weight"]
        size, (_, high, wide) = weight.shape[-1], x.shape
        down, across = -(-high // stride), -(-wide // stride)
        missing = max((down - 1) * stride + size - high, 0)
        x = np.pad(x, ((0, 0), *[(missing // 2, missing - missing // 2)] * 2))
        y = np.zeros((len(weight), down, across))
        for row in range(size):
            for column in range(size):
                part = x[:, row : row + stride * down : stride, column : column + stride * across : stride]
                kernel = weight[:, :, row, column]
                alone = kernel.shape[1] == 1 and len(kernel) == len(x)
                y += kernel[:, :, None] * part if alone else np.einsum("oi,ihw->ohw", kernel, part, optimize=True)
        gamma, beta, mean, variance = (
            state[f"{norm}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return np.asarray((y - mean) / np.sqrt(variance + 1e-3) * gamma + beta, np.float32)

    x = np.clip(convolved(x, "_conv_stem", "_bn0", 2), 0, 6)
    number = 0
    for count, _, first in blocks:
        for repeat in range(count):
            name, before = f"_blocks.{number}.", x
            if f"{name}_expand_conv.weight" in state:
                x = np.clip(convolved(x, f"{name}_expand_conv", f"{name}_bn0"), 0, 6)
            stride = first if repeat == 0 else 1
            x = np.clip(convolved(x, f"{name}_depthwise_conv", f"{name}_bn1", stride), 0, 6)
            x = convolved(x, f"{name}_project_conv", f"{name}_bn2")
            x = x + before if stride == 1 and x.shape == before.shape else x
            number += 1
    x = np.clip(convolved(x, "_conv_head", "_bn1"), 0, 6)
    features = np.concatenate([np.sqrt(x[:, rows].mean(axis=(1, 2))) for rows in (slice(3), slice(2, 5), slice(4, 7))])
    logits = state["_fc.weight"] @ x.mean(axis=(1, 2)) + state["_fc.bias"]
    powers = np.exp(logits - logits.max())
    return powers / powers.sum(), features


def test_the_network_is_what_its_weights_say(opened: LoadedModel, state: dict[str, Tensor]) -> None:
    (seen,) = classify_with_features(opened, [photo("chelsea.png")])
    ready = tensor(placed(photo("chelsea.png"), opened.spec).pixels[None], opened.spec)
    probabilities, features = by_definition(state, ready[0])
    assert seen.features is not None
    assert np.abs(seen.scores - probabilities).max() < 1e-4
    assert np.abs(seen.features - features).max() < 1e-4
    assert seen.features.std() > 0.1


@pytest.mark.parametrize("pack", ["embedded", pytest.param("efficientnet-lite2", marks=pytest.mark.slow)])
def test_it_is_converted_once_into_the_known_file_and_sees_what_photos_show(folder: Path, pack: str) -> None:
    file = read_pack(pack).one("labels")
    model = open_file(read_pack(pack), file, folder, 2)
    stored = folder / f"{file.name}-{file.sha256[:12]}.onnx"
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == file.onnx_sha256
    seen = classify_with_features(model, [photo(name) for name in SHOWN])
    for classes, one in zip(SHOWN.values(), seen, strict=True):
        assert int(one.scores.argmax()) in classes
        assert one.scores.sum() == pytest.approx(1, abs=1e-4)
    assert {one.features is not None for one in seen} == {file.features is not None}


def test_one_batch_or_several_are_the_same(opened: LoadedModel) -> None:
    frames = [photo(name) for name in SHOWN] + [photo("chelsea.png")[::-1]]
    together = classify_with_features(opened, frames)
    alone = [classify_with_features(opened, [frame])[0] for frame in frames]
    for one, other in zip(together, alone, strict=True):
        assert np.allclose(one.scores, other.scores, atol=1e-4)
        assert one.features is not None
        assert other.features is not None
        assert np.allclose(one.features, other.features, atol=1e-3)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 30_000), (30_000, 1), (2, 5), (224, 224), (256, 257), (700, 1500)], ids=str
)
def test_every_shape_gives_finite_numbers(opened: LoadedModel, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    for pixels in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        (seen,) = classify_with_features(opened, [pixels])
        assert np.isfinite(seen.scores).all()
        assert seen.features is not None
        assert seen.features.shape == (3840,)
        assert np.isfinite(seen.features).all()


@pytest.mark.parametrize("sides", [(256, 256), (256, 512), (600, 256), (1024, 512)], ids=str)
def test_the_middle_is_looked_at_and_nothing_else(opened: LoadedModel, sides: tuple[int, int]) -> None:
    height, width = sides
    pixels = np.zeros((height, width, 3), np.uint8)
    part = round(min(sides) * 224 / 256)
    top, left = (height - part) // 2, (width - part) // 2
    pixels[top : top + part, left : left + part] = 200
    frame = placed(pixels, opened.spec)
    assert frame.pixels.shape == (224, 224, 3)
    assert (frame.pixels == 200).all()
    corners = frame.back(np.array([[0, 0], [224, 224]], np.float32))
    assert corners.tolist() == [[left, top], [left + part, top + part]]


NORM = "_blocks.3._bn1"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({f"{NORM}.running_var": None}, f"1 tensors are missing or too many, {NORM}.running_var"),
        ({"_swish.weight": np.ones(3, np.float32)}, "1 tensors are missing or too many, _swish.weight"),
        ({f"{NORM}.running_var": np.ones(3, np.float32)}, f"{NORM}.running_var has the shape"),
        ({f"{NORM}.running_var": np.ones(144, np.int64)}, f"{NORM}.running_var has the shape"),
        ({f"{NORM}.running_var": np.full(144, -1, np.float32)}, "a variance below zero"),
        (
            {f"{NORM}.weight": np.full(144, 3e38, np.float32), f"{NORM}.running_var": np.zeros(144, np.float32)},
            "numbers that are too large",
        ),
    ],
)
def test_other_weights_are_refused(state: dict[str, Tensor], changes: dict[str, Tensor | None], why: str) -> None:
    other = {key: values for key, values in (state | changes).items() if values is not None}
    with pytest.raises(ModelUnknown, match=why):
        network_of(other)


@pytest.mark.parametrize("cut", [0, 15, 300, 42_500, 5_000_000])
def test_a_file_that_ends_early_is_refused(cut: int) -> None:
    with pytest.raises(ModelUnknown, match="no file of weights"):
        efficientnet_to_onnx(read_verified(FILE)[:cut])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"size": FILE.size + 1}, "is not the file that the manifest describes"),
        ({"input": replace(input_of(PACK, FILE), size=(240, 240))}, "it takes"),
        ({"features": 1000}, "does not give the 1000 features"),
        ({"table": None, "labels": ("animal.cat", "animal.dog")}, "1000 classes, its labels are 2"),
    ],
)
def test_a_manifest_that_says_otherwise_is_refused(folder: Path, changes: dict[str, Any], why: str) -> None:
    other: ModelFile = replace(FILE, **changes)
    with pytest.raises(ModelUnknown, match=why):
        open_file(Pack("embedded", "", (other,), PACK.folder), other, folder, 1)
