"""Corrections leave as a labelled set; pictures only where that was asked for, with every face hidden."""

from __future__ import annotations

import csv
import stat
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from assent.core.errors import ExportRefused
from assent.learn.dataset import read_dataset
from assent.learn.feedback import Exported, export_corrections
from assent.learn.labelled import class_labels
from assent.subjects.matches import refuse
from tests.events import decision, everything, rows
from tests.integration.album import Album, embedding
from tests.integration.desk import waiting_case
from tests.photos import FACES


def exported(desk: Album, folder: Path, below: str | None = None, pictures: bool = False) -> Exported:
    tell: Callable[[int, int], None] = lambda _done, _all: None  # noqa: E731 - a callback that tells nobody
    return export_corrections(desk.bench.pool, desk.keys, folder, below, pictures, tell)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def judged(desk: Album, moderator: TestClient, media_id: str = "group", **said: list[str]) -> str:
    """Decides a new case with these corrections; the picture's sha256."""
    case = waiting_case(desk, moderator, media_id)
    assert moderator.post(f"/v1/reviews/{case}", json={"action": "allow", **said}).status_code == 200
    sha256: str = decision(desk.bench, desk.keys, media_id)["media"]["sha256"]
    return sha256


def test_corrections_and_counts_without_pictures(desk: Album, moderator: TestClient, tmp_path: Path) -> None:
    desk.opt_in("hidden-alice", "second")
    desk.post("seen", author="hidden-alice")
    (found,) = desk.seen("hidden-alice")
    refuse(desk.bench.pool, desk.keys, desk.pid("hidden-alice"), found.item, found.face)
    sha256 = judged(desk, moderator, add=["text.code"], remove=["nudity.partial.belly"])
    folder = tmp_path / "out"
    assert exported(desk, folder) == Exported(2, 1, 0)
    assert sorted(path.name for path in folder.iterdir()) == ["corrections.csv", "not-me.csv"]
    said = {(row["sha256"], row["label"], row["holds"]) for row in read(folder / "corrections.csv")}
    assert said == {(sha256, "text.code", "true"), (sha256, "nudity.partial.belly", "false")}
    assert read(folder / "not-me.csv") == [{"band": found.band, "times": "1"}]
    assert not any("alice" in path.read_text() for path in folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "alice" not in everything(desk.bench)
    assert desk.leaves("corrections.exported") == 1


def test_pictures_leave_with_every_face_hidden(desk: Album, moderator: TestClient, tmp_path: Path) -> None:
    desk.opt_in("alice", "second")
    desk.post(author="alice")  # named, and still hidden here
    (case,) = moderator.get("/v1/reviews").json()["reviews"]
    moderator.post(f"/v1/reviews/{case['id']}", json={"action": "allow", "add": ["text.code"]})
    done = exported(desk, tmp_path / "out", pictures=True)
    assert done == Exported(1, 1, 1)
    (row,) = read(tmp_path / "out/labels.csv")
    assert row["label"] == "text.code"
    after = np.asarray(Image.open(tmp_path / "out" / row["path"]).convert("RGB"))
    before = np.asarray(Image.open(_file(desk, tmp_path)).convert("RGB"))
    threshold = desk.bench.gallery.models.calibration.threshold(1)
    for box in FACES.values():
        assert embedding(desk, before, box) @ embedding(desk, after, box) < threshold


def _file(desk: Album, folder: Path) -> Path:
    path = folder / "before.jpg"
    path.write_bytes(desk.photo)
    return path


def test_only_a_group_and_denied_ones_are_none(desk: Album, moderator: TestClient, tmp_path: Path) -> None:
    judged(desk, moderator, add=["text.code"], remove=["nudity.partial.belly", "nudity.partial.feet"])
    exported(desk, tmp_path / "out", below="nudity.partial", pictures=True)
    assert [row["label"] for row in read(tmp_path / "out/labels.csv")] == ["none"]
    assert len(read(tmp_path / "out/corrections.csv")) == 2


def test_the_trainer_reads_it(desk: Album, moderator: TestClient, tmp_path: Path) -> None:
    label = "product.clothing.hat"
    for n in range(4):
        desk.post(f"photo-{n}", brighter(desk.photo, n))
    for n, case in enumerate(moderator.get("/v1/reviews").json()["reviews"]):
        said = {"add" if n < 2 else "remove": [label]}
        assert moderator.post(f"/v1/reviews/{case['id']}", json={"action": "allow", **said}).status_code == 200
    assert exported(desk, tmp_path / "out", below="product.clothing", pictures=True) == Exported(4, 4, 4)
    dataset = read_dataset(tmp_path / "out/labels.csv")
    assert dataset.skipped == ()
    assert sorted(example.label for example in dataset.examples) == ["none", "none", label, label]
    assert class_labels(dataset.classes, "product") == {"none": "none", label: label}


def brighter(photo: bytes, by: int) -> bytes:
    """Another file of the same six people."""
    out = BytesIO()
    Image.open(BytesIO(photo)).convert("RGB").point(lambda value: min(255, value + by)).save(out, "PNG")
    return out.getvalue()


def test_what_is_kept_no_more_is_not_exported(desk: Album, moderator: TestClient, tmp_path: Path) -> None:
    judged(desk, moderator, add=["text.code"])
    rows(desk.bench, "UPDATE kept_picture SET kept_until = now() RETURNING 1")
    assert exported(desk, tmp_path / "out", pictures=True) == Exported(1, 1, 0)
    assert read(tmp_path / "out/labels.csv") == []


def test_the_newest_word_on_a_file_counts(desk: Album, moderator: TestClient, tmp_path: Path) -> None:
    judged(desk, moderator, "one", add=["text.code"])
    desk.post("two")  # no case: what was said of the file is heard again
    assert moderator.post("/v1/media/two/corrections", json={"remove": ["text.code"]}).status_code == 200
    assert exported(desk, tmp_path / "out") == Exported(1, 1, 0)
    assert [row["holds"] for row in read(tmp_path / "out/corrections.csv")] == ["false"]


def test_a_folder_that_holds_something_is_refused(desk: Album, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportRefused, match="not empty"):
        exported(desk, tmp_path)
    with pytest.raises(ExportRefused, match="cannot be written"):
        exported(replace(desk), tmp_path / "file")
