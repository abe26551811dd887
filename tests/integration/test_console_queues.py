"""Desk and queues: what waits, how old it is, what filters hide, who may see it, and the next case."""

from __future__ import annotations

import pytest

from assent.db.pool import Pool, transaction
from assent.keys.keystore import Keystore
from assent.tenants import init_tenant
from tests.events import rows
from tests.fixtures.console import SignedIn
from tests.integration.console_pages import address, keep_pictures, mark_queue, more_cases, send


def test_the_desk_says_what_waits_and_since_when(signed_in: SignedIn, pool: Pool) -> None:
    mark_queue(pool, "grave-ones", due=30, grave=True)
    more_cases(pool, 3)
    more_cases(pool, 1, "grave-ones")
    with transaction(pool) as conn:
        conn.execute("UPDATE review_case SET opened_at = now() - interval '2 hours' WHERE queue = 'grave-ones'")
    page = signed_in("moderator").get("/console").text
    assert "3 cases are open" in page
    assert "the oldest for 2 h" in page
    assert "of 30 min" in page
    assert "too late" in page
    assert page.count("Next case<") == 2


def test_an_empty_desk_says_so(signed_in: SignedIn, pool: Pool) -> None:
    mark_queue(pool, "quiet")
    assert "Nothing waits." in signed_in("moderator").get("/console").text


def test_who_may_not_work_sees_no_button_and_other_queues_are_not_there(signed_in: SignedIn, pool: Pool) -> None:
    more_cases(pool, 1)
    more_cases(pool, 1, "second")
    assert "Next case" not in signed_in("viewer").get("/console").text
    robin = signed_in("moderator", queues=["second"])
    assert "/console/queues/default" not in robin.get("/console").text
    assert robin.get("/console/queues/default").status_code == 403
    assert send(robin, "/console/queues/default/next").status_code == 403
    assert robin.get("/console/queues/second").status_code == 200
    privacy = signed_in("privacy").get("/console")
    assert privacy.status_code == 200
    assert "/console/queues/" not in privacy.text


def test_a_queue_lists_its_cases_as_veils_page_by_page(signed_in: SignedIn, pool: Pool) -> None:
    more_cases(pool, 30)
    keep_pictures(pool)
    robin = signed_in("moderator")
    page = robin.get("/console/queues/default").text
    assert page.count("/veil/1") == 24
    following = page.partition('rel="next" href="?')[2].partition('"')[0]
    assert robin.get(f"/console/queues/default?{following}").text.count("/veil/1") == 6


def test_filters_say_how_many_they_hide(signed_in: SignedIn, pool: Pool) -> None:
    mark_queue(pool, "default", due=30)
    more_cases(pool, 3)
    more_cases(pool, 2, reason="nudity")
    with transaction(pool) as conn:
        conn.execute("UPDATE review_case SET opened_at = now() - interval '1 hour' WHERE media_id LIKE 'm1%%'")
        conn.execute("UPDATE review_case SET priority = 5 WHERE media_id = 'm2defaultnudity'")
    keep_pictures(pool)
    robin = signed_in("moderator")

    def shown(query: str) -> tuple[int, bool]:
        page = robin.get(f"/console/queues/default?{query}").text
        hidden = 5 - page.count("/veil/1")
        words = "Filters hide 1 case." if hidden == 1 else f"Filters hide {hidden} cases."
        return page.count("/veil/1"), (words in page) == (hidden > 0)

    assert shown("") == (5, True)
    assert shown("reason=nudity") == (2, True)
    assert shown("late=1") == (2, True)
    assert shown("late=1&reason=nudity") == (1, True)
    assert shown("urgent=1") == (1, True)
    assert shown("source=elsewhere") == (0, True)


def test_of_a_picture_that_is_not_kept_no_veil_is_asked_for(signed_in: SignedIn, pool: Pool) -> None:
    more_cases(pool, 1)
    page = signed_in("moderator").get("/console/queues/default").text
    assert "No copy is kept" in page
    assert "/veil/1" not in page


def test_what_is_on_a_severe_list_shows_no_veil(signed_in: SignedIn, pool: Pool) -> None:
    more_cases(pool, 1, reason="hash-severe")
    keep_pictures(pool)
    page = signed_in("moderator").get("/console/queues/default").text
    assert "/veil/" not in page
    assert "shown to nobody" in page


def test_the_next_case_is_claimed_and_nobody_elses(signed_in: SignedIn, pool: Pool) -> None:
    more_cases(pool, 2)
    robin, sam = signed_in("moderator", name="Robin-R"), signed_in("moderator", name="Sam-S")
    first = send(robin, "/console/queues/default/next").headers["location"]
    second = send(sam, "/console/queues/default/next").headers["location"]
    assert first != second
    assert send(robin, "/console/queues/default/next").headers["location"] == first  # still in hand
    assert "In your hands" in robin.get("/console").text
    page = robin.get("/console/queues/default").text
    assert ("you have it" in page, "somebody has it" in page) == (True, True)
    for name in ("Sam-S", sam.headers["x-staff"]):
        assert name not in page
    third = signed_in("moderator")
    answer = send(third, "/console/queues/default/next")
    assert answer.headers["location"] == "/console/queues/default?said=none_waits"
    assert "Nothing waits for you" in third.get(answer.headers["location"]).text


def test_who_signs_out_has_nothing_in_hand(signed_in: SignedIn, pool: Pool) -> None:
    more_cases(pool, 1)
    robin, sam = signed_in("moderator"), signed_in("moderator")
    case = send(robin, "/console/queues/default/next").headers["location"]
    assert send(robin, "/console/sign-out").status_code == 303
    assert send(sam, "/console/queues/default/next").headers["location"] == case


def test_a_case_that_is_not_there_is_noted_in_the_log_once_a_minute(signed_in: SignedIn, pool: Pool) -> None:
    robin = signed_in("moderator")
    for n in range(3):
        for path in (address(f"00000000-0000-0000-0000-00000000000{n}"),):
            assert robin.get(path).status_code == 404
            assert robin.get(f"{path}/veil/1").status_code == 404
    leaves = rows(pool, "SELECT convert_from(leaf, 'UTF8') FROM audit_leaf")
    assert 1 <= sum('"case.denied"' in leaf for (leaf,) in leaves) <= 2  # a minute may end in between


def test_another_tenants_case_is_not_there(signed_in: SignedIn, pool: Pool, keystore: Keystore) -> None:
    init_tenant(pool, keystore, "other", "elsewhere", "http://127.0.0.1:9/hooks")
    more_cases(pool, 1, tenant="other")
    ((case,),) = rows(pool, "SELECT id FROM review_case")
    robin = signed_in("moderator")
    assert "Nothing waits." in robin.get("/console/queues/default").text
    for path in (address(case), address(case, "veil/1"), f"/console/queues/default?after={case}"):
        assert robin.get(path).status_code == 404
    for act in ("claim", "look", "decide", "undo", "leave", "note", "extend", "faces/0/veto"):
        assert send(robin, address(case, act), {"claim": str(case), "how": "skip"}).status_code == 404
    assert rows(pool, "SELECT claim, closed_at FROM review_case") == [(None, None)]


@pytest.mark.parametrize(
    "path",
    ["/console/queues/a%2Fb", "/console/queues/.hidden", "/console/queues/%3Cimg%3E", "/console/queues/a?reason=%00"],
)
def test_a_name_that_no_queue_has_is_refused(signed_in: SignedIn, path: str) -> None:
    assert signed_in("moderator").get(path).status_code in (400, 404)
