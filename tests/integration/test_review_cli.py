"""`assent review`: the same from the command line, a table on a terminal and JSON when piped."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

from assent.core.values import MediaRef
from assent.worker.jobs import decide_event
from tests.command import assent, failing
from tests.events import decision, store
from tests.integration.album import Album
from tests.integration.desk import corrections


def test_list_show_decide_correct(desk: Album, environment: dict[str, str], tmp_path: Path) -> None:
    desk.post()
    decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef("bad", None), b"no picture"))
    cases = [json.loads(line) for line in assent(environment, "review", "list").splitlines()]
    assert [(case["media"], case["reason"]) for case in cases] == [("group", "crowd"), ("bad", "media_unsupported")]
    picture = tmp_path / "group.jpg"
    shown = json.loads(assent(environment, "review", "show", cases[0]["id"], "--picture", str(picture)))
    assert shown["decision"]["action"] == "review"
    assert Image.open(BytesIO(picture.read_bytes())).size == (1280, 886)
    decided = ["review", "decide", cases[0]["id"], "--action", "label", "--add", "text.code", "--note", "n"]
    assert json.loads(assent(environment, *decided))["revision"] == 2
    corrected = json.loads(assent(environment, "review", "correct", "group", "--remove", "text.code"))
    assert (corrected["revision"], corrected["action"]) == (3, "label")
    assert decision(desk.bench, desk.keys, "group")["reviewed"]["removed"] == ["text.code"]
    assert corrections(desk) == [("group", "text.code", False, "cli")]
    assert [json.loads(line)["media"] for line in assent(environment, "review", "list").splitlines()] == ["bad"]
    desk.post("again")
    explained = " ".join(assent(environment, "decision", "explain", "again").split())
    said = r"moderators, of the same file: label of \d{4}-\d\d-\d\d holds \(without them: review\)"
    assert re.search(said, explained), explained
    assert "rule moderator: a moderator decided it of the same file on" in explained


def test_a_terminal_gets_a_table(desk: Album, environment: dict[str, str]) -> None:
    desk.post("[/bold]\u202e\x9b31m")  # a platform's id: no markup, and nothing that acts on the terminal
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "assent", "review", "list"]
    with subprocess.Popen(command, env={**environment, "COLUMNS": "140"}, stdout=terminal) as done:
        os.close(terminal)
        said = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # the terminal's other end is closed
                break
            said += part
    os.close(master)
    assert done.returncode == 0
    assert "[/bold]{U+202E}{U+009B}31m" in said.decode()
    assert not {"\u202e", "\x9b"} & {*said.decode()}
    assert "crowd" in said.decode()


def test_what_is_refused_ends_with_status_1_and_what_to_do(desk: Album, environment: dict[str, str]) -> None:
    desk.post()
    (case,) = [json.loads(line) for line in assent(environment, "review", "list").splitlines()]
    decided = ["decide", case["id"], "--action", "allow", "--add", "text.codes"]
    for words, said in (
        (decided, "did you mean text.code?"),
        (["correct", "group", "--add", "text.code"], "case_open"),
    ):
        assert said in failing(environment, "review", *words)
