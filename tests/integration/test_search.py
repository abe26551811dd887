"""Media items are found by what the platform reads in their newest decisions: by label, action, time and likeness."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from assent.core.values import MediaRef
from assent.db.pool import transaction
from assent.decisions import search
from assent.decisions.search_index import add_backlog, near_parts, pdq_bits
from assent.worker.jobs import decide_event
from assent.worker.maintenance import purge_expired
from tests.bench import searching
from tests.command import assent, invoke
from tests.events import SOURCE, decision, rows, store
from tests.integration.album import Album
from tests.integration.desk import waiting_case


def found(client: TestClient, **query: Any) -> list[str]:
    return [media["media"] for media in page(client, **query)["media"]]


def page(client: TestClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/v1/media", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(client: TestClient, **query: Any) -> tuple[int, str]:
    answer = client.get("/v1/media", params=query)
    return answer.status_code, answer.json()["code"]


def test_found_as_it_is_read(
    desk: Album, moderator: TestClient, tagger: TestClient, environment: dict[str, str]
) -> None:
    case = waiting_case(desk, moderator)
    assert found(tagger, action="review") == ["group"]
    moderator.post(f"/v1/reviews/{case}", json={"action": "limit", "add": ["nudity.partial.belly"]})
    read = decision(desk.bench, desk.keys, "group")
    (media,) = page(tagger, label="nudity.partial")["media"]
    assert media == {
        "media": "group",
        "source": SOURCE,
        "revision": 2,
        "action": "limit",
        "tags": sorted({tag["name"] for tag in read["tags"]}),
        "decided_at": read["decided_at"],
    }
    assert found(tagger, label=["nudity", "nudity.partial.belly"], action="limit") == ["group"]
    assert found(tagger, action="review") == []
    assert found(tagger, label=["nudity", "text.code"]) == []
    now = datetime.now(UTC)
    assert found(tagger, since=(now - timedelta(hours=1)).isoformat(), until=now.isoformat()) == ["group"]
    assert found(tagger, since=now.isoformat()) == []
    pdq = read["media"]["pdq"]
    near, far = f"{int(pdq, 16) ^ (2**31 - 1):064x}", f"{int(pdq, 16) ^ (2**32 - 1):064x}"
    assert [one["distance"] for one in page(tagger, pdq=near, label="nudity")["media"]] == [31]
    assert found(tagger, pdq=far) == []
    lines = assent(environment, "search", "--label", "nudity", "--action", "limit", "--since", "7d", "--pdq", pdq)
    assert json.loads(lines) == {**media, "distance": 0}

    moderator.post("/v1/media/group/corrections", json={"remove": ["nudity.partial.belly"]})
    assert found(tagger, label="nudity.partial.belly") == []
    assert found(tagger, pdq=pdq) == ["group"]
    delete(desk, "group")
    for query in ({}, {"label": "nudity"}, {"action": "limit"}, {"pdq": pdq}):
        assert found(tagger, **query) == [], query
    assert rows(desk.bench, "SELECT (SELECT count(*) FROM media_search), count(*) FROM media_label") == [(0, 0)]
    nothing = invoke(environment, "search", "--pdq", pdq)
    assert (nothing.status, nothing.stdout, nothing.stderr) == (0, "", "")


def test_nobody_is_found_by_a_person(desk: Album, tagger: TestClient) -> None:
    desk.post()
    for name in ("person", "subject", "author", "face", "match"):
        assert refused(tagger, **{name: "anna"}) == (400, "bad_request")
    for label in ("face", "anna", "person.anna"):
        assert refused(tagger, label=label) == (422, "label_unknown")
    columns = rows(desk.bench, "SELECT label FROM media_label WHERE label LIKE 'face%'")
    assert columns == []


def test_who_is_named_in_a_match_is_found_by_nothing(desk: Album, tagger: TestClient) -> None:
    desk.opt_in("anna", "second")
    assert "anna" in desk.post(author="anna")
    before = page(tagger)
    pseudonym = desk.pid("anna")
    for value in ("anna", "Anna", "person.anna", pseudonym.hex(), b64encode(pseudonym).decode()):
        assert refused(tagger, label=value) == (422, "label_unknown")
        for name in ("action", "since", "until", "cursor", "limit"):
            assert refused(tagger, **{name: value}) == (400, "bad_request")
    assert refused(tagger, pdq="anna") == (400, "bad_request")
    assert found(tagger, pdq=pseudonym.hex()) == []
    assert "anna" not in json.dumps(before)
    assert pseudonym.hex() not in json.dumps(before)
    index = str(rows(desk.bench, "SELECT s, l FROM media_search s JOIN media_label l USING (tenant, id)"))
    assert "anna" not in index
    assert pseudonym.hex() not in index


def test_found_by_the_newest_labels_alone(desk: Album, tagger: TestClient) -> None:
    desk.post()
    old = set(page(tagger)["media"][0]["tags"])
    pdq = decision(desk.bench, desk.keys, "group")["media"]["pdq"]
    desk.post(photo=plain())
    new = set(page(tagger)["media"][0]["tags"])
    assert old - new
    for label in old | new:
        assert found(tagger, label=label) == (["group"] if label in new else []), label
    assert found(tagger, pdq=pdq) == []
    assert rows(desk.bench, "SELECT count(*) FROM media_search") == [(1,)]

    with transaction(desk.bench.pool) as conn:
        conn.execute("UPDATE decision SET replaced_at = replaced_at - interval '91 days'")
    purge_expired(desk.bench.settings, desk.bench.pool, desk.bench.keystore)
    assert rows(desk.bench, "SELECT revision FROM decision") == [(2,)]
    assert found(tagger) == ["group"]
    assert [found(tagger, label=label) for label in old - new] == [[]] * len(old - new)
    assert rows(desk.bench, "SELECT count(DISTINCT id) FROM media_label") == [(1,)]


def test_a_filled_index_is_searched_by_index(desk: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = desk.bench.pool
    searching.fill(pool, 5000)
    with transaction(pool) as conn:
        for name, plan in searching.plans(conn).items():
            assert "Seq Scan" not in plan, plan
            if name != "list_near":
                assert "Sort" not in plan, plan
            assert ("media_search_bands" if name == "list_near" else "media_label") in plan
    monkeypatch.setattr(search, "WALKED", 700)
    for labels in (("animal", "vehicle"), ("animal", "food"), ("animal.cat", "scene"), ("animal", "animal")):
        assert walked(desk, labels) == rows(
            pool,
            "SELECT id FROM media_label WHERE label = ANY(%s) GROUP BY id, decided_at HAVING count(*) = %s"
            " ORDER BY decided_at DESC",
            list(labels),
            len(set(labels)),
        ), labels


def test_a_short_page_goes_on(
    desk: Album, tagger: TestClient, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for media_id in ("older", "newer"):
        desk.post(media_id)
    labels = [label for (label,) in rows(desk.bench, "SELECT DISTINCT label FROM media_label WHERE label > ''")]
    assert len(labels) > 1
    monkeypatch.setattr(search, "WALKED", 1)
    pages: list[list[str]] = []
    query: dict[str, Any] = {"label": labels}
    while query.get("cursor", True):
        body = page(tagger, **query)
        pages.append([media["media"] for media in body["media"]])
        query["cursor"] = body["next"]
    assert pages == [["newer"], ["older"], []]
    words = [word for label in labels for word in ("--label", label)]
    told = invoke(environment, "search", *words)  # goes on by itself
    assert [json.loads(line)["media"] for line in told.stdout.splitlines()] == ["newer", "older"]
    assert told.stderr == ""
    terminal = SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(sys.modules["assent.cli.search"], "sys", terminal)
    table = assent(environment, "search", *words)
    assert 0 < table.index("picture") < table.index("newer") < table.index("older")
    assert assent(environment, "search", "--until", "1d") == "No pictures.\n"


def delete(desk: Album, media_id: str) -> None:
    """Does what the worker does when the platform deletes a picture."""
    event_id = store(desk.bench, desk.keys, MediaRef(media_id, None), type="media.deleted")
    decide_event(desk.bench, "default", event_id)


def plain() -> bytes:
    """A picture of nothing."""
    Image.new("RGB", (64, 64)).save(saved := BytesIO(), "PNG")
    return saved.getvalue()


def walked(desk: Album, labels: tuple[str, ...]) -> list[tuple[int]]:
    """All that fits, page by page."""
    ids, place = [], None
    with transaction(desk.bench.pool) as conn:
        while True:
            found, place = search.first_rows(conn, searching.TENANT, search.Search(labels), 200, place)
            ids += [(row["id"],) for row in found]
            if place is None:
                return ids


def test_hostile_queries(desk: Album, tagger: TestClient) -> None:
    answer = tagger.get("/v1/media", params={"label": "nudity.partial.bely"})
    assert (answer.status_code, answer.json()["code"]) == (422, "label_unknown")
    assert "nudity.partial.belly" in answer.json()["detail"]
    for query in (
        {"since": "yesterday"},
        {"since": "2026-01-01"},
        {"until": "0001-01-01T00:00:00+23:59x"},
        {"pdq": "ff"},
        {"limit": "201"},
        {"action": "delete"},
        {"cursor": "x"},
        {"cursor": "AAAA"},
        {"label": ""},
        {"label": "a\x00"},
        {"offset": "1"},
    ):
        assert refused(tagger, **query) == (400, "bad_request"), query
    assert tagger.get("/v1/media?action=allow&action=block").status_code == 400
    assert found(tagger, since="0001-01-01T00:00:00+23:59") == []


def test_pages_stay_while_decisions_arrive_and_go(desk: Album, tagger: TestClient, environment: dict[str, str]) -> None:
    for n in range(5):
        decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef(f"bad {n}", None), b"no picture"))
    first = page(tagger, limit=2)
    assert [media["media"] for media in first["media"]] == ["bad 4", "bad 3"]
    decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef("later", None), b"no picture"))
    second = page(tagger, limit=2, cursor=first["next"])
    assert [media["media"] for media in second["media"]] == ["bad 2", "bad 1"]
    last = page(tagger, limit=2, cursor=second["next"])
    assert ([media["media"] for media in last["media"]], last["next"]) == (["bad 0"], None)
    assert refused(tagger, action="review", cursor=first["next"]) == (400, "bad_request")
    forged = first["next"][:-8] + "AAAAAAAA"
    assert refused(tagger, cursor=forged) == (400, "bad_request")

    told = invoke(environment, "search", "--limit", "3")
    assert [json.loads(line)["media"] for line in told.stdout.splitlines()] == ["later", "bad 4", "bad 3"]
    more, _, cursor = told.stderr.strip().rpartition(" ")
    assert more == "More: --cursor"
    for media_id in ("bad 3", "bad 1"):
        delete(desk, media_id)
    rest = invoke(environment, "search", "--limit", "3", "--cursor", cursor)
    assert [json.loads(line)["media"] for line in rest.stdout.splitlines()] == ["bad 2", "bad 0"]
    assert rest.stderr == ""
    assert found(tagger, cursor=first["next"]) == ["bad 2", "bad 0"]
    other = invoke(environment, "search", "--action", "review", "--cursor", cursor)
    assert (other.status, "cursor" in other.stderr) == (1, True)


def test_decisions_of_before_are_added(desk: Album, tagger: TestClient, environment: dict[str, str]) -> None:
    desk.post()
    with transaction(desk.bench.pool) as conn:
        conn.execute("DELETE FROM media_search")
        conn.execute("INSERT INTO search_backlog SELECT tenant, '9999-01-01Z' FROM tenant")
    assert page(tagger) == {"media": [], "next": None, "complete": False}
    assert "still being added" in invoke(environment, "search").stderr
    while add_backlog(desk.bench.pool):
        pass
    assert page(tagger)["complete"]
    assert found(tagger) == ["group"]


def test_near_hashes_share_a_part() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        value = int.from_bytes(random.bytes(32))
        near = value
        for place in random.choice(256, 31, replace=False):
            near ^= 1 << int(place)
        bits, start, own = pdq_bits(f"{near:064x}"), 0, set()
        for n, width in enumerate((24,) * 10 + (16,)):
            own.add(n << 24 | int(bits[start : start + width], 2))
            start += width
        assert own & set(near_parts(f"{value:064x}"))
