"""The whole way to a report and back, through `assent serve` as an operator sets it up."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2

from assent.platforms.registry import ADAPTERS
from tests.house import House, free_port, running
from tests.platform_api import TOKEN, Api
from tests.unit.policy_files import rule, write
from tests.waiting import until
from tests.web import serving

SECRET = "made-by-the-platform"


def send(house: House, change: str, *images: str, at: str = "03:04:05") -> None:
    media = [{"id": str(n), "type": "image", "url": url} for n, url in enumerate(images)]
    edited = f"2026-01-02T{at}Z" if change == "updated" else None
    post = {"id": "9001", "visibility": "public", "account": {"id": "7"}, "edited_at": edited}
    raw = json.dumps(
        {"event": f"status.{change}", "created_at": f"2026-01-02T{at}Z", "object": {**post, "media_attachments": media}}
    ).encode()
    headers = ADAPTERS["mastodon"].sign(raw, SECRET, "")
    answer = house.client.post(f"{house.url}/v1/webhooks/social", content=raw, headers=headers)
    assert (answer.status_code, "event" in answer.json()) == (202, True)


def test_a_post_is_reported_and_the_report_is_resolved_when_the_picture_goes(
    open_folder: Path, tmp_path: Path, api: Api, six_people: bytes
) -> None:
    policy = write(tmp_path / "acts.yaml", rules=[rule("faces", "faces.count > 0", action="limit", act=["report"])])
    for name, text in (("secret", SECRET), ("token", TOKEN)):
        (tmp_path / name).write_text(text)
    metrics = free_port()
    with serving() as web:
        web.files["/group.jpg"] = six_people
        settings = {
            "ASSENT_POLICY": str(policy),
            "ASSENT_METRICS_PORT": str(metrics),
            "ASSENT_ALLOW_PRIVATE": ",".join(f"127.0.0.1:{port}@127.0.0.0/8" for port in (web.port, api.port)),
        }
        with running(open_folder / "acts", web, **settings) as house:
            add = ("platform", "add", "social", "--platform", "mastodon", "--url", api.url)
            house.run(*add, "--secret-file", str(tmp_path / "secret"))
            house.run("platform", "connect", "social", "--url", api.url, "--token-file", str(tmp_path / "token"))
            house.run("actions", "on", "social")
            house.wait_for_worker()
            send(house, "created", f"{web.url}/group.jpg")
            until(lambda: len(api.reports) == 1, "the report", 60)
            assert (api.reports[0]["status_ids"], api.reports[0]["action_taken"]) == (["9001"], False)
            until(lambda: "done" in house.run("actions", "list"), "the outcome", 30)
            counted = httpx2.get(f"http://127.0.0.1:{metrics}/metrics").text
            assert 'assent_platform_acts_total{act="report",platform="mastodon",state="done"} 1.0' in counted
            send(house, "updated", at="04:00:00")
            until(lambda: bool(api.reports[0]["action_taken"]), "the report to be resolved", 60)
    assert api.changed() == ["POST /api/v1/reports", "POST /api/v1/admin/reports/1/resolve"]
