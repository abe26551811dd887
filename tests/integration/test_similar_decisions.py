"""Earlier decisions on pictures that look like a case's stand beside it, as veils only."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import pytest

from assent.db.pool import transaction
from assent.decisions.assemble import assemble
from assent.review.cases import read_case
from assent.review.decide import ReviewInput, decide_case
from assent.review.similar import MOST_SIMILAR, SimilarDecision, similar_decisions
from tests.events import SOURCE
from tests.fixtures.console import SignedIn
from tests.integration.album import Album
from tests.looked_at import BREAST, looking, post_case, set_hash


@pytest.fixture
def nudes(album: Album, tmp_path: Path) -> Album:
    return looking(album, tmp_path, BREAST)


def similar(album: Album, case_id: UUID) -> tuple[SimilarDecision, ...]:
    with transaction(album.bench.pool) as conn:
        case = read_case(conn, "default", case_id)
        return similar_decisions(conn, "default", case, assemble(conn, album.keys, case.item))


def decided(album: Album, media_id: str, photo: bytes, bits: int, action: str) -> UUID:
    case = post_case(album, media_id, photo)
    set_hash(album.bench, media_id, range(bits))
    with transaction(album.bench.pool) as conn:
        decide_case(conn, album.keys, "robin", case, ReviewInput(action))  # type: ignore[arg-type]
    return case


@pytest.fixture
def case(nudes: Album, cat: bytes) -> UUID:
    """Open; beside it an allowed picture 5 bits off, one blocked later 31 off, and one 32 off."""
    decided(nudes, "near", cat + b"1", 5, "allow")
    decided(nudes, "<img src=x>", cat + b"2", 31, "block")
    decided(nudes, "far", cat + b"3", 32, "block")
    case = post_case(nudes, "case", cat)
    set_hash(nudes.bench, "case")
    return case


def veil(case_id: UUID, media: str) -> str:
    return f"/console/cases/{case_id}/similar/veil?source={SOURCE}&media={quote(media)}"


def test_the_newest_of_those_within_31_bits_come_first(nudes: Album, case: UUID) -> None:
    found = [(one.item.id, one.distance, one.action, one.by_moderator) for one in similar(nudes, case)]
    assert found == [("<img src=x>", 31, "block", True), ("near", 5, "allow", True)]


def test_there_are_at_most_twelve(nudes: Album, cat: bytes, case: UUID) -> None:
    for n in range(MOST_SIMILAR):
        decided(nudes, f"more-{n}", cat + bytes([9, n]), n, "limit")
    found = similar(nudes, case)
    assert [one.item.id for one in found] == [f"more-{n}" for n in reversed(range(MOST_SIMILAR))]


def test_the_page_shows_veils_and_no_names_that_act(case: UUID, signed_in: SignedIn) -> None:
    robin = signed_in("viewer")
    page = robin.get(f"/console/cases/{case}/similar")
    assert page.status_code == 200
    assert page.text.count("<img") == 2
    assert "31 of 256 bits apart" in page.text
    picture = robin.get(veil(case, "near"))
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert len(picture.content) < 8_000
    bare = robin.get(f"/console/cases/{case}/similar?bare=1").text
    assert "<nav" not in bare
    assert "<html" not in bare


def test_no_veil_of_what_does_not_look_like_it(case: UUID, signed_in: SignedIn) -> None:
    robin = signed_in()
    assert robin.get(veil(case, "far")).status_code == 404
    assert robin.get(veil(case, "nothing")).status_code == 404
    assert robin.get(veil(case, "near") + "&side=500").status_code == 400


def test_none_of_a_picture_that_became_severe(nudes: Album, case: UUID, signed_in: SignedIn) -> None:
    with transaction(nudes.bench.pool) as conn:
        conn.execute(
            "UPDATE decision SET document = jsonb_set(document::jsonb, '{tags,0,name}', '\"hash.known.severe\"')::json"
            " WHERE media_id = 'near'"
        )
    robin = signed_in()
    assert robin.get(veil(case, "near")).status_code == 404
    page = robin.get(f"/console/cases/{case}/similar").text
    assert "Withheld: on a list marked severe" in page
    assert page.count("<img") == 1


def test_none_of_a_queue_that_the_account_may_not_see(nudes: Album, case: UUID, signed_in: SignedIn) -> None:
    with transaction(nudes.bench.pool) as conn:
        conn.execute("UPDATE review_case SET queue = 'blood' WHERE media_id = 'near'")
    robin = signed_in(queues=["nudes"])
    assert robin.get(veil(case, "near")).status_code == 403
    page = robin.get(f"/console/cases/{case}/similar").text
    assert "Not shown to you" in page
    assert signed_in(queues=["blood"]).get(f"/console/cases/{case}/similar").status_code == 403


def test_a_veil_hides_faces_also_where_a_policy_tells_the_platform_of_none(
    nudes: Album, case: UUID, signed_in: SignedIn
) -> None:
    robin = signed_in("moderator")
    before = robin.get(veil(case, "near"))
    assert before.status_code == 200
    with transaction(nudes.bench.pool) as conn:
        conn.execute(
            "UPDATE decision SET audiences = jsonb_set(audiences, '{platform}',"
            " audiences -> 'platform' || '{\"faces\": false, \"matches\": false}')"
        )
    assert robin.get(veil(case, "near")).content == before.content
