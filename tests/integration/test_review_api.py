"""A moderator's decision closes the case, becomes the decision's next revision, is sent, logged and learnt from."""

from __future__ import annotations

import json
from io import BytesIO
from uuid import UUID, uuid4

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from assent.audit import verify
from assent.audit.log import open_salted
from assent.core.values import MediaRef
from assent.db.pool import transaction
from assent.http.api_keys import SCOPES, create_key
from assent.tenants import init_tenant
from assent.worker.jobs import decide_event
from tests.events import SOURCE, decision, everything, names, rows, store
from tests.integration.album import Album, embedding
from tests.integration.desk import corrections, key_id, open_cases, waiting_case
from tests.photos import FACES


def test_the_story(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    (told,) = desk.deliver()
    assert (told["type"], told["data"]["action"]) == ("media.tagged", "review")
    seen = moderator.get(f"/v1/reviews/{case}").json()
    assert (seen["reason"], seen["source"], seen["media"]) == ("crowd", SOURCE, "group")
    assert seen["decision"]["action"] == "review"
    wrong = names(seen["decision"])[0]
    body = {"action": "label", "add": ["nudity.partial.belly"], "remove": [wrong], "note": "hidden-note"}
    answer = moderator.post(f"/v1/reviews/{case}", json=body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["action"], answer.json()["revision"]) == ("label", 2)
    assert (answer.json()["source"], answer.json()["media"]) == (SOURCE, "group")

    (told,) = desk.deliver()
    data = told["data"]
    assert (told["type"], data["revision"], data["action"]) == ("media.reviewed", 2, "label")
    assert "nudity.partial.belly" in names(data)
    assert wrong not in names(data)
    assert data["rules"] == [{"id": "moderator", "because": "a moderator decided it"}]
    said = data["reviewed"]
    assert (said["was"], said["added"], said["removed"]) == ("review", ["nudity.partial.belly"], [wrong])
    assert data["audit"]["leaf"] == answer.json()["leaf"]
    assert data == {**decision(desk.bench, desk.keys, "group"), "audit": data["audit"]}

    assert open_cases(moderator) == []
    closed = moderator.get(f"/v1/reviews/{case}").json()
    assert (closed["closed_by"], closed["outcome"]) == (key_id(moderator), "label")
    me = key_id(moderator)
    assert corrections(desk) == [("group", wrong, False, me), ("group", "nudity.partial.belly", True, me)]
    assert rows(desk.bench, "SELECT action FROM decision") == [("label",)]
    assert "hidden-note" not in everything(desk.bench)


def test_the_log_says_who_and_what_and_verifies(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    sent = {"action": "allow", "note": "known to us"}
    leaf = moderator.post(f"/v1/reviews/{case}", json=sent).json()["leaf"]
    with transaction(desk.bench.pool) as conn:
        assert verify.verify_database(conn, desk.keys, None).head.size > leaf
        sealed = conn.execute("SELECT sealed FROM audit_payload WHERE seq = %s", [leaf]).fetchone()
    assert sealed is not None
    said = json.loads(open_salted(desk.keys, "default", leaf, 0, sealed[0])[32:])
    assert (said["by"], said["case"], said["action"]) == (key_id(moderator), str(case), "allow")
    assert (said["note"], said["media"], said["revision"]) == ("known to us", "group", 2)
    assert desk.leaves("media.reviewed") == 1


def test_cases_come_page_by_page_the_gravest_first(desk: Album, moderator: TestClient) -> None:
    for n in range(5):
        decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef(f"bad-{n}", None), b"no picture"))
    with transaction(desk.bench.pool) as conn:
        conn.execute("UPDATE review_case SET reason = 'hash-severe' WHERE media_id = 'bad-3'")
        conn.execute("UPDATE review_case SET priority = 7, queue = 'urgent' WHERE media_id = 'bad-2'")
    wanted = [f"bad-{n}" for n in (3, 2, 0, 1, 4)]
    assert [case["media"] for case in open_cases(moderator, queue="urgent")] == ["bad-2"]
    assert [case["media"] for case in open_cases(moderator)] == wanted
    found, after = [], None
    while True:
        page = moderator.get("/v1/reviews", params={"limit": 2, **({"after": after} if after else {})}).json()
        found += page["reviews"]
        if after is None:  # closed while it is the end of a page: the next page still begins behind it
            done = moderator.post(f"/v1/reviews/{page['next']}", json={"action": "allow"})
            assert done.status_code == 200
        after = page["next"]
        if after is None:
            break
    assert [case["media"] for case in found] == wanted
    assert moderator.get("/v1/reviews", params={"after": str(uuid4())}).status_code == 404


