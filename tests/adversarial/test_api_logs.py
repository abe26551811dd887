"""After a run that does everything, at the most talkative level, the logs hold no secret, URL, name, picture or
embedding."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from PIL import Image

from assent.keys.keystore import open_keystore
from assent.platforms.standard_webhooks import new_secret
from tests.authority import reseal
from tests.fixtures.figures import Figure
from tests.house import House, running
from tests.installed import package_file
from tests.waiting import until
from tests.web import Web, serving

# Each stands in a place of its own, so that a find says where it leaked.
MARKS = {
    "path": "private-path-7f3a",
    "query": "query-token-91bc",
    "user": "url-user-55de",
    "hook query": "hook-token-c1d2",
    "an author": "alice-the-author",
    "a subject": "bob-the-subject",
    "a connection": "carol-the-friend",
    "a caption": "our secret wedding",
    "picture id": "media-id-private",
    "a refused picture": "forbidden-picture-id",
    "a notice": "notice text of ours",
    "form field": "form-field-private",
    "a bad body": "rejected-body-text",
    "a bad key": "assent_default_0123456789ab_" + "k" * 43,
    "unknown path": "path-nobody-serves",
}
VECTOR = re.compile(r"(-?\d*\.\d{3,}(e-?\d+)?[\s,;\]]+){5}")


def do_everything(house: House, web: Web, database_url: str) -> None:
    place = f"{web.url}/{MARKS['path']}.jpg?token={MARKS['query']}"
    consent = {"subject": MARKS["a subject"], "purpose": "face-match", "notice": MARKS["a notice"]}
    consent |= {"notice_version": "1", "jurisdiction": "DE", "method": "test", "scope": "own", "age": "adult"}
    given = house_post(house, "/v1/consents", json=consent)
    assert given.status_code == 201
    photo = one_face()
    enrolled = house_post(house, f"/v1/subjects/{MARKS['a subject']}/templates", files={"photos": ("me.png", photo)})
    assert enrolled.status_code == 201, enrolled.text
    tagged = house_post(
        house,
        "/v1/images?wait=60",
        files={"image": ("me.png", photo)},
        data={"event": json.dumps({"id": MARKS["picture id"], "author": MARKS["a subject"]})},
    )
    assert tagged.json()["faces"][0]["match"]["subject"] == MARKS["a subject"]
    hostile = ["/gone.jpg?a=" + MARKS["query"], "/text.jpg?a=" + MARKS["query"]]
    urls = [place, *(web.url + path for path in hostile), f"http://{MARKS['user']}:pw@127.0.0.1:1/a"]
    urls.append(f"http://127.0.0.1:9/{MARKS['path']}")
    for n, url in enumerate(urls):
        media = {"id": f"{MARKS['picture id']}-{n}", "url": url, "alt": MARKS["a caption"]}
        body = {"type": "media.created", "media": [media], "author": MARKS["an author"]}
        assert house.post(f"msg_{n}", body | {"connections": [MARKS["a connection"]]}).status_code == 202
    until(lambda: len(web.received) >= len(urls), "the pictures are decided and delivered", 120)
    provoke(house, database_url)


def provoke(house: House, database_url: str) -> None:
    """Everything that goes wrong: what strangers send, what the database refuses, a worker that dies."""
    bad = MARKS["a bad body"].encode()
    for path in ("/v1/webhooks/platform", "/v1/images", "/v1/consents"):
        httpx2.post(house.url + path, content=bad, headers=house.headers)
        httpx2.post(house.url + path, content=bad, headers={"Authorization": f"Bearer {MARKS['a bad key']}"})
    httpx2.get(f"{house.url}/{MARKS['unknown path']}?{MARKS['query']}")
    house_post(house, "/v1/images", files={MARKS["form field"]: ("x", b"x")})
    with psycopg.connect(database_url) as conn:
        conn.execute("ALTER TABLE consent ADD CONSTRAINT no_more CHECK (jurisdiction <> 'FR')")
    refused = {
        "subject": MARKS["a subject"],
        "purpose": "face-match",
        "notice": "n",
        "notice_version": "1",
        "jurisdiction": "FR",
        "method": "t",
        "age": "adult",
    }
    assert house_post(house, "/v1/consents", json=refused).status_code == 500
    with psycopg.connect(database_url) as conn:
        conn.execute("ALTER TABLE decision ADD CONSTRAINT no_such CHECK (media_id <> 'forbidden-picture-id')")
    media = {"id": MARKS["a refused picture"], "url": "http://127.0.0.1:9/a"}
    assert house.post("msg_forbidden", {"type": "media.created", "media": [media]}).status_code == 202
    until(lambda: "CheckViolation" in house.log.read_text(), "the worker's failure is logged", 60)
    worker = house.worker()
    assert worker is not None
    worker.kill()
    until(lambda: house.worker() not in (None, worker), "another worker was started")


def house_post(house: House, path: str, **sent: Any) -> httpx2.Response:
    return httpx2.post(house.url + path, headers=house.headers, timeout=90, **sent)


def one_face() -> bytes:
    """scikit-image's astronaut: one face."""
    return package_file("skimage", "data/astronaut.png").read_bytes()


