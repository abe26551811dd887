"""A case's page: what it shows, what it keeps back, and what it costs."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from assent.core.values import MediaRef
from assent.db.pool import Pool, transaction
from assent.worker.jobs import decide_event
from tests.events import rows, store
from tests.fixtures.console import SignedIn
from tests.integration.album import Album
from tests.integration.console_pages import address, case_of, claimed, mark_queue, more_cases, new_case, send

PAGE_BYTES = 100_000
ROUND_TRIPS = 9
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe\"'"


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Statements that were sent to the database, in order."""
    sent: list[str] = []
    execute = psycopg.Cursor.execute

    def noting(self: Any, query: Any, *values: Any, **options: Any) -> Any:
        sent.append(str(query)[:60])
        return execute(self, query, *values, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noting)
    return sent


def test_it_shows_why_the_case_is_here_and_what_each_button_does(desk: Album, signed_in: SignedIn) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    page = robin.get(address(case)).text
    assert "Claim this case" in page
    assert 'value="block"' not in page
    page = claimed(robin, case)
    assert "crowd" in page
    assert "yours for 5 min" in page
    assert page.count('class="face"') == 6
    assert "body.covered" in page
    for consequence in ("shown as it is", "with its labels", "behind a warning until", "shown to nobody"):
        assert consequence in page
    assert "style=" not in page
    assert len(page.encode()) <= PAGE_BYTES


def test_it_needs_few_round_trips(desk: Album, signed_in: SignedIn, statements: list[str]) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    claimed(robin, case)
    statements.clear()
    assert robin.get(address(case)).status_code == 200
    assert len(statements) <= ROUND_TRIPS, statements


def test_a_viewer_sees_veils_and_no_form(desk: Album, signed_in: SignedIn) -> None:
    case = new_case(desk)
    viewer = signed_in("viewer")
    page = viewer.get(address(case)).text
    assert "behind veils only" in page
    assert 'data-act="look"' not in page
    assert send(viewer, address(case, "claim")).status_code == 403


def test_a_queue_that_is_not_ones_own_is_closed_with_its_pictures(desk: Album, signed_in: SignedIn) -> None:
    case = new_case(desk)
    other = signed_in("moderator", queues=["another"])
    for path in (address(case), address(case, "veil/1"), address(case, "veil/2")):
        assert other.get(path).status_code == 403
    for act in ("look", "claim", "decide", "undo", "leave", "note", "extend", "faces/0/veto"):
        assert send(other, address(case, act)).status_code == 403


def test_somebody_elses_case_says_so_and_names_nobody(desk: Album, signed_in: SignedIn) -> None:
    case = new_case(desk)
    robin, sam = signed_in("moderator", name="Robin-R"), signed_in("moderator", name="Sam-S")
    claimed(robin, case)
    page = sam.get(address(case)).text
    assert "Somebody works on this case" in page
    assert "Robin-R" not in page
    assert robin.headers["x-staff"] not in page
    answer = send(sam, address(case, "claim"))
    assert answer.status_code == 409
    assert robin.headers["x-staff"] not in answer.text


def test_whoever_agreed_is_counted_and_not_named(desk: Album, signed_in: SignedIn) -> None:
    desk.opt_in("alice-the-subject", "second")
    desk.wait("alice-the-subject", 1)
    assert desk.post(author="alice-the-subject") == {"alice-the-subject": "second"}
    case = case_of(desk.bench, "group")
    robin = signed_in("moderator")
    page = claimed(robin, case)
    assert "1 person who agreed was recognised" in page
    assert "alice-the-subject" not in page
    face = re.search(r"faces/(\d)/veto", page)
    assert face
    claim = re.search(r'name="claim" value="([^"]+)"', page)
    assert claim
    asked = send(robin, address(case, "faces", face[1], "veto"), {"claim": claim[1]})
    assert "This is final" in asked.text
    assert desk.named() == {"alice-the-subject": "second"}
    assert send(robin, address(case, "faces", face[1], "veto"), {"claim": claim[1], "sure": "1"}).status_code == 303
    assert desk.named() == {}


