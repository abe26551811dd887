"""`assent learn` beside a running server: a head is tried, compared, promoted and rolled back without a restart."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import assent
from tests.house import House, running
from tests.installed import package_file
from tests.integration.head_files import write_head
from tests.waiting import until
from tests.web import Web

HAT = "product.clothing.hat"
POLICY = f"""
schema: assent.policy/1
name: hats
version: "1"
labels: {{{HAT}: {{threshold: 0.5}}}}
rules:
  - {{id: hat, when: 'score["{HAT}"] > 0.0', then: {{action: label}}}}
cases:
  - {{name: nothing, given: {{}}, expect: {{action: allow, tags: []}}}}
"""
CAT = package_file("skimage", "data/chelsea.png")


@pytest.fixture
def house(open_folder: Path, web: Web, tmp_path: Path) -> Iterator[House]:
    policy = tmp_path / "hats.yaml"
    policy.write_text(POLICY)
    with running(open_folder / "learning", web, ASSENT_POLICY=str(policy)) as house:
        yield house


class Posts:
    """Photos of the cat, one after the other, and what is decided of them."""

    def __init__(self, house: House, web: Web) -> None:
        self.house, self.web, self.n = house, web, 0
        web.files["/cat.png"] = CAT.read_bytes()

    def action(self) -> str:
        self.n += 1
        media = {"id": f"cat-{self.n}", "url": f"{self.web.url}/cat.png"}
        body = {"schema": "assent.event/1", "type": "media.created", "media": [media]}
        assert self.house.post(f"msg-{self.n}", body).status_code == 202
        until(lambda: self.house.get(f"/v1/media/cat-{self.n}").status_code == 200, "the picture is decided", 60, 0.1)
        action: str = self.house.get(f"/v1/media/cat-{self.n}").json()["action"]
        return action


@pytest.mark.timeout(180)
def test_a_running_worker_takes_up_and_drops_a_head(house: House, web: Web, tmp_path: Path) -> None:
    posts = Posts(house, web)
    assert posts.action() == "allow"
    worker = house.worker()
    assent(house.environment, "learn", "shadow", "start", write_head(tmp_path, "hats", {HAT: 0.9}))

    def compared() -> dict[str, object]:
        found: dict[str, object] = json.loads(assent(house.environment, "learn", "shadow", "compare", "hats"))
        return found

    def seen() -> bool:
        assert posts.action() == "allow"
        return compared()["pictures"] != 0

    until(seen, "the worker runs the head in shadow", every=0.5)
    files = tmp_path / "table.csv", tmp_path / "plot.svg"
    assent(house.environment, "learn", "shadow", "compare", "hats", "--csv", files[0], "--svg", files[1])
    (row,) = csv.DictReader(files[0].read_text().splitlines())
    assert (row["label"], row["both"], int(row["only_candidate"]) >= 1) == (HAT, "0", True)
    assert HAT in files[1].read_text()
    assent(house.environment, "learn", "promote", "hats", "--anyway", "a test")
    until(lambda: posts.action() == "label", "the worker takes up the promoted head", every=0.5)
    assert "live" in assent(house.environment, "learn", "list")
    assent(house.environment, "learn", "rollback", "hats")
    until(lambda: posts.action() == "allow", "the worker drops it", every=0.5)
    assert worker == house.worker()
    assert "ok:" in assent(house.environment, "audit", "verify")
