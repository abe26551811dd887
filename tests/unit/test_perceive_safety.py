"""NudeNet through our session sees what the package's own code sees, whatever the batch, and tells no gender."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from assent.perceive import Models
from assent.perceive.packs import read_pack
from assent.perceive.safety import LOWEST_SCORE, Detection, decode, detect, prepare
from assent.taxonomy import NUDENET
from assent.values import Pixels
from tests.unit.perceive_photos import INSIGHTFACE, SKIMAGE, models, photo

CLASSES = read_pack("embedded").one("safety").labels
NAMES = tuple(NUDENET[name] for name in CLASSES)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return models(tmp_path_factory.mktemp("models"))


def stretched(name: str, width: int, height: int) -> Pixels:
    return np.asarray(cv2.resize(photo(name), (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def photos() -> list[Pixels]:
    """Real photos, small and square and wide, and one as large as decoding lets through."""
    large = stretched("t1.jpg", 4096, 2835)
    return [*map(photo, SKIMAGE), *map(photo, INSIGHTFACE), large, np.ascontiguousarray(large[:, 1000:2000])]


def test_it_agrees_with_nudenets_own_detect(opened: Models) -> None:
    from nudenet import NudeDetector  # after assent, which turns the runtime's telemetry off

    theirs = NudeDetector()
    boxes = 0
    for pixels, ours in zip(photos(), detect(opened.safety, NAMES, photos()), strict=True):
        strong = [one for one in ours if one.score > 0.25]
        reference = theirs.detect(np.ascontiguousarray(pixels[..., ::-1]))  # it takes what cv2.imread gives
        assert len(strong) == len(reference)
        for one, other in zip(strong, sorted(reference, key=lambda r: -r["score"]), strict=True):
            left, top, right, bottom = one.corners
            assert one.name == NUDENET[other["class"]]
            assert one.score == pytest.approx(other["score"], abs=0.01)
            assert (left, top, right - left, bottom - top) == pytest.approx(other["box"], abs=2)
            boxes += 1
    assert boxes >= 15


def test_a_batch_gives_what_one_by_one_gives(opened: Models) -> None:
    together = detect(opened.safety, NAMES, photos())
    alone = [detect(opened.safety, NAMES, [pixels])[0] for pixels in photos()]
    for one, other in zip(together, alone, strict=True):
        assert [d.name for d in one] == [d.name for d in other]
        assert [d.score for d in one] == pytest.approx([d.score for d in other], abs=1e-4)


def test_nothing_below_the_lowest_score_and_nothing_outside_the_frame(opened: Models) -> None:
    for pixels, found in zip(photos(), detect(opened.safety, NAMES, photos()), strict=True):
        for one in found:
            left, top, right, bottom = one.corners
            assert LOWEST_SCORE <= one.score <= 1
            assert 0 <= left < right <= pixels.shape[1]
            assert 0 <= top < bottom <= pixels.shape[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 4096), (4096, 1), (3, 700), (319, 320), (320, 320)])
def test_any_size_can_be_prepared(opened: Models, size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 200, np.uint8)
    (prepared,) = prepare([pixels])
    assert prepared.shape == (3, 320, 320)
    assert prepared.dtype == np.float32
    assert 0 <= prepared.min() <= prepared.max() <= 1
    detect(opened.safety, NAMES, [pixels])


def test_padding_is_black_and_lies_at_the_bottom_or_right() -> None:
    wide, high = prepare([np.full((300, 600, 3), 255, np.uint8), np.full((600, 300, 3), 255, np.uint8)])
    assert wide[:, :160].min() == 1
    assert wide[:, 160:].max() == 0
    assert high[:, :, :160].min() == 1
    assert high[:, :, 160:].max() == 0


def output(*boxes: tuple[str, float, tuple[float, float, float, float]]) -> NDArray[np.float32]:
    """What the network would say: class, score, and centre and size in its 320 pixels."""
    made = np.zeros((4 + len(CLASSES), 2100), np.float32)
    for place, (name, score, box) in enumerate(boxes):
        made[:4, place] = box
        made[4 + CLASSES.index(name), place] = score
    return made


def test_the_gender_of_a_face_does_not_come_through() -> None:
    box = (100.0, 100.0, 50.0, 60.0)
    woman, man = (decode(output((name, 0.9, box)), NAMES, 320, 320) for name in ("FACE_FEMALE", "FACE_MALE"))
    assert woman == man == (Detection("face", float(np.float32(0.9)), (75, 70, 125, 130)),)


def test_of_two_boxes_over_one_thing_the_stronger_stays_whatever_the_class() -> None:
    found = decode(
        output(
            ("BUTTOCKS_EXPOSED", 0.6, (100, 100, 50, 50)),
            ("BUTTOCKS_COVERED", 0.7, (102, 100, 50, 50)),
            ("BUTTOCKS_EXPOSED", 0.4, (200, 200, 50, 50)),
        ),
        NAMES,
        640,
        640,
    )
    assert [(d.name, d.corners) for d in found] == [
        ("body.covered.buttocks", (154, 150, 254, 250)),
        ("nudity.explicit.buttocks", (350, 350, 450, 450)),
    ]


def test_a_box_over_the_edge_is_cut_and_one_in_the_padding_goes() -> None:
    found = decode(
        output(("FEET_EXPOSED", 0.6, (0, 20, 60, 60)), ("FEET_EXPOSED", 0.6, (200, 300, 20, 20))), NAMES, 320, 160
    )
    assert [d.corners for d in found] == [(0, 0, 30, 50)]


def test_weak_boxes_are_kept_from_five_percent() -> None:
    found = decode(
        output(("FEET_EXPOSED", 0.06, (50, 50, 20, 20)), ("FEET_EXPOSED", 0.04, (200, 200, 20, 20))), NAMES, 320, 320
    )
    assert [round(d.score, 2) for d in found] == [0.06]


def test_the_shipped_network_is_the_one_these_classes_belong_to(opened: Models) -> None:
    told = opened.safety.session.get_modelmeta().custom_metadata_map["names"]
    assert [part.split("'")[1] for part in told.split(",")] == list(CLASSES)
    assert opened.safety.batch <= 16
