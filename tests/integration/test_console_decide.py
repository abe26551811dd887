"""Deciding by the page's form: stored at once, once, undone in time, and never with what was typed lost."""

from __future__ import annotations

import re
from uuid import UUID

from fastapi.testclient import TestClient

from assent.core.values import MediaRef
from assent.db.pool import Pool, transaction
from assent.staff.accounts import StaffSettings, change_settings
from assent.worker.jobs import decide_event
from tests.events import decision, names, rows, store
from tests.fixtures.console import SignedIn
from tests.integration.album import Album
from tests.integration.console_pages import address, claimed, decide, hidden, new_case, send
from tests.integration.desk import corrections

KEPT = {"note": "seen before", "add": "nudity.partial.belly", "reason": "perhaps"}


NOTE = ">seen before</textarea>"


def kept(page: str) -> bool:
    """Whether all of KEPT stands in the form again."""
    return all(text in page for text in (NOTE, 'value="nudity.partial.belly"', 'value="perhaps"'))


def closed(pool: Pool, case: UUID) -> tuple[str | None, str | None]:
    ((by, outcome),) = rows(pool, "SELECT closed_by, outcome FROM review_case WHERE id = %s", case)
    return by, outcome


def test_it_is_stored_with_its_corrections_and_the_next_case_is_in_hand(
    desk: Album, signed_in: SignedIn, pool: Pool
) -> None:
    case, following = new_case(desk), new_case(desk, "second")
    robin = signed_in("moderator")
    page = claimed(robin, case)
    wrong = re.findall(r'name="remove" value="([^"]+)"', page)[0]
    answer = decide(
        robin, case, page, action="limit", remove=wrong, add="nudity.partial.belly", hide=["10,20,30,40"],
        hide_x="1", hide_y="2", hide_width="3", hide_height="4", seconds="5", note="why",
    )  # fmt: skip
    assert answer.headers["location"] == address(following) + "?of=default&said=decided"
    by = robin.headers["x-staff"]
    assert closed(pool, case) == (by, "limit")
    document = decision(desk.bench, desk.keys, "group")
    assert (document["action"], document["redact"]) == ("limit", [[10, 20, 30, 40], [1, 2, 3, 4]])
    assert wrong not in names(document)
    assert corrections(desk) == [("group", wrong, False, by), ("group", "nudity.partial.belly", True, by)]
    assert rows(pool, "SELECT looks, seconds FROM exposure") == [(0, 5)]
    page = robin.get(answer.headers["location"]).text
    assert "Decided: hidden behind a warning." in page
    assert f'action="{address(case, "undo")}"' in page
    assert 'value="block"' in page  # this one is in hand already
    assert {told["type"] for told in desk.deliver()} == {"media.tagged"}  # nothing of the decision


