"""Tags the text and codes in an image: contact and payment details, blocked words, QR codes and their links.

The words that were read never leave this module: a tag has its label, box and score, nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import NamedTuple

from assent.core.boxes import Corners, box_of, contains, joined
from assent.core.settings import Settings
from assent.core.taxonomy import BY_NAME
from assent.core.values import Frame, Perception, Picture, Tag
from assent.media.codes import CODES_ID
from assent.perceive.text import ocr, words
from assent.perceive.views import every_view, joined_views

CODE, BLOCKED = "text.code", "text.blocked"


class _Detection(NamedTuple):
    label: str
    score: float
    corners: Corners
    model: str


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """Reads images, one at a time, from any thread. Without `ocr` only codes are read."""

    ocr: ocr.Ocr | None = None
    blocked: words.WordLists = words.NO_WORDS
    _turn: Lock = field(default_factory=Lock)

    def __call__(self, picture: Picture, region: str | None) -> Perception:
        """Returns the tags of the text and codes in each frame, in every view of it that somebody may be shown.

        `region`: as in `contacts.kinds`."""
        with self._turn:
            return joined_views([picture], [self._read(view, region) for view in every_view([picture])])[0]

    def _read(self, picture: Picture, region: str | None) -> Perception:
        tags: list[Tag] = []
        for frame in picture.frames:
            rows = _rows(ocr.lines(self.ocr, frame.pixels)) if self.ocr else []
            detections = [*_codes(frame), *_kinds(rows, region), *_blocked(rows, self.blocked)]
            tags += (_tag(picture, frame, detection) for detection in _strongest(detections))
        return Perception(tuple(tags), (), (CODES_ID, ocr.MODEL_ID) if self.ocr else (CODES_ID,))


def open_reader(settings: Settings) -> Reader | None:
    """Opens the reader that ASSENT_READ asks for; None where that is nothing.

    Raises ModelMissing when text is to be read and the extra is not installed, WordListInvalid on broken word lists.
    """
    if settings.read == "nothing":
        return None
    if settings.read == "codes":
        return Reader()
    blocked = words.load_words(settings.blocked_words) if settings.blocked_words else words.NO_WORDS
    return Reader(ocr.load_ocr(settings.threads), blocked)


def _codes(frame: Frame) -> Iterator[_Detection]:
    """Yields the QR codes that the decode child found, and the label of their purpose where their text gave one.

    Raises ValueError where it looked for none."""
    if frame.codes is None:
        raise ValueError("the decoder was opened without codes")
    for code in frame.codes:
        yield _Detection(CODE, 1.0 if code.legible else 0.5, code.corners, CODES_ID)
        if code.purpose is not None:
            yield _Detection(code.purpose, 1.0, code.corners, CODES_ID)


class _Row(NamedTuple):
    text: str
    score: float
    corners: Corners


def _kinds(rows: Sequence[_Row], region: str | None) -> Iterator[_Detection]:
    if not rows:
        return
    from assent.perceive.text.contacts import kinds  # its libraries come with the extra

    for text, score, corners in rows:
        yield from (_Detection(kind, score, corners, ocr.MODEL_ID) for kind in kinds(text, region))


def _blocked(rows: Sequence[_Row], lists: words.WordLists) -> Iterator[_Detection]:
    pairs = [_joined(first, second) for first, second in pairwise(rows)]  # a phrase may go on below
    for text, score, corners in [*rows, *pairs]:
        if words.is_blocked(lists, text):
            yield _Detection(BLOCKED, score, corners, ocr.MODEL_ID)


def _rows(lines: Sequence[ocr.Line]) -> list[_Row]:
    """Groups lines into rows, from above to below.

    Lines beside each other, less than their height apart, are one: a number may have been read in two parts."""
    rows: list[_Row] = []
    for line in sorted(lines, key=lambda line: line.corners[0]):
        alone = _Row(line.text, line.score, line.corners)
        index = next((n for n, row in enumerate(rows) if _beside(row.corners, line.corners)), None)
        if index is None:
            rows.append(alone)
        else:
            rows[index] = _joined(rows[index], alone)
    return sorted(rows, key=lambda row: row.corners[1])


def _joined(first: _Row, second: _Row) -> _Row:
    text, score = f"{first.text} {second.text}", min(first.score, second.score)
    return _Row(text, score, joined(first.corners, second.corners))


def _beside(left: Corners, right: Corners) -> bool:
    height = min(_height(left), _height(right))
    return abs(_middle(left) - _middle(right)) < height / 2 and -height < right[0] - left[2] < height


def _middle(corners: Corners) -> float:
    return (corners[1] + corners[3]) / 2


def _height(corners: Corners) -> float:
    return max(corners[3] - corners[1], 1.0)


def _strongest(detections: Sequence[_Detection]) -> list[_Detection]:
    """Keeps one of a label's detections that lie in each other: a row that is also half of a pair keeps its own box."""
    strongest: list[_Detection] = []
    for detection in sorted(detections, key=lambda d: (d.label, -d.score, _height(d.corners))):
        if not any(
            detection.label == other.label and contains(detection.corners, other.corners) for other in strongest
        ):
            strongest.append(detection)
    return strongest


def _tag(picture: Picture, frame: Frame, detection: _Detection) -> Tag:
    name, category = detection.label, BY_NAME[detection.label].category
    box = box_of(detection.corners, frame.scale, picture.width, picture.height)
    return Tag(name, category, round(detection.score, 4), box, frame.index, detection.model)
