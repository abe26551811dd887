"""Reads a file of a pack as the network that runs: verified, and converted where it is no ONNX file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from assent.perceive.faces.dlib_weights import dlib_to_onnx
from assent.perceive.labels.efficientnet_weights import efficientnet_to_onnx
from assent.perceive.networks.conversion import convert_once
from assent.perceive.packs.manifest import DecoderName, ModelFile, read_verified

_CONVERSIONS: dict[DecoderName, Callable[[bytes], bytes]] = {
    "dlib-resnet": dlib_to_onnx,
    "efficientnet-lite": efficientnet_to_onnx,
}


def read_network(file: ModelFile, models_dir: Path | None) -> bytes:
    """Returns the ONNX file of a pack's file; a converted one is kept in `models_dir`, without that made each time.

    Raises as `read_verified` and `convert_once` do."""
    data, convert = read_verified(file, models_dir), _CONVERSIONS.get(file.decoder)
    if convert is None:
        return data
    if models_dir is None:
        return convert(data)
    return convert_once(file.name, data, models_dir, file.onnx_sha256 or "", convert)
