"""With a pack that nobody measured nobody is enrolled or matched; `assent eval faces --calibrate` changes that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest

from assent.core.settings import Settings
from assent.core.values import Perception, Picture
from assent.db.pool import transaction
from assent.keys.keystore import TenantKeys
from assent.media.sandbox import Decoder
from assent.perceive import Models, load_models
from assent.perceive.frames.batch import Batcher
from assent.perceive.packs.manifest import read_pack
from assent.worker.loop import open_worker_context
from tests.authority import move_endpoints
from tests.command import Done, assent, invoke
from tests.enrolment import outcome
from tests.integration.album import Album
from tests.look_alikes import crowd
from tests.people import give
from tests.photos import FACES, altered
from tests.unit.perceive_photos import known_people
from tests.unit.real_models import ENTRIES, described, models_folder
from tests.web import Web

MOBILEFACENET = "mobilefacenet/MobileFaceNet.onnx"
FACE_REID = "face-reid-0095/face-reidentification-retail-0095.onnx"
INPUTS = {
    FACE_REID: '{ size = [128, 128], colour = "bgr", fit = "aligned", align = "openmodelzoo" }',
    MOBILEFACENET: "{ size = [112, 112], scale = 0.00392156862745098, mean = [0.485, 0.456, 0.406], "
    'std = [0.229, 0.224, 0.225], fit = "aligned", align = "arcface" }',
}


@pytest.fixture(scope="module", autouse=True)
def _look_once() -> Iterator[None]:
    """Puts no photo through the same networks twice, though the commands look at the same people again and again."""
    seen: dict[tuple[str, str, str, bool], Perception] = {}

    class Remembering(Batcher):
        def __init__(self, models: Models) -> None:
            super().__init__(models)
            self._networks = models.finder_id, models.embedder_id

        def __call__(self, picture: Picture, compare: bool) -> Perception:
            key = (*self._networks, picture.sha256, compare)
            if key not in seen:
                seen[key] = super().__call__(picture, compare)
            return seen[key]

    with patch("assent.learn.perceive_examples.Batcher", Remembering):
        yield


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crowd({name: paths[:3] for name, paths in known_people().items()}, tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, str]]:
    """The environment of an installation whose pack has that embedder and no calibration."""

    def made(name: str) -> dict[str, str]:
        data = tmp_path_factory.mktemp("data")
        file = described(models_folder() / name, ENTRIES[name])
        text = (read_pack("compact").folder / "compact.toml").read_text().replace('name = "compact"', 'name = "own"')
        finder = text.partition('[[file]]\nrole = "embedder"')[0]
        (data / "models" / "packs").mkdir(parents=True)
        (data / "models" / "packs" / "own.toml").write_text(
            f"""{finder}[[file]]
role = "embedder"
name = "{file.name}"
path = "{file.path}"
size = {file.size}
sha256 = "{file.sha256}"
licence = "For this test."
commercial_use = "allowed"
training_data = "Not told."
card = "none.md"
decoder = "embedding"
input = {INPUTS[name]}
"""
        )
        environment = {"ASSENT_DATA_DIR": str(data), "COLUMNS": "200"}
        assent(environment, "models", "pull", "own", "--from", models_folder())
        assert "is not calibrated here: nobody is matched" in assent(environment, "models", "use", "own")
        return environment

    return made


def evaluate(environment: dict[str, str], data: Path, out: Path, *words: str, status: int = 0) -> Done:
    done = invoke(environment, "eval", "faces", data, "--out", out, *words)
    assert done.status == status, done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize("name", [MOBILEFACENET, FACE_REID])
def test_after_calibrating_a_person_is_matched_who_was_not_before(
    name: str,
    install: Callable[[str], dict[str, str]],
    people: Path,
    settings: Settings,
    database_url: str,
    gallery_url: str,
    decoder: Decoder,
    keys: TenantKeys,
    six_people: bytes,
    web: Web,
    tmp_path: Path,
) -> None:
    environment = install(name)
    models_dir = Path(environment["ASSENT_DATA_DIR"]) / "models"
    settings = settings.model_copy(update={"allow_private": (web.allowed,)})
    with open_worker_context(
        settings, database_url, load_models(models_dir, 2), decoder, lambda: nullcontext(gallery_url)
    ) as bench:
        give(bench.pool, keys, "alice")
        said = outcome(bench, keys, "alice", altered(six_people, FACES["third"]))
        assert said["error"] == "not_calibrated"
        assert "--calibrate" in said["detail"]
    printed = evaluate(environment, people, tmp_path / "out", "--calibrate").stdout
    assert "1 templates at most" in printed
    [path] = (models_dir / "calibration").iterdir()
    said = json.loads(path.read_text())
    assert (said["people"], said["impostor_pairs"], said["detector"]) == (25, 300, "yunet-2023mar@8f2383e4dd3c")
    assert said["equal_error_rate"] < 0.2  # of people of whom most are made up
    with open_worker_context(
        settings, database_url, load_models(models_dir, 2), decoder, lambda: nullcontext(gallery_url)
    ) as bench:
        bench.gallery.wait_ready()
        with transaction(bench.pool) as conn:
            move_endpoints(conn, keys, f"{web.url}/hooks")
        album = Album(bench, keys, six_people, web)
        album.opt_in("alice", "third")
        assert album.post(author="alice") == {"alice": "third"}  # five strangers beside her, none of them named


def test_too_few_people_are_measured_and_calibrate_nothing(
    install: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    environment = install(MOBILEFACENET)
    few = next(iter(known_people().values()))[0].parents[1]
    done = evaluate(environment, few, tmp_path / "out", "--calibrate", status=1)
    assert "8 people make 28 pairs of different people" in " ".join(done.stderr.split())
    assert "equal error rate" in done.stdout
    assert "Verification" not in done.stdout  # there is no calibration whose thresholds could be tried
    assert (tmp_path / "out" / "report.html").is_file()
    assert not (Path(environment["ASSENT_DATA_DIR"]) / "models" / "calibration").exists()


@pytest.mark.slow
def test_a_calibration_in_use_keeps_its_mean_and_another_detector_ends_it(
    install: Callable[[str], dict[str, str]], people: Path, tmp_path: Path
) -> None:
    environment = install(MOBILEFACENET)
    models_dir = Path(environment["ASSENT_DATA_DIR"]) / "models"
    assert "What these people support" in evaluate(environment, people, tmp_path / "out").stdout
    assert not (models_dir / "calibration").exists()  # not asked for
    evaluate(environment, people, tmp_path / "out", "--calibrate")
    [path] = (models_dir / "calibration").iterdir()
    before = json.loads(path.read_text())
    (people / "astronaut" / "astronaut.png").rename(tmp_path / "astronaut.png")
    try:
        done = evaluate(environment, people, tmp_path / "out", "--calibrate", status=1)
        assert "24 people" in done.stderr
    finally:
        (tmp_path / "astronaut.png").rename(people / "astronaut" / "astronaut.png")
    evaluate(environment, people, tmp_path / "out", "--calibrate")
    assert str(path) in assent(environment, "models", "show", "own")
    after = json.loads(path.read_text())
    assert after["mean"] == before["mean"]
    assert after["photos_sha256"] == before["photos_sha256"]
    assert load_models(models_dir, 2).calibration.templates_supported() == 1
    path.write_text(path.read_text().replace(before["detector"], "scrfd-10g@000000000000"))
    assert load_models(models_dir, 2).calibration.templates_supported() == 0
