"""Reads the manifests of model packs, and locates and verifies the files that they name.

A manifest (`models/<name>.toml`, or one of the operator's own in `<models_dir>/packs/`) describes everything: a file
whose input and decoder it describes runs without code of its own. The licence stands with each file, because what a
repository as a whole claims is often not true of every file in it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from assent.core.errors import LicenceNotAccepted, ModelMissing, ModelUnknown, PackUnknown
from assent.core.names import PACK_NAME
from assent.core.resources import resource
from assent.core.taxonomy import BY_NAME, label_hint

Role = Literal["faces", "landmarks", "embedder", "safety", "nsfw", "violence", "labels", "objects", "text", "liveness"]
DecoderName = Literal[
    "yolov8",
    "yolox",
    "yunet",
    "scrfd",
    "softmax",
    "probabilities",
    "efficientnet-lite",
    "embedding",
    "insightface",
    "dlib-shape-predictor",
    "dlib-resnet",
    "rapidocr",
]
LOWEST_SCORE = 0.05  # of a detection or label; what is weaker is left out, whatever a manifest says
SILENT = "-"  # in a table: this class gives no tag, for the reason beside it

# Which decoder reads the output of which role, and whether it needs an `input` to be described.
_ROLES_OF: dict[DecoderName, tuple[set[Role], bool]] = {
    "yolov8": ({"safety", "objects"}, True),
    "yolox": ({"objects"}, True),
    "yunet": ({"faces"}, True),
    "scrfd": ({"faces"}, True),
    "softmax": ({"nsfw", "violence", "labels", "liveness"}, True),
    "probabilities": ({"nsfw", "violence", "labels", "liveness"}, True),
    "efficientnet-lite": ({"labels"}, True),
    "embedding": ({"embedder"}, True),
    "insightface": ({"faces", "embedder"}, True),
    "dlib-shape-predictor": ({"landmarks"}, False),
    "dlib-resnet": ({"embedder"}, True),
    "rapidocr": ({"text"}, False),
}
# What the safety network's frames are prepared by, whatever their size and colours.
_SAFETY_INPUT: dict[str, object] = {
    "fit": "letterbox",
    "place": "corner",
    "enlarge": True,
    "dynamic": False,
    "layout": "nchw",
    "dtype": "float32",
}
_NEED_CLASSES: set[Role] = {"safety", "nsfw", "violence", "labels", "objects", "liveness"}
_SAFETY_ALONE: set[Role] = {"nsfw", "violence"}  # networks of these give labels of category safety and no other
_FITS_OF_KEY = (("align", ("aligned",)), ("crop", ("around-face",)), ("before", ("crop", "squeeze-crop")))
_CONVERTED: set[DecoderName] = {"dlib-resnet", "efficientnet-lite"}  # files that are no ONNX: it is made of them once
_PINNED = "; Assent's requirements name the version of the package that holds it"

Three = tuple[float, float, float]
Positive = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Input:
    """The input of a network: (value × scale − mean) / std of each channel, in `colour` order, values 0–255.

    `fit`: letterbox keeps the sides' ratio and fills up with `pad`, at the right and bottom (`corner`) or all around;
    stretch does not; crop scales the shorter side to `before` pixels and takes the middle, squeeze-crop stretches to
    `before` pixels a side and takes the middle; aligned takes a face turned to the template `align`; around-face takes
    the face's box enlarged `crop` times. `dynamic`: the network takes any sides that 32 divides, `size` bounds the
    longer one."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    size: tuple[Positive, Positive]  # width, height
    layout: Literal["nchw", "nhwc"] = "nchw"
    colour: Literal["rgb", "bgr"] = "rgb"
    dtype: Literal["float32", "uint8"] = "float32"
    scale: float = 1.0
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    fit: Literal["letterbox", "stretch", "crop", "squeeze-crop", "aligned", "around-face"] = "letterbox"
    pad: Annotated[int, Field(ge=0, le=255)] = 0
    place: Literal["corner", "centre"] = "corner"
    enlarge: bool = True  # whether a frame smaller than the input is
    dynamic: bool = False
    align: Literal["arcface", "openmodelzoo", "dlib"] | None = None
    crop: float | None = None
    before: Positive | None = None  # pixels of the shorter side, or of both, of which the middle is taken


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a pack.

    It lies in an installed Python package (`package`), else in `<models_dir>/files`, where `assent models pull` puts
    it. Without `url` it can only come from a folder."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    role: Role
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    path: str
    size: Positive
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    licence: str
    commercial_use: Literal["allowed", "forbidden", "unclear"]
    training_data: str
    decoder: DecoderName
    card: str
    package: str | None = None
    url: Annotated[str, Field(pattern=r"^https://")] | None = None
    accept: str | None = None  # the words that accept a licence which forbids commercial use
    input: Input | None = None
    labels: tuple[str, ...] = ()  # the taxonomy's label of each class; of liveness what the classes are called
    table: str | None = None  # else a table beside the manifest: class, tab, our label
    background: bool = False  # the first class is "none of these", and is no row of the table
    # The score from which a box is a face, or a face live.
    threshold: Annotated[float, Field(ge=LOWEST_SCORE, le=1)] = LOWEST_SCORE
    features: Positive | None = None  # how many numbers its output `features` has, which heads take
    calibration: str | None = None
    onnx_sha256: str | None = None  # of the file that the conversion writes

    @property
    def id(self) -> str:
        """Returns the model's name in tags: `<name>@<first 12 of the sha256>`."""
        return f"{self.name}@{self.sha256[:12]}"

    @property
    def stored(self) -> str:
        """Returns the file's name in `<models_dir>/files`; one file that several packs name lies there once."""
        return f"{self.sha256[:12]}-{Path(self.path).name}"


