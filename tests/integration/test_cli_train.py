"""`assent train`: from class folders to a head that is live, with what could not be used listed."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.command import assent, failing
from tests.data import labelled

CLASSES = {"banana": 16, "carrots": 16, "juice": 16}


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a data folder of the module's own."""
    return {"ASSENT_DATA_DIR": str(tmp_path_factory.mktemp("data"))}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of real photos, a few of something else, and files that cannot be used."""
    root, folder = labelled("grocery") / "train", tmp_path_factory.mktemp("photos")
    for name, count in CLASSES.items():
        (folder / "set" / name).mkdir(parents=True)
        for path in sorted((root / name).iterdir())[:count]:
            shutil.copy(path, folder / "set" / name)
    (folder / "else").mkdir()
    for path in sorted((labelled("clothing") / "train" / "pants").iterdir())[:16]:
        shutil.copy(path, folder / "else")
    one = next((folder / "set" / "juice").iterdir())
    (folder / "set" / "juice" / "torn.jpg").write_bytes(one.read_bytes()[:200])
    (folder / "set" / "juice" / "notes.txt").write_text("no picture")
    (folder / "set" / "lemon").mkdir()
    shutil.copy(next((root / "lemon").iterdir()), folder / "set" / "lemon")
    shutil.copy(sorted((folder / "set" / "banana").iterdir())[0], folder / "set" / "carrots" / "same.jpg")
    return folder


@pytest.fixture(scope="module")
def trained(training: dict[str, str], photos: Path) -> str:
    words = ("--labels", photos / "set", "--name", "fruit", "--prefix", "product.grocery", "--none", photos / "else")
    return assent(training, "train", *words, "--licence", "MIT", "--source", "A few photos of a test.")


def test_a_head_comes_out_and_is_live(training: dict[str, str], trained: str, tmp_path: Path) -> None:
    folder = Path(training["ASSENT_DATA_DIR"]) / "models" / "heads"
    assert {path.name for path in folder.iterdir()} == {"fruit.toml", "fruit.onnx", "fruit.md", "fruit.skipped.txt"}
    head = tomllib.loads((folder / "fruit.toml").read_text())
    assert [label["name"].split(".")[-1] for label in head["label"]] == ["banana", "carrots", "juice", "none"]
    assert head["figures"]["accuracy"] > 0.8
    assert (head["licence"], head["training_data"]) == ("MIT", "A few photos of a test.")
    unseen = sorted((labelled("grocery") / "val" / "banana").iterdir())
    shutil.copytree(labelled("grocery") / "val" / "banana", tmp_path / "unseen")
    printed = assent(training, "tag", "--json", str(tmp_path / "unseen"))
    said = [
        tag["name"]
        for line in printed.splitlines()
        for tag in json.loads(line)["tags"]
        if tag["model"].startswith("fruit@")
    ]
    assert len(said) >= len(unseen) / 2
    assert set(said) <= {"product.grocery.banana", "product.grocery.carrots", "product.grocery.juice"}


def test_what_could_not_be_used_is_listed_and_counted(training: dict[str, str], trained: str) -> None:
    assert "5 left out" in trained
    listed = (Path(training["ASSENT_DATA_DIR"]) / "models" / "heads" / "fruit.skipped.txt").read_text()
    for name, why in (
        ("torn.jpg", "undecodable"),
        ("notes.txt", "no picture, by its name"),
        ("same.jpg", "the same file under banana, carrots"),
        ("class lemon", "1: needs at least 5 pictures"),
    ):
        assert any(name in line and why in line for line in listed.splitlines()), name


def test_the_features_are_kept_privately_and_used_again(training: dict[str, str], photos: Path, trained: str) -> None:
    cache = Path(training["ASSENT_DATA_DIR"]) / "features"
    (backbone,) = cache.iterdir()
    assert backbone.stat().st_mode & 0o077 == 0
    held = {path: path.stat().st_ino for path in backbone.glob("*/*")}
    assert (
        len(held) == 2 * sum(CLASSES.values()) - 1 + len(["lemon"]) + 2 * 16
    )  # with copies of all that is learned from
    again = ("--labels", photos / "set", "--name", "again", "--prefix", "product.grocery", "--out", photos / "out")
    assent(training, "train", *again)
    assert {path: path.stat().st_ino for path in backbone.glob("*/*")} == held
    assert (photos / "out" / "again.toml").is_file()


@pytest.mark.slow
def test_thresholds_are_chosen_on_pictures_for_validation(training: dict[str, str], photos: Path) -> None:
    proof, none = photos / "proof", photos / "proof-none"
    for name in CLASSES:
        shutil.copytree(labelled("grocery") / "val" / name, proof / name)
    shutil.copytree(labelled("clothing") / "val" / "pants", none)
    new = {*proof.rglob("*.*"), *none.iterdir()}
    shutil.copy(sorted((photos / "set" / "juice").glob("*_*.jpg"))[0], proof / "juice" / "trained-on.jpg")
    shutil.copytree(labelled("grocery") / "val" / "leek", proof / "leek")
    words = ("--labels", photos / "set", "--name", "proven", "--prefix", "product.grocery", "--none", photos / "else")
    where = ("--validation", proof, "--validation-none", none, "--out", photos / "out")
    printed = " ".join(assent(training, "train", *words, *where).split())
    assert "the head was trained on it" in printed
    assert "no class leek was trained" in printed
    head = tomllib.loads((photos / "out" / "proven.toml").read_text())
    assert head["validation_sha256"] == fingerprint(new)
    assert head["data_sha256"] == fingerprint(
        path
        for folder in (*(photos / "set" / name for name in CLASSES), photos / "else")
        for path in folder.iterdir()
        if path.suffix == ".jpg" and path.name not in ("torn.jpg", "same.jpg") and path != twice(photos)
    )
    assert head["figures"]["labelled photos"] == len([path for path in new if path.parent.name in CLASSES])
    said = [label for label in head["label"] if "threshold" in label]
    assert said
    assert all(label["precision"] >= 0.9 and label["said"] >= 1 for label in said)
    card = (photos / "out" / "proven.md").read_text()
    assert "| figure | on validation | in halves | cross-validated |" in card
    assert head["validation_sha256"] in card
    assert head["data_sha256"] in card


def twice(photos: Path) -> Path:
    """The banana that stands among the carrots too, and so counts nowhere."""
    return sorted((photos / "set" / "banana").iterdir())[0]


def fingerprint(paths: Iterable[Path]) -> str:
    """As `docs/learn.md` says it: of the sorted lines of hash and label."""
    labels = {name: f"product.grocery.{name}" for name in CLASSES}
    lines = [f"{sha256(path.read_bytes()).hexdigest()} {labels.get(path.parent.name, 'none')}\n" for path in paths]
    return sha256("".join(sorted(set(lines))).encode()).hexdigest()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--name", "one", "--labels", "single"), "at least two classes"),
        (("--name", "One!", "--labels", "set"), "no name for a head"),
        (("--name", "one", "--labels", "set", "--prefix", "face"), "no head may say"),
        (("--name", "one", "--labels", "set", "--backbone", "resnet"), "no backbone"),
        (("--name", "one", "--labels", "nowhere"), "neither a folder nor a CSV"),
        (("--name", "one", "--labels", "set", "--validation-none", "else"), "goes with --validation"),
    ],
)
def test_what_cannot_become_a_head_is_refused(
    training: dict[str, str], photos: Path, words: tuple[str, ...], said: str
) -> None:
    (photos / "single" / "banana").mkdir(parents=True, exist_ok=True)
    shutil.copytree(photos / "set" / "banana", photos / "single" / "banana", dirs_exist_ok=True)
    placed = [
        str(photos / word) if before == "--labels" else word for before, word in zip(("", *words), words, strict=False)
    ]
    refused = failing(training, "train", *placed)
    assert said in refused
    assert "Traceback" not in refused
