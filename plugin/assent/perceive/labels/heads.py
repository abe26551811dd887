"""Reads and runs heads: small classifiers on a backbone's pooled features, `<name>.onnx` with `<name>.toml` beside it.

The shipped ones lie in `models/heads/`, an operator's own in `<models_dir>/heads/`; of two with one name the operator's
is used. A head gives a label only from the score that reached precision 0.9 when it was trained. Below it no tag is
made or kept, and a label that never reached that precision is never given.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError

from assent.core.errors import ModelMissing, ModelUnknown
from assent.core.names import PACK_NAME
from assent.core.resources import resource
from assent.core.taxonomy import BY_NAME, LABELS
from assent.core.values import Category, Tag
from assent.perceive.networks.runtime import Net, open_net, run_network

NONE = "none"  # the column of "none of these", where a head has one; never given
LABEL = re.compile(r"[a-z]+(\.[a-z0-9]+)+")
HEAD_BATCH = {"CPUExecutionProvider": 256, "CUDAExecutionProvider": 256}  # rows of a few thousand numbers
# First parts of the labels that a head may give, with their category. Faces, text and hashes are no matter of it.
HEAD_ROOTS: dict[str, Category] = {
    label.name.split(".")[0]: label.category
    for label in LABELS
    if label.category in ("safety", "scene", "object", "product")
}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HeadLabel:
    """One column of a head's output, with its figures on images that the head was not trained on."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str  # a label of the taxonomy, or one of the operator's own below a known first part; or "none"
    photos: int  # it was trained on
    threshold: float | None = None  # given from this score up; None: never given
    precision: float | None = None  # share of the images given it that show it
    recall: float | None = None  # share of the label's photos that are given it
    said: int | None = None  # how many images were given it when that was measured


@dataclass(frozen=True, slots=True)
class HeadFile:
    """The description of a head, `<name>.toml`.

    The columns of the ONNX file's output stand in the order of `label`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    backbone: str  # its id, as perceive.labels.backbone makes it
    features: int  # width of the input
    size: int  # of the ONNX file, in bytes
    sha256: str
    licence: str
    training_data: str
    trained: date
    label: tuple[HeadLabel, ...]
    figures: dict[str, float] = field(default_factory=dict)
    data_sha256: str = ""  # the images it was trained on, as learn.dataset.fingerprint names them; empty: not known
    validation_sha256: str = ""  # those on which the thresholds were chosen; empty: by cross-validation

    @property
    def id(self) -> str:
        """Returns the head's name in tags: `clothing@5e1f0c2a77b1`."""
        return f"{self.name}@{self.sha256[:12]}"


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    file: HeadFile
    net: Net


_FILE = TypeAdapter(HeadFile)


def category(label: str) -> Category | None:
    """Returns the category of a label, None for a label that no head may give.

    It is the taxonomy's, or for an operator's own label that of the labels with the same first part."""
    kind = BY_NAME[label].category if label in BY_NAME else HEAD_ROOTS.get(label.split(".")[0])
    return kind if LABEL.fullmatch(label) and kind in HEAD_ROOTS.values() else None


def read_head(path: Path) -> HeadFile:
    """Reads and checks a head's TOML file. Raises ModelMissing or ModelUnknown."""
    try:
        file = _FILE.validate_python(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ModelMissing(f"the head {path.name} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise ModelUnknown(f"the head {path.name} is malformed: {error}") from error
    names = [label.name for label in file.label]
    wrong = [name for name in names if name != NONE and category(name) is None]
    if file.name != path.stem or not re.fullmatch(PACK_NAME, file.name):
        raise ModelUnknown(f"the head in {path.name} calls itself {file.name}")
    if wrong or len(set(names)) != len(names) or not set(names) - {NONE}:
        raise ModelUnknown(
            f"the head {file.name} has labels that cannot be said: {', '.join(wrong) or 'none, or twice'}"
        )
    return file


def open_head(path: Path, threads: int) -> Head:
    """Opens the head that a TOML file describes, and verifies its ONNX file.

    Raises ModelMissing when a file is not there, ModelUnknown when it is another file or of another shape than
    described."""
    file = read_head(path)
    try:
        model = path.with_suffix(".onnx").read_bytes()
    except OSError as error:
        raise ModelMissing(f"the head {file.name} has no readable ONNX file beside it: {error.strerror}") from error
    if len(model) != file.size or hashlib.sha256(model).hexdigest() != file.sha256:
        raise ModelUnknown(f"{file.name}.onnx is not the file that {path.name} describes")
    net = open_net(file.name, model, threads, HEAD_BATCH)
    (into,), (out,) = net.session.get_inputs(), net.session.get_outputs()
    if into.shape[1:] != [file.features] or out.shape[1:] != [len(file.label)]:
        raise ModelUnknown(f"{file.name}.onnx takes {into.shape} and gives {out.shape}, not what {path.name} describes")
    return Head(file, net)


def folders(models_dir: Path) -> tuple[Path, Path]:
    """Returns the two folders of heads: the shipped ones, then the operator's own."""
    return resource("models") / "heads", models_dir / "heads"


def head_files(folders: Sequence[Path]) -> dict[str, Path]:
    """Returns the TOML files of all heads in those folders by name; a later folder's head replaces an earlier one's."""
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def load_heads(folders: Sequence[Path], backbone: str, threads: int) -> tuple[Head, ...]:
    """Opens all heads in those folders that belong to the backbone, by name.

    A head of another backbone is logged and left out: its input would be noise. Raises as `open_head` does."""
    heads = []
    for name, path in sorted(head_files(folders).items()):
        if (made_for := read_head(path).backbone) != backbone:
            _log.warning("head_of_another_backbone", head=name, made_for=made_for, running=backbone)
            continue
        heads.append(open_head(path, threads))
    return tuple(heads)


def scores(head: Head, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns probabilities (n, labels) for pooled features (n, width)."""
    return run_network(head.net, features)


def predict_tags(heads: Sequence[Head], features: NDArray[np.float32], frames: Sequence[int]) -> tuple[Tag, ...]:
    """Returns the tags of one image: each label once, from the frame with its highest score, without a box.

    features: (frames, width), in the order of `frames`, the frames' indexes."""
    tags = []
    for head in heads:
        probabilities = scores(head, features)
        highest = zip(head.file.label, probabilities.max(axis=0).tolist(), probabilities.argmax(axis=0), strict=True)
        for label, probability, best in highest:
            score = round(probability, 4)
            if label.threshold is not None and score >= label.threshold and (kind := category(label.name)):
                tags.append(Tag(label.name, kind, score, None, frames[best], head.file.id))
    return tuple(tags)
