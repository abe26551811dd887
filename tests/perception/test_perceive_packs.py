"""With other packs in use, perceiving is the same: tags from 0.05 up, faces, and embeddings only where asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from assent.perceive import Models, load_models, perceive
from assent.perceive.frames.batch import Batcher
from assent.perceive.packs.active import PackChoice, write_choice
from assent.perceive.packs.manifest import read_pack
from assent.perceive.packs.pull import from_folder
from tests.unit.perceive_photos import photo, picture
from tests.unit.real_models import models_folder


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    for file in read_pack("compact").file:
        from_folder(file, folder, models_folder(), lambda _: None)
    write_choice(folder, PackChoice(("compact",)))
    return load_models(folder, threads=2)


def test_objects_have_boxes_and_labels_stand_for_the_whole_frame(opened: Models) -> None:
    (seen,) = perceive(opened, [picture(photo("coffee.png"), scale=0.5)])
    things = [tag for tag in seen.tags if tag.model.startswith("yolox")]
    whole = [tag for tag in seen.tags if tag.model.startswith("mobilenet")]
    assert things[0].name == "object.kitchenware.cup"
    assert things[0].box == pytest.approx((324, 32, 520, 556), abs=8)  # of the oriented image, twice the frame
    assert {"food.drink.coffee", "food.drink.other"} <= {tag.name for tag in whole if tag.score > 0.9}
    assert {tag.box for tag in whole} == {None}
    assert all(tag.score >= 0.05 and tag.category == "object" for tag in things)


def test_heads_keep_their_backbone_whichever_network_labels(opened: Models) -> None:
    assert [one.file.name for one in opened.files if one.file.role == "labels"] == [
        "mobilenetv2-float",
        "efficientnet-lite0",
    ]
    (seen,) = perceive(opened, [picture(photo("coffee.png"))], embed=False)
    assert opened.backbone not in opened.watchers
    assert opened.backbone.id in seen.models
    assert seen.features[0].shape == (3840,)
    assert not [tag for tag in seen.tags if tag.model == opened.backbone.id]


def test_several_pictures_are_seen_as_each_alone(opened: Models) -> None:
    names = ("t1.jpg", "coffee.png", "chelsea.png", "motorcycle_left.png", "page.png")
    pictures = [picture(photo(name)) for name in names]
    for one, seen in zip(pictures, perceive(opened, pictures), strict=True):
        (alone,) = perceive(opened, [one])
        assert [(tag.name, tag.box) for tag in seen.tags] == [(tag.name, tag.box) for tag in alone.tags]
        assert [face.box for face in seen.faces] == [face.box for face in alone.faces]


def test_without_comparing_no_face_is_embedded(opened: Models) -> None:
    (seen,) = perceive(opened, [picture(photo("t1.jpg"))], embed=False)
    assert [face.embedding for face in seen.faces] == [None] * 6
    assert opened.embedder_id not in seen.models
    assert seen.embedder == ""
    assert opened.finder_id in seen.models


def test_the_batcher_gives_each_its_own(opened: Models) -> None:
    look = Batcher(opened)
    assert len(look(picture(photo("t1.jpg")), True).faces) == 6
    assert look(picture(photo("chelsea.png")), True).faces == ()


def test_an_animation_keeps_the_strongest_of_each_label_and_every_box(opened: Models) -> None:
    frames = (photo("chelsea.png"), photo("chelsea.png")[:, :200], photo("coffee.png")[:300, :451])
    (seen,) = perceive(opened, [picture(*frames)])
    whole = [tag for tag in seen.tags if tag.box is None]
    assert len({tag.name for tag in whole}) == len(whole)
    cat = next(tag for tag in whole if tag.name == "animal.cat")
    each = [perceive(opened, [picture(frame)])[0] for frame in frames]
    scores = [max((t.score for t in p.tags if t.name == "animal.cat" and t.box is None), default=0.0) for p in each]
    assert cat.score == max(scores)
    assert cat.frame == scores.index(max(scores))
    assert {tag.frame for tag in seen.tags if tag.box is not None} == {0, 1, 2}


def test_a_pack_is_opened_on_one_provider_and_says_on_which(opened: Models, tmp_path: Path) -> None:
    nets = [opened.safety.net, opened.embedder, *(net.net for net in opened.watchers)]
    assert {net.provider for net in nets} == {"CPUExecutionProvider"}
    assert opened.safety.net.session.get_providers() == ["CPUExecutionProvider"]
