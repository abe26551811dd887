"""`assent eval`: figures on real photos of known content, as tables, CSV, SVG and one page that loads nothing."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from assent.perceive import Models
from tests.command import assent, failing
from tests.data import labelled, some


@pytest.fixture(scope="module")
def evaluating(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, models: Models) -> dict[str, str]:
    """The environment of a data folder of the module's own, with the default pack."""
    data = tmp_path_factory.mktemp("data")
    (data / "models").symlink_to(models_dir)
    return {"ASSENT_DATA_DIR": str(data), "COLUMNS": "200"}


def write_csv(path: Path, columns: str, rows: Iterable[tuple[object, ...]]) -> Path:
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(columns.split())
        lines.writerows(rows)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def check_page(folder: Path) -> str:
    """The page holds every plot and asks nobody for anything: what it shows lies in it."""
    page = (folder / "report.html").read_text()
    plots = sorted(folder.glob("*.svg"))
    assert page.count("<svg") == len(plots) >= 1
    assert re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*\"|@import|url\((?!#)", page) == []
    assert all(plot.read_text().rstrip().endswith("</svg>") for plot in plots)
    return page


def test_a_head_is_measured_by_label_and_on_pictures_of_none(evaluating: dict[str, str], tmp_path: Path) -> None:
    few = some(labelled("clothing") / "val", {"shoes": 12, "pants": 12, "dress": 12})
    rows = [(path, name, "north" if n % 2 else "south") for name, paths in few.items() for n, path in enumerate(paths)]
    data = write_csv(tmp_path / "set.csv", "path label side", [*rows, (rows[0][0].with_name("gone.jpg"), "hat", "")])
    none = tmp_path / "none"
    none.mkdir()
    for path in sorted((labelled("grocery") / "val" / "banana").iterdir()):
        (none / path.name).write_bytes(path.read_bytes())
    words = ("labels", data, "--head", "clothing", "--none", none, "--by", "side", "--out", tmp_path / "out")
    printed = assent(evaluating, "eval", *words)
    summary = {row["figure"]: row["value"] for row in read_csv(tmp_path / "out" / "summary.csv")}
    assert (summary["labelled photos"], summary["photos of none"]) == ("36", "6")
    assert float(summary["accuracy (most probable label)"]) > 0.6
    by_label = {row["label"]: row for row in read_csv(tmp_path / "out" / "labels.csv")}
    assert [by_label[f"product.clothing.{name}"]["photos"] for name in ("shoes", "hat")] == ["12", "0"]
    assert by_label["product.clothing.hat"]["recall"] == ""
    groups = read_csv(tmp_path / "out" / "by-group.csv")
    assert {(row["group"], row["photos"]) for row in groups} == {("north", "18"), ("south", "18")}
    assert {row["warning"] for row in groups} == {"too few to compare"}
    page = check_page(tmp_path / "out")
    assert "assent eval labels" in page
    assert "product.clothing.shoes" in printed
    assert "1 left out" in printed
    assert "gone.jpg" in (tmp_path / "out" / "skipped.txt").read_text()


def test_what_is_said_of_whole_pictures_is_measured_by_label_and_above_it(
    evaluating: dict[str, str], tmp_path: Path
) -> None:
    fruits = some(labelled("grocery") / "val", {"apple": 18, "lemon": 5, "orange": 5, "pineapple": 2, "pear": 1})
    rows = [(path, name) for name, paths in fruits.items() for path in paths]
    data = write_csv(tmp_path / "set.csv", "path label", rows)
    printed = assent(evaluating, "eval", "labels", data, "--out", tmp_path / "out")
    assert "efficientnet-lite0@" in printed
    assert "class pear: 1 pictures: no network in use gives such a label" in printed
    by_label = {row["label"]: row for row in read_csv(tmp_path / "out" / "labels.csv")}
    few = {row["label"]: row for row in read_csv(tmp_path / "out" / "too-few.csv")}
    fruit = by_label["food.fruit"]
    assert (fruit["photos"], few["food.fruit.lemon"]["photos"]) == ("30", "5")
    low, high = map(float, fruit["its 95 %"].split("–"))
    assert 0.5 < low < float(fruit["precision"]) <= high + 0.0005
    assert by_label.keys().isdisjoint(few)
    summary = {row["figure"]: row for row in read_csv(tmp_path / "out" / "summary.csv")}
    assert int(summary["photos of a class on which something is said"]["count"]) >= 10
    assert "Reliability" in check_page(tmp_path / "out")


