"""Two moderators never work on one case: claims, their end, and what a decision asks of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from assent.core.values import MediaRef
from assent.db.pool import transaction
from assent.http.api_keys import create_key
from assent.review.claims import claim_next
from assent.worker.jobs import decide_event
from tests.events import everything, rows, store
from tests.integration.album import Album
from tests.integration.desk import key_id, open_cases


@pytest.fixture
def cases(desk: Album) -> list[str]:
    """Three cases, the oldest first, of pictures that could not be read."""
    for n in range(3):
        decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef(f"bad-{n}", None), b"no picture"))
    return [str(id_) for (id_,) in rows(desk.bench, "SELECT id FROM review_case ORDER BY opened_at")]


@pytest.fixture
def colleague(desk: Album, moderator: TestClient) -> dict[str, str]:
    """The headers of a second moderator."""
    with transaction(desk.bench.pool) as conn:
        return {"Authorization": f"Bearer {create_key(conn, desk.keys, ('review',))}"}


def post(client: TestClient, path: str, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, Any]:
    """The answer's status, and its body, or the code of the problem that it is."""
    answer = client.post(f"/v1/reviews/{path}", json=body, headers=headers)
    content: Any = answer.json() if answer.content else None
    return answer.status_code, content["code"] if answer.status_code >= 400 else content


def lapse(desk: Album, minutes: int = 6) -> None:
    """Lets that time pass."""
    with transaction(desk.bench.pool) as conn:
        conn.execute(
            "UPDATE review_case SET claimed_at = claimed_at - make_interval(mins => %(n)s),"
            " claimed_until = claimed_until - make_interval(mins => %(n)s)",
            {"n": minutes},
        )


def test_a_claimed_case_is_nobody_elses(
    desk: Album, moderator: TestClient, colleague: dict[str, str], cases: list[str]
) -> None:
    status, mine = post(moderator, "next")
    assert (status, mine["case"]) == (200, cases[0])
    (shown, *others) = open_cases(moderator)
    assert (shown["claimed_by"], shown["claimed_until"]) == (key_id(moderator), mine["until"])
    assert {case["claimed_by"] for case in others} == {None}
    assert post(moderator, f"{cases[0]}/claim", colleague) == (409, "case_claimed")
    assert post(moderator, cases[0], colleague, action="allow") == (409, "case_claimed")
    assert post(moderator, "next", colleague)[1]["case"] == cases[1]
    assert post(moderator, cases[0], action="allow", claim=mine["claim"])[0] == 200
    assert post(moderator, f"{cases[0]}/claim", colleague) == (409, "case_closed")


def test_who_calls_without_claims_decides_what_nobody_works_on(
    moderator: TestClient, colleague: dict[str, str], cases: list[str]
) -> None:
    assert post(moderator, f"{cases[0]}/claim")[0] == 200
    assert post(moderator, cases[0], action="allow")[0] == 200  # one's own, from a tool that knows no claims
    assert post(moderator, cases[1], colleague, action="allow")[0] == 200


def test_a_lapsed_claim_counts_until_somebody_takes_the_case(
    desk: Album, moderator: TestClient, colleague: dict[str, str], cases: list[str]
) -> None:
    mine = [post(moderator, f"{case}/claim")[1]["claim"] for case in cases[:2]]
    lapse(desk)
    assert open_cases(moderator)[0]["claimed_by"] is None
    assert post(moderator, cases[0], action="allow", claim=mine[0])[0] == 200
    assert post(moderator, "next", colleague)[1]["case"] == cases[1]
    assert post(moderator, cases[1], action="allow", claim=mine[1]) == (409, "case_claimed")
    assert post(moderator, f"{cases[1]}/claim", claim=mine[1]) == (409, "case_claimed")


