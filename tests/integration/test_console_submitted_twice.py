"""Moderators who send the same decision twice at the same moment: it is decided, logged and told once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.policy.load import load_policy
from assent.policy.versions import Policies
from assent.review.claims import claim_case
from assent.staff.accounts import create_staff
from assent.staff.sessions import form_token, open_session
from tests.caseload import fill
from tests.events import leaves, rows
from tests.fixtures.figures import Figure

MODERATORS, ENDPOINTS = 20, 1


class Twin:
    """A moderator with the same page in two tabs."""

    def __init__(self, client: TestClient, pool: Pool, keys: TenantKeys) -> None:
        with transaction(pool) as conn:
            staff = create_staff(conn, keys, "Robin", ["moderator"])
            token = open_session(conn, keys, staff.id)
        self.by, self.form = staff.by, form_token(token)
        self.client = client
        self.cookie = {"cookie": f"assent_console={token}"}

    def send(self, case: UUID, claim: UUID) -> tuple[int, str]:
        sent = {"form": self.form, "claim": str(claim), "once": case.hex[:24], "action": "block", "note": "why"}
        answer = self.client.post(f"/console/cases/{case}/decide", data=sent, headers=self.cookie)
        return answer.status_code, answer.headers.get("location", "")


@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_decision_sent_twice_counts_once(
    stranger: TestClient, pool: Pool, keys: TenantKeys, count: int, figure: Figure
) -> None:
    policy = load_policy(None)
    with transaction(pool) as conn:
        Policies(policy).of(conn, keys.tenant)
    fill(pool, keys, policy, count)
    twins = [Twin(stranger, pool, keys) for _ in range(MODERATORS)]
    given = []
    for n, (case,) in enumerate(rows(pool, "SELECT id FROM review_case ORDER BY id")):
        with transaction(pool) as conn:
            given.append((twins[n % MODERATORS], case, claim_case(conn, "default", twins[n % MODERATORS].by, case)))
    with ThreadPoolExecutor(8) as at_once:
        sent = [[at_once.submit(twin.send, case, claim.token) for _ in range(2)] for twin, case, claim in given]
        answers = [tuple(one.result() for one in pair) for pair in sent]
    assert {status for pair in answers for status, _ in pair} == {303}
    assert all(first == second for first, second in answers)
    assert rows(pool, "SELECT count(*) FROM review_case WHERE outcome = 'block'") == [(count,)]
    assert len(leaves(pool, "media.reviewed")) == count
    messages = "SELECT count(*) FROM outbox WHERE type = 'media.reviewed'"
    assert rows(pool, messages) == [(count * ENDPOINTS,)]
    figure(f"{count} decisions by {MODERATORS} moderators, each sent twice at once: {count} decided, logged and told")
