"""NudeNet through our session sees what the package's own code sees, whatever the batch, and tells no gender."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import pytest

from assent.core.resources import resource
from assent.core.values import Pixels
from assent.perceive import Models
from assent.perceive.packs.manifest import LOWEST_SCORE, read_table
from assent.perceive.safety.detect import Detection, detect, prepare_frames
from tests.unit.perceive_photos import INSIGHTFACE, SKIMAGE, photo

NUDENET = {name: label for name, label, _ in read_table(resource("models") / "tables/nudenet.tsv")}


def stretched(name: str, width: int, height: int) -> Pixels:
    return np.asarray(cv2.resize(photo(name), (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@cache
def photos() -> list[Pixels]:
    """Real photos, small and square and wide, and one as large as decoding lets through."""
    large = stretched("t1.jpg", 4096, 2835)
    return [*map(photo, SKIMAGE), *map(photo, INSIGHTFACE), large, np.ascontiguousarray(large[:, 1000:2000])]


@pytest.fixture(scope="module")
def together(models: Models) -> Sequence[Sequence[Detection]]:
    """What is detected in all photos, given at once."""
    return detect(models.safety, photos())


def test_it_agrees_with_nudenets_own_detect(together: Sequence[Sequence[Detection]]) -> None:
    from nudenet import NudeDetector  # after assent, which turns the runtime's telemetry off

    theirs = NudeDetector()
    boxes = 0
    for pixels, ours in zip(photos(), together, strict=True):
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


def test_a_batch_gives_what_one_by_one_gives(models: Models, together: Sequence[Sequence[Detection]]) -> None:
    alone = [detect(models.safety, [pixels])[0] for pixels in photos()]
    for one, other in zip(together, alone, strict=True):
        assert [d.name for d in one] == [d.name for d in other]
        assert [d.score for d in one] == pytest.approx([d.score for d in other], abs=1e-4)


def test_nothing_below_the_lowest_score_and_nothing_outside_the_frame(together: Sequence[Sequence[Detection]]) -> None:
    assert sum(map(len, together)) >= 15
    for pixels, found in zip(photos(), together, strict=True):
        for one in found:
            left, top, right, bottom = one.corners
            assert LOWEST_SCORE <= one.score <= 1
            assert 0 <= left < right <= pixels.shape[1]
            assert 0 <= top < bottom <= pixels.shape[0]


@pytest.mark.parametrize("size", [(1, 1), (1, 4096), (4096, 1), (3, 700), (319, 320), (320, 320)])
def test_any_size_can_be_prepared(models: Models, size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 200, np.uint8)
    (prepared,) = prepare_frames([pixels], models.safety.spec)
    assert prepared.shape == (3, 320, 320)
    assert prepared.dtype == np.float32
    assert 0 <= prepared.min() <= prepared.max() <= 1
    detect(models.safety, [pixels])


def test_the_shipped_network_is_the_one_these_classes_belong_to(models: Models) -> None:
    told = models.safety.net.session.get_modelmeta().custom_metadata_map["names"]
    assert [part.split("'")[1] for part in told.split(",")] == list(NUDENET)
    assert models.safety.net.batch <= 16
