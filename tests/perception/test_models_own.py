"""A manifest of one's own is used as it says, or refused when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assent.core.errors import LicenceNotAccepted, ModelMissing, ModelUnknown
from assent.perceive import load_models
from assent.perceive.packs.active import PackChoice, write_choice
from assent.perceive.packs.manifest import read_pack
from assent.perceive.packs.model_set import own_calibration
from assent.perceive.packs.pull import from_folder
from tests.unit.real_models import models_folder

WORDS = ("insightface-non-commercial-research",)


def test_a_licence_that_is_no_longer_accepted_ends_the_use(tmp_path: Path) -> None:
    write_choice(tmp_path, PackChoice(("insightface",)))
    with pytest.raises(LicenceNotAccepted):
        load_models(tmp_path, 1)
    with pytest.raises(ModelMissing, match="assent models pull"):
        load_models(tmp_path, 1, WORDS)


@pytest.fixture
def own_pack(tmp_path: Path) -> Callable[..., Path]:
    """Writes `<models_dir>/packs/own.toml`, a copy of `compact` with some of its lines changed; its files are there."""

    def write(*changes: tuple[str, str]) -> Path:
        text = (read_pack("compact").folder / "compact.toml").read_text().replace('name = "compact"', 'name = "own"')
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        folder = tmp_path / "packs"
        folder.mkdir()
        (folder / "own.toml").write_text(text)
        for kind in ("tables", "calibration"):
            (folder / kind).symlink_to(read_pack("compact").folder / kind)
        for file in read_pack("compact").file:
            from_folder(file, tmp_path, models_folder(), lambda _: None)
        write_choice(tmp_path, PackChoice(("own",)))
        return tmp_path

    return write


def test_a_manifest_of_ones_own_is_enough_to_use_networks(own_pack: Callable[..., Path]) -> None:
    opened = load_models(own_pack(), 1)
    assert opened.finder_id == "yunet-2023mar@8f2383e4dd3c"
    assert opened.embedder_id == "face-reid-0095@f348551d2b66"
    assert [net.id for net in opened.watchers] == ["yolox-nano@d39bee73564e", "mobilenetv2-float@011e80acb3a9"]
    assert opened.calibration.templates_supported() == 582
    assert opened.safety_id == "nudenet-320n@c15d8273adad"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('role = "objects"', 'role = "animals"'), "malformed"),
        (('role = "objects"', 'role = "text"'), "does not read a file of role text"),
        (('table = "tables/coco.tsv"', ""), "needs `labels` or `table`"),
        (('table = "tables/coco.tsv"', 'table = "tables/none.tsv"'), "cannot be read"),
        (('decoder = "yolox"', 'decoder = "yolov3"'), "malformed"),
        (('decoder = "yolox"', 'decoder = "embedding"'), "does not read a file of role objects"),
        ((', align = "openmodelzoo" }', " }"), "go together"),
        (('commercial_use = "allowed"', 'commercial_use = "forbidden"'), "the words that accept it"),
        (('sha256 = "d39b', 'sha256 = "X39b'), "malformed"),
        (("size = 3713911", "size = -1"), "malformed"),
        (('url = "https://', 'url = "ftp://'), "malformed"),
        (("size = [416, 416]", "size = [320, 320]"), "another network"),
        (('calibration = "calibration/face-reid-0095.json"', 'calibration = "calibration/dlib.json"'), "128 numbers"),
        (('calibration = "calibration/face-reid-0095.json"', 'calibration = "calibration/no.json"'), "cannot be read"),
        (('role = "embedder"', 'role = "faces"'), "does not read a file of role faces"),
    ],
    ids=lambda change: change[1][:40] if isinstance(change, tuple) else "",
)
def test_a_manifest_that_is_wrong_is_refused(own_pack: Callable[..., Path], change: tuple[str, str], why: str) -> None:
    with pytest.raises(ModelUnknown, match=why):
        load_models(own_pack(change), 1)


def test_an_embedder_that_needs_points_is_refused_where_nobody_finds_any(own_pack: Callable[..., Path]) -> None:
    folder = own_pack()
    write_choice(folder, PackChoice(("own:embedder",)))
    with pytest.raises(ModelUnknown, match="five points"):
        load_models(folder, 1)


def test_without_a_calibration_no_search_is_supported(own_pack: Callable[..., Path]) -> None:
    folder = own_pack(('calibration = "calibration/face-reid-0095.json"', ""))
    assert load_models(folder, 1).calibration.templates_supported() == 0
    own = own_calibration(folder, "face-reid-0095@f348551d2b66")
    own.parent.mkdir()
    own.write_bytes((read_pack("compact").folder / "calibration/face-reid-0095.json").read_bytes())
    assert load_models(folder, 1).calibration.templates_supported() == 582


def test_a_file_that_changed_after_it_was_pulled_is_refused(own_pack: Callable[..., Path]) -> None:
    folder = own_pack()
    path = folder / "files" / read_pack("compact").one("faces").stored
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelUnknown, match="is not the file"):
        load_models(folder, 1)
