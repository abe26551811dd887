"""Labels of a picture without an open case are corrected; what moderators said goes with the picture."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

from fastapi.testclient import TestClient

from assent.audit.log import open_salted
from assent.core.values import MediaRef, ModerationHistory, Perception, Picture, Tag
from assent.db.pool import transaction
from assent.decisions.assemble import Recipient, assemble_view
from assent.decisions.views import document_json
from assent.hashlists.search import Hit
from assent.review.history import read_history
from assent.worker.jobs import decide_event
from tests.events import decision, media_item, names, rows, store
from tests.integration.album import Album
from tests.integration.desk import corrections, key_id, open_cases, waiting_case
from tests.photos import FACES, altered


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
    left = moderator.get(f"/v1/reviews/{case}").json()
    assert (left["media"], left["decision"]) == (f"deleted {case}", None)


def heeded(desk: Album, media_id: str = "group") -> tuple[str, list[str], dict[str, Any] | None]:
    document = decision(desk.bench, desk.keys, media_id)
    return document["action"], names(document), document.get("heeded")


def test_what_a_moderator_said_holds_when_the_same_file_comes_again(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    wrong = names(decision(desk.bench, desk.keys, "group"))[0]
    body = {"action": "allow", "add": ["nudity.partial.belly"], "remove": [wrong], "note": "fine"}
    assert moderator.post(f"/v1/reviews/{case}", json=body).status_code == 200
    _, said, _ = heeded(desk)
    desk.deliver()
    for media_id in ("group", "another"):  # the post was edited, and somebody else posts the same file
        desk.post(media_id, type="media.updated")
        action, now, why = heeded(desk, media_id)
        assert (action, now) == ("allow", said)
        assert why is not None
        assert (why["added"], why["removed"], why["holds"]) == (["nudity.partial.belly"], [wrong], True)
        assert why["decided"]["action"] == "allow"
        assert media_id == "group" or "group" not in json.dumps(why)
        assert why["alone"] == {"action": "review", "rules": ["crowd"]}
        (told,) = desk.deliver()
        assert (told["type"], told["data"]["action"], names(told["data"])) == ("media.tagged", "allow", said)
    assert open_cases(moderator) == []
    assert rows(desk.bench, "SELECT count(*) FROM kept_picture") == [(0,)]
    perceived = rows(desk.bench, "SELECT perceptions FROM decision WHERE media_id = 'another'")[0][0]["tags"]
    assert wrong in {tag["name"] for tag in perceived}  # what the models saw stays as it was
    with transaction(desk.bench.pool) as conn:
        for audience in ("author", "public"):
            view = assemble_view(conn, desk.keys, media_item("another"), Recipient(audience))
            assert view is not None
            document = document_json(view)
            assert not {wrong, "nudity.partial.belly"} & set(names(document))
            assert "heeded" not in document
    leaf = decision(desk.bench, desk.keys, "another")["audit"]["leaf"]
    sealed = rows(desk.bench, f"SELECT sealed FROM audit_payload WHERE seq = {leaf} AND part = 0")[0][0]  # noqa: S608
    logged = json.loads(open_salted(desk.keys, "default", leaf, 0, sealed)[32:])
    assert logged["heeded"]["removed"] == [wrong]
    assert key_id(moderator) not in json.dumps(logged)


def test_what_a_moderator_was_not_shown_is_decided_by_the_policy(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    assert moderator.post(f"/v1/reviews/{case}", json={"action": "allow"}).status_code == 200
    look = desk.bench.stages.perceive

    def more(picture: Picture, comparable: bool) -> Perception:
        seen = look(picture, comparable)
        tag = Tag("body.covered.feet", "safety", 0.99, (1, 1, 9, 9), 0, "newer")
        return replace(seen, tags=(*(one for one in seen.tags if one.name != tag.name), tag))

    newer = replace(desk, bench=replace(desk.bench, stages=replace(desk.bench.stages, perceive=more)))
    newer.post("another")
    action, _, why = heeded(newer, "another")
    assert why is not None
    assert (action, why["holds"], why["news"]) == ("review", False, "body.covered.feet counts, and did not then")
    assert [case["media"] for case in open_cases(moderator)] == ["another"]
    desk.post("third")  # what they were shown, and nothing else
    assert heeded(desk, "third")[0] == "allow"


def test_a_later_correction_leaves_the_action_and_what_was_shown(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    moderator.post(f"/v1/reviews/{case}", json={"action": "limit"})
    assert corrected(moderator, add=["nudity.partial.belly"]) == (200, "")
    desk.post("another")
    action, now, why = heeded(desk, "another")
    assert (action, "nudity.partial.belly" in now) == ("limit", True)
    assert corrected(moderator, "another", remove=["nudity.partial.belly"]) == (200, "")
    desk.post("third")
    action, now, why = heeded(desk, "third")
    assert (action, "nudity.partial.belly" in now) == ("limit", False)
    assert why is not None
    assert why["decided"]["action"] == "limit"
    assert corrected(moderator, "third", action="block") == (200, "")  # of a decision that heeded another's word
    desk.post("fourth")
    action, _, why = heeded(desk, "fourth")
    assert why is not None
    assert (action, why["decided"]["action"], why["holds"]) == ("block", "block", True)


def test_what_was_said_is_forgotten_with_the_picture(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    wrong = names(decision(desk.bench, desk.keys, "group"))[0]
    moderator.post(f"/v1/reviews/{case}", json={"action": "allow", "remove": [wrong]})
    desk.post("another")
    assert heeded(desk, "another")[0] == "allow"
    decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef("group", None), type="media.deleted"))
    desk.post("another")
    action, now, why = heeded(desk, "another")
    assert (action, wrong in now, why) == ("review", True, None)


def test_a_list_marked_severe_is_heard_before_a_moderator(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    moderator.post(f"/v1/reviews/{case}", json={"action": "allow"})
    hit = Hit("terror", "1", True, "sha256", 0, 0)
    severe = replace(desk.bench.stages, find_listed=lambda _tenant, _picture: (hit,))
    replace(desk, bench=replace(desk.bench, stages=severe)).post("another")
    assert heeded(desk, "another") == ("block", ["hash.known.severe"], None)
    assert [case["reason"] for case in open_cases(moderator)] == ["hash-severe"]


def test_a_case_that_waits_keeps_its_place_when_nothing_else_is_said(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    (before,) = open_cases(moderator)
    desk.post(type="media.updated", revision=2)
    (after,) = open_cases(moderator)
    assert after == {**before, "revision": 2}
    desk.post(photo=desk.photo + b"\0", revision=2)  # another file
    (other,) = open_cases(moderator)
    assert other["id"] != str(case)
    assert moderator.post(f"/v1/reviews/{case}", json={"action": "allow"}).json()["code"] == "case_closed"
    assert decision(desk.bench, desk.keys, "group")["tags"]
    fewer = replace(desk.bench.stages, perceive=lambda *given: replace(desk.bench.stages.perceive(*given), tags=()))
    other_models = replace(desk, bench=replace(desk.bench, stages=fewer))
    other_models.post(photo=desk.photo + b"\0", revision=2)  # something else is said of it
    assert [one["id"] != other["id"] for one in open_cases(moderator)] == [True]


def test_other_tenants_and_other_files_hear_nothing_of_it(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    moderator.post(f"/v1/reviews/{case}", json={"action": "allow"})
    sha256 = decision(desk.bench, desk.keys, "group")["media"]["sha256"]
    with transaction(desk.bench.pool) as conn:
        assert read_history(conn, "default", sha256).decision is not None
        assert read_history(conn, "other", sha256) == read_history(conn, "default", "00" * 32) == ModerationHistory({})
    desk.post("another", desk.photo + b"\0")  # the same pixels in another file
    assert heeded(desk, "another")[2] is None


def test_an_area_is_hidden_in_redacted_copies(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    before = decision(desk.bench, desk.keys, "group")["redact"]
    for wrong in ([-1, 0, 5, 5], [0, 0, 0, 5], [0, 0, 10_000, 5]):
        answer = moderator.post(f"/v1/reviews/{case}", json={"action": "label", "hide": [wrong]})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert moderator.post(f"/v1/reviews/{case}", json={"action": "label", "hide": [[3, 4, 50, 60]]}).status_code == 200
    assert decision(desk.bench, desk.keys, "group")["redact"] == [*before, [3, 4, 50, 60]]


def test_not_this_person_is_final_and_names_nobody(desk: Album, moderator: TestClient) -> None:
    desk.opt_in("alice", "second")
    desk.wait("alice", 1)
    assert desk.post(author="alice") == {"alice": "second"}
    desk.deliver()
    (case,) = [UUID(one["id"]) for one in open_cases(moderator)]
    faces = decision(desk.bench, desk.keys, "group")["faces"]
    (face,) = [n for n, one in enumerate(faces) if one["match"]]
    other = (face + 1) % len(faces)
    assert moderator.post(f"/v1/reviews/{case}/faces/{other}/veto").status_code == 404
    assert moderator.post(f"/v1/reviews/{case}/faces/{face}/veto").status_code == 204
    assert desk.named() == {}
    (told,) = desk.deliver()
    assert told["type"] == "tag.retracted"
    assert all(one["match"] is None for one in told["data"]["faces"])
    assert moderator.post(f"/v1/reviews/{case}/faces/{face}/veto").status_code == 404
    assert desk.post("again", author="alice") == {}  # the same file under another id
    assert desk.leaves("match.vetoed") == 1
    stored = str(rows(desk.bench, "SELECT * FROM face_veto"))
    assert "alice" not in stored
    assert desk.pid("alice").hex() not in stored
    assert desk.post("portrait", altered(desk.photo, FACES["second"]), author="alice") != {}
    event = store(desk.bench, desk.keys, MediaRef("group", None), type="media.deleted", revision=2)
    decide_event(desk.bench, "default", event)
    assert rows(desk.bench, "SELECT FROM face_veto") == []