def test_its_picture_hides_whoever_did_not_consent(desk: Album, moderator: TestClient) -> None:
    desk.opt_in("alice", "second")
    case = waiting_case(desk, moderator)
    answer = moderator.get(f"/v1/reviews/{case}/picture")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    before = np.asarray(Image.open(BytesIO(desk.photo)).convert("RGB"))
    after = np.asarray(Image.open(BytesIO(answer.content)).convert("RGB"))
    threshold = desk.bench.gallery.models.calibration.threshold(1)
    for box in FACES.values():  # alice too: she consents, but nobody named her here
        assert embedding(desk, before, box) @ embedding(desk, after, box) < threshold
    small = moderator.get(f"/v1/reviews/{case}/picture", params={"side": 24})
    assert max(Image.open(BytesIO(small.content)).size) == 24
    assert len(small.content) < 2_000
    assert moderator.get(f"/v1/reviews/{case}/picture", params={"side": 5000}).status_code == 400
    moderator.post(f"/v1/reviews/{case}", json={"action": "allow"})
    assert moderator.get(f"/v1/reviews/{case}/picture").json()["code"] == "case_closed"


def test_what_stands_on_a_severe_list_is_never_shown(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    with transaction(desk.bench.pool) as conn:
        conn.execute("UPDATE review_case SET reason = 'hash-severe'")
    answer = moderator.get(f"/v1/reviews/{case}/picture")
    assert (answer.status_code, answer.json()["code"]) == (404, "picture_withheld")
    with transaction(desk.bench.pool) as conn:
        conn.execute("UPDATE review_case SET reason = 'another'")
    moderator.post(f"/v1/reviews/{case}", json={"action": "block", "add": ["hash.known.severe"]})
    with transaction(desk.bench.pool) as conn:
        conn.execute("UPDATE review_case SET closed_at = NULL")
    assert moderator.get(f"/v1/reviews/{case}/picture").json()["code"] == "picture_withheld"


def test_a_picture_that_could_not_be_read_is_decided_too(desk: Album, moderator: TestClient) -> None:
    decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef("bad", None), b"no picture"))
    (case,) = open_cases(moderator)
    assert moderator.get(f"/v1/reviews/{case['id']}/picture").json()["code"] == "picture_not_kept"
    sent = {"action": "block", "add": ["text.blocked"]}
    assert moderator.post(f"/v1/reviews/{case['id']}", json=sent).status_code == 200
    document = decision(desk.bench, desk.keys, "bad")
    assert (document["action"], names(document), document["error"]["code"]) == (
        "block",
        ["text.blocked"],
        "media_unsupported",
    )
    assert corrections(desk) == []  # nobody saw its content: it teaches nothing


