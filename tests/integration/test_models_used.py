"""With a pack that was pulled and chosen by the command line, one photo gets faces, a match, objects and labels."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest

from assent.core.errors import ModelUnknown
from assent.core.settings import Settings
from assent.media.sandbox import Decoder
from assent.perceive import Models, load_models
from assent.worker.loop import open_worker_context
from tests.command import invoke
from tests.events import decision
from tests.integration.album import Album
from tests.unit.perceive_photos import photo, picture
from tests.unit.real_models import models_folder
from tests.unit.small_nets import arcface_shaped

EMBEDDER = "face-reid-0095@f348551d2b66"


def run(data: Path, *words: str, status: int = 0, **settings: str) -> str:
    """`assent models …` on that data folder; what it printed."""
    done = invoke({"ASSENT_DATA_DIR": str(data), "COLUMNS": "200", **settings}, "models", *words)
    assert done.status == status, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which `compact` was pulled and chosen."""
    folder = tmp_path_factory.mktemp("data")
    run(folder, "pull", "compact", "--from", str(models_folder()))
    run(folder, "use", "compact")
    return folder


@pytest.fixture(scope="module")
def models(data: Path) -> Models:
    """In the place of the default pack."""
    return load_models(data / "models", threads=2)


def decided(album: Album, media_id: str) -> dict[str, Any]:
    return decision(album.bench, album.keys, media_id)


def test_a_photo_gets_faces_a_match_objects_and_labels(album: Album) -> None:
    album.opt_in("alice", "second")
    album.opt_in("bob", "fifth")
    assert album.post(author="alice", connections=("bob",)) == {"alice": "second", "bob": "fifth"}
    assert len(decided(album, "group")["faces"]) == 6
    perceived = perceived_tags(album)
    assert {name for name, box in perceived if box} >= {"object.person", "object.furniture.table"}
    assert {name for name, box in perceived if not box} >= {"scene.venue"}


def perceived_tags(album: Album) -> set[tuple[str, bool]]:
    seen = album.bench.stages.perceive(picture(photo("t1.jpg")), False)
    return {(tag.name, tag.box is not None) for tag in seen.tags if tag.score > 0.25}


def test_templates_of_another_pack_are_not_compared(
    album: Album, settings: Settings, database_url: str, gallery_url: str, decoder: Decoder, tmp_path: Path
) -> None:
    album.opt_in("alice", "second")
    assert album.post(author="alice") == {"alice": "second"}
    default = load_models(tmp_path / "embedded", threads=2)
    with open_worker_context(settings, database_url, default, decoder, lambda: nullcontext(gallery_url)) as bench:
        bench.gallery.wait_ready()
        after = Album(bench, album.keys, album.photo, album.web)
        assert after.post("again", author="alice") == {}
        after.opt_in("alice", "second")
        assert after.post("enrolled-anew", author="alice") == {"alice": "second"}
    with psycopg.connect(database_url) as conn:
        rows = conn.execute("SELECT DISTINCT model FROM template ORDER BY model").fetchall()
    assert [model for (model,) in rows] == ["dlib-resnet@55533b28a958", EMBEDDER]


def test_the_commands_say_what_is_here_and_in_use(data: Path) -> None:
    listed = run(data, "list")
    assert "4 of 4" in listed
    assert "In use: compact" in listed
    assert "for production take `auraface`" in listed
    shown = run(data, "show", "compact")
    assert "Apache-2.0" in shown
    assert "f348551d2b66c58e0386702bc5e021a4d6890004d1531750d63c1c8e7fb238f0" in shown
    assert "calibration/face-reid-0095.json" in shown
    assert "yolox-nano@d39bee73564e is the file" in run(data, "verify")
    assert "is not here" in run(data, "verify", "auraface", status=1)


def test_another_embedder_means_that_people_enrol_again(tmp_path: Path, data: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "files").symlink_to(data / "models" / "files")
    assert "until they send their photos again" in run(tmp_path, "use", "compact")
    assert "photos again" not in run(tmp_path, "use", "compact")
    assert "photos again" in run(tmp_path, "use", "compact:labels,objects")
    assert "photos again" not in run(tmp_path, "use", "embedded")


def test_what_cannot_be_used_leaves_the_choice_as_it_was(data: Path) -> None:
    before = (data / "models" / "active.json").read_text()
    run(data, "use", "auraface", status=1)
    run(data, "use", "insightface", status=1)
    assert (data / "models" / "active.json").read_text() == before


def test_a_pack_for_research_is_not_even_pulled_without_its_words(tmp_path: Path) -> None:
    run(tmp_path, "pull", "insightface", "--from", str(models_folder()), status=1)
    assert not (tmp_path / "models" / "files").exists()


def test_accepted_in_words_it_is_looked_for(tmp_path: Path) -> None:
    accepted = "own-weights, insightface-non-commercial-research"
    words = ("pull", "insightface", "--from", str(models_folder()))
    said = run(tmp_path, *words, status=1, ASSENT_ACCEPT_LICENCE=accepted)
    assert "model_missing " in said  # it is not in that folder
    assert "det_10g.onnx" in said


def test_a_folder_of_ones_own_is_chosen_with_its_files_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "det_500m.onnx").symlink_to(models_folder() / "scrfd_500m/det_500m.onnx")
    (folder / "recognition.onnx").write_bytes(arcface_shaped())
    run(tmp_path, "use", f"insightface@{folder}", status=1)
    said = run(tmp_path, "use", f"insightface@{folder}", ASSENT_ACCEPT_LICENCE="own-weights")
    assert "det_500m@5e4447f50245" in said
    assert "is not calibrated here: nobody is matched" in said
    assert "photos again" in said
    (folder / "recognition.onnx").write_bytes(arcface_shaped(dimension=64))
    with pytest.raises(ModelUnknown, match="not those that were chosen"):
        load_models(tmp_path / "models", 1, ("own-weights",))
