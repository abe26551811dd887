"""Which packs are in use, which file fills a role by it, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assent.cli.doctor import _models
from assent.cli.models import WHICH
from assent.core.errors import LicenceNotAccepted, PackUnknown
from assent.core.settings import Settings
from assent.perceive import load_models
from assent.perceive.packs.active import PackChoice, fill, read_choice, write_choice
from assent.perceive.packs.manifest import read_pack

WORDS = ("insightface-non-commercial-research",)


def chosen(models_dir: Path, *packs: str, accepted: tuple[str, ...] = ()) -> dict[str, str]:
    """Role → pack."""
    filled = fill(PackChoice(packs), models_dir, accepted)
    return {role: files[0].pack.name for role, files in filled.items()}


def test_embedded_is_what_is_used_where_nothing_was_chosen(tmp_path: Path) -> None:
    assert read_choice(tmp_path) == PackChoice()
    assert chosen(tmp_path) == dict.fromkeys(("safety", "nsfw", "labels", "landmarks", "embedder"), "embedded")


def test_the_first_pack_that_has_a_role_fills_it_and_embedded_the_rest(tmp_path: Path) -> None:
    found = chosen(tmp_path, "auraface", "opencv-zoo")
    assert found["faces"] == found["embedder"] == "auraface"
    assert found["labels"] == found["objects"] == "opencv-zoo"
    assert found["safety"] == "embedded"


def test_some_roles_of_a_pack_can_be_taken_alone(tmp_path: Path) -> None:
    found = chosen(tmp_path, "opencv-zoo:labels,objects")
    assert found["labels"] == found["objects"] == "opencv-zoo"
    assert found["embedder"] == "embedded"
    assert "faces" not in found


@pytest.mark.parametrize(
    "spec", ["", "No-Pack", "nothing-by-that-name", "embedded:eyes", "embedded@/tmp", "../embedded", "insightface@here"]
)
def test_an_unknown_pack_or_role_is_refused(tmp_path: Path, spec: str) -> None:
    with pytest.raises(PackUnknown):
        fill(PackChoice((spec,)), tmp_path, ())


def test_a_choice_is_read_as_it_was_written(tmp_path: Path) -> None:
    choice = PackChoice(("auraface", "opencv-zoo:labels"), (("/a/b.onnx", "0" * 64),))
    write_choice(tmp_path / "new", choice)
    assert read_choice(tmp_path / "new") == choice
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["active.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"packs": 1}', '{"pack": []}', "{"])
def test_a_broken_choice_is_refused_and_not_taken_for_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "active.json").write_text(text)
    with pytest.raises(PackUnknown, match="assent models use"):
        load_models(tmp_path, 1)


def test_a_pack_for_research_only_needs_its_licence_accepted_in_words(tmp_path: Path) -> None:
    for accepted in ((), ("yes",), ("insightface",)):
        with pytest.raises(LicenceNotAccepted, match='ASSENT_ACCEPT_LICENCE="insightface-non-commercial-research"'):
            chosen(tmp_path, "insightface", accepted=accepted)
    assert chosen(tmp_path, "insightface", accepted=WORDS)["embedder"] == "insightface"


def test_every_shipped_file_says_who_may_use_it_and_where_it_comes_from() -> None:
    for name in ("auraface", "compact", "insightface", "opencv-zoo"):
        pack = read_pack(name)
        assert pack.one("faces").input is not None
        for file in pack.file:
            assert len(file.licence) > 20
            assert len(file.training_data) > 10
            assert (pack.folder / file.card).is_file()
            assert file.url is not None or name == "compact"
            assert (file.commercial_use == "forbidden") == (name == "insightface")
            assert (file.accept is not None) == (name == "insightface")
            assert replace(file, url=None).id == file.id


def test_what_is_said_of_which_pack_to_choose_is_true(tmp_path: Path) -> None:
    chosen, default = read_pack("auraface"), read_pack("embedded")
    assert all(file.commercial_use == "allowed" for file in chosen.file)
    assert chosen.one("embedder").size > 10 * default.one("embedder").size
    assert chosen.one("embedder").calibration is None
    first = next(_models(Settings(data_dir=tmp_path)))
    assert first.detail == WHICH
    assert WHICH in " ".join((Path(__file__).parents[2] / "docs" / "models.md").read_text().split())
