"""Ids made to lead elsewhere: what a consent or an event takes, every route can address, and means nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote, unquote
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, example, given, seed
from hypothesis import settings as trials
from hypothesis import strategies as st

from assent.core.errors import Undecodable
from assent.core.names import name_fault, ref_fault
from assent.core.values import Event, MediaRef, Unprocessable
from assent.db.pool import Pool, transaction
from assent.decisions.media_items import MediaKey
from assent.decisions.store import NewDecision, record
from assent.http.limits import RATES, Rate, RateLimiter
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.platforms.standard_webhooks import sign_webhook
from assent.policy.load import load_policy
from assent.tenants import CreatedTenant
from tests import people
from tests.events import rows

CONSENT = {
    "purpose": "face-match",
    "notice": "n",
    "notice_version": "1",
    "jurisdiction": "DE",
    "method": "test",
    "age": "adult",
}
NFD = "Zoe\u0308"
ACTOR = "https://a.example/users/x"
PIECES = (
    *("/", "//", "%", "%2F", "%2f", "%252F", "%zz", "?", "#", ";", "&ref=x", "&media_id=x", "=", "+", " ", "\\", ":"),
    *(
        "@",
        "..",
        ".",
        "-",
        "*",
        "export",
        "links",
        "redacted",
        "corrections",
        "templates",
        "connections",
        "subject",
        "x",
    ),
    *("é", "e\u0301", "\u1100\u1161", "\ufb01", "\u202e", "\u2066", "\u200d", "\u0085", "\ufffd", "𝔵", "١", "\\x2f"),
)
IDS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join).filter(lambda one: one != "x")
LONG = "/é" * 128  # 256 characters, the most that an id may have
PATHS = re.compile(r"^/v1/(subjects/\{ref\}|subject|media/\{media_id\}|media-item)(?=/|$)")


@pytest.fixture
def unlimited(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Nobody enrols here, so there is no point in waiting for it; how often a key may call is another test's matter."""
    client.app.state.limits = RateLimiter({kind: Rate(1e6, 10**6) for kind in RATES})  # type: ignore[attr-defined]
    monkeypatch.setattr("assent.http.routes.subjects.ENROLMENT_WAIT_SECONDS", 0.01)
    return client


