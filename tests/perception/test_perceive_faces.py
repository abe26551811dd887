"""Faces: all that a person sees in the photo and no other, each once, where they are, with an embedding if allowed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from assent.core.errors import Undecodable
from assent.core.values import Face, Picture, Pixels
from assent.perceive import Models, perceive
from assent.perceive.colour import COLOURS_ID
from assent.perceive.faces import quality as faces
from tests.unit.perceive_photos import photo, picture

# Middle of each face of the group photo, left to right, in its own pixels.
T1 = [(117, 344), (328, 220), (511, 360), (793, 426), (964, 140), (1176, 347)]
FACELESS = ["chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "page.png", "text.png"]

BODIES_BY = ("nudenet-320n@c15d8273adad", "open-nsfw@864bb37bf886")


def middles(found: tuple[Face, ...]) -> list[tuple[float, float]]:
    return sorted((x + w / 2, y + h / 2) for x, y, w, h in (face.box for face in found))


def shrunk(pixels: Pixels, factor: float) -> Pixels:
    return np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def test_the_group_photo_has_its_six_faces(models: Models) -> None:
    (seen,) = perceive(models, [picture(photo("t1.jpg"))])
    found = middles(seen.faces)
    assert len(found) == 6
    assert np.abs(np.array(found) - np.array(T1)).max() < 15


def test_things_and_animals_have_none(models: Models) -> None:
    for name, seen in zip(FACELESS, perceive(models, [picture(photo(name)) for name in FACELESS]), strict=True):
        assert seen.faces == (), name


def test_embeddings_are_of_unit_length_and_different_people_stay_apart(models: Models) -> None:
    (seen,) = perceive(models, [picture(photo("t1.jpg"))])
    vectors = np.stack([face.embedding for face in seen.faces if face.embedding is not None])
    assert vectors.shape == (6, 128)
    assert vectors.dtype == np.float32
    cosines = vectors @ vectors.T
    assert np.allclose(np.diag(cosines), 1, atol=1e-5)
    assert cosines[~np.eye(6, dtype=bool)].max() < models.calibration.threshold(10)


def heads(models: Models) -> list[str]:
    return [head.file.id for head in models.heads]


def test_a_smaller_frame_of_a_picture_gives_boxes_of_the_picture(models: Models) -> None:
    half = shrunk(photo("t1.jpg"), 0.5)
    (seen,) = perceive(models, [picture(half, scale=0.5)])
    assert np.abs(np.array(middles(seen.faces)) - np.array(T1)).max() < 20
    assert seen.models == (*BODIES_BY, models.backbone.id, *heads(models), COLOURS_ID, "dlib-resnet@55533b28a958")
    assert seen.embedder == "dlib-resnet@55533b28a958"


def test_the_same_face_in_two_sizes_has_nearly_the_same_embedding(models: Models) -> None:
    large, small = perceive(models, [picture(photo("astronaut.png")), picture(shrunk(photo("astronaut.png"), 0.6))])
    one, other = large.faces[0].embedding, small.faces[0].embedding
    assert one is not None
    assert other is not None
    assert float(one @ other) > 0.9
    assert large.faces[0].quality > small.faces[0].quality


def test_a_face_narrower_than_forty_pixels_gets_no_embedding(models: Models) -> None:
    small = shrunk(photo("t1.jpg"), 0.33)
    (seen,) = perceive(models, [picture(small, scale=0.33)])
    assert len(seen.faces) >= 4
    for face in seen.faces:
        assert (face.embedding is None) == (face.box[2] * 0.33 < 39.5)
    assert any(face.embedding is None for face in seen.faces)


def test_nobody_is_embedded_where_nobody_may_be_matched(models: Models) -> None:
    (seen,) = perceive(models, [picture(photo("t1.jpg"))], embed=False)
    assert len(seen.faces) == 6
    assert all(face.embedding is None for face in seen.faces)
    assert seen.models == (*BODIES_BY, models.backbone.id, *heads(models), COLOURS_ID)
    assert seen.embedder == ""


def test_pictures_and_frames_keep_their_own_faces(models: Models) -> None:
    group, one, none = photo("t1.jpg"), photo("astronaut.png"), photo("coffee.png")
    seen = perceive(models, [picture(none), picture(one, none, one), picture(group)])
    assert [[face.frame for face in p.faces] for p in seen] == [[], [0, 2], [0] * 6]
    alone = perceive(models, [picture(one)])[0].faces[0].embedding
    again = seen[1].faces[1].embedding
    assert alone is not None
    assert again is not None
    assert np.allclose(alone, again, atol=1e-4)


def test_a_picture_without_a_frame_is_not_taken_for_harmless(models: Models) -> None:
    with pytest.raises(Undecodable):
        perceive(models, [Picture("0" * 64, "png", 10, 10, 0, ())])
    with pytest.raises(Undecodable):
        perceive(models, [picture(photo("coffee.png"), np.empty((0, 9, 3), np.uint8))])


def test_no_value_holds_a_gender(models: Models) -> None:
    (seen,) = perceive(models, [picture(photo("t1.jpg"))])
    assert "male" not in repr(seen).lower()
    bodies = {tag.name for tag in seen.tags if tag.category == "safety"} - {"nsfw"}
    assert bodies
    assert bodies <= set(models.safety.names) - {"face"}


def test_tags_keep_weak_perceptions_for_replay(models: Models) -> None:
    (seen,) = perceive(models, [picture(photo("t1.jpg"))])
    bodies = [tag for tag in seen.tags if tag.category == "safety" and tag.name != "nsfw"]
    assert bodies
    assert min(tag.score for tag in bodies) < 0.25
    assert all(tag.score >= 0.05 and tag.model == models.safety_id for tag in bodies)


def test_quality_falls_with_blur_and_with_a_turned_head(models: Models) -> None:
    pixels = photo("astronaut.png")
    (face,) = perceive(models, [picture(pixels)])[0].faces
    x, y, w, h = face.box
    corners = (x, y, x + w, y + h)
    blurred = [np.asarray(cv2.GaussianBlur(pixels, (0, 0), s), np.uint8) for s in (1, 2, 4)]
    values = [faces.face_quality(corners, faces.sharpness(p, corners), 1.0) for p in (pixels, *blurred)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.9
    assert values[-1] < 0.25
    assert faces.face_quality(corners, faces.sharpness(pixels, corners), 0.5) == pytest.approx(values[0] / 2, abs=0.01)
    by_place = sorted(perceive(models, [picture(photo("t1.jpg"))])[0].faces, key=lambda f: f.box[0])
    frontal, turned = by_place[0].quality, by_place[1].quality
    assert frontal > turned + 0.3


def test_a_face_prints_without_its_embedding(models: Models) -> None:
    (seen,) = perceive(models, [picture(photo("astronaut.png"))])
    assert "embedding" not in repr(seen.faces[0])


def test_colours_are_seen_of_a_thing_and_never_of_a_person(models: Models) -> None:
    names = ("coffee.png", "astronaut.png", "Tom_Hanks_54745.png", "t1.jpg")
    coffee, *people = perceive(models, [picture(photo(name)) for name in names], embed=False)
    colours = [tag for tag in coffee.tags if tag.category == "colour"]
    assert {tag.model for tag in colours} == {COLOURS_ID}
    assert 0.5 < sum(tag.score for tag in colours) <= 1.001
    assert [tag.name for seen in people for tag in seen.tags if tag.category == "colour"] == []


def test_of_an_animation_each_colour_has_its_largest_share(models: Models) -> None:
    red, blue = (np.full((200, 200, 3), rgb, np.uint8) for rgb in ((200, 16, 46), (29, 79, 156)))
    (seen,) = perceive(models, [picture(red, blue, red)], embed=False)
    assert {(tag.name, tag.score) for tag in seen.tags if tag.category == "colour"} == {
        ("colour.red", 1.0),
        ("colour.blue", 1.0),
    }
