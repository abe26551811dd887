"""With a liveness pack in use, an enrolment photo whose face looks like a print or a screen is refused, and kept by
nobody. The photos that it refuses here are television stills, 150 pixels wide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assent.core.enrolment_errors import FaceNotLive
from assent.core.errors import ModelUnknown
from assent.keys.keystore import TenantKeys
from assent.perceive import Models, load_models, perceive
from assent.perceive.faces.liveness import is_live
from assent.perceive.packs.active import PackChoice, write_choice
from assent.perceive.packs.manifest import read_pack
from assent.perceive.packs.pull import from_folder
from assent.worker.jobs import WorkerContext
from tests import people
from tests.enrolment import outcome, stored
from tests.events import rows
from tests.fixtures.figures import Figure
from tests.unit.perceive_photos import known_people, photo, photo_path, picture, read
from tests.unit.real_models import models_folder


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for pack in ("compact", "minifasnet"):
        for file in read_pack(pack).file:
            from_folder(file, folder, models_folder(), lambda _: None)
    return folder


@pytest.fixture(scope="module")
def models(models_dir: Path) -> Models:
    """In the place of the default pack."""
    write_choice(models_dir, PackChoice(("compact:faces,embedder", "minifasnet")))
    return load_models(models_dir, threads=2)


@pytest.fixture(scope="module")
def camera() -> bytes:
    return photo_path("astronaut.png").read_bytes()


@pytest.fixture(scope="module")
def still() -> bytes:
    return next(iter(known_people().values()))[0].read_bytes()


def test_a_photo_from_a_camera_enrols(bench: WorkerContext, keys: TenantKeys, camera: bytes) -> None:
    people.give(bench.pool, keys, "alice")
    assert len(outcome(bench, keys, "alice", camera)["templates"]) == 1


def test_one_that_looks_like_a_screen_is_refused_and_nothing_is_kept(
    bench: WorkerContext, keys: TenantKeys, camera: bytes, still: bytes
) -> None:
    people.give(bench.pool, keys, "alice")
    said = outcome(bench, keys, "alice", camera, still)
    assert said == {"error": "face_not_live", "detail": "the face in photo 2 looks like a print or a screen"}
    assert "room around the head" in FaceNotLive.remedy
    assert stored(bench) == []
    for table in ("upload", "event"):
        assert rows(bench.pool, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608 - ours


def test_without_a_liveness_pack_nobody_asks(
    bench: WorkerContext, keys: TenantKeys, models_dir: Path, still: bytes
) -> None:
    alone = replace(bench, stages=replace(bench.stages, live=lambda seen, face: is_live((), seen, face)))
    people.give(bench.pool, keys, "alice")
    assert "templates" in outcome(alone, keys, "alice", still)
    write_choice(models_dir, PackChoice(("compact:faces,embedder",)))
    assert load_models(models_dir, 2).liveness == ()


def test_living_people_before_a_camera_pass_and_stills_do_not(models: Models, figure: Figure) -> None:
    """The figures of models/cards/minifasnet.md."""

    def passed(*shown: Path) -> tuple[int, int]:
        seen = [picture(read(path)) for path in shown]
        found = [(one, face) for one in seen for face in perceive(models, [one], embed=False)[0].faces]
        return sum(is_live(models.liveness, one, face) for one, face in found), len(found)

    cameras = passed(photo_path("t1.jpg"), photo_path("astronaut.png"))
    stills = passed(*(path for paths in known_people().values() for path in paths))
    figure(f"live: {cameras} faces from cameras, {stills} television stills (passed, of)")
    assert cameras == (7, 7)
    assert stills[0] == 0


def test_a_face_is_looked_at_in_the_frame_that_shows_it(models: Models) -> None:
    still = read(next(iter(known_people().values()))[0])
    both = picture(photo("astronaut.png"), still)
    [seen] = perceive(models, [both], embed=False)
    assert {face.frame: is_live(models.liveness, both, face) for face in seen.faces} == {0: True, 1: False}
    half = picture(photo("astronaut.png"), scale=0.5)  # the frame of a picture twice as large
    [seen] = perceive(models, [half], embed=False)
    assert [is_live(models.liveness, half, face) for face in seen.faces] == [True]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('labels = ["print", "live", "screen"]', 'labels = ["print", "alive", "screen"]'), "exactly one of them live"),
        (('labels = ["print", "live", "screen"]', 'labels = ["live", "screen"]'), "has 3 classes"),
        (("crop = 4.0 }\ndecoder", "crop = 4.0 }\nthreshold = 0.9\ndecoder"), "one threshold"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    change: tuple[str, str], why: str, models_dir: Path, tmp_path: Path
) -> None:
    text = (read_pack("minifasnet").folder / "minifasnet.toml").read_text().replace('"minifasnet"', '"own"')
    before, after = change
    assert before in text
    text = text.replace(before, after)
    if "threshold" in after:
        text = text.rpartition("threshold = 0.5\n")[0] + text.rpartition("threshold = 0.5\n")[2]
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "own.toml").write_text(text)
    (tmp_path / "files").symlink_to(models_dir / "files")
    write_choice(tmp_path, PackChoice(("own",)))
    with pytest.raises(ModelUnknown, match=why):
        load_models(tmp_path, 1)
