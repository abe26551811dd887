"""Computes pooled features of examples. Each file is decoded in the decode child, as an untrusted one is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from assent.core.errors import AssentError
from assent.core.values import Pixels, Vector
from assent.learn.cache import Cache
from assent.learn.dataset import Example, Skipped
from assent.learn.views import View
from assent.media.files import read_file
from assent.media.sandbox import Decoder
from assent.perceive.networks.runtime import Net, run_all
from assent.perceive.safety.nudenet import prepare_frames

AHEAD = 8  # files read or decoded while others go through the network

In = TypeVar("In")
Out = TypeVar("Out")


class Featured(NamedTuple):
    """The examples that could be decoded, with their features float32 (n, width) and their files' sha256."""

    examples: tuple[Example, ...]
    features: NDArray[np.float32]
    sha256: tuple[str, ...]
    skipped: tuple[Skipped, ...]


class _File(NamedTuple):
    sha256: str
    held: Vector | None  # from the cache
    pixels: Pixels | None  # of the first frame, where the cache had nothing


def featured(
    net: Net,
    width: int,
    cache: Cache,
    decoder: Decoder,
    examples: Iterable[Example],
    tick: Callable[[], object],
    view: View | None = None,
) -> Featured:
    """Returns the features of all examples, or of a copy of each, from the cache or through the network.

    `tick` is called after each. A file that cannot be read or decoded is listed, not raised. A file seen before
    (same sha256) under the same class counts once; under another class it contradicts itself, and all its copies are
    left out."""
    kept: list[Example] = []
    hashes: list[str] = []
    rows: list[Vector | None] = []
    skipped: list[Skipped] = []
    waiting: list[tuple[int, Pixels]] = []

    def load(example: Example) -> _File | AssentError:
        return _load(example, cache, decoder, view)

    def look() -> None:
        made = run_all(net, prepare_frames([pixels for _, pixels in waiting]))[1]
        for (place, _), row in zip(waiting, made, strict=True):
            rows[place] = row.astype(np.float16).astype(np.float32)  # as the cache holds it
            cache.put(_key(hashes[place], view), row)
        waiting.clear()

    with ThreadPoolExecutor(2) as pool:
        for example, file in ahead(pool, load, examples):
            tick()
            if isinstance(file, AssentError):
                skipped.append(Skipped(str(example.path), f"{file.code}: {file.detail}"))
                continue
            kept.append(example)
            hashes.append(file.sha256)
            rows.append(file.held)
            if file.pixels is not None:
                waiting.append((len(rows) - 1, file.pixels))
            if len(waiting) == net.batch:
                look()
    if waiting:
        look()
    cache.trim()
    features = np.array([row for row in rows if row is not None], np.float32).reshape(len(rows), width)
    chosen, more = _once(kept, hashes)
    return Featured(
        tuple(kept[at] for at in chosen), features[chosen], tuple(hashes[at] for at in chosen), (*skipped, *more)
    )


def _load(example: Example, cache: Cache, decoder: Decoder, view: View | None) -> _File | AssentError:
    try:
        data = read_file(example.path)
        digest = sha256(data).hexdigest()
        if (held := cache.get(_key(digest, view))) is not None:
            return _File(digest, held, None)
        pixels = decoder.decode(data).frames[0].pixels
        return _File(digest, None, pixels if view is None else view.of(pixels, digest))
    except AssentError as error:
        return error


def _key(sha256: str, view: View | None) -> str:
    """Returns the cache key of an image, or of an altered copy of it."""
    return sha256 if view is None else f"{sha256}-{view.name}"


def ahead(pool: ThreadPoolExecutor, function: Callable[[In], Out], items: Iterable[In]) -> Iterator[tuple[In, Out]]:
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


def _once(examples: list[Example], hashes: list[str]) -> tuple[list[int], list[Skipped]]:
    """Returns the indexes of the examples that stay when each file counts once, and the others with the reason."""
    classes: dict[str, set[str]] = {}
    for example, digest in zip(examples, hashes, strict=True):
        classes.setdefault(digest, set()).add(example.label)
    seen: dict[str, Path] = {}
    chosen, skipped = [], []
    for at, (example, digest) in enumerate(zip(examples, hashes, strict=True)):
        if len(classes[digest]) > 1:
            skipped.append(Skipped(str(example.path), f"the same file under {', '.join(sorted(classes[digest]))}"))
        elif digest in seen:
            skipped.append(Skipped(str(example.path), f"the same file as {seen[digest].name}"))
        else:
            seen[digest] = example.path
            chosen.append(at)
    return chosen, skipped
