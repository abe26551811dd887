"""Computes pooled features of examples. Each file is decoded in the decode child, as an untrusted one is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from assent.core.errors import AssentError
from assent.core.settings import Settings
from assent.core.values import Pixels, Vector
from assent.learn.cache import Cache
from assent.learn.dataset import Example, Skipped
from assent.learn.views import View
from assent.media.files import read_file
from assent.media.sandbox import Decoder, open_decoder
from assent.perceive import open_backbone
from assent.perceive.networks.backend import LoadedModel, classify_with_features

AHEAD = 8  # files read or decoded while others go through the network

Tick = Callable[[], object]  # called after each finished item
Progress = Callable[[str, int], AbstractContextManager[Tick]]  # shows what is done, of how many items

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True, eq=False)
class FeatureExtractor:
    """An open backbone and its features' width, the cache of them, and the decode child."""

    model: LoadedModel
    width: int
    cache: Cache
    decoder: Decoder


class ExampleFeatures(NamedTuple):
    """The examples that could be decoded, with their features float32 (n, width) and their files' sha256."""

    examples: tuple[Example, ...]
    features: NDArray[np.float32]
    sha256: tuple[str, ...]
    skipped: tuple[Skipped, ...]


class _File(NamedTuple):
    sha256: str
    cached: Vector | None
    pixels: Pixels | None  # of the first frame, where the cache had nothing


class _Row(NamedTuple):
    example: Example
    sha256: str
    features: Vector


def backbone_features(
    settings: Settings, examples: Sequence[Example], progress: Progress, view: View | None = None
) -> tuple[str, ExampleFeatures]:
    """Returns the id of the installation's backbone, and its features of all examples that can be decoded.

    With `view` the features are those of an altered copy of each."""
    backbone, model = open_backbone(settings.threads, settings.models_dir)
    cache = Cache(settings.data_dir / "features", backbone.id, backbone.width)
    with open_decoder(settings) as decoder, progress("looking", len(examples)) as tick:
        extractor = FeatureExtractor(model, backbone.width, cache, decoder)
        return backbone.id, extract_features(extractor, examples, tick, view)


def extract_features(
    extractor: FeatureExtractor, examples: Iterable[Example], tick: Tick, view: View | None = None
) -> ExampleFeatures:
    """Returns the features of all examples, or of a copy of each, from the cache or through the network.

    `tick` is called after each. A file that cannot be read or decoded is listed, not raised. A file that occurred
    before (by sha256) under the same class counts once; under another class it contradicts itself, and all its copies
    are left out."""
    rows: list[_Row | None] = []
    skipped: list[Skipped] = []
    pending: list[tuple[int, Example, _File]] = []

    def load(example: Example) -> _File | AssentError:
        return _load(example, extractor, view)

    def run_pending() -> None:
        files = [file for _, _, file in pending]
        vectors = _run(extractor, files, view)
        for (index, example, file), vector in zip(pending, vectors, strict=True):
            rows[index] = _Row(example, file.sha256, vector)
        pending.clear()

    with ThreadPoolExecutor(2) as pool:
        for example, file in map_ahead(pool, load, examples):
            tick()
            if isinstance(file, AssentError):
                skipped.append(Skipped(str(example.path), f"{file.code}: {file.detail}"))
            elif file.cached is not None:
                rows.append(_Row(example, file.sha256, file.cached))
            else:
                pending.append((len(rows), example, file))
                rows.append(None)
            if len(pending) == extractor.model.net.batch:
                run_pending()
    if pending:
        run_pending()
    extractor.cache.trim()
    return _without_duplicates([row for row in rows if row is not None], extractor.width, skipped)


def _load(example: Example, extractor: FeatureExtractor, view: View | None) -> _File | AssentError:
    try:
        data = read_file(example.path)
        digest = sha256(data).hexdigest()
        if (cached := extractor.cache.get(_key(digest, view))) is not None:
            return _File(digest, cached, None)
        pixels = extractor.decoder.decode(data).frames[0].pixels
        return _File(digest, None, pixels if view is None else view.of(pixels, digest))
    except AssentError as error:
        return error


def _run(extractor: FeatureExtractor, files: Sequence[_File], view: View | None) -> list[Vector]:
    """Returns the features of decoded files, as the cache will return them, and caches them."""
    pixels = [file.pixels for file in files if file.pixels is not None]
    seen = classify_with_features(extractor.model, pixels)
    vectors = [one.features for one in seen if one.features is not None]
    for file, vector in zip(files, vectors, strict=True):
        extractor.cache.put(_key(file.sha256, view), vector)
    return [vector.astype(np.float16).astype(np.float32) for vector in vectors]


def _key(sha256: str, view: View | None) -> str:
    """Returns the cache key of an image, or of an altered copy of it."""
    return sha256 if view is None else f"{sha256}-{view.name}"


def map_ahead(pool: ThreadPoolExecutor, function: Callable[[In], Out], items: Iterable[In]) -> Iterator[tuple[In, Out]]:
    """Yields each item with its result, in order, with at most AHEAD under way: decoded images are large."""
    pending: deque[tuple[In, Future[Out]]] = deque()
    for item in items:
        pending.append((item, pool.submit(function, item)))
        if len(pending) > AHEAD:
            first, future = pending.popleft()
            yield first, future.result()
    while pending:
        first, future = pending.popleft()
        yield first, future.result()


def _without_duplicates(rows: Sequence[_Row], width: int, skipped: Sequence[Skipped]) -> ExampleFeatures:
    """Returns the rows that stay when each file counts once; the others are listed after `skipped`, with the reason."""
    classes: dict[str, set[str]] = {}
    for row in rows:
        classes.setdefault(row.sha256, set()).add(row.example.label)
    first: dict[str, Path] = {}
    unique, repeated = [], []
    for row in rows:
        path = row.example.path
        if len(classes[row.sha256]) > 1:
            repeated.append(Skipped(str(path), f"the same file under {', '.join(sorted(classes[row.sha256]))}"))
        elif row.sha256 in first:
            repeated.append(Skipped(str(path), f"the same file as {first[row.sha256].name}"))
        else:
            first[row.sha256] = path
            unique.append(row)
    features = np.array([row.features for row in unique], np.float32).reshape(len(unique), width)
    hashes = tuple(row.sha256 for row in unique)
    return ExampleFeatures(tuple(row.example for row in unique), features, hashes, (*skipped, *repeated))
