"""What a moderator looked at is told to them alone; muted labels, the limits, and an ordinary case among grave ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.review.care import CareMeter, CaseTaker, care_meter, claim_next_for, purge_exposure
from assent.review.decide import ReviewInput, decide_case
from tests.events import rows
from tests.fixtures.console import SignedIn
from tests.integration.album import Album
from tests.looked_at import BLOOD, BREAST, looking, post_case

ROBIN = "robin"


def look(pool: Pool, by: str, category: str, grave: bool, looks: int, seconds: int = 0, days_ago: int = 0) -> None:
    """Counts looks as whoever shows a picture does."""
    with transaction(pool) as conn:
        conn.execute(
            "INSERT INTO exposure AS e (tenant, by, day, category, grave, looks, seconds)"
            " VALUES ('default', %s, current_date - %s::integer, %s, %s, %s, %s)"
            " ON CONFLICT (tenant, by, day, category, grave)"
            " DO UPDATE SET looks = e.looks + EXCLUDED.looks, seconds = e.seconds + EXCLUDED.seconds",
            (by, days_ago, category, grave, looks, seconds),
        )


def meter(pool: Pool, by: str = ROBIN) -> CareMeter:
    with transaction(pool) as conn:
        return care_meter(conn, "default", by)


def next_case(album: Album, queue: str | None = None, **wish: object) -> UUID | None:
    with transaction(album.bench.pool) as conn:
        claim = claim_next_for(conn, "default", replace(CaseTaker(ROBIN), **wish), queue)  # type: ignore[arg-type]
    return claim.case_id if claim else None


def decide(album: Album, case_id: UUID) -> None:
    with transaction(album.bench.pool) as conn:
        decide_case(conn, album.keys, ROBIN, case_id, ReviewInput("allow"))


@pytest.fixture
def mixed(album: Album, tmp_path: Path, cat: bytes) -> Album:
    """Ten cases in the grave queue `blood`, then two in `nudes`."""
    bloody, nudes = looking(album, tmp_path, BLOOD), looking(album, tmp_path, BREAST)
    for n in range(10):
        post_case(bloody, f"blood-{n}", cat + bytes([n]))
    for n in range(2):
        post_case(nudes, f"nude-{n}", cat + bytes([100 + n]))
    with transaction(album.bench.pool) as conn:
        conn.execute("INSERT INTO review_queue VALUES ('default', 'blood', 60, true)")
    return album


def media(album: Album, case_id: UUID | None) -> str:
    ((name,),) = rows(album.bench, "SELECT media_id FROM review_case WHERE id = %s", case_id)
    return str(name)


def test_looks_are_told_by_category_of_today_and_of_seven_days(pool: Pool, keys: TenantKeys) -> None:
    look(pool, ROBIN, "violence", True, 2, 30)
    look(pool, ROBIN, "violence", True, 1, 5)
    look(pool, ROBIN, "violence", True, 4, 60, days_ago=6)
    look(pool, ROBIN, "nudity", False, 9, 9, days_ago=7)
    look(pool, "another", "violence", True, 50)
    (line,) = meter(pool).lines
    assert (line.category, line.grave) == ("violence", True)
    assert (line.looks_today, line.seconds_today, line.looks_week, line.seconds_week) == (3, 35, 7, 95)


def test_grave_looks_of_the_hour_are_counted(pool: Pool, keys: TenantKeys) -> None:
    look(pool, ROBIN, "violence", True, 20)
    look(pool, ROBIN, "violence", True, 39)
    look(pool, ROBIN, "nudity", False, 500)
    assert (meter(pool).grave_looks, meter(pool).is_hour_full) == (59, False)
    look(pool, ROBIN, "nudity", True, 1)
    assert meter(pool).is_hour_full
    with transaction(pool) as conn:
        conn.execute("UPDATE grave_look SET minute = minute - interval '61 minutes'")
    assert meter(pool).grave_looks == 0


def test_work_goes_back_to_the_last_pause(mixed: Album) -> None:
    for minutes in (1, 8, 15, 40):
        case = next_case(mixed)
        assert case is not None
        decide(mixed, case)
        with transaction(mixed.bench.pool) as conn:
            conn.execute(
                "UPDATE review_case SET closed_at = now() - make_interval(mins => %s) WHERE id = %s", (minutes, case)
            )
    assert round(meter(mixed.bench.pool).worked.total_seconds() / 60) == 15


def test_every_eighth_case_of_a_grave_queue_is_an_ordinary_one(mixed: Album) -> None:
    taken = []
    for _ in range(10):
        case = next_case(mixed, "blood")
        assert case is not None
        taken.append(media(mixed, case).split("-")[0])
        decide(mixed, case)
    assert taken == ["blood"] * 7 + ["nude"] + ["blood"] * 2


def test_it_comes_from_a_queue_that_the_account_may_see(mixed: Album) -> None:
    taken = []
    for _ in range(8):
        case = next_case(mixed, "blood", queues=("blood",))
        assert case is not None
        taken.append(media(mixed, case).split("-")[0])
        decide(mixed, case)
    assert taken == ["blood"] * 8


@pytest.mark.parametrize("muted", ["violence", "violence.graphic", "safety"])
def test_a_muted_label_is_nobodys_next_case(mixed: Album, muted: str) -> None:
    assert next_case(mixed, "blood", muted=(muted,)) is None
    assert next_case(mixed, "nudes", muted=("violence",)) is not None


def test_a_next_case_is_of_ones_own_queues_and_senior_ones_are_for_seniors(mixed: Album) -> None:
    assert media(mixed, next_case(mixed, queues=("nudes",))) == "nude-0"
    with transaction(mixed.bench.pool) as conn:
        conn.execute("UPDATE review_case SET queue = 'senior' WHERE media_id LIKE 'blood%'")
        conn.execute("UPDATE review_case SET queue = 'nudes', closed_at = now() WHERE media_id LIKE 'nude%'")
    assert next_case(mixed) is None
    assert next_case(mixed, senior=True) is not None


def test_the_page_is_the_accounts_own(pool: Pool, signed_in: SignedIn) -> None:
    robin, alex = signed_in(name="Robin"), signed_in(name="Alex")
    look(pool, robin.headers["x-staff"], "violence", True, 61, 241 * 60)
    page = robin.get("/console/care").text
    assert "61 ×, 241 min" in page
    assert "Four hours are a long day" in page
    assert "61 grave pictures within the hour" in page
    assert "You have not looked at any picture" in alex.get("/console/care").text
    assert "61 ×" not in signed_in("senior", "admin").get("/console/care").text


def test_counts_go_after_thirty_days(pool: Pool, keys: TenantKeys) -> None:
    look(pool, ROBIN, "violence", True, 1, days_ago=31)
    look(pool, ROBIN, "violence", True, 1, days_ago=30)
    with transaction(pool) as conn:
        conn.execute("UPDATE grave_look SET minute = minute - interval '2 days'")
        purge_exposure(conn)
    assert rows(pool, "SELECT count(*) FROM exposure") == [(1,)]
    assert rows(pool, "SELECT count(*) FROM grave_look") == [(0,)]


def test_no_page_says_that_blur_protects(signed_in: SignedIn) -> None:
    assert "not found to protect anybody" in signed_in().get("/console/care").text
