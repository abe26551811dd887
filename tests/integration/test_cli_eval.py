"""`assent eval`: figures on real photos of known content, as tables, CSV, SVG and one page that loads nothing."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.data import labelled, some
from tests.house import assent


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**os.environ, "ASSENT_DATA_DIR": str(tmp_path_factory.mktemp("data")), "COLUMNS": "200"}


def run(environment: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assent", "eval", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


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


def test_a_head_is_measured_by_label_and_on_pictures_of_none(environment: dict[str, str], tmp_path: Path) -> None:
    few = some(labelled("clothing") / "val", {"shoes": 12, "pants": 12, "dress": 12})
    rows = [(path, name, "north" if n % 2 else "south") for name, paths in few.items() for n, path in enumerate(paths)]
    data = write_csv(tmp_path / "set.csv", "path label side", [*rows, (rows[0][0].with_name("gone.jpg"), "hat", "")])
    none = tmp_path / "none"
    none.mkdir()
    for path in sorted((labelled("grocery") / "val" / "banana").iterdir()):
        (none / path.name).write_bytes(path.read_bytes())
    words = ("labels", data, "--head", "clothing", "--none", none, "--by", "side", "--out", tmp_path / "out")
    printed = assent(environment, "eval", *map(str, words))
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


def test_faces_are_measured_on_people_with_several_photos(environment: dict[str, str], tmp_path: Path) -> None:
    people = some(labelled("faces"), {"amy": 3, "raj": 3, "penny": 3, "howard": 3})
    rows = [(path, who, "a" if who < "j" else "b") for who, paths in people.items() for path in paths]
    data = write_csv(tmp_path / "people.csv", "path label team", rows)
    printed = assent(environment, "eval", "faces", str(data), "--by", "team", "--out", str(tmp_path / "out"))
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
    environment: dict[str, str], tmp_path: Path
) -> None:
    assent(environment, "eval", "faces", str(labelled("faces")), "--out", str(tmp_path / "out"))
    written = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert ".png" not in written.replace(str(labelled("faces")), "")
    data = Path(environment["ASSENT_DATA_DIR"])
    assert not (data / "features").exists() or all("dlib" not in path.name for path in (data / "features").iterdir())


def test_photos_without_faces_are_refused(environment: dict[str, str], tmp_path: Path) -> None:
    few = some(labelled("grocery") / "val", {"lemon": 3, "lime": 3})
    data = write_csv(tmp_path / "set.csv", "path label", [(path, who) for who, paths in few.items() for path in paths])
    done = run(environment, "faces", data, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "shows a face that can be compared" in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_one_photo_a_person_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    people = some(labelled("faces"), {"amy": 1, "raj": 1})
    data = write_csv(tmp_path / "people.csv", "path label", [(paths[0], who) for who, paths in people.items()])
    done = run(environment, "faces", data)
    assert done.returncode == 1
    assert "one of whom has two photos" in " ".join(done.stderr.split())


def test_safety_counts_harmless_pictures_that_are_flagged(environment: dict[str, str], tmp_path: Path) -> None:
    few = some(labelled("grocery") / "val", {"tomato": 8, "melon": 8})
    rows = [(path, "harmless") for paths in few.values() for path in paths]
    data = write_csv(tmp_path / "set.csv", "path label", [*rows, (labelled("faces") / "amy" / "amy1.png", "fruit")])
    printed = assent(environment, "eval", "safety", str(data), "--out", str(tmp_path / "out"))
    assert "Safety on 16 photos, 16 of them harmless" in printed
    assert "fruit is neither harmless nor a safety label" in printed
    for row in read_csv(tmp_path / "out" / "safety.csv"):
        assert row["recall"] == ""  # nothing here shows it
        assert float(row["their share"]) == int(row["harmless flagged"]) / 16
    check_page(tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("labels", "DATA", "--head", "nothing"), "no head 'nothing'"),
        (("labels", "DATA", "--head", "clothing", "--by", "side"), "never inferred"),
        (("labels", "FACES", "--head", "clothing"), "no picture has a label"),
        (("safety", "FACES"), "classes are harmless"),
        (("faces", "NOWHERE"), "neither a folder nor a CSV"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    environment: dict[str, str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    few = some(labelled("clothing") / "val", {"hat": 3})
    data = write_csv(tmp_path / "set.csv", "path label", [(path, "hat") for path in few["hat"]])
    places = {"DATA": data, "FACES": labelled("faces"), "NOWHERE": tmp_path / "nowhere"}
    done = run(environment, *(places.get(word, word) for word in words), "--out", tmp_path / "out")
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
