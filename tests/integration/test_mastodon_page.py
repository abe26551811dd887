"""The lines with which `docs/platforms/mastodon.md` lets its reader try it on one machine work."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from examples.server import free_listener
from tests.shell import typed

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/platforms/mastodon.md").read_text()
(LINES,) = re.findall(
    r"<!-- tests/integration/test_mastodon_page.py runs these lines -->\n```sh\n(.*?)```", PAGE, re.DOTALL
)


def free_port() -> str:
    with free_listener() as listener:
        return str(listener.getsockname()[1])


@pytest.mark.timeout(240)
def test_a_post_at_the_example_is_reported_there(open_folder: Path) -> None:
    place = open_folder / "mastodon-page"
    place.mkdir()
    for name, target in (("examples", ROOT / "examples"), (".venv", Path(sys.prefix))):
        (place / name).symlink_to(target)
    ours, theirs = free_port(), free_port()
    lines = LINES.replace("/tmp/assent-mastodon", str(open_folder / "tried"))  # noqa: S108 - what the reader is told
    lines = lines.replace(":8400", f":{ours}").replace(":8500", f":{theirs}")
    lines = lines.replace("out/mastodon &", f"out/mastodon --port {theirs} --url http://127.0.0.1:{ours} &")
    shown = f"curl -sf http://127.0.0.1:{theirs}/ > out/feed.html"
    said = typed(f"export ASSENT_PORT={ours}\n{lines}\n{shown}\nkill %1 %2; wait %1 %2 || true\n", place)
    decided, done = (json.loads(line) for line in said.splitlines() if line.startswith(('{"media"', '{"id"')))
    assert (decided["source"], decided["action"]) == ("mastodon", "label")
    status = json.loads((place / "out/status.json").read_text())
    (attachment,) = status["media_attachments"]
    assert decided["media"] == f"status/{status['id']}/{attachment['id']}"
    assert (done["act"], done["state"], done["media"]) == ("report", "done", [decided["media"]])
    assert done["last_answer"].endswith(f"opened on post {status['id']}")
    feed = (place / "out/feed.html").read_text()
    assert "Report by @assent, open" in feed
    assert "Many people are in it." in feed
