"""Liveness networks answer together, by the manifest's crops, class and threshold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assent.errors import ModelUnknown
from assent.perceive import Models, load, perceive
from assent.perceive.backend import Opened, around_faces
from assent.perceive.choice import Choice, write_choice
from assent.perceive.liveness import is_live, judged, score
from assent.perceive.packs import classes, read_pack
from assent.perceive.pull import from_folder
from assent.values import Face, Perception
from tests.unit.perceive_photos import photo, picture
from tests.unit.real_models import models_folder

PACK = read_pack("minifasnet")
SECOND = (275.0, 169.0, 382.0, 273.0)  # a face of the group photo


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The default pack with MiniFASNet, as `assent models use minifasnet` puts it to use."""
    folder = tmp_path_factory.mktemp("models")
    for file in PACK.file:
        from_folder(file, folder, models_folder(), lambda _: None)
    write_choice(folder, Choice(("minifasnet",)))
    return load(folder, threads=2)


def asking_for(threshold: float, nets: tuple[Opened, ...]) -> tuple[Opened, ...]:
    return tuple(replace(net, file=replace(net.file, threshold=threshold)) for net in nets)


def test_both_networks_are_in_use_with_a_crop_of_their_own(models: Models) -> None:
    assert [net.spec.crop for net in models.liveness] == [2.7, 4.0]
    assert [net.file.labels.index("live") for net in models.liveness] == [1, 1]


def test_the_score_is_the_mean_of_what_each_says(models: Models) -> None:
    alone = [float(around_faces(net, photo("t1.jpg"), [SECOND])[0][1]) for net in models.liveness]
    assert score(models.liveness, photo("t1.jpg"), SECOND) == pytest.approx(np.mean(alone))
    assert abs(alone[0] - alone[1]) > 0.01  # else one of them would do


def test_the_threshold_is_the_manifests(models: Models) -> None:
    found = score(models.liveness, photo("t1.jpg"), SECOND)
    assert is_live(asking_for(found - 0.01, models.liveness), photo("t1.jpg"), SECOND)
    assert not is_live(asking_for(found + 0.01, models.liveness), photo("t1.jpg"), SECOND)


@pytest.mark.parametrize(("name", "people"), [("t1.jpg", 6), ("astronaut.png", 1)])
def test_the_people_in_photographs_are_live(models: Models, name: str, people: int) -> None:
    shown = picture(photo(name))
    [seen] = perceive(models, [shown], embed=False)
    assert [face.live for face in seen.faces] == [None] * people
    assert [face.live for face in judged(models.liveness, shown, seen).faces] == [True] * people


def test_the_face_is_found_again_in_a_frame_that_was_reduced(models: Models) -> None:
    x, y, right, bottom = (round(one) for one in SECOND)
    for scale in (1.0, 0.5):
        shown = picture(photo("t1.jpg"), scale=scale)
        box = tuple(round(one / scale) for one in (x, y, right - x, bottom - y))
        seen = Perception((), (Face(box, 0, 0.9, 0.9),), ())  # type: ignore[arg-type]  # four of them
        [face] = judged(models.liveness, shown, seen).faces
        assert face.live is True
        assert judged((), shown, seen).faces[0].live is None


def test_their_classes_are_no_labels_of_pictures() -> None:
    assert all(classes(PACK, file) == (None, None, None) for file in PACK.file)


def changed(tmp_path: Path, old: str, new: str) -> None:
    text = (PACK.folder / "minifasnet.toml").read_text()
    assert old in text
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "own.toml").write_text(text.replace('name = "minifasnet"', 'name = "own"').replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('labels = ["attack", "live", "attack"]', 'labels = ["attack", "attack", "attack"]', "one of them `live`"),
        ('labels = ["attack", "live", "attack"]', 'labels = ["live", "live", "attack"]', "one of them `live`"),
        ('labels = ["attack", "live", "attack"]', 'labels = ["print", "live", "screen"]', "one of them `live`"),
        ('labels = ["attack", "live", "attack"]', 'table = "fas.tsv"', "one of them `live`"),
        ("threshold = 0.5\n", "", "needs `threshold`"),
        ('fit = "around-face", crop = 2.7', 'fit = "stretch"', "needs fit"),
    ],
)
def test_a_manifest_that_leaves_open_what_is_live_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    changed(tmp_path, old, new)
    with pytest.raises(ModelUnknown, match=said):
        read_pack("own", tmp_path)


def test_two_classes_where_the_network_has_three_are_refused(tmp_path: Path) -> None:
    changed(tmp_path, '["attack", "live", "attack"]', '["attack", "live"]')
    for file in PACK.file:
        from_folder(file, tmp_path, models_folder(), lambda _: None)
    write_choice(tmp_path, Choice(("own",)))
    with pytest.raises(ModelUnknown, match="3 classes"):
        load(tmp_path, threads=2)
