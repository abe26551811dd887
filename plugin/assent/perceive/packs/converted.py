"""Reads a file of a pack as the network that runs: verified, and converted, once, where it is no ONNX file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from assent.core.errors import ModelMissing
from assent.core.files import replace_file
from assent.perceive.packs.manifest import DecoderName, ModelFile, read_verified


# Both import the library `onnx`, 0.14 s, which only a conversion needs.
def _dlib(data: bytes) -> bytes:
    from assent.perceive.faces.dlib_weights import dlib_to_onnx

    return dlib_to_onnx(data)


def _efficientnet(data: bytes) -> bytes:
    from assent.perceive.labels.efficientnet_weights import efficientnet_to_onnx

    return efficientnet_to_onnx(data)


_CONVERSIONS: dict[DecoderName, Callable[[bytes], bytes]] = {
    "dlib-resnet": _dlib,
    "efficientnet-lite": _efficientnet,
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


def convert_once(
    name: str, data: bytes, models_dir: Path, onnx_sha256: str, convert: Callable[[bytes], bytes]
) -> bytes:
    """Returns the ONNX form of a file's bytes, stored as `<models_dir>/<name>-<source sha12>.onnx`.

    A stored file is used only when its sha256 is `onnx_sha256`; otherwise it is made again from the source and replaced
    in one step, so that processes starting together never read half a file. Raises ModelUnknown when the bytes are not
    the network that `convert` reads, ModelMissing when the folder cannot be written.
    """
    path = models_dir / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.onnx"
    if path.is_file() and hashlib.sha256(stored := path.read_bytes()).hexdigest() == onnx_sha256:
        return stored
    model = convert(data)
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        replace_file(path, model)
    except OSError as error:
        raise ModelMissing(
            f"the converted network {name} cannot be written to {models_dir}: {error.strerror}"
        ) from error
    return model
