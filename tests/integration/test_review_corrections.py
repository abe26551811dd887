"""Labels of a picture without an open case are corrected; what moderators said goes with the picture."""

from __future__ import annotations

from fastapi.testclient import TestClient

from assent.values import MediaRef
from assent.worker import decide_event
from tests.integration.album import Album
from tests.integration.desk import corrections, key_id, waiting_case
from tests.integration.test_event_decided import decision, store
from tests.integration.test_review_api import names

pytest_plugins = ["tests.integration.review_fixtures"]


def corrected(client: TestClient, media_id: str = "group", **body: object) -> tuple[int, str]:
    answer = client.post(f"/v1/media/{media_id}/corrections", json=body)
    return answer.status_code, answer.json().get("code", "")


def test_a_picture_without_a_case_is_corrected(desk: Album, album: Album, moderator: TestClient) -> None:
    album.post()  # by the shipped policy: nothing waits
    desk.deliver()
    assert corrected(moderator, add=["nudity.partial.belly"], revision=1) == (200, "")
    (told,) = desk.deliver()
    assert (told["type"], told["data"]["revision"], told["data"]["action"]) == ("media.reviewed", 2, "allow")
    assert names(told["data"]) == ["nudity.partial.belly"]
    assert corrected(moderator, remove=["nudity.partial.belly"], action="limit") == (200, "")
    assert decision(desk.bench, desk.keys, "group")["action"] == "limit"
    assert corrections(desk) == [("group", "nudity.partial.belly", False, key_id(moderator))]
    assert corrected(moderator, add=["text.code"], revision=2) == (409, "decision_changed")
    assert corrected(moderator) == (400, "bad_request")
    assert corrected(moderator, "unknown", add=["text.code"]) == (404, "not_found")


def test_an_open_case_is_decided_not_corrected(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    answer = moderator.post("/v1/media/group/corrections", json={"add": ["text.code"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "case_open")
    assert str(case) in answer.json()["detail"]


def test_what_was_said_of_a_deleted_picture_goes_with_it(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    moderator.post(f"/v1/reviews/{case}", json={"action": "allow", "add": ["text.code"]})
    assert len(corrections(desk)) == 1
    decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef("group", None), type="media.deleted"))
    assert corrections(desk) == []
    assert moderator.get(f"/v1/reviews/{case}").json()["decision"] is None
