"""Runs labelled images through the whole pack, to measure its faces and its safety labels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from assent.core.boxes import area
from assent.core.errors import AssentError, DatasetUnusable
from assent.core.values import Perception, Picture
from assent.learn.dataset import Example, Skipped
from assent.learn.faces import LabelledFaces
from assent.learn.features import Tick, map_ahead
from assent.media.files import read_file
from assent.media.sandbox import Decoder
from assent.perceive import Models
from assent.perceive.faces.calibration import uncalibrated
from assent.perceive.frames.batch import Batcher


class _WithOne:
    """An embedder's session that appends a 1 to each vector."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def run(self, names: None, feed: dict[str, Any]) -> list[Any]:
        vectors = self._session.run(names, feed)[0]
        return [np.concatenate([vectors, np.ones((len(vectors), 1), np.float32)], axis=1)]


def uncentred(models: Models) -> Models:
    """Returns networks with embeddings that `largest_faces` can undo: (raw, 1) at unit length, not centred.

    The raw vectors are needed to find the mean by which faces will be centred."""
    wide = uncalibrated(models.embedder_id, len(models.calibration.mean) + 1)
    embedder = replace(models.embedder, session=_WithOne(models.embedder.session))
    return replace(models, embedder=embedder, calibration=wide)


class PerceivedExamples(NamedTuple):
    """The examples that could be decoded, with the perception of each and its image without frames, and the others
    with the reason."""

    examples: tuple[Example, ...]
    perceptions: tuple[Perception, ...]
    pictures: tuple[Picture, ...]
    skipped: tuple[Skipped, ...]


def perceive_examples(
    models: Models, decoder: Decoder, examples: Sequence[Example], embed: bool, tick: Tick
) -> PerceivedExamples:
    """Returns the perception of each example; files that cannot be read or decoded are listed.

    Embeddings stay in memory."""

    perceive = Batcher(models)

    def perceive_file(example: Example) -> tuple[Perception, Picture] | AssentError:
        try:
            picture = decoder.decode(read_file(example.path))
            return perceive(picture, embed), replace(picture, frames=())
        except AssentError as error:
            return error

    perceived, outcomes, skipped = [], [], []
    with ThreadPoolExecutor(2) as pool:
        for example, outcome in map_ahead(pool, perceive_file, examples):
            tick()
            if isinstance(outcome, AssentError):
                skipped.append(Skipped(str(example.path), f"{outcome.code}: {outcome.detail}"))
            else:
                perceived.append(example)
                outcomes.append(outcome)
    perceptions, pictures = (tuple(part) for part in zip(*outcomes, strict=True)) if outcomes else ((), ())
    return PerceivedExamples(tuple(perceived), perceptions, pictures, tuple(skipped))


def largest_faces(perceived: PerceivedExamples) -> tuple[LabelledFaces, tuple[Example, ...], tuple[Skipped, ...]]:
    """Returns the largest comparable face of each photo, as its class's; the photos that gave one, and those without.

    The perceptions come from `uncentred` networks. Raises DatasetUnusable where no photo shows a face that can be
    compared."""
    examples, embeddings, skipped = [], [], []
    for example, perception in zip(perceived.examples, perceived.perceptions, strict=True):
        faces = [face for face in perception.faces if face.embedding is not None]
        if faces:
            examples.append(example)
            embeddings.append(max(faces, key=lambda face: area(face.box)).embedding)
        else:
            skipped.append(Skipped(str(example.path), "no face at least 40 pixels wide"))
    if not examples:
        raise DatasetUnusable(f"none of {len(perceived.examples)} photos shows a face that can be compared")
    people = tuple(sorted({example.label for example in examples}))
    person_of = np.array([people.index(example.label) for example in examples], np.intp)
    vectors = np.array(embeddings, np.float32)
    return LabelledFaces(people, vectors[:, :-1] / vectors[:, -1:], person_of), tuple(examples), tuple(skipped)
