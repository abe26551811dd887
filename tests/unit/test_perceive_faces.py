"""Faces: all that a person sees in the photo and no other, each once, where they are, with an embedding if allowed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from assent.errors import Undecodable
from assent.perceive import Models, faces, perceive
from assent.perceive.safety import Detection
from assent.values import Face, Picture, Pixels
from tests.unit.perceive_photos import models, photo, picture

# Middle of each face of the group photo, left to right, in its own pixels.
T1 = [(117, 344), (328, 220), (511, 360), (793, 426), (964, 140), (1176, 347)]
FACELESS = ["chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "page.png", "text.png"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return models(tmp_path_factory.mktemp("models"))


def middles(found: tuple[Face, ...]) -> list[tuple[float, float]]:
    return sorted((x + w / 2, y + h / 2) for x, y, w, h in (face.box for face in found))


def shrunk(pixels: Pixels, factor: float) -> Pixels:
    return np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def test_the_group_photo_has_its_six_faces(opened: Models) -> None:
    (seen,) = perceive(opened, [picture(photo("t1.jpg"))])
    found = middles(seen.faces)
    assert len(found) == 6
    assert np.abs(np.array(found) - np.array(T1)).max() < 15


def test_things_and_animals_have_none(opened: Models) -> None:
    for name, seen in zip(FACELESS, perceive(opened, [picture(photo(name)) for name in FACELESS]), strict=True):
        assert seen.faces == (), name


def test_embeddings_are_of_unit_length_and_different_people_stay_apart(opened: Models) -> None:
    (seen,) = perceive(opened, [picture(photo("t1.jpg"))])
    vectors = np.stack([face.embedding for face in seen.faces if face.embedding is not None])
    assert vectors.shape == (6, 128)
    assert vectors.dtype == np.float32
    cosines = vectors @ vectors.T
    assert np.allclose(np.diag(cosines), 1, atol=1e-5)
    assert cosines[~np.eye(6, dtype=bool)].max() < opened.calibration.threshold(10)


def heads(models: Models) -> list[str]:
    return [head.file.id for head in models.heads]


def test_a_smaller_frame_of_a_picture_gives_boxes_of_the_picture(opened: Models) -> None:
    half = shrunk(photo("t1.jpg"), 0.5)
    (seen,) = perceive(opened, [picture(half, scale=0.5)])
    assert np.abs(np.array(middles(seen.faces)) - np.array(T1)).max() < 20
    assert seen.models == ("nudenet-320n@c15d8273adad", *heads(opened), "dlib-resnet@55533b28a958")
    assert seen.embedder == "dlib-resnet@55533b28a958"


def test_the_same_face_in_two_sizes_has_nearly_the_same_embedding(opened: Models) -> None:
    large, small = perceive(opened, [picture(photo("astronaut.png")), picture(shrunk(photo("astronaut.png"), 0.6))])
    one, other = large.faces[0].embedding, small.faces[0].embedding
    assert one is not None
    assert other is not None
    assert float(one @ other) > 0.9
    assert large.faces[0].quality > small.faces[0].quality


def test_a_face_narrower_than_forty_pixels_gets_no_embedding(opened: Models) -> None:
    small = shrunk(photo("t1.jpg"), 0.33)
    (seen,) = perceive(opened, [picture(small, scale=0.33)])
    assert len(seen.faces) >= 4
    for face in seen.faces:
        assert (face.embedding is None) == (face.box[2] * 0.33 < 39.5)
    assert any(face.embedding is None for face in seen.faces)


def test_nobody_is_embedded_where_nobody_may_be_matched(opened: Models) -> None:
    (seen,) = perceive(opened, [picture(photo("t1.jpg"))], embed=False)
    assert len(seen.faces) == 6
    assert all(face.embedding is None for face in seen.faces)
    assert seen.models == ("nudenet-320n@c15d8273adad", *heads(opened))
    assert seen.embedder == ""


def test_pictures_and_frames_keep_their_own_faces(opened: Models) -> None:
    group, one, none = photo("t1.jpg"), photo("astronaut.png"), photo("coffee.png")
    seen = perceive(opened, [picture(none), picture(one, none, one), picture(group)])
    assert [[face.frame for face in p.faces] for p in seen] == [[], [0, 2], [0] * 6]
    alone = perceive(opened, [picture(one)])[0].faces[0].embedding
    again = seen[1].faces[1].embedding
    assert alone is not None
    assert again is not None
    assert np.allclose(alone, again, atol=1e-4)


def test_a_picture_without_a_frame_is_not_taken_for_harmless(opened: Models) -> None:
    with pytest.raises(Undecodable):
        perceive(opened, [Picture("0" * 64, "png", 10, 10, 0, ())])
    with pytest.raises(Undecodable):
        perceive(opened, [picture(photo("coffee.png"), np.empty((0, 9, 3), np.uint8))])


def test_no_value_holds_a_gender(opened: Models) -> None:
    (seen,) = perceive(opened, [picture(photo("t1.jpg"))])
    assert "male" not in repr(seen).lower()
    bodies = {tag.name for tag in seen.tags if tag.category == "safety"}
    assert bodies
    assert bodies <= set(opened.labels) - {"face"}


def test_tags_keep_weak_perceptions_for_replay(opened: Models) -> None:
    (seen,) = perceive(opened, [picture(photo("t1.jpg"))])
    bodies = [tag for tag in seen.tags if tag.category == "safety"]
    assert bodies
    assert min(tag.score for tag in bodies) < 0.25
    assert all(tag.score >= 0.05 and tag.model == opened.safety_id for tag in bodies)


def test_two_boxes_over_one_face_are_one_face() -> None:
    strong = Detection("face", 0.8, (100, 100, 200, 220))
    inside = Detection("face", 0.6, (120, 130, 180, 200))
    beside = Detection("face", 0.5, (190, 100, 290, 220))
    weak = Detection("face", 0.2, (400, 400, 500, 500))
    other = Detection("nudity.partial.feet", 0.9, (400, 400, 500, 500))
    assert faces.listed([inside, other, strong, weak, beside]) == (strong, beside)


def test_quality_falls_with_blur_and_with_a_turned_head(opened: Models) -> None:
    pixels = photo("astronaut.png")
    (face,) = perceive(opened, [picture(pixels)])[0].faces
    x, y, w, h = face.box
    corners = (x, y, x + w, y + h)
    blurred = [np.asarray(cv2.GaussianBlur(pixels, (0, 0), s), np.uint8) for s in (1, 2, 4)]
    values = [faces.quality(corners, faces.sharpness(p, corners), 1.0) for p in (pixels, *blurred)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.9
    assert values[-1] < 0.25
    assert faces.quality(corners, faces.sharpness(pixels, corners), 0.5) == pytest.approx(values[0] / 2, abs=0.01)
    by_place = sorted(perceive(opened, [picture(photo("t1.jpg"))])[0].faces, key=lambda f: f.box[0])
    frontal, turned = by_place[0].quality, by_place[1].quality
    assert frontal > turned + 0.3


@pytest.mark.parametrize("corners", [(0.0, 0.0, 0.2, 0.2), (5.0, 5.0, 5.0, 5.0), (90.0, 90.0, 140.0, 140.0)])
def test_quality_of_a_box_of_nothing_is_nothing(corners: tuple[float, float, float, float]) -> None:
    assert faces.sharpness(np.full((100, 100, 3), 7, np.uint8), corners) == 0.0


def test_boxes_stay_inside_the_oriented_picture() -> None:
    assert faces.to_box((-3.0, 10.0, 55.0, 99.0), 0.5, 100, 150) == (0, 20, 100, 130)
    assert faces.to_box((49.9, 74.9, 50.0, 75.0), 0.5, 100, 150) == (99, 149, 1, 1)


def test_a_face_prints_without_its_embedding(opened: Models) -> None:
    (seen,) = perceive(opened, [picture(photo("astronaut.png"))])
    assert "embedding" not in repr(seen.faces[0])