def test_a_second_tab_ends_the_claim_of_the_first(moderator: TestClient, cases: list[str]) -> None:
    first = post(moderator, f"{cases[0]}/claim")[1]["claim"]
    second = post(moderator, f"{cases[0]}/claim")[1]["claim"]
    assert post(moderator, cases[0], action="block", claim=first) == (409, "case_claimed")
    assert post(moderator, cases[0], action="allow", claim=second)[0] == 200


def test_a_claim_is_extended_for_half_an_hour_at_most(
    desk: Album, moderator: TestClient, colleague: dict[str, str], cases: list[str]
) -> None:
    claim = post(moderator, f"{cases[0]}/claim")[1]["claim"]
    for _ in range(6):
        lapse(desk, 4)
        status, extended = post(moderator, f"{cases[0]}/claim", claim=claim)
        assert (status, extended["claim"]) == (200, claim)
    lapse(desk, 4)  # 28 minutes
    assert post(moderator, f"{cases[0]}/claim", claim=claim)[0] == 200
    assert post(moderator, f"{cases[0]}/claim")[0] == 200  # a new token for it begins no new half hour
    assert post(moderator, f"{cases[0]}/claim", colleague) == (409, "case_claimed")
    lapse(desk, 3)
    assert post(moderator, f"{cases[0]}/claim", colleague)[0] == 200


def test_what_was_skipped_is_not_the_next_again(
    desk: Album, moderator: TestClient, colleague: dict[str, str], cases: list[str]
) -> None:
    claim = post(moderator, "next")[1]["claim"]
    sent = {"claim": claim, "how": "skip", "reason": "hidden-reason"}
    assert post(moderator, f"{cases[0]}/leave", **sent) == (204, None)
    assert post(moderator, f"{cases[0]}/leave", **sent) == (409, "case_claimed")  # it has ended
    assert post(moderator, "next")[1]["case"] == cases[1]
    assert post(moderator, "next", colleague)[1]["case"] == cases[0]
    assert desk.leaves("case.skipped") == 1
    assert "hidden-reason" not in everything(desk.bench)


def test_what_was_released_waits_for_anybody(desk: Album, moderator: TestClient, cases: list[str]) -> None:
    claim = post(moderator, "next")[1]["claim"]
    assert post(moderator, f"{cases[0]}/leave", claim=claim, how="release") == (204, None)
    assert post(moderator, "next")[1]["case"] == cases[0]
    assert desk.leaves("case.skipped") == desk.leaves("case.escalated") == 0


def test_an_escalated_case_waits_in_another_queue(desk: Album, moderator: TestClient, cases: list[str]) -> None:
    claim = post(moderator, "next")[1]["claim"]
    assert post(moderator, f"{cases[0]}/leave", claim=claim, how="escalate") == (400, "bad_request")
    sent = {"claim": claim, "how": "escalate", "reason": "a minor?"}
    assert post(moderator, f"{cases[0]}/leave", **sent) == (204, None)
    assert desk.leaves("case.escalated") == 1
    assert post(moderator, "next?queue=default")[1]["case"] == cases[1]
    assert post(moderator, "next?queue=senior")[1]["case"] == cases[0]
    assert post(moderator, "next?queue=senior")[1] == {"case": None, "claim": None, "until": None}


def test_of_many_at_once_each_gets_another_case(desk: Album, cases: list[str]) -> None:
    def claim(n: int) -> UUID | None:
        with transaction(desk.bench.pool) as conn:
            claimed = claim_next(conn, "default", f"moderator {n}")
        return claimed.case_id if claimed else None

    with ThreadPoolExecutor(6) as threads:
        claimed = [str(case) for case in threads.map(claim, range(6)) if case]
    assert sorted(claimed) == sorted(cases)


def test_a_claim_of_another_tenants_case_finds_nothing(moderator: TestClient) -> None:
    nobody = UUID(int=0)
    assert post(moderator, f"{nobody}/claim") == (404, "not_found")
    assert post(moderator, f"{nobody}/leave", claim=str(nobody), how="skip") == (404, "not_found")
