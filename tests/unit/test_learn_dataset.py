"""Labelled pictures from folders and CSV files: what cannot be used is listed and costs nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from assent.core.errors import DatasetUnusable
from assent.learn.dataset import label_word, read_dataset


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_is_a_class_and_what_is_no_picture_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "apple/a.jpg", "apple/more/b.PNG", "pear/c.webp", "pear/notes.txt", "loose.jpg", "pear/.hidden.jpg")
    found = read_dataset(tmp_path)
    assert [(one.path.name, one.label) for one in found.examples] == [
        ("a.jpg", "apple"),
        ("b.PNG", "apple"),
        ("c.webp", "pear"),
    ]
    assert found.classes == ("apple", "pear")
    assert {(Path(one.item).name, one.reason) for one in found.skipped} == {
        ("notes.txt", "no picture, by its name"),
        ("loose.jpg", "in no class folder"),
    }


def test_a_csv_names_pictures_beside_it_and_keeps_its_other_columns(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "set.csv").write_text("\ufeffpath,label,group\na.jpg,apple,north\nb.jpg,pear,\n", "utf-8")
    one, other = read_dataset(tmp_path / "set.csv").examples
    assert (one.path, one.label, dict(one.columns)) == (tmp_path / "a.jpg", "apple", {"group": "north"})
    assert dict(other.columns) == {"group": ""}


def test_broken_rows_are_listed_by_line(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "set.csv").write_text("path,label\na.jpg,apple\n,pear\nb.jpg,\ngone.jpg,pear\nb.jpg,pear,more\n")
    found = read_dataset(tmp_path / "set.csv")
    assert len(found.examples) == 1
    assert [one.item for one in found.skipped] == ["set.csv:3", "set.csv:4", "set.csv:5", "set.csv:6"]
    assert found.skipped[2].reason == "gone.jpg is no file"


def test_a_picture_under_two_classes_is_left_out_under_both(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "set.csv").write_text("path,label\na.jpg,apple\na.jpg,pear\nb.jpg,pear\nb.jpg,pear\n")
    found = read_dataset(tmp_path / "set.csv")
    assert [one.path.name for one in found.examples] == ["b.jpg"]
    assert [one.reason for one in found.skipped] == ["two classes: apple, pear"]


@pytest.mark.parametrize("content", ["", "file,class\na.jpg,apple\n", "path,label\n", "path,label\ngone.jpg,apple\n"])
def test_a_csv_without_anything_usable_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "set.csv").write_text(content)
    with pytest.raises(DatasetUnusable):
        read_dataset(tmp_path / "set.csv")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_bytes(b"path,label\n\xff\xfe\x00,apple\n")
    with pytest.raises(DatasetUnusable):
        read_dataset(tmp_path / "set.csv")


def test_nothing_and_nowhere_are_refused(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "gone"):
        with pytest.raises(DatasetUnusable):
            read_dataset(source)


def test_the_last_word_of_a_label_is_letters_and_digits() -> None:
    assert [label_word(name) for name in ("T-shirt", "oat milk", "iPhone 15")] == ["tshirt", "oatmilk", "iphone15"]