def test_the_same_form_sent_twice_decides_once(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    page = claimed(robin, case)
    answers = [decide(robin, case, page, action="block") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert desk.leaves("media.reviewed") == 1
    back = decide(robin, case, page, action="allow", **KEPT)  # the back button, and another choice
    assert back.status_code == 409
    assert kept(back.text)
    assert closed(pool, case)[1] == "block"


def test_the_leaf_tells_how_often_and_how_long_the_moderator_looked(desk: Album, signed_in: SignedIn) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    page = claimed(robin, case)
    for _ in range(2):
        send(robin, address(case, "look"), {"of": ""})
    send(robin, address(case, "extend"), {"claim": hidden(page, "claim"), "seconds": "7"})
    decide(robin, case, page, action="block", seconds="5")
    decide(robin, case, page, action="block", seconds="5")  # sent twice
    send(signed_in("moderator"), address(case, "look"), {"of": ""})
    ((leaf,),) = rows(desk.bench, "SELECT max(seq) FROM audit_leaf WHERE position('media.reviewed'::bytea IN leaf) > 0")
    own = robin.get(f"/console/log/{leaf}").text
    assert re.search(r"looks</dt>\s*<dd[^>]*>2<", own), own
    assert re.search(r"seconds</dt>\s*<dd[^>]*>12<", own), own
    assert rows(desk.bench, "SELECT sum(looks)::int, sum(seconds)::int FROM exposure") == [(2, 12)]


def test_undone_it_is_in_hand_again(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case, following = new_case(desk), new_case(desk, "second")
    robin = signed_in("moderator")
    before = decision(desk.bench, desk.keys, "group")
    decide(robin, case, claimed(robin, case), action="block")
    answer = send(robin, address(case, "undo"))
    assert answer.headers["location"] == address(case) + "?said=undone"
    after = decision(desk.bench, desk.keys, "group")
    assert (after["action"], names(after)) == (before["action"], names(before))
    page = robin.get(answer.headers["location"]).text
    assert "in your hands again" in page
    answer = decide(robin, case, page, action="allow")
    assert (
        answer.headers["location"] == address(following) + "?of=default&said=decided"
    )  # claimed before, not another one
    assert send(robin, address(case, "undo")).status_code == 303


def test_of_two_decisions_each_is_undone_from_its_own_page(desk: Album, signed_in: SignedIn) -> None:
    first, second = new_case(desk), new_case(desk, "second")
    robin = signed_in("moderator")
    for case in (first, second):
        decide(robin, case, claimed(robin, case), action="block")
    for case in (first, second):
        assert f'action="{address(case, "undo")}"' in robin.get(address(case)).text
    assert f'action="{address(second, "undo")}"' in robin.get("/console").text


def test_what_can_no_longer_be_undone_says_so(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin, sam = signed_in("moderator"), signed_in("moderator")
    decide(robin, case, claimed(robin, case), action="block")
    assert "can no longer be undone" in send(sam, address(case, "undo")).text
    with transaction(pool) as conn:
        conn.execute("UPDATE moderator_undo SET undo_until = now() - interval '1 second'")
    answer = send(robin, address(case, "undo"))
    assert (answer.status_code, "can no longer be undone" in answer.text) == (409, True)
    assert closed(pool, case)[1] == "block"


def test_the_time_to_undo_is_ones_own_setting(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    with transaction(pool) as conn:
        change_settings(conn, desk.keys, UUID(robin.headers["x-staff"]), StaffSettings(undo_seconds=60))
    decide(robin, case, claimed(robin, case), action="block")
    ((held,),) = rows(pool, "SELECT extract(epoch FROM undo_until - now()) FROM moderator_undo")
    assert 50 < held <= 60


def test_a_case_that_somebody_took_keeps_what_was_typed(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin, sam = signed_in("moderator"), signed_in("moderator")
    page = claimed(robin, case)
    with transaction(pool) as conn:
        conn.execute("UPDATE review_case SET claimed_until = now() - interval '1 second'")
    theirs = claimed(sam, case)
    answer = decide(robin, case, page, action="block", **KEPT)
    assert answer.status_code == 409
    assert "Somebody else has this case now" in answer.text
    assert kept(answer.text)
    assert sam.headers["x-staff"] not in answer.text
    assert decide(sam, case, theirs, action="allow").status_code == 303
    answer = decide(robin, case, page, action="block", **KEPT)
    assert (answer.status_code, "This case is closed" in answer.text, kept(answer.text)) == (409, True, True)
    assert closed(pool, case) == (sam.headers["x-staff"], "allow")


def test_of_two_tabs_the_newer_decides(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    older = claimed(robin, case)
    newer = claimed(robin, case)
    assert decide(robin, case, older, action="block", **KEPT).status_code == 409
    assert decide(robin, case, newer, action="limit").status_code == 303
    assert closed(pool, case)[1] == "limit"


def test_a_picture_deleted_while_its_case_is_open_leaves_the_note_in_the_log(
    desk: Album, signed_in: SignedIn, pool: Pool
) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    page = claimed(robin, case)
    event = store(desk.bench, desk.keys, MediaRef("group", None), type="media.deleted", revision=2)
    decide_event(desk.bench, "default", event)
    answer = decide(robin, case, page, action="block", **KEPT)
    assert (answer.status_code, "This case is closed" in answer.text, NOTE in answer.text) == (409, True, True)
    assert desk.leaves("case.lost") == 1


def test_a_picture_decided_anew_while_its_case_is_open_leads_to_the_new_case(
    desk: Album, signed_in: SignedIn, pool: Pool
) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    page = claimed(robin, case)
    decide_event(
        desk.bench, "default", store(desk.bench, desk.keys, MediaRef("group", None), b"no picture", revision=2)
    )
    ((newer,),) = rows(pool, "SELECT id FROM review_case WHERE closed_at IS NULL")
    answer = decide(robin, case, page, action="block", **KEPT)
    assert answer.status_code == 409
    assert address(newer) in answer.text


def wrong_answers(robin: TestClient, case: UUID, page: str) -> list[int]:
    return [
        decide(robin, case, page, **{**KEPT, **fields}).status_code
        for fields in (
            {"action": "explode"},
            {"action": "review"},
            {"add": "no.such.label"},
            {"hide_x": "1", "hide_y": "2"},
            {"hide": "1,2,3"},
            {"hide": "0,0,99999,99999"},
            {"once": "short"},
            {"claim": "none"},
        )
    ]


def test_what_does_not_fit_is_refused_and_nothing_is_lost(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    page = claimed(robin, case)
    assert wrong_answers(robin, case, page) == [400, 400, 422, 400, 400, 400, 400, 400]
    answer = decide(robin, case, page, **{**KEPT, "hide": "0,0,99999,99999"})
    assert kept(answer.text)
    assert 'value="0,0,99999,99999" checked' in answer.text
    assert closed(pool, case) == (None, None)
    assert decide(robin, case, page, action="allow").status_code == 303


def test_settings_are_stored_and_checked(signed_in: SignedIn, pool: Pool) -> None:
    robin = signed_in("moderator")
    usual = {"keys": "1", "grey": "1", "undo_seconds": "30", "muted": "nudity", "key_allow": "X"}
    assert send(robin, "/console/settings", usual).status_code == 303
    ((stored,),) = rows(pool, "SELECT settings FROM staff WHERE settings <> '{}'")
    assert (stored["undo_seconds"], stored["muted"], stored["key_map"]) == (30, ["nudity"], {"allow": "x"})
    page = robin.get("/console/settings").text
    assert 'name="key_allow" maxlength="1" autocomplete="off" value="X"' in page
    for wrong in ({"undo_seconds": "5"}, {"undo_seconds": "61"}, {"undo_seconds": "x"}, {"key_allow": "k"}):
        answer = send(robin, "/console/settings", {**usual, **wrong})
        assert (answer.status_code, "Nothing was stored." in answer.text) == (422, True)
    assert send(robin, "/console/settings", {"undo_seconds": "10"}).status_code == 303


def test_switched_off_no_key_stands_on_the_page(desk: Album, signed_in: SignedIn) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    assert 'data-key="a"' in claimed(robin, case)
    assert send(robin, "/console/settings", {"undo_seconds": "10"}).status_code == 303
    page = robin.get(address(case)).text
    assert "data-key" not in page
    assert "switched off" in page
