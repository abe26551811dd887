"""The console's audit log: each leaf with its proof, sealed parts open to whoever did it alone; a broken log said."""

from __future__ import annotations

import re
from base64 import b64decode
from pathlib import Path

from fastapi.testclient import TestClient

from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.policy.load import load_policy
from assent.review.claims import Holder, claim_case, end_claim
from assent.review.decide import ReviewInput, decide_case
from tests.caseload import fill
from tests.command import assent
from tests.events import rows
from tests.fixtures.console import SignedIn

NOTE = "as the terms say"


def decided(pool: Pool, keys: TenantKeys, by: str) -> int:
    """Decides a case as that account; the number of its leaf."""
    fill(pool, keys, load_policy(None), 3)
    ((case,),) = rows(pool, "SELECT id FROM review_case WHERE media_id = 'case-1'")
    with transaction(pool) as conn:
        claim = claim_case(conn, "default", by, case)
        decide_case(conn, keys, by, case, ReviewInput("allow", note=NOTE, claim=claim.token))
    return int(rows(pool, "SELECT max(seq) FROM audit_leaf")[0][0])


def numbers(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'href="/console/log/(\d+)"', page)]


def test_a_moderator_sees_their_own_leaves_and_no_others(signed_in: SignedIn, pool: Pool, keys: TenantKeys) -> None:
    robin, kim = signed_in("moderator"), signed_in("moderator", name="Kim")
    leaf = decided(pool, keys, robin.headers["x-staff"])
    page = robin.get("/console/log")
    assert page.status_code == 200
    assert numbers(page.text) == [leaf]
    own = robin.get(f"/console/log/{leaf}")
    assert NOTE in own.text
    assert numbers(kim.get("/console/log").text) == []
    assert kim.get(f"/console/log/{leaf}").status_code == 404
    assert robin.get("/console/log/0").status_code == 404
    assert numbers(robin.get("/console/log?action=case.skipped").text) == []


def test_whoever_may_read_the_log_sees_all_of_it_and_nothing_sealed(
    signed_in: SignedIn, pool: Pool, keys: TenantKeys
) -> None:
    robin, pat = signed_in("moderator"), signed_in("privacy", name="Pat")
    leaf = decided(pool, keys, robin.headers["x-staff"])
    assert numbers(pat.get("/console/log").text) == [*range(leaf, -1, -1)]
    assert numbers(pat.get("/console/log?action=media.reviewed").text) == [leaf]
    page = pat.get(f"/console/log/{leaf}").text
    assert "In the signed log" in page
    for hidden in (NOTE, robin.headers["x-staff"], "case-1"):
        assert hidden not in page


def test_long_logs_come_in_pages(signed_in: SignedIn, pool: Pool, keys: TenantKeys) -> None:
    pat, robin = signed_in("admin", name="Pat"), signed_in("moderator")
    fill(pool, keys, load_policy(None), 40)
    by = robin.headers["x-staff"]
    for (case,) in rows(pool, "SELECT id FROM review_case LIMIT 30"):
        with transaction(pool) as conn:
            end_claim(conn, keys, Holder(by, case, claim_case(conn, "default", by, case).token), "skip")
    first = pat.get("/console/log").text
    newest = numbers(first)
    assert len(newest) == 25
    assert f"before={newest[-1]}" in first
    assert numbers(pat.get(f"/console/log?before={newest[-1]}").text)[0] == newest[-1] - 1
    own = robin.get("/console/log?action=case.skipped").text
    assert f"before={numbers(own)[-1]}" in own
    assert len(numbers(robin.get(f"/console/log?before={numbers(own)[-1]}").text)) == 5


def test_the_commands_that_it_shows_check_the_leaf(
    signed_in: SignedIn, pool: Pool, keys: TenantKeys, environment: dict[str, str], tmp_path: Path
) -> None:
    pat = signed_in("admin", name="Pat")
    page = pat.get("/console/log/0").text
    key = re.search(r"--key '(.+?)'", page)
    assert key is not None
    assent(environment, "audit", "export", tmp_path / "log.jsonl")
    assert "ok" in assent(environment, "audit", "verify", tmp_path / "log.jsonl", "--key", key[1])
    line = (tmp_path / "log.jsonl").read_text().splitlines()[1]
    assert "sed -n 2p log.jsonl" in page
    (leaf,) = rows(pool, "SELECT leaf FROM audit_leaf WHERE seq = 0")
    assert b64decode(line) == bytes(leaf[0])


def alter(pool: Pool, sql: str) -> None:
    with transaction(pool) as conn:
        conn.execute(sql)


def test_an_altered_leaf_is_said_to_be_unproved(signed_in: SignedIn, pool: Pool) -> None:
    pat = signed_in("admin", name="Pat")
    assert "does not hold" not in pat.get("/console/log").text
    alter(pool, "UPDATE audit_leaf SET leaf = replace(convert_from(leaf, 'UTF8'), '20', '19')::bytea WHERE seq = 0")
    for page in (pat.get("/console/log").text, pat.get("/console/log/0").text):
        assert "The audit log does not hold" in page
        assert "assent audit export" in page
    assert "Not proved" in pat.get("/console/log").text


def test_a_log_that_was_set_back_is_said_on_every_page_of_it(signed_in: SignedIn, pool: Pool, keys: TenantKeys) -> None:
    pat = signed_in("admin", name="Pat")
    decided(pool, keys, "somebody")
    pat.get("/console/log")  # signs it
    alter(pool, "UPDATE audit_tree SET size = 1")
    page = pat.get("/console/log")
    assert (page.status_code, "The audit log does not hold" in page.text) == (200, True)


def test_a_leaf_that_is_not_there_is_a_page_that_says_so(signed_in: SignedIn) -> None:
    pat = signed_in("admin", name="Pat")
    assert pat.get("/console/log/999999").status_code == 404
    assert pat.get("/console/log/-1").status_code == 400
    assert pat.get("/console/log?action='; DROP").status_code == 400


def test_a_viewer_sees_neither_log_nor_system(signed_in: SignedIn, stranger: TestClient) -> None:
    viewer = signed_in("viewer")
    for path in ("/console/log", "/console/log/0", "/console/system"):
        assert viewer.get(path).status_code == 403
        assert stranger.get(path).status_code == 303
    assert signed_in("moderator", name="Kim").get("/console/system").status_code == 403
