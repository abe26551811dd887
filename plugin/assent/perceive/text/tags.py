"""Tags the text and codes in an image: contact and payment details, blocked words, QR codes and their links.

The words that were read never leave this module: a tag has its label, box and score, nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import NamedTuple

import cv2
import numpy as np

from assent.core.boxes import Corners, bounding_corners, box_of, contains, joined
from assent.core.settings import Settings
from assent.core.taxonomy import BY_NAME
from assent.core.values import Frame, Perception, Picture, Tag
from assent.perceive.text import ocr, words

CODE, BLOCKED = "text.code", "text.blocked"
CODES_ID = f"opencv-qr@{cv2.__version__}"
_CODE_SIDE = 1024  # pixels of the longer side in which codes are looked for
_LEAST_CODE = 21  # modules of the smallest QR code, and so pixels
# How the text of a code begins → what the code is for. `bcd` and a line's end: a transfer as banks' apps read it.
_CODE_LABELS = {
    ("http://", "https://", "www."): "text.contact.link",
    ("mailto:", "matmsg:"): "text.contact.email",
    ("tel:", "sms:", "smsto:"): "text.contact.phone",
    ("bcd\n", "bcd\r\n", "bitcoin:", "litecoin:", "ethereum:", "upi:"): "text.payment",
}


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
        """Returns the tags of the text and codes in each frame. `region`: as in `contacts.kinds`."""
        tags: list[Tag] = []
        with self._turn:
            for frame in (*picture.frames, *picture.over_black):
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
    """Yields QR codes, and the label of their purpose where their text gives one."""
    if min(frame.pixels.shape[:2]) < _LEAST_CODE:
        return
    scale = min(1.0, _CODE_SIDE / max(frame.pixels.shape[:2]))
    grey = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    try:
        any_found, texts, outlines, _ = cv2.QRCodeDetector().detectAndDecodeMulti(grey)
    except cv2.error:
        return  # some patterns that are no code bring the decoder to an error of its own
    if not any_found:
        return
    for text, outline in zip(texts, np.asarray(outlines) / scale, strict=True):
        corners = bounding_corners(outline)
        yield _Detection(CODE, 1.0 if text else 0.5, corners, CODES_ID)
        for begins, label in _CODE_LABELS.items():
            if text.lower().startswith(begins):
                yield _Detection(label, 1.0, corners, CODES_ID)


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
