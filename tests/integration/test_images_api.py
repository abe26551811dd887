"""A person's way through the HTTP API of a running installation, from consent to withdrawal."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.command import assent
from tests.house import House, free_port, is_ready, running
from tests.photos import FACES, altered
from tests.waiting import until
from tests.web import Web

CONSENT = {
    "subject": "alice",
    "purpose": "face-match",
    "scope": "own",
    "notice": "You will be named in your own posts.",
    "notice_version": "1",
    "jurisdiction": "DE",
    "method": "settings page",
    "age": "adult",
}
LEAF = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")  # a line of an export


@pytest.fixture(scope="module")
def house(open_folder: Path, platform: Web) -> Iterator[House]:
    ports = {name: str(free_port()) for name in ("ASSENT_METRICS_PORT", "ASSENT_API_METRICS_PORT")}
    with running(open_folder / "images", platform, **ports) as house:
        house.wait_for_worker()
        yield house


def send(house: House, photo: bytes, event: str = "{}", wait: float = 30) -> httpx2.Response:
    return httpx2.post(
        f"{house.url}/v1/images?wait={wait}",
        headers=house.headers,
        files={"image": ("photo.jpg", photo)},
        data={"event": event},
        timeout=60,
    )


def consent(house: House, **changes: Any) -> httpx2.Response:
    return httpx2.post(f"{house.url}/v1/consents", headers=house.headers, json={**CONSENT, **changes}, timeout=30)


def enrol(house: House, subject: str, *photos: bytes) -> httpx2.Response:
    files = [("photos", (f"{n}.jpg", photo)) for n, photo in enumerate(photos)]
    return httpx2.post(f"{house.url}/v1/subjects/{subject}/templates", headers=house.headers, files=files, timeout=60)


def test_a_picture_sent_as_bytes_is_decided_at_once(house: House, six_people: bytes) -> None:
    answer = send(house, six_people, '{"id": "group"}')
    assert answer.status_code == 200
    document = answer.json()
    assert (document["source"], document["media"]["id"]) == ("api", "group")
    assert (len(document["faces"]), document["action"]) == (6, "allow")
    assert house.get("/v1/media/group").json()["audit"]["leaf"] == document["audit"]["leaf"]


def test_a_picture_behind_a_url_is_decided_at_once(house: House, platform: Web, cat: bytes) -> None:
    platform.files["/cat.png"] = cat
    said = {"id": "cat", "url": f"{platform.url}/cat.png"}
    answer = httpx2.post(f"{house.url}/v1/images", headers=house.headers, json=said, timeout=60)
    assert answer.status_code == 200
    assert answer.json()["faces"] == []


def test_who_does_not_wait_is_told_where_to_ask(house: House, cat: bytes) -> None:
    answer = send(house, cat, '{"id": "later"}', wait=0)
    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["media"] == "/v1/media/later?source=api"
    until(lambda: house.get(answer.headers["location"]).status_code == 200, "the picture is decided")


def test_from_consent_to_withdrawal(house: House, six_people: bytes) -> None:
    photo = altered(six_people, FACES["second"])
    assert enrol(house, "alice", photo).json()["code"] == "consent_missing"
    given = consent(house)
    assert given.status_code == 201
    enrolled = enrol(house, "alice", photo, altered(six_people, FACES["second"], brightness=0.8))
    assert enrolled.status_code == 201
    assert [set(template) for template in enrolled.json()["templates"]] == [{"id", "quality"}] * 2
    document = send(house, six_people, '{"id": "hers", "author": "alice"}').json()
    named = [face["match"] for face in document["faces"] if face["match"]]
    assert [match["subject"] for match in named] == ["alice"]
    withdrawn = httpx2.post(f"{house.url}/v1/consents/{given.json()['id']}/withdraw", headers=house.headers, timeout=30)
    assert withdrawn.status_code == 204
    assert [face["match"] for face in house.get("/v1/media/hers").json()["faces"]] == [None] * 6
    again = send(house, six_people, '{"id": "hers-again", "author": "alice"}').json()
    assert [face["match"] for face in again["faces"]] == [None] * 6


def test_a_photo_of_six_enrols_nobody_and_says_why(house: House, six_people: bytes) -> None:
    consent(house, subject="zoe")
    refused = enrol(house, "zoe", six_people)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "multiple_faces"
    assert "6 faces" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("event", "code"),
    [('{"url": "https://a.example/1.jpg"}', "bad_request"), ("{", "bad_request"), ('{"color": 1}', "bad_request")],
)
def test_a_wrong_form_is_refused(house: House, cat: bytes, event: str, code: str) -> None:
    answer = send(house, cat, event)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_what_is_no_picture_is_decided_as_a_matter_for_review(house: House) -> None:
    document = send(house, b"this is no picture", '{"id": "text"}').json()
    assert (document["action"], document["error"]["code"]) == ("review", "media_unsupported")


def test_without_a_key_nothing_is_done(house: House, cat: bytes) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": f"{house.headers['Authorization']}x"}):
        answer = httpx2.post(f"{house.url}/v1/images", headers=headers, files={"image": ("c.png", cat)}, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_the_log_can_be_checked_by_whoever_keeps_checkpoints(house: House, tmp_path: Path) -> None:
    note = house.get("/v1/audit/checkpoint").text
    kept = tmp_path / "checkpoint"
    kept.write_text(note)
    said = assent(house.environment, "audit", "verify", "--checkpoint", kept)
    assert "are those of the checkpoint that you kept" in said
    size = int(note.splitlines()[1])
    proof = house.get(f"/v1/audit/proof/0?size={size}").json()
    assert (proof["index"], proof["size"]) == (0, size)
    assert house.get(f"/v1/audit/proof/{size}?size={size}").status_code == 404


def test_the_worker_said_what_it_looks_with_when_it_began(house: House, tmp_path: Path) -> None:
    assent(house.environment, "audit", "export", tmp_path / "log")
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if LEAF.fullmatch(line)]
    assert sum(b'"action":"models.used"' in base64.b64decode(line) for line in lines) == 1


def test_operation(house: House) -> None:
    assert house.get("/healthz").json() == {"status": "ok"}
    assert house.get("/readyz").json()["status"] == "ready"
    assert house.get("/metrics").status_code == 404
    for setting in ("ASSENT_METRICS_PORT", "ASSENT_API_METRICS_PORT"):
        shown = house.client.get(f"http://127.0.0.1:{house.environment[setting]}/metrics")
        assert "assent_events_accepted_total" in shown.text
    assert house.get("/openapi.json").json()["info"]["title"] == "Assent"


def test_while_its_worker_is_stopped_the_process_is_not_ready(house: House) -> None:
    worker = house.worker()
    assert worker is not None
    worker.suspend()
    try:
        until(lambda: house.get("/readyz").json().get("code") == "worker_not_running", "it says so")
    finally:
        worker.resume()
    until(lambda: is_ready(house), "it runs again")


def test_without_its_worker_the_process_is_not_ready(house: House) -> None:
    until(lambda: not_ready_once_killed(house), "it says so")
    until(lambda: is_ready(house), "another worker was started")


def not_ready_once_killed(house: House) -> bool:
    # Whichever worker there is: after its first death another follows at once, and a second later after the next.
    if (worker := house.worker()) is not None:
        worker.kill()
        worker.wait(10)  # its end is known now, and the next one not yet there
    answer = house.get("/readyz")
    return answer.status_code == 503 and answer.json()["code"] == "worker_not_running"
