"""What a file shows over black alone leaves the decode child beside what it shows over white: pixels, codes, hashes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from PIL import Image

from assent.core.values import Picture, Pixels
from assent.media.fingerprint import fingerprinted
from assent.media.sandbox import Decoder
from assent.perceive.text.tags import Reader
from tests.unit.perceive_photos import photo
from tests.unit.picture_files import saved


def drawn_in_white(grey: Pixels) -> bytes:
    """A WebP that is white where it is seen: over black it shows that grey picture, over white nothing."""
    white = np.full_like(grey, 255)
    return saved(Image.fromarray(np.dstack([white, white, white, grey])), "WEBP", lossless=True, exact=True)


def with_code() -> Picture:
    code = np.asarray(cv2.QRCodeEncoder.create().encode("https://example.org/hello"))
    canvas = np.full((300, 400), 255, np.uint8)
    canvas[50:250, 150:350] = cv2.resize(code, (200, 200), interpolation=cv2.INTER_NEAREST)
    with Decoder(codes=True) as decoder:
        return decoder.decode(drawn_in_white(canvas))


def test_a_code_that_is_seen_over_black_alone_is_found() -> None:
    picture = with_code()
    assert picture.frames[0].codes == ()
    tags = Reader()(picture, None).tags
    assert sorted(tag.name for tag in tags) == ["text.code", "text.contact.link"]
    assert all(150 < tag.box[0] < 180 for tag in tags if tag.box)


def test_its_box_is_the_same_where_some_viewers_turn_the_picture() -> None:
    picture = with_code()
    boxes = [tag.box for tag in Reader()(picture, None).tags]
    assert [tag.box for tag in Reader()(replace(picture, other_turn=6), None).tags] == boxes


def test_both_views_have_hashes(decoder: Decoder) -> None:
    grey = np.asarray(Image.fromarray(photo("astronaut.png")).convert("L"))
    hidden = fingerprinted(decoder.decode(drawn_in_white(grey)))
    seen = fingerprinted(decoder.decode(saved(Image.fromarray(grey), "PNG")))
    assert hidden.pdq is None  # a white sheet
    assert hidden.over_black[0].pdqs[0] == seen.frames[0].pdqs[0]