def forbidden(house: House, data: Path) -> dict[str, bytes]:
    """What no log may hold, by its name."""
    printed = house.printed
    found = {name: text.encode() for name, text in MARKS.items()}
    for name, text in (
        ("the API key", printed["api_key"].rsplit("_", 1)[1]),
        ("the source's secret", printed["source"]["secret"].removeprefix("whsec_")),
        ("the endpoint's secret", printed["endpoint"]["secret"].removeprefix("whsec_")),
        ("the root key", (data / "keys" / "root.key").read_text().strip()),
    ):
        assert len(text) > 20
        found[name] = text.encode()
    for name, picture in {"the photo": one_face(), "its pixels": pixels()}.items():
        for start in (0, len(picture) // 2):
            piece = picture[start : start + 24]
            found |= {f"{name}, raw, {start}": piece, f"{name}, hex, {start}": piece.hex().encode()}
            found[f"{name}, base64, {start}"] = base64.b64encode(piece)
            found[f"{name}, repr, {start}"] = repr(piece)[2:-1].encode()
    return found


def pixels() -> bytes:
    return Image.open(io.BytesIO(one_face())).tobytes()


@pytest.mark.timeout(300)
def test_the_logs_hold_nothing_private(open_folder: Path, database_url: str, figure: Figure) -> None:
    data = open_folder / "logs"
    with serving() as web:
        web.files[f"/{MARKS['path']}.jpg?token={MARKS['query']}"] = one_face()
        web.files["/text.jpg?a=" + MARKS["query"]] = b"this is no picture"
        with running(data, web, ASSENT_DATABASE_URL=database_url, ASSENT_LOG_LEVEL="debug") as house:
            with psycopg.connect(database_url) as conn:
                ((instance,),) = conn.execute("SELECT id FROM instance").fetchall()
                conn.execute("UPDATE endpoint SET url = url || '?token=' || %s", [MARKS["hook query"]])
                reseal(conn, open_keystore(data / "keys", instance).tenant("default"), "endpoint")
            house.wait_for_worker()
            do_everything(house, web, database_url)
        logs = [house.log, *open_folder.glob("server/**/pg.log*"), *data.glob("**/*.log")]
        text = b"".join(log.read_bytes() for log in set(logs))
    assert len(set(logs)) >= 2
    private = forbidden(house, data)
    assert [name for name, mark in private.items() if mark in text] == []
    assert [line for line in text.decode(errors="replace").splitlines() if VECTOR.search(line)] == []
    for said in (b"worker ready", b"picture failed", b"worker ended", b"CheckViolation 23514"):
        assert said in text
    lines = len(text.splitlines())
    figure(f"{len(set(logs))} logs, {lines} lines: {len(private)} private things looked for, 0 found")


def test_the_search_for_vectors_finds_them() -> None:
    assert VECTOR.search("[0.1234, -0.0567, 0.333, 1.2345e-05, .2345, 0.1]")
    assert not VECTOR.search('{"seconds": 0.12345, "score": 0.91}')
    assert new_secret() not in str(MARKS)
