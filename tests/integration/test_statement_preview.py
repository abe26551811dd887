"""A moderator reads the statement of reasons as its author would, before anything is decided."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from assent.db.pool import transaction
from assent.review.decide import ReviewInput, decide_case
from tests.events import rows
from tests.fixtures.console import SignedIn
from tests.integration.album import Album
from tests.looked_at import BREAST, looking, post_case


@pytest.fixture
def case(album: Album, tmp_path: Path, cat: bytes) -> UUID:
    return post_case(looking(album, tmp_path, BREAST), "a", cat)


def page(signed_in: SignedIn, case: UUID, **query: str) -> str:
    answer = signed_in("viewer").get(f"/console/cases/{case}/statement", params=query)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


def test_it_reads_as_the_author_will_read_it(album: Album, case: UUID, signed_in: SignedIn) -> None:
    shown = page(signed_in, case, action="block", ground="nude")
    with transaction(album.bench.pool) as conn:
        decide_case(conn, album.keys, "robin", case, ReviewInput("block", ground="nude"))
    query = "SELECT notice ->> 'en' FROM statement WHERE body ->> 'automated_decision' ~ 'NOT'"
    ((notice,),) = rows(album.bench, query)
    assert notice in shown
    assert "AUTOMATED_DECISION_NOT_AUTOMATED" in shown


def test_nothing_is_stored_by_reading_it(album: Album, case: UUID, signed_in: SignedIn) -> None:
    before = rows(album.bench, "SELECT count(*) FROM statement"), rows(album.bench, "SELECT count(*) FROM audit_leaf")
    page(signed_in, case, action="block")
    after = rows(album.bench, "SELECT count(*) FROM statement"), rows(album.bench, "SELECT count(*) FROM audit_leaf")
    assert before == after


def test_an_action_that_stays_keeps_its_statement(case: UUID, signed_in: SignedIn) -> None:
    shown = page(signed_in, case, action="limit")
    assert "so does the statement" in shown
    assert "Nudity is hidden behind a warning." in shown


def test_an_action_without_a_statement_says_so(case: UUID, signed_in: SignedIn) -> None:
    assert "makes no statement of reasons" in page(signed_in, case, action="allow")


def test_a_ground_that_is_none_says_so_and_the_right_ones_are_offered(case: UUID, signed_in: SignedIn) -> None:
    shown = page(signed_in, case, action="block", ground="<img src=x>")
    assert "no such rule" in shown
    assert 'value="nude"' in shown
    assert 'value="blood"' in shown


def test_it_is_a_part_of_a_page_on_demand(case: UUID, signed_in: SignedIn) -> None:
    assert "<nav" not in page(signed_in, case, action="block", bare="1")


def test_a_foreign_case_is_not_there(case: UUID, signed_in: SignedIn) -> None:
    assert signed_in().get(f"/console/cases/{uuid4()}/statement").status_code == 404
    assert signed_in(queues=["blood"]).get(f"/console/cases/{case}/statement").status_code == 403
    assert signed_in().get(f"/console/cases/{case}/statement?action=review").status_code == 400
