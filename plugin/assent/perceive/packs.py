"""Model packs: which files a pack consists of, where they lie, and that they are the ones the manifest means."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from assent.errors import ModelMissing, ModelUnknown
from assent.resources import resource

Role = Literal["safety", "landmarks", "embedder"]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a pack. `path` is inside the installed package; `input` and `decoder` say how it is fed and read."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    role: Role
    name: str
    package: str
    path: str
    size: int
    sha256: str
    licence: str
    commercial_use: Literal["allowed", "forbidden", "unclear"]
    training_data: str
    input: str
    decoder: Literal["yolov8", "dlib-shape-predictor", "dlib-resnet"]
    card: str
    labels: tuple[str, ...] = ()
    calibration: str | None = None
    onnx_sha256: str | None = None  # of the file that the conversion writes

    @property
    def id(self) -> str:
        """How tags name the model: `nudenet-320n@c15d8273adad`."""
        return f"{self.name}@{self.sha256[:12]}"


@dataclass(frozen=True, slots=True)
class Pack:
    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    summary: str
    file: tuple[ModelFile, ...]

    def one(self, role: Role) -> ModelFile:
        """The pack's file of that role. Raises ModelUnknown when it has none, or several."""
        found = [file for file in self.file if file.role == role]
        if len(found) != 1:
            raise ModelUnknown(f"pack {self.name} has {len(found)} files of role {role}")
        return found[0]


_PACK = TypeAdapter(Pack)


def read_pack(name: str) -> Pack:
    """The pack that `models/<name>.toml` describes. Raises ModelUnknown when there is none or it is malformed."""
    path = resource("models") / f"{name}.toml"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or not path.is_file():
        raise ModelUnknown(f"there is no pack {name!r}")
    try:
        pack = _PACK.validate_python(tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ModelUnknown(f"the manifest of pack {name} is malformed: {error}") from error
    if pack.name != name:
        raise ModelUnknown(f"the manifest of pack {name} calls itself {pack.name}")
    return pack


def locate(file: ModelFile) -> Path:
    """Where the file lies in its installed package, which is found without importing it (face_recognition_models
    cannot be: it wants pkg_resources). Raises ModelMissing."""
    spec = importlib.util.find_spec(file.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / file.path).is_file():
            return path
    raise ModelMissing(f"{file.path} of the Python package {file.package} is not installed")


def read_verified(file: ModelFile) -> bytes:
    """The file's bytes, once they are known to be the manifest's. Raises ModelMissing when the file is not there or
    unreadable, ModelUnknown when its size or sha256 is another."""
    path = locate(file)
    try:
        data = path.read_bytes() if path.stat().st_size == file.size else b""
    except OSError as error:
        raise ModelMissing(f"{file.path} of {file.package} cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ModelUnknown(f"{file.path} of {file.package} is not the file that the manifest describes")
    return data