@dataclass(frozen=True, slots=True)
class Pack:
    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    summary: str
    file: tuple[ModelFile, ...]
    folder: Path = Path()  # where the manifest lies, and its tables, cards and calibrations

    def one(self, role: Role) -> ModelFile:
        """Returns the pack's file of that role. Raises ModelUnknown when it has none, or several."""
        files = [file for file in self.file if file.role == role]
        if len(files) != 1:
            raise ModelUnknown(f"pack {self.name} has {len(files)} files of role {role}")
        return files[0]


_PACK = TypeAdapter(Pack)


def shipped_packs() -> tuple[str, ...]:
    """Returns the names of the packs that come with Assent."""
    return tuple(sorted(path.stem for path in resource("models").glob("*.toml")))


def read_pack(name: str, models_dir: Path | None = None) -> Pack:
    """Reads the pack that `models/<name>.toml` describes, or the operator's own `<models_dir>/packs/<name>.toml`.

    Raises PackUnknown when there is none, ModelUnknown when it is malformed (an unknown role, missing labels …) or
    contradicts itself.
    """
    folders = [resource("models"), *([models_dir / "packs"] if models_dir else [])]
    folder = next((folder for folder in folders if (folder / f"{name}.toml").is_file()), None)
    if not re.fullmatch(PACK_NAME, name) or folder is None:
        raise PackUnknown(f"there is no pack {name!r}; there are {', '.join(shipped_packs())}")
    try:
        raw = tomllib.loads((folder / f"{name}.toml").read_text("utf-8"))
        pack = replace(_PACK.validate_python(raw), folder=folder)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise ModelUnknown(f"the manifest of pack {name} is malformed: {error}") from error
    if pack.name != name:
        raise ModelUnknown(f"the manifest of pack {name} calls itself {pack.name}")
    for file in pack.file:
        if wrong := _contradiction(file):
            raise ModelUnknown(f"the manifest of pack {name}, file {file.name}: {wrong}")
    return pack


def _contradiction(file: ModelFile) -> str:
    roles, fed = _ROLES_OF[file.decoder]
    shape = file.input
    if file.role not in roles:
        return f"decoder {file.decoder} does not read a file of role {file.role}"
    if fed and shape is None:
        return f"decoder {file.decoder} needs `input`"
    if file.role in _NEED_CLASSES and not (file.labels or file.table):
        return f"role {file.role} needs `labels` or `table`"
    if file.role == "liveness" and file.labels.count("live") != 1:
        return "role liveness needs `labels`, exactly one of them live"
    if file.commercial_use == "forbidden" and not file.accept:
        return "a licence that forbids commercial use needs `accept`, the words that accept it"
    if file.decoder in _CONVERTED and file.onnx_sha256 is None:
        return f"decoder {file.decoder} needs `onnx_sha256`, of the file that the conversion writes"
    if file.features is not None and file.role != "labels":
        return "only a file of role labels gives `features`"
    if file.role == "safety" and any(getattr(shape, key) != value for key, value in _SAFETY_INPUT.items()):
        return "role safety needs an input that is a letterbox in the corner, enlarged, not dynamic, nchw, float32"
    return _input_contradiction(shape) if shape is not None else ""