def test_an_event_that_could_not_be_read_is_closed_without_a_decision(desk: Album, moderator: TestClient) -> None:
    event = store(desk.bench, desk.keys, MediaRef("lost", None), desk.photo)
    with transaction(desk.bench.pool) as conn:
        conn.execute("UPDATE event SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
    decide_event(desk.bench, "default", event)
    (case,) = open_cases(moderator)
    assert moderator.get(f"/v1/reviews/{case['id']}").json()["decision"] is None
    wrong = moderator.post(f"/v1/reviews/{case['id']}", json={"action": "allow", "add": ["text.code"]})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_request")
    answer = moderator.post(f"/v1/reviews/{case['id']}", json={"action": "allow"}).json()
    assert (answer["revision"], answer["source"], answer["media"]) == (None, SOURCE, f"event {event}")
    assert open_cases(moderator) == []


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        (
            {"action": "allow", "add": ["nudity.explicit.breasts"]},
            422,
            "label_unknown",
            "did you mean nudity.explicit.breast",
        ),
        ({"action": "allow", "remove": ["nudity"]}, 422, "label_unknown", "'nudity' is no label"),
        ({"action": "allow", "add": ["face"]}, 422, "label_unknown", "'face' is no label"),
        ({"action": "allow", "add": ["text.code"], "remove": ["text.code"]}, 400, "bad_request", "both"),
        ({"action": "review"}, 400, "bad_request", "action"),
        ({}, 400, "bad_request", "action"),
        ({"action": "allow", "by": "somebody"}, 400, "bad_request", "by"),
        ({"action": "allow", "note": ""}, 400, "bad_request", "note"),
    ],
)
def test_what_is_refused_changes_nothing(
    desk: Album, moderator: TestClient, body: dict[str, object], status: int, code: str, said: str
) -> None:
    case = waiting_case(desk, moderator)
    before = everything(desk.bench)
    answer = moderator.post(f"/v1/reviews/{case}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert said in answer.json()["detail"]
    assert everything(desk.bench) == before


def test_the_same_call_under_one_key_is_one_decision(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    headers = {"Idempotency-Key": "once"}
    calls = [moderator.post(f"/v1/reviews/{case}", json={"action": "limit"}, headers=headers) for _ in range(2)]
    assert [call.status_code for call in calls] == [200, 200]
    assert calls[0].json() == calls[1].json()
    assert desk.leaves("media.reviewed") == 1
    other = moderator.post(f"/v1/reviews/{case}", json={"action": "block"}, headers=headers)
    assert other.json()["code"] == "idempotency_conflict"


def test_other_scopes_and_other_tenants_see_nothing(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    other = init_tenant(desk.bench.pool, desk.bench.keystore, "other", "elsewhere", None)
    with transaction(desk.bench.pool) as conn:
        without = create_key(conn, desk.keys, tuple(scope for scope in SCOPES if scope != "review"))
    calls = [("GET", "", None), ("GET", f"/{case}", None), ("GET", f"/{case}/picture", None)]
    calls += [("POST", f"/{case}", {"action": "allow"})]  # type: ignore[list-item]  # a body where there is one
    for key, listed, single in ((without, 403, 403), (other.api_key, 200, 404)):
        for method, path, body in calls:
            headers = {"Authorization": f"Bearer {key}"}
            answer = moderator.request(method, f"/v1/reviews{path}", json=body, headers=headers)
            assert answer.status_code == (single if path else listed)
            assert "group" not in answer.text
    assert len(open_cases(moderator)) == 1


def test_matches_stay_true_through_a_review(desk: Album, moderator: TestClient) -> None:
    consent = desk.opt_in("alice", "second")
    desk.post(author="alice")
    (found,) = open_cases(moderator)
    case = UUID(found["id"])
    seen = moderator.get(f"/v1/reviews/{case}").json()["decision"]
    assert [face["match"]["subject"] for face in seen["faces"] if face["match"]] == ["alice"]
    assert moderator.post(f"/v1/reviews/{case}", json={"action": "allow"}).status_code == 200
    (told,) = desk.deliver()
    assert [face["match"]["subject"] for face in told["data"]["faces"] if face["match"]] == ["alice"]
    desk.withdraw(consent)
    desk.work()
    assert desk.deliver()[-1]["type"] == "tag.retracted"
    assert desk.named() == {}
    assert decision(desk.bench, desk.keys, "group")["action"] == "allow"
