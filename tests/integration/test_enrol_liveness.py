"""With a liveness pack in use, a photo of a print or screen enrols nobody; without one it is not asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image
from typer.testing import CliRunner

from assent.cli import app
from assent.gallery.keys import TenantKeys
from assent.perceive import Models, load
from assent.settings import Settings
from assent.values import MediaRef, Perception, Picture
from assent.worker import Bench, decide_event, open_bench
from tests.integration import people
from tests.integration.test_enrol_checks import outcome, stored
from tests.integration.test_event_decided import store
from tests.photos import FACES
from tests.unit.perceive_photos import known_people
from tests.unit.real_models import models_folder


@pytest.fixture(scope="module")
def guarded_models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The default pack, and MiniFASNet put to use by the commands of the documentation."""
    data = tmp_path_factory.mktemp("data")
    for words in (["pull", "minifasnet", "--from", str(models_folder())], ["use", "minifasnet"]):
        done = CliRunner().invoke(app, ["models", *words], env={"ASSENT_DATA_DIR": str(data)})
        assert done.exit_code == 0, done.output
    return load(data / "models", threads=2)


@pytest.fixture
def guarded(settings: Settings, database_url: str, keys: TenantKeys, guarded_models: Models) -> Iterator[Bench]:
    assert keys  # the tenant is there
    with open_bench(settings, database_url, guarded_models) as bench:
        bench.gallery.wait_ready()
        yield bench


@pytest.fixture
def taken(six_people: bytes) -> Callable[[str], bytes]:
    """The person with as much around them as a photo of them would show, as it was taken."""

    def photo(name: str) -> bytes:
        image, (x, y, width, height) = Image.open(BytesIO(six_people)).convert("RGB"), FACES[name]
        out = BytesIO()
        image.crop((x - width // 2, y - height // 2, x + 3 * width // 2, y + 2 * height)).save(out, "JPEG", quality=95)
        return out.getvalue()

    return photo


@pytest.fixture
def screened() -> bytes:
    """A still from television: what it shows was on a screen, and the networks say so of all 40 that are at hand."""
    return known_people()["sheldon"][0].read_bytes()


def test_a_person_before_the_camera_is_enrolled(
    guarded: Bench, keys: TenantKeys, taken: Callable[[str], bytes]
) -> None:
    for name in ("second", "third"):
        people.give(guarded.pool, keys, name)
        assert "templates" in outcome(guarded, keys, name, taken(name))
    assert len(stored(guarded)) == 2


def test_a_picture_from_a_screen_is_refused_by_code_and_nothing_is_kept(
    guarded: Bench, keys: TenantKeys, taken: Callable[[str], bytes], screened: bytes
) -> None:
    people.give(guarded.pool, keys, "alice")
    said = outcome(guarded, keys, "alice", taken("third"), screened)
    assert said == {"error": "face_not_live", "detail": "photo 2 seems to be taken of a print or a screen"}
    assert stored(guarded) == []
    assert people.rows(guarded.pool, "SELECT count(*) FROM upload") == [(0,)]
    assert people.rows(guarded.pool, "SELECT count(*) FROM event") == [(0,)]


def test_without_a_liveness_pack_the_same_picture_is_enrolled(bench: Bench, keys: TenantKeys, screened: bytes) -> None:
    people.give(bench.pool, keys, "alice")
    assert "templates" in outcome(bench, keys, "alice", screened)


def test_pictures_of_posts_are_never_asked_about(
    guarded: Bench, keys: TenantKeys, taken: Callable[[str], bytes], six_people: bytes
) -> None:
    seen: list[Perception] = []

    def watch(picture: Picture, *how: bool) -> Perception:
        seen.append(guarded.tools.perceive(picture, *how))
        return seen[-1]

    watching = replace(guarded, tools=replace(guarded.tools, perceive=watch))
    people.give(guarded.pool, keys, "alice")
    outcome(watching, keys, "alice", taken("third"))
    assert [face.live for face in seen.pop().faces] == [True]
    decide_event(watching, keys.tenant, store(guarded, keys, MediaRef("group", None), six_people, author="alice"))
    assert [face.live for face in seen.pop().faces] == [None] * 6