def _input_contradiction(spec: Input) -> str:
    for key, fits in _FITS_OF_KEY:
        if (spec.fit in fits) != (getattr(spec, key) is not None):
            return f"`{key}` and fit = {' or '.join(fits)} go together"
    if spec.before is not None and spec.before < max(spec.size):
        return "`before` is smaller than the part that is taken of it"
    return ""


def input_of(pack: Pack, file: ModelFile) -> Input:
    """Returns the description of a file's input. Raises ModelUnknown where the manifest has none."""
    if file.input is None:
        raise ModelUnknown(f"the manifest of pack {pack.name} does not say what {file.name} takes")
    return file.input


def classes(pack: Pack, file: ModelFile) -> tuple[str | None, ...]:
    """Returns the taxonomy's label of each of the network's classes, None for a class that gives no tag.

    Such a class is the background, one that the table leaves out with a reason, or one of a photo's liveness, which is
    passed on to nobody.

    Raises ModelUnknown for a table that is missing or malformed, for a label that the taxonomy does not have, and for
    one of another category where the role gives safety labels alone."""
    if file.role == "liveness":
        return (None,) * len(file.labels)
    names = _named_classes(pack, file)
    other = sorted({name for name in names if name and BY_NAME[name].category != "safety"})
    if file.role in _SAFETY_ALONE and other:
        raise ModelUnknown(f"{file.name} has role {file.role} and classes of no safety label: {', '.join(other)}")
    return names


def _named_classes(pack: Pack, file: ModelFile) -> tuple[str | None, ...]:
    if file.table is None:
        unmapped = sorted(set(file.labels) - set(BY_NAME))
        if unmapped or not file.labels:
            raise ModelUnknown(
                f"{file.name} has classes that the taxonomy does not map: {', '.join(unmapped) or 'none'}"
            )
        return file.labels
    rows = read_table(pack.folder / file.table)
    return (*([None] if file.background else []), *(None if label == SILENT else label for _, label, _ in rows))


def read_table(path: Path) -> tuple[tuple[str, str, str], ...]:
    """Returns the rows of a table: class, label or `-`, and the reason where it is `-`; `#` begins a comment.

    Raises ModelUnknown."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelUnknown(f"the table {path.name} cannot be read") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        name, label, reason, *more = (*line.split("\t"), "", "")
        if any(more) or not name or (label == SILENT) != bool(reason):
            raise ModelUnknown(f"{path.name}, line {number}: not `class, tab, label` nor `class, tab, -, tab, reason`")
        if label != SILENT and label not in BY_NAME:
            hint = label_hint(label, BY_NAME)
            raise ModelUnknown(f"{path.name}, line {number}: {label!r} is no label of the taxonomy{hint}")
        rows.append((name, label, reason))
    return tuple(rows)


def check_licence(file: ModelFile, accepted: Sequence[str]) -> None:
    """Raises LicenceNotAccepted for a file that forbids commercial use, unless its words are among the accepted."""
    if file.commercial_use == "forbidden" and file.accept not in accepted:
        raise LicenceNotAccepted(f'{file.name}: {file.licence} To accept it, set ASSENT_ACCEPT_LICENCE="{file.accept}"')


def locate(file: ModelFile, models_dir: Path | None = None) -> Path:
    """Returns the path of the file. Raises ModelMissing.

    A Python package is found without importing it (face_recognition_models cannot be imported: it wants
    pkg_resources)."""
    if file.package is None:
        path = (models_dir or Path()) / "files" / file.stored
        if models_dir is None or not path.is_file():
            raise ModelMissing(f"{file.path} of model {file.name} is not here; `assent models pull` brings it")
        return path
    spec = importlib.util.find_spec(file.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / file.path).is_file():
            return path
    raise ModelMissing(f"{file.path} of the Python package {file.package} is not installed{_PINNED}")


def read_verified(file: ModelFile, models_dir: Path | None = None) -> bytes:
    """Reads the file's bytes and checks that they are the manifest's.

    Raises ModelMissing when the file is not there or unreadable, ModelUnknown when its size or sha256 is another."""
    path = locate(file, models_dir)
    try:
        data = path.read_bytes() if path.stat().st_size == file.size else b""
    except OSError as error:
        raise ModelMissing(f"{file.path} of {file.package or file.name} cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != file.sha256:
        where, remedy = (file.package, _PINNED) if file.package else (file.name, "")
        raise ModelUnknown(f"{file.path} of {where} is not the file that the manifest describes{remedy}")
    return data
