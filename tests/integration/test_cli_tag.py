"""`assent tag`: pictures looked at here and now."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from tests.command import assent, failing, invoke
from tests.installed import package_file
from tests.photos import FACES
from tests.web import serving

GROUP = package_file("insightface", "data/images/t1.jpg")
CAT = package_file("skimage", "data/chelsea.png")


def documents(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def test_six_faces_and_a_cat(environment_with_models: dict[str, str]) -> None:
    group, cat = documents(assent(environment_with_models, "tag", "--json", str(GROUP), str(CAT)))
    assert {tuple(face["box"]) for face in group["faces"]} == set(FACES.values())
    assert cat["faces"] == []
    assert all(face["match"] is None for face in group["faces"])
    assert (group["schema"], group["media"]["id"], group["action"]) == ("assent.decision/1", str(GROUP), "allow")


def test_neither_database_nor_keys_are_made(tmp_path: Path) -> None:
    """In a folder in which nothing is yet."""
    assent({"ASSENT_DATA_DIR": str(tmp_path / "data")}, "tag", "--json", str(CAT))
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"models"}


def test_a_folder_is_searched_and_the_order_kept(environment_with_models: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "below"
    folder.mkdir(parents=True)
    for n in range(9):
        Image.new("RGB", (80, 60), (20 * n, 0, 0)).save(folder / f"{n}.png")
    (folder / "notes.txt").write_text("no picture")
    found = documents(assent(environment_with_models, "tag", str(tmp_path / "photos")))
    assert [Path(document["media"]["id"]).name for document in found] == [f"{n}.png" for n in range(9)]


def test_a_url_is_fetched_only_where_it_may_be(environment_with_models: dict[str, str]) -> None:
    with serving() as web:
        web.files["/cat.png"] = CAT.read_bytes()
        url = f"{web.url}/cat.png"
        allowed = {**environment_with_models, "ASSENT_ALLOW_PRIVATE": f"127.0.0.1:{web.port}@127.0.0.0/8"}
        (document,) = documents(assent(allowed, "tag", url))
        assert document["media"]["format"] == "png"
        refused = invoke(environment_with_models, "tag", url)
        assert refused.status == 1
        assert documents(refused.stdout)[0]["error"]["code"] == "fetch_refused"
    assert web.asked == ["/cat.png"]


def test_what_is_no_picture_ends_with_status_1_and_review(
    environment_with_models: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("this is no picture")
    done = invoke(environment_with_models, "tag", str(tmp_path / "text.jpg"), str(CAT))
    assert done.status == 1
    assert [document["action"] for document in documents(done.stdout)] == ["review", "allow"]


def test_a_name_that_is_nothing_says_so(environment_with_models: dict[str, str]) -> None:
    said = failing(environment_with_models, "tag", "no-such-file.jpg")
    assert "no-such-file.jpg" in said
    assert "Traceback" not in said


def test_annotated_copies_hide_whoever_is_not_matched(environment_with_models: dict[str, str], tmp_path: Path) -> None:
    assent(environment_with_models, "tag", "--json", "--annotate", str(tmp_path / "out"), str(GROUP))
    (copy,) = (tmp_path / "out").iterdir()
    with Image.open(GROUP) as before, Image.open(copy) as after:
        assert after.size == before.size
        for box in FACES.values():
            # What is left of a face are five blocks a side, blurred: hardly any detail.
            assert detail(after, box) < detail(before, box) / 3


def detail(image: Image.Image, box: tuple[int, int, int, int]) -> float:
    """The mean difference between neighbouring pixels of the box's middle, 0 to 255."""
    x, y, width, height = box
    middle = image.convert("L").crop((x + width // 5, y + height // 5, x + width * 4 // 5, y + height * 4 // 5))
    values = list(middle.tobytes())
    return sum(abs(left - right) for left, right in pairwise(values)) / len(values)


def test_on_a_terminal_it_is_for_people(environment_with_models: dict[str, str]) -> None:
    theirs, ours = pty.openpty()
    command = [sys.executable, "-m", "assent", "tag", str(GROUP)]
    process = subprocess.Popen(
        command, env={**os.environ, **environment_with_models, "TERM": "xterm", "COLUMNS": "100"}, stdout=ours
    )
    os.close(ours)
    printed = b""
    while chunk := read(theirs):
        printed += chunk
    os.close(theirs)
    assert process.wait() == 0
    assert printed.count(b"nobody known here") == 6
    assert b"allow" in printed
    assert b"{" not in printed


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that the other side of a terminal was closed
        return b""


def test_names_that_are_no_utf8_are_spelled_and_end_nothing(
    environment_with_models: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "album").mkdir()
    for name in (b"caf\xe9.png", b"plain.png"):
        (tmp_path / "album" / os.fsdecode(name)).symlink_to(CAT)
    written = tmp_path / "annotated"
    words = ("tag", "--json", "--annotate", str(written), str(tmp_path / "album"))
    strange, plain = documents(assent(environment_with_models, *words))
    assert [Path(one["media"]["id"]).name for one in (strange, plain)] == ["caf\\xe9.png", "plain.png"]
    assert strange["tags"] == plain["tags"] != []
    assert len(list(written.iterdir())) == 2