def generated(count: int) -> trials:
    return trials(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def addresses(place: str, one: str, name: str, ref: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Both forms of an id's address, to which `/export` and the like can be added."""
    yield f"/v1/{place}/{quote(ref, safe='')}", {}
    yield f"/v1/{one}", {name: ref}


@seed(20261126)
@generated(10)
@given(ref=IDS)
@example(ACTOR)
@example("x/export")
@example("x/")
@example("/")
@example("%2F")
@example(LONG)
@example("..")
@example(NFD)
def address_person(client: TestClient, made: CreatedTenant, seen: set[str], ref: str) -> None:
    if ref in seen:  # until the keys of whoever was erased are destroyed, their leaves stand in a newcomer's way
        return
    seen.add(ref)
    consented = client.post("/v1/consents", json=CONSENT | {"subject": ref})
    if ref_fault(ref):
        refused(client, made, ref)
        assert (consented.status_code, ref_fault(ref) in consented.json()["detail"]) == (400, True)
        return
    assert consented.status_code == 201, consented.text
    photo = {"photos": ("a.jpg", b"\xff\xd8\xff", "image/jpeg")}
    for n, (place, query) in enumerate(addresses("subjects", "subject", "ref", ref), 1):
        stated = client.put(f"{place}/connections", params=query, json={"connections": [ref, "bob"]})
        assert (stated.status_code, stated.json()["count"]) == (200, 2)
        enrolled = client.post(f"{place}/templates", params=query, files=photo)
        assert enrolled.status_code == (202 if n == 1 else 409), enrolled.text  # of this very person one waits already
        assert client.post(f"{place}/links", params=query).status_code == 201
        shown = client.get(place, params=query).json()
        assert (shown["subject"], shown["connections"]["count"]) == (ref, 2)
        export = client.get(f"{place}/export", params=query).json()
        assert (export["subject"]["ref"], len(export["enrolments"]), len(export["links"])) == (ref, 1, n)
    for place, query in addresses("subjects", "subject", "ref", ref):
        assert client.delete(place, params=query).status_code == 202
        assert client.get(f"{place}/export", params=query).status_code == 404
        assert client.post("/v1/consents", json=CONSENT | {"subject": ref}).status_code == 201
    client.delete("/v1/subject", params={"ref": ref})


def refused(client: TestClient, made: CreatedTenant, ref: str) -> None:
    """No door takes the id: it says why, and nothing is stored."""
    why = ref_fault(ref)
    event = {"schema": "assent.event/1", "type": "media.created", "media": [{"id": "m", "url": "http://a.example"}]}
    answers = [
        client.post("/v1/images?wait=0", json={"url": "http://a.example", "author": ref}),
        client.post("/v1/images?wait=0", json={"url": "http://a.example", "connections": [ref]}),
        client.put("/v1/subjects/bob/connections", json={"connections": [ref]}),
        client.get("/v1/media/x", params={"audience": "person", "subject": ref}),
        client.get("/v1/subject", params={"ref": ref}),
        client.get("/v1/subject/export", params={"ref": ref}),
        client.delete("/v1/subject", params={"ref": ref}),
        client.post("/v1/subject/links", params={"ref": ref}),
    ]
    for told in ({"author": ref}, {"connections": [ref]}):
        body = json.dumps(event | told).encode()
        headers = sign_webhook(uuid4().hex, datetime.now(UTC), body, [made.source_secret])
        answers.append(client.post("/v1/webhooks/platform", content=body, headers=headers))
    assert {(answer.status_code, str(why) in answer.json()["detail"]) for answer in answers} == {(400, True)}


def test_whoever_consents_can_be_addressed_and_nobody_else_is_meant(
    unlimited: TestClient, made: CreatedTenant, pool: Pool
) -> None:
    unlimited.post("/v1/consents", json=CONSENT | {"subject": "x"})  # whom `x/export` would disclose
    address_person(unlimited, made, set())
    assert unlimited.get("/v1/subjects/x").json()["consents"][0]["state"] == "granted"
    assert rows(pool, "SELECT count(*) FROM event WHERE source = 'platform'") == [(0,)]


@seed(20261126)
@generated(8)
@given(media_id=IDS)
@example("a/redacted")
@example("a/corrections")
@example("/redacted")
@example(f"{ACTOR}?a=b#c")
@example(NFD)
@example(LONG)
@example(".")
def address_media(client: TestClient, pool: Pool, keys: TenantKeys, media_id: str) -> None:
    asked = client.post("/v1/images?wait=0", json={"id": media_id, "url": "http://a.example"})
    if why := name_fault(media_id):
        assert (asked.status_code, why in asked.json()["detail"]) == (400, True)
        return
    address = asked.headers["location"]
    path, _, stated = address.partition("?")
    assert (asked.status_code, path.count("/"), stated) == (202, 3, "source=api")
    assert unquote(path) == f"/v1/media/{media_id}"
    decided(pool, keys, media_id)
    assert client.get(address).json()["media"]["id"] == media_id
    for place, query in addresses("media", "media-item", "media_id", media_id):
        assert client.get(place, params=query).json()["media"]["id"] == media_id
        redacted = client.get(f"{place}/redacted", params=query)
        assert (redacted.status_code, redacted.json()["code"]) == (404, "picture_not_kept")
        corrected = client.post(f"{place}/corrections", params=query, json={"add": ["text.code"]})
        assert (corrected.status_code, corrected.json()["code"]) == (409, "case_open")


def decided(pool: Pool, keys: TenantKeys, media_id: str) -> None:
    """A decision on a picture that could not be read, which waits for a moderator."""
    picture, event_id = MediaRef(media_id, None), uuid4()
    event = Event("media.created", (picture,), "public", "post")
    with transaction(pool) as conn:
        store_event(conn, keys, event_id, event, Origin("api", "live"))
    with transaction(pool) as conn:
        key = MediaKey(keys.tenant, event_id, "api", 0, event, picture)
        record(conn, keys, key, NewDecision(Unprocessable(Undecodable()), load_policy(None).ref))


def test_whatever_an_event_names_can_be_addressed_and_is_no_action(
    unlimited: TestClient, pool: Pool, keys: TenantKeys
) -> None:
    decided(pool, keys, "a")  # which `a/redacted` and `a/corrections` would mean
    address_media(unlimited, pool, keys)


def test_these_are_all_routes_with_an_id_of_the_platforms(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    found = sorted(PATHS.sub("", path) for path in paths if PATHS.match(path))
    assert found == sorted(2 * ["", "", "/connections", "/corrections", "/export", "/links", "/redacted", "/templates"])
    for path, operations in paths.items():
        names = {one["name"]: one["in"] for told in operations.values() for one in told.get("parameters", ())}
        assert names.keys().isdisjoint(("ref", "media_id")) or PATHS.match(path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/subjects/https://a.example/users/x"),
        ("GET", "/v1/subjects/x/"),
        ("DELETE", "/v1/subjects/x/"),
        ("GET", "/v1/subjects/x/export/"),
        ("GET", "/v1/media/a/b"),
        ("GET", "/v1/media/a/b/redacted"),
        ("POST", "/v1/media/a/b/corrections"),
    ],
)
def test_a_slash_that_is_not_encoded_ends_an_id_and_the_answer_says_how_to_write_it(
    client: TestClient, method: str, path: str
) -> None:
    client.post("/v1/consents", json=CONSENT | {"subject": "x"})
    answer = client.request(method, path, follow_redirects=False)
    assert (answer.status_code, answer.json()["code"], "%2F" in answer.json()["detail"]) == (404, "not_found", True)
    assert client.get("/v1/subjects/x").status_code == 200


@pytest.mark.parametrize("query", ["ref=x&ref=y", "ref=%FF", "ref=%", "ref=%2", "ref", ""])
def test_a_query_that_says_two_things_or_nothing_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/v1/subject?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_whoever_is_on_record_under_another_form_can_still_be_shown_and_erased(
    client: TestClient, pool: Pool, keys: TenantKeys
) -> None:
    """Consents of before did not ask for a form of Unicode."""
    people.give(pool, keys, NFD)
    assert client.get("/v1/subject/export", params={"ref": NFD}).json()["subject"]["ref"] == NFD
    assert client.delete("/v1/subject", params={"ref": NFD}).status_code == 202
    assert rows(pool, "SELECT count(*) FROM subject") == [(0,)]
