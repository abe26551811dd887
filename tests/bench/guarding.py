"""Known pictures and text in pictures: what each adds to a picture's way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assent.core.values import Code, Picture
from assent.hashlists.search import DISTANCE, HashList, find_hits, pdq_columns, sha256_sorted
from assent.media.codes import find_codes
from assent.media.fingerprint import fingerprinted
from assent.perceive.text import ocr
from assent.perceive.text.tags import Reader
from assent.perceive.text.words import NO_WORDS
from tests.bench.photos import Photo
from tests.bench.rounds import Tick, in_turn

CASES = 4


@dataclass(frozen=True, slots=True)
class Guarded:
    """Seconds of every case in every round, each over all photos; `hashes`: how many PDQ hashes the list holds, and as
    many SHA-256."""

    photos: int
    hashes: int
    seconds: dict[str, list[float]]


def measure(photos: Sequence[Photo], threads: int, hashes: int, rounds: int, tick: Tick) -> Guarded:
    """Every case in `rounds` rounds."""
    content = np.random.default_rng(0).bytes(32 * hashes)
    hash_lists = [HashList("bench", "0", True, DISTANCE, pdq_columns(content), sha256_sorted(content))]
    pictures = [fingerprinted(photo.picture) for photo in photos]
    text = Reader(ocr.load_ocr(threads), NO_WORDS)
    cases = {
        "fingerprint": lambda: [fingerprinted(one) for one in pictures],
        "look up": lambda: [find_hits(hash_lists, one) for one in pictures],
        "codes": lambda: [_find_codes(one) for one in pictures],  # in the decode child, else
        "text and codes": lambda: [(_find_codes(one), text(one, "US")) for one in pictures],
    }
    return Guarded(len(photos), hashes, in_turn(cases, rounds, tick))


def _find_codes(picture: Picture) -> list[tuple[Code, ...]]:
    return [find_codes(frame.pixels) for frame in picture.frames]