def test_faces_are_measured_on_people_with_several_photos(evaluating: dict[str, str], tmp_path: Path) -> None:
    people = some(labelled("faces"), {"amy": 3, "raj": 3, "penny": 3, "howard": 3})
    rows = [(path, who, "a" if who < "j" else "b") for who, paths in people.items() for path in paths]
    data = write_csv(tmp_path / "people.csv", "path label team", rows)
    printed = assent(evaluating, "eval", "faces", str(data), "--by", "team", "--out", str(tmp_path / "out"))
    summary = {row["figure"]: row["value"] for row in read_csv(tmp_path / "out" / "summary.csv")}
    assert (summary["people"], summary["pairs of one person"], summary["pairs of two people"]) == ("4", "12", "54")
    assert float(summary["equal error rate"]) < 0.1
    verified = read_csv(tmp_path / "out" / "thresholds.csv")
    assert [float(row["FMR here"]) for row in verified] == sorted(
        (float(row["FMR here"]) for row in verified), reverse=True
    )
    assert [row["templates"] for row in read_csv(tmp_path / "out" / "identification.csv")] == ["1", "2"]
    assert "too few to compare" in printed
    check_page(tmp_path / "out")


def test_no_score_of_a_pair_and_no_name_of_a_file_leaves_an_evaluation_of_faces(
    evaluating: dict[str, str], tmp_path: Path
) -> None:
    features = Path(evaluating["ASSENT_DATA_DIR"]) / "features"
    before = set(features.rglob("*"))
    assent(evaluating, "eval", "faces", str(labelled("faces")), "--out", str(tmp_path / "out"))
    written = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert ".png" not in written.replace(str(labelled("faces")), "")
    assert set(features.rglob("*")) == before


def test_photos_without_faces_are_refused(evaluating: dict[str, str], tmp_path: Path) -> None:
    few = some(labelled("grocery") / "val", {"lemon": 3, "lime": 3})
    data = write_csv(tmp_path / "set.csv", "path label", [(path, who) for who, paths in few.items() for path in paths])
    refused = failing(evaluating, "eval", "faces", data, "--out", tmp_path / "out")
    assert "shows a face that can be compared" in refused
    assert not (tmp_path / "out").exists()


def test_one_photo_a_person_is_refused(evaluating: dict[str, str], tmp_path: Path) -> None:
    people = some(labelled("faces"), {"amy": 1, "raj": 1})
    data = write_csv(tmp_path / "people.csv", "path label", [(paths[0], who) for who, paths in people.items()])
    assert "one of whom has two photos" in failing(evaluating, "eval", "faces", data)


def test_safety_counts_harmless_pictures_that_are_flagged(evaluating: dict[str, str], tmp_path: Path) -> None:
    few = some(labelled("grocery") / "val", {"tomato": 8, "melon": 8})
    rows = [(path, "harmless") for paths in few.values() for path in paths]
    data = write_csv(tmp_path / "set.csv", "path label", [*rows, (labelled("faces") / "amy" / "amy1.png", "fruit")])
    printed = assent(evaluating, "eval", "safety", str(data), "--out", str(tmp_path / "out"))
    assert "Safety on 16 photos, 16 of them harmless" in printed
    assert "fruit is neither harmless nor a safety label" in printed
    for row in read_csv(tmp_path / "out" / "safety.csv"):
        assert row["recall"] == ""  # nothing here shows it
        assert float(row["their share"]) == int(row["harmless flagged"]) / 16
    opinions = {(row["opinion"], row["from"]): row for row in read_csv(tmp_path / "out" / "opinions.csv")}
    assert {name for name, _ in opinions} == {"parts", "whole picture", "parts and whole", "fused", "without"}
    parts = [int(opinions["parts", least]["harmless stopped"]) for least in ("0.20", "0.50", "0.85")]
    assert parts == sorted(parts, reverse=True)
    stopped = {name: opinions[name, "policy's"] for name in ("fused", "without")}
    assert int(stopped["fused"]["harmless stopped"]) <= 1
    for row in stopped.values():
        low, high = map(float, row["their share 95 %"].split("–"))
        assert low <= float(row["their share"]) <= high
    assert "Decided otherwise by the second opinion" in check_page(tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("labels", "DATA", "--head", "nothing"), "no head 'nothing'"),
        (("labels", "DATA", "--head", "clothing", "--by", "side"), "never inferred"),
        (("labels", "FACES", "--head", "clothing"), "no picture has a label"),
        (("labels", "FACES"), "no class is a label"),
        (("safety", "FACES"), "classes are harmless"),
        (("faces", "NOWHERE"), "neither a folder nor a CSV"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    evaluating: dict[str, str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    few = some(labelled("clothing") / "val", {"hat": 3})
    data = write_csv(tmp_path / "set.csv", "path label", [(path, "hat") for path in few["hat"]])
    places = {"DATA": data, "FACES": labelled("faces"), "NOWHERE": tmp_path / "nowhere"}
    refused = failing(evaluating, "eval", *(places.get(word, word) for word in words), "--out", tmp_path / "out")
    assert said in refused
    assert "Traceback" not in refused
