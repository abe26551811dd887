"""Compares an image's hashes with hash lists. Pure.

A PDQ hash is near another when few of their 256 bits differ; unrelated images differ in 128 ± 8. All of a list is
compared, in two steps: an entry far off in the first half is dropped. It takes 1.6 ms a million entries and hash
searched; a frame has eight, as it may be turned or mirrored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from assent.core.values import Picture, Tag
from assent.hashlists.entries import HASH_BYTES, HashKind

LISTED_LABEL, SEVERE_LABEL = "hash.known.listed", "hash.known.severe"
DISTANCE = 31  # bits; what Meta recommends for PDQ
MOST_DISTANCE = 64  # beyond it unrelated images begin to be alike
_PDQ_BITS = 256
_CHUNK = 1 << 16  # hashes compared at once: their half megabyte a column stays in the cache


@dataclass(frozen=True, slots=True, eq=False)
class HashList:
    """One hash list in the form that is searched. `pdq`: uint64 (4, n), a column a hash; `sha256`: S32 (m,), sorted."""

    name: str
    version: str
    severe: bool
    distance: int  # bits, 0–64, within which a PDQ hash counts as the same image
    pdq: NDArray[np.uint64] = field(repr=False)
    sha256: NDArray[np.bytes_] = field(repr=False)


class Hit(NamedTuple):
    """One image found on a hash list. `distance`: bits, 0 for the very file; `frame`: the one that was near."""

    list: str
    version: str
    severe: bool
    kind: HashKind
    distance: int
    frame: int


def pdq_columns(hashes: bytes) -> NDArray[np.uint64]:
    """Converts hashes of 32 bytes, one after the other, to the form of `HashList.pdq`."""
    return np.ascontiguousarray(np.frombuffer(hashes, np.uint64).reshape(-1, 4).T)


def sha256_sorted(hashes: bytes) -> NDArray[np.bytes_]:
    """Converts hashes of 32 bytes, one after the other, to the form of `HashList.sha256`."""
    return np.sort(np.frombuffer(hashes, f"S{HASH_BYTES}"))


def find_hits(lists: Iterable[HashList], picture: Picture) -> tuple[Hit, ...]:
    """Finds the lists that hold the image: its file or a near frame, also turned or mirrored. One hit a list."""
    hits = (_find_hit(hash_list, picture) for hash_list in lists)
    return tuple(hit for hit in hits if hit is not None)


def hash_tags(hits: Sequence[Hit]) -> tuple[Tag, ...]:
    """Makes a tag a hit; its `model` names the list and its version, its score is the share of bits that agree."""
    return tuple(
        Tag(
            name=SEVERE_LABEL if hit.severe else LISTED_LABEL,
            category="hash",
            score=round(1 - hit.distance / _PDQ_BITS, 4),
            box=None,
            frame=hit.frame,
            model=f"{hit.list}@{hit.version[:12]}",
        )
        for hit in hits
    )


def nearest_hash(pdq: NDArray[np.uint64], queries: Sequence[bytes], within: int) -> tuple[int, int] | None:
    """Returns the smallest distance (≤ `within` bits) of any query to any column, and that query's index, or None."""
    best: tuple[int, int] | None = None
    words = [np.frombuffer(query, np.uint64) for query in queries]
    for start in range(0, pdq.shape[1], _CHUNK):
        part = pdq[:, start : start + _CHUNK]
        for number, word in enumerate(words):
            half = np.bitwise_count(part[0] ^ word[0])
            half += np.bitwise_count(part[1] ^ word[1])
            near = np.flatnonzero(half <= within)
            if near.size:
                distance = int(np.bitwise_count(part[:, near] ^ word[:, None]).sum(axis=0, dtype=np.int64).min())
                if distance <= within and (best is None or distance < best[0]):
                    best = distance, number
    return best


def _find_hit(hash_list: HashList, picture: Picture) -> Hit | None:
    name, version, severe = hash_list.name, hash_list.version, hash_list.severe
    if _contains(hash_list.sha256, bytes.fromhex(picture.sha256)):
        return Hit(name, version, severe, "sha256", 0, picture.frames[0].index)
    queries = [(pdq, frame.index) for frame in (*picture.frames, *picture.over_black) for pdq in frame.pdqs]
    nearest = nearest_hash(hash_list.pdq, [pdq for pdq, _ in queries], hash_list.distance)
    if nearest is None:
        return None
    distance, query = nearest
    return Hit(name, version, severe, "pdq", distance, queries[query][1])


def _contains(sha256: NDArray[np.bytes_], digest: bytes) -> bool:
    index = int(np.searchsorted(sha256, np.frombuffer(digest, f"S{HASH_BYTES}")[0]))
    return index < sha256.size and sha256[index : index + 1].tobytes() == digest
