"""Cases whose images look alike are found from one of them, claimed together, and decided each by itself."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from assent.core.resources import resource
from assent.core.values import MediaRef
from assent.db.pool import transaction
from assent.review.claims import claim_case
from assent.review.clusters import claim_cluster, cluster_of, count_alike
from assent.worker.jobs import decide_event
from tests.events import leaves, rows, store
from tests.fixtures.console import SignedIn
from tests.integration.album import Album
from tests.looked_at import BLOOD, BREAST, POLICY, case_of, looking, post_case, set_hash


@pytest.fixture
def nudes(album: Album, tmp_path: Path) -> Album:
    return looking(album, tmp_path, BREAST)


@pytest.fixture
def chain(nudes: Album, cat: bytes) -> list[UUID]:
    """Four open cases, each 10 bits from the one before."""
    cases = []
    for n in range(4):
        cases.append(post_case(nudes, f"p{n}", cat + bytes([n])))
        set_hash(nudes.bench, f"p{n}", range(10 * n))
    return cases


def members(album: Album, case_id: UUID) -> list[tuple[str, int]]:
    with transaction(album.bench.pool) as conn:
        return [(one.case.media_id, one.distance) for one in cluster_of(conn, album.keys.tenant, case_id)]


def form_of(page: str) -> dict[str, Any]:
    """What a browser would send of the contact sheet as it comes."""
    return {
        "form": re.findall(r'name="form" value="([0-9a-f]{64})"', page)[0],
        "claim": re.findall(r'name="claim" value="([^"]+)"', page),
        "ticked": re.findall(r'name="ticked" value="([^"]+)"', page),
    }


def outcomes(album: Album) -> dict[str, str | None]:
    return dict(rows(album.bench, "SELECT media_id, outcome FROM review_case ORDER BY media_id"))


def test_the_case_opens_with_the_hash_of_its_image(nudes: Album, cat: bytes) -> None:
    post_case(nudes, "p", cat)
    ((bits, chunks, pdq),) = rows(
        nudes.bench,
        "SELECT c.pdq::text, c.pdq_chunks, d.document -> 'media' ->> 'pdq' FROM review_case c"
        " JOIN decision d USING (tenant, source, media_id)",
    )
    assert int(bits, 2) == int(pdq, 16)
    assert chunks == [n << 16 | int(bits[16 * n : 16 * n + 16], 2) for n in range(16)]


def test_members_are_measured_to_the_leader_and_never_chained(nudes: Album, chain: list[UUID]) -> None:
    assert members(nudes, chain[0]) == [("p0", 0), ("p1", 10)]
    assert members(nudes, chain[1]) == [("p1", 0), ("p0", 10), ("p2", 10)]
    with transaction(nudes.bench.pool) as conn:
        assert [count_alike(conn, "default", case) for case in chain] == [1, 2, 2, 1]


@pytest.mark.parametrize(("bits", "found"), [(15, True), (16, False)])
def test_fifteen_bits_are_alike_wherever_they_lie(nudes: Album, cat: bytes, bits: int, found: bool) -> None:
    leader = post_case(nudes, "leader", cat)
    post_case(nudes, "other", cat + b"2")
    set_hash(nudes.bench, "leader")
    set_hash(nudes.bench, "other", [16 * n for n in range(bits)])  # in as many parts as there can be
    assert [media for media, _ in members(nudes, leader)] == ["leader", *(["other"] if found else [])]


def test_a_case_of_another_queue_or_a_closed_one_is_no_member(nudes: Album, chain: list[UUID]) -> None:
    with transaction(nudes.bench.pool) as conn:
        conn.execute("UPDATE review_case SET queue = 'other' WHERE media_id = 'p0'")
        conn.execute("UPDATE review_case SET closed_at = now() WHERE media_id = 'p2'")
    assert members(nudes, chain[1]) == [("p1", 0)]
    with transaction(nudes.bench.pool) as conn:
        claim_cluster(conn, "default", "robin", chain[1])
    assert rows(nudes.bench, "SELECT media_id FROM review_case WHERE claim IS NOT NULL") == [("p1",)]


def test_one_decision_for_all_that_are_ticked(nudes: Album, chain: list[UUID], signed_in: SignedIn) -> None:
    robin = signed_in()
    page = robin.get(f"/console/clusters/{chain[1]}")
    assert page.status_code == 200, page.text
    sent = form_of(page.text)
    assert set(sent["ticked"]) == {str(case) for case in chain[:3]}
    sent["ticked"].remove(str(chain[2]))
    done = robin.post(f"/console/clusters/{chain[1]}", data={**sent, "action": "block"})
    assert done.status_code == 200, done.text
    assert outcomes(nudes) == {"p0": "block", "p1": "block", "p2": None, "p3": None}
    assert len(leaves(nudes.bench, "media.reviewed")) == 2
    assert rows(nudes.bench, "SELECT count(*) FROM review_case WHERE closed_at IS NULL AND claim IS NOT NULL") == [(0,)]
    assert rows(nudes.bench, "SELECT bool_and(next_at > now()) FROM outbox WHERE type = 'media.reviewed'") == [(True,)]

    again = robin.post(f"/console/clusters/{chain[1]}", data={**sent, "action": "block"})
    assert "Undo all" in again.text  # a form sent twice
    assert len(leaves(nudes.bench, "media.reviewed")) == 2

    undo = {"form": sent["form"], "case": [str(chain[0]), str(chain[1])], "only": str(chain[0])}
    assert "1 undone" in robin.post(f"/console/clusters/{chain[1]}/undo", data=undo).text
    assert outcomes(nudes) == {"p0": None, "p1": "block", "p2": None, "p3": None}


def test_members_gone_meanwhile_are_named(nudes: Album, chain: list[UUID], signed_in: SignedIn) -> None:
    robin = signed_in()
    sent = form_of(robin.get(f"/console/clusters/{chain[1]}").text)
    with transaction(nudes.bench.pool) as conn:
        conn.execute("UPDATE review_case SET closed_at = now() WHERE media_id = 'p0'")
        conn.execute("UPDATE review_case SET claimed_until = now() WHERE media_id = 'p2'")
        claim_case(conn, "default", "somebody", chain[2])
    done = robin.post(f"/console/clusters/{chain[1]}", data={**sent, "action": "allow"})
    assert re.search(r"p0</span>: it is closed", done.text)
    assert re.search(r"p2</span>: somebody else works on it", done.text)
    assert outcomes(nudes)["p1"] == "allow"


def test_a_ground_that_one_pictures_policy_lacks_leaves_that_one(
    album: Album, nudes: Album, chain: list[UUID], tmp_path: Path, cat: bytes, signed_in: SignedIn
) -> None:
    renamed = looking(album, tmp_path, BREAST, policy=POLICY.replace("id: nude", "id: naked"))
    post_case(renamed, "other", cat + b"other")
    set_hash(renamed.bench, "other", range(9))
    robin = signed_in()
    sent = form_of(robin.get(f"/console/clusters/{chain[0]}").text)
    done = robin.post(f"/console/clusters/{chain[0]}", data={**sent, "action": "block", "ground": "nude"})
    assert re.search(r"other</span>: the policy that decided it has no such rule", done.text)
    assert outcomes(nudes) == {"other": None, "p0": "block", "p1": "block", "p2": None, "p3": None}


def test_who_holds_a_member_keeps_it(nudes: Album, chain: list[UUID], signed_in: SignedIn) -> None:
    with transaction(nudes.bench.pool) as conn:
        claim_case(conn, "default", "somebody", chain[0])
    page = signed_in().get(f"/console/clusters/{chain[1]}").text
    assert str(chain[0]) not in form_of(page)["ticked"]
    assert "Somebody else works on it." in page


def test_veils_are_small_and_those_of_severe_pictures_withheld(
    nudes: Album, chain: list[UUID], signed_in: SignedIn
) -> None:
    robin = signed_in()
    veil = robin.get(f"/console/clusters/{chain[0]}/veil?side=24")
    assert (veil.status_code, veil.headers["content-type"]) == (200, "image/jpeg")
    assert veil.headers["cache-control"] == "no-store"
    assert max(Image.open(BytesIO(veil.content)).size) == 24
    assert max(Image.open(BytesIO(robin.get(f"/console/clusters/{chain[0]}/veil").content)).size) == 96
    assert robin.get(f"/console/clusters/{chain[0]}/veil?side=500").status_code == 400
    with transaction(nudes.bench.pool) as conn:
        conn.execute("UPDATE review_case SET reason = 'hash-severe' WHERE media_id = 'p0'")
    assert robin.get(f"/console/clusters/{chain[0]}/veil").status_code == 404
    page = robin.get(f"/console/clusters/{chain[1]}").text
    assert f"/console/clusters/{chain[0]}/veil" not in page
    assert "Withheld: on a list marked severe." in page


def test_who_may_not_decide_in_that_queue_gets_no_claims(
    nudes: Album, chain: list[UUID], signed_in: SignedIn, stranger: TestClient
) -> None:
    path = f"/console/clusters/{chain[0]}"
    assert signed_in("viewer").get(path).status_code == 403
    assert signed_in("moderator", queues=["blood"]).get(path).status_code == 403
    assert signed_in("moderator", queues=["blood"]).get(f"{path}/veil").status_code == 403
    assert stranger.get(path).status_code == 303
    assert signed_in().get(f"/console/clusters/{uuid4()}").status_code == 404
    assert rows(nudes.bench, "SELECT count(*) FROM review_case WHERE claim IS NOT NULL") == [(0,)]


def test_another_queues_case_is_not_decided_by_a_forged_form(
    album: Album, nudes: Album, chain: list[UUID], tmp_path: Path, cat: bytes, signed_in: SignedIn
) -> None:
    bloody = looking(album, tmp_path, BLOOD)
    post_case(bloody, "blood", cat + b"blood")
    foreign = case_of(bloody.bench, "blood")
    robin = signed_in()
    with transaction(nudes.bench.pool) as conn:
        claim = claim_case(conn, "default", robin.headers["x-staff"], foreign)
    sent = form_of(robin.get(f"/console/clusters/{chain[0]}").text)
    forged = {"form": sent["form"], "claim": [f"{foreign}:{claim.token}"], "ticked": [str(foreign)], "action": "allow"}
    assert robin.post(f"/console/clusters/{chain[0]}", data=forged).status_code == 200
    assert outcomes(bloody)["blood"] is None


@pytest.mark.parametrize(
    "wrong",
    [{"action": "review"}, {"action": "allow", "claim": "x:y"}, {"action": "allow", "ticked": "1"}, {}],
)
def test_a_form_that_is_none_of_ours_decides_nothing(
    nudes: Album, chain: list[UUID], signed_in: SignedIn, wrong: dict[str, Any]
) -> None:
    robin = signed_in()
    sent = form_of(robin.get(f"/console/clusters/{chain[0]}").text)
    assert robin.post(f"/console/clusters/{chain[0]}", data={**sent, **wrong}).status_code == 400
    assert robin.post(f"/console/clusters/{chain[0]}", data={"action": "allow"}).status_code == 403
    assert set(outcomes(nudes).values()) == {None}


def test_a_deleted_picture_leaves_no_hash(nudes: Album, cat: bytes) -> None:
    post_case(nudes, "p", cat)
    decide_event(nudes.bench, "default", store(nudes.bench, nudes.keys, MediaRef("p", None), type="media.deleted"))
    assert rows(nudes.bench, "SELECT pdq, pdq_chunks FROM review_case") == [(None, None)]


def test_open_cases_of_before_get_their_hashes_from_the_migration(nudes: Album, cat: bytes) -> None:
    post_case(nudes, "p", cat)
    before = rows(nudes.bench, "SELECT pdq::text, pdq_chunks FROM review_case")
    text = (resource("migrations") / "0024_clusters.sql").read_text()
    (update,) = re.findall(r"^UPDATE review_case c .*?;$", text, re.MULTILINE | re.DOTALL)
    with transaction(nudes.bench.pool) as conn:
        conn.execute("UPDATE review_case SET pdq = NULL, pdq_chunks = NULL")
        conn.execute(update)
    assert rows(nudes.bench, "SELECT pdq::text, pdq_chunks FROM review_case") == before


def test_a_case_of_another_tenant_is_not_there(nudes: Album, chain: list[UUID], signed_in: SignedIn) -> None:
    foreign = uuid4()
    with transaction(nudes.bench.pool) as conn:
        conn.execute("INSERT INTO tenant (tenant) VALUES ('other')")
        conn.execute(
            "INSERT INTO review_case (tenant, id, source, media_id, revision, reason, queue, priority, pdq, pdq_chunks)"
            " SELECT 'other', %s, source, media_id, revision, reason, queue, priority, pdq, pdq_chunks"
            " FROM review_case WHERE media_id = 'p0'",
            (foreign,),
        )
    robin = signed_in()
    for path in ("clusters/{}", "clusters/{}/veil", "cases/{}/why", "cases/{}/similar", "cases/{}/policies"):
        assert robin.get("/console/" + path.format(foreign)).status_code == 404
    assert members(nudes, chain[0]) == [("p0", 0), ("p1", 10)]
