"""What a policy has done at Discourse: flags, hiding, deleting, and how each is undone there."""

from __future__ import annotations

import pytest

from assent.core.values import Action
from tests.acting import Acting
from tests.events import leaves
from tests.platform_api import Api, Fault
from tests.web import Answer


def allow(acting: Acting) -> None:
    acting.decide("forum", "post/812/abc", [], Action.allow)
    acting.settle()


def test_a_report_is_one_flag_with_its_reason(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["report"])
    acting.decide("forum", "post/812/def", ["report"])
    acting.settle()
    assert api.flags == [("812", "7", "assent")]
    assert not api.posts["812"]["hidden"]
    assert b"message=Nudity+in+public+posts" in api.bodies[-1]
    assert api.headers[-1]["api-username"] == "assent"


def test_its_undo_takes_the_flag_back(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["report"])
    acting.settle()
    allow(acting)
    assert (api.flags, acting.states()) == ([], ["undone"])
    assert api.changed()[-1] == "PUT /review/1812/perform/disagree.json?version=3"


def test_hiding_queues_the_post_and_the_undo_shows_it(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["hide"], Action.limit)
    acting.settle()
    assert api.posts["812"]["hidden"]
    assert api.flags == [("812", "4", "assent")]
    api.perform_offers = ("agree_and_keep_hidden", "disagree_and_restore")
    allow(acting)
    assert (api.posts["812"]["hidden"], api.flags) == (False, [])


def test_flags_of_others_do_not_fall_with_ours(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["report"])
    acting.settle()
    api.flags.append(("812", "8", "ana"))
    allow(acting)
    (row,) = acting.rows()
    assert (row["state"], len(api.flags)) == ("cannot-undo", 2)
    assert "others flagged the post too" in row["last_error"]


def test_a_post_that_others_flagged_too_is_shown_again_and_stays_in_the_queue(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["hide"], Action.limit)
    acting.settle()
    api.flags.append(("812", "8", "ana"))
    allow(acting)
    assert (acting.states(), api.posts["812"]["hidden"], len(api.flags)) == (["undone"], False, 2)


def test_what_a_moderator_there_decided_stays(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["report"])
    acting.settle()
    api.flags.clear()
    allow(acting)
    assert acting.states() == ["cannot-undo"]
    assert acting.rows()[0]["last_error"] == "a moderator there has decided about the flag"


def test_a_deleted_post_comes_back(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["delete"])
    acting.settle()
    assert api.posts["812"]["deleted_at"]
    allow(acting)
    assert (api.posts["812"]["deleted_at"], api.restored) == (None, ["812"])


@pytest.mark.parametrize("act", ["report", "hide", "delete"])
def test_a_post_that_went_before_is_no_more_acted_on(acting: Acting, api: Api, act: str) -> None:
    api.gone.add("812")
    acting.decide("forum", "post/812/abc", [act])
    acting.settle()
    assert (acting.states(), api.changed()) == (["failed"], [])
    assert acting.rows()[0]["last_error"] == "the post is gone"


def test_a_post_whose_author_deleted_it_needs_no_undo(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["hide"])
    acting.settle()
    api.gone.add("812")
    acting.delete("forum", "post/812/abc")
    acting.settle()
    assert acting.rows() == []
    assert len(api.changed()) == 1


def test_the_platforms_word_of_our_own_deletion_brings_nothing_back(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["delete"])
    acting.settle()
    acting.delete("forum", "post/812/abc")
    acting.settle()
    assert (acting.states(), api.restored) == (["done"], [])
    assert len(leaves(acting.pool, "media.superseded")) == 1
    allow(acting)  # the decision is there still, for a moderator to reverse
    assert api.restored == ["812"]


@pytest.mark.parametrize("lost", [True, False])
def test_nor_does_it_when_it_comes_before_the_answer(acting: Acting, api: Api, lost: bool) -> None:
    def announce() -> None:
        acting.delete("forum", "post/812/abc")

    answer = Answer(raw=b"") if lost else Answer(200)
    api.faults = iter([None, Fault(answer, took_effect=True, before=announce)])
    acting.decide("forum", "post/812/abc", ["delete"])
    acting.settle()
    assert (acting.states(), api.restored, len(api.changed())) == (["done"], [], 1)


def test_a_post_that_moderators_there_brought_back_is_left_to_them(acting: Acting, api: Api) -> None:
    acting.decide("forum", "post/812/abc", ["delete"])
    acting.settle()
    api.posts["812"]["deleted_at"] = None
    acting.decide("forum", "post/812/abc", ["delete"])  # as its return is an event
    acting.settle()
    assert (acting.states(), api.posts["812"]["deleted_at"]) == (["done"], None)
