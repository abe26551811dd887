"""While a decision may be undone, names that go are retracted at once, and nobody is told of the decision itself."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient

from tests.events import decision, names, rows
from tests.integration.album import Album
from tests.integration.desk import decide, pass_time, undo, waiting_case


def named(document: dict[str, Any]) -> set[str]:
    return {face["match"]["subject"] for face in document["faces"] if face["match"]}


def held_decision(desk: Album, moderator: TestClient) -> tuple[Any, str]:
    """A picture in which alice is recognised, decided on for thirty seconds: her consent, and the case."""
    consent = desk.opt_in("alice", "second")
    desk.wait("alice", 1)
    assert desk.post(author="alice") == {"alice": "second"}
    desk.deliver()
    ((case,),) = rows(desk.bench, "SELECT id FROM review_case WHERE closed_at IS NULL")
    decide(moderator, case)
    return consent, case


def test_a_name_goes_at_once_and_the_decision_in_its_time(desk: Album, moderator: TestClient) -> None:
    consent, case = held_decision(desk, moderator)
    desk.withdraw(consent)
    desk.work()
    (told,) = desk.deliver()
    assert (told["type"], told["data"]["action"], named(told["data"])) == ("tag.retracted", "review", set())
    assert "reviewed" not in told["data"]
    assert decision(desk.bench, desk.keys, "group")["action"] == "block"
    pass_time(desk, 31)
    (then,) = desk.deliver()
    assert (then["type"], then["data"]["action"], named(then["data"])) == ("media.reviewed", "block", set())
    assert then["data"]["revision"] > told["data"]["revision"]
    assert undo(moderator, case) == (409, "undo_over")


def test_undone_after_a_name_went_only_what_holds_again_is_told(desk: Album, moderator: TestClient) -> None:
    consent, case = held_decision(desk, moderator)
    desk.withdraw(consent)
    desk.work()
    (told,) = desk.deliver()
    assert undo(moderator, case)[0] == 200
    pass_time(desk, 31)
    (again,) = desk.deliver()
    assert (again["data"]["action"], named(again["data"])) == ("review", set())
    assert again["data"]["revision"] > told["data"]["revision"]


def test_what_could_not_be_sent_in_time_is_told_by_the_decision_itself(desk: Album, moderator: TestClient) -> None:
    consent, _ = held_decision(desk, moderator)
    desk.withdraw(consent)
    desk.work()
    pass_time(desk, 31)
    (told,) = desk.deliver()
    assert (told["type"], told["data"]["action"], named(told["data"])) == ("media.reviewed", "block", set())


def test_the_same_file_under_another_id_is_decided_without_it(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    label = names(decision(desk.bench, desk.keys, "group"))[0]
    decide(moderator, case, remove=[label], hide=[[1, 2, 30, 40]])
    desk.post("same")
    same = decision(desk.bench, desk.keys, "same")
    assert (same["action"], label in names(same), same["redact"], "heeded" in same) == ("review", True, [], False)
    pass_time(desk, 31)
    desk.post("later")
    later = decision(desk.bench, desk.keys, "later")
    assert (later["action"], label in names(later)) == ("block", False)
    assert "nudity.partial.belly" in names(later)


def test_an_event_about_the_media_item_itself_ends_the_time_for_undoing(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    decide(moderator, case)
    desk.post(type="media.updated", revision=2)
    assert decision(desk.bench, desk.keys, "group")["action"] == "block"
    assert undo(moderator, case) == (409, "undo_over")


def test_an_area_that_was_hidden_is_hidden_when_the_file_comes_again(desk: Album, moderator: TestClient) -> None:
    case = waiting_case(desk, moderator)
    decide(moderator, case, action="allow", add=[], hide=[[1, 2, 30, 40]], undo_seconds=0)
    desk.post("again")
    again = decision(desk.bench, desk.keys, "again")
    assert again["redact"] == [[1, 2, 30, 40]]
    assert again["heeded"]["hidden"] == [[1, 2, 30, 40]]
    answer = moderator.post("/v1/media/again/corrections", json={"hide": [[5, 5, 9, 9]]})
    assert answer.status_code == 200, answer.text
    desk.post("third")
    assert decision(desk.bench, desk.keys, "third")["redact"] == [[1, 2, 30, 40], [5, 5, 9, 9]]