def test_skip_release_and_escalate(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin, senior = signed_in("moderator"), signed_in("senior")
    claim = {"claim": re.findall(r'name="claim" value="([^"]+)"', claimed(robin, case))[0]}
    answer = send(robin, address(case, "leave"), {**claim, "how": "escalate", "note": "kept"})
    assert answer.status_code == 400
    assert "give a reason" in answer.text
    assert ">kept</textarea>" in answer.text
    answer = send(robin, address(case, "leave"), {**claim, "how": "skip", "reason": "not my language"})
    assert answer.headers["location"] == "/console/queues/default?said=skip"
    assert send(robin, "/console/queues/default/next").headers["location"].endswith("none_waits")
    claim = {"claim": re.findall(r'name="claim" value="([^"]+)"', claimed(senior, case))[0]}
    answer = send(senior, address(case, "leave"), {**claim, "how": "escalate", "reason": "who knows this place?"})
    assert answer.status_code == 303
    assert rows(pool, "SELECT queue FROM review_case WHERE id = %s", case) == [("senior",)]
    assert send(robin, address(case, "claim")).status_code == 403  # seniors decide there
    page = claimed(senior, case)
    assert "who knows this place?" in page
    assert (desk.leaves("case.skipped"), desk.leaves("case.escalated")) == (1, 1)


def test_notes_are_kept_sealed_and_go_with_the_picture(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    page = claimed(robin, case)
    claim = re.findall(r'name="claim" value="([^"]+)"', page)[0]
    answer = send(robin, address(case, "note"), {"claim": claim, "note": HOSTILE + "\nline\n" * 100, "reason": "typed"})
    assert answer.status_code == 200
    assert 'value="typed"' in answer.text
    page = signed_in("moderator").get(address(case)).text
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
    assert "\u202e" not in page
    ((sealed,),) = rows(pool, "SELECT sealed FROM case_note")
    assert b"onerror" not in bytes(sealed)
    event = store(desk.bench, desk.keys, MediaRef("group", None), type="media.deleted", revision=2)
    decide_event(desk.bench, "default", event)
    assert rows(pool, "SELECT FROM case_note") == []
    assert "decided anew or deleted" in robin.get(address(case)).text


def test_a_claim_is_extended_while_its_page_is_in_use(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    claim = re.findall(r'name="claim" value="([^"]+)"', claimed(robin, case))[0]
    with transaction(pool) as conn:
        conn.execute("UPDATE review_case SET claimed_until = now() + interval '10 seconds'")
    answer = send(robin, address(case, "extend"), {"claim": claim, "seconds": "7"})
    assert answer.json()["seconds"] in range(290, 301)
    assert rows(pool, "SELECT looks, seconds FROM exposure") == [(0, 7)]
    answer = send(signed_in("moderator"), address(case, "extend"), {"claim": claim})
    assert (answer.status_code, answer.json()) == (409, {"seconds": 0})


def test_a_lapsed_claim_says_that_it_counts_still(desk: Album, signed_in: SignedIn, pool: Pool) -> None:
    case = new_case(desk)
    robin = signed_in("moderator")
    claimed(robin, case)
    with transaction(pool) as conn:
        conn.execute("UPDATE review_case SET claimed_until = now() - interval '1 second'")
    page = robin.get(address(case)).text
    assert "lapsed; it counts until somebody takes the case" in page
    assert 'value="block"' in page


def test_what_could_not_be_read_is_decided_without_a_picture(desk: Album, signed_in: SignedIn) -> None:
    decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef("bad", None), b"no picture"))
    case = case_of(desk.bench, "bad")
    page = claimed(signed_in("moderator"), case)
    assert "No copy of this picture is kept" in page
    assert "<svg" not in page
    assert 'value="block"' in page


def test_hostile_names_stand_there_as_text(signed_in: SignedIn, pool: Pool) -> None:
    mark_queue(pool, "default", due=5)
    more_cases(pool, 1, reason=HOSTILE)
    with transaction(pool) as conn:
        conn.execute("UPDATE review_case SET media_id = %s, source = %s", ["=HYPERLINK(" + "line\n" * 10_000, HOSTILE])
    robin = signed_in("moderator", name=HOSTILE)
    for path in ("/console", "/console/queues/default", address(rows(pool, "SELECT id FROM review_case")[0][0])):
        page = robin.get(path)
        assert page.status_code == 200
        assert "<img src=x" not in page.text
        assert len(page.content) < PAGE_BYTES
        if "\u202e" in page.text:  # an option's value is sent back as it is, and shown to nobody
            assert re.sub(r'value="[^"]*"', "", page.text).count("\u202e") == 0
