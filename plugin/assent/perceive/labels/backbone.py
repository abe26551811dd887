"""Names the network on whose features heads are trained: a network of role labels that gives them beside its labels."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from assent.core.errors import ModelUnknown
from assent.perceive.packs.manifest import Input, ModelFile

OUTPUT = "features"  # the network's output of that name


class Backbone(NamedTuple):
    """A network that gives features. `id` names the file, how frames are prepared and how many features there are:
    other inputs, other features."""

    id: str  # <the file's id>+<first 8 of the sha256 of its input's and features' description>
    width: int  # numbers an image


def backbone(file: ModelFile) -> Backbone:
    """Returns the backbone that a network is. Raises ModelUnknown for one whose manifest names no `features`."""
    if file.features is None or file.input is None:
        raise ModelUnknown(f"{file.name} is no backbone for heads: its manifest names no `features`")
    digest = hashlib.sha256(f"{_described(file.input)} features={file.features}".encode()).hexdigest()
    return Backbone(f"{file.id}+{digest[:8]}", file.features)


def _described(spec: Input) -> str:
    """Describes an input as it goes into the backbone's id, which stands in every head: the form never changes."""
    return (
        f"size={spec.size[0]}x{spec.size[1]} colour={spec.colour} scale={spec.scale} mean={spec.mean} std={spec.std} "
        f"fit={spec.fit} before={spec.before} pad={spec.pad} place={spec.place} enlarge={spec.enlarge}"
    )
