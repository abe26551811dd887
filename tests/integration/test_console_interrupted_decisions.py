"""A session that ends in the middle of a decision: the form comes back to its moderator, and decides once."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient

from assent.audit.log import open_part
from assent.db.pool import Pool, transaction
from assent.http.limits import RateLimiter
from assent.keys.keystore import TenantKeys
from assent.policy.load import load_policy
from assent.policy.versions import Policies
from assent.review.claims import claim_case
from tests.caseload import fill
from tests.events import rows
from tests.fixtures.figures import Figure
from tests.integration.sign_in_page import code_of, form_of, link_of, set_up, sign_in

ENDS = (
    "UPDATE staff_session SET seen_at = now() - interval '31 minutes'",
    "UPDATE staff_session SET expires_at = now()",
    "UPDATE staff_session SET sealed = '', expires_at = now() WHERE kind = 'session'",
)


@dataclass
class Ada:
    """A moderator with a password, in one browser."""

    client: TestClient
    secret: str
    by: str
    form: str = ""

    def open(self) -> None:
        self.form = form_of(self.client.get("/console").text)

    def sign_in(self, page: str) -> str:
        """Signs in from the page that a decision was answered with; the page that follows."""
        unsent = re.findall(r'name="unsent" value="([^"]+)"', page)[0]  # the same in each of the page's forms
        again = sign_in(self.client, "Ada", code_of(self.secret), unsent=unsent, to="/console")
        assert again.status_code == 200, again.text
        return again.text


@pytest.fixture
def ada(stranger: TestClient, pool: Pool, keys: TenantKeys) -> Ada:
    secret = set_up(stranger, link_of(pool, keys, "moderator"), "Ada")
    ((staff,),) = rows(pool, "SELECT id FROM staff")
    return Ada(stranger, secret, str(staff))


def interrupt(ada: Ada, pool: Pool, keys: TenantKeys, count: int) -> list[str]:
    """Lets the session end at each of so many decisions, some of which had been taken before; the notes typed."""
    policy, notes = load_policy(None), []
    with transaction(pool) as conn:
        Policies(policy).of(conn, keys.tenant)
    fill(pool, keys, policy, count)
    for n, (case,) in enumerate(rows(pool, "SELECT id FROM review_case ORDER BY id")):
        ada.client.app.state.limits = RateLimiter()  # type: ignore[attr-defined]  # nobody decides this fast
        ada.open()
        with transaction(pool) as conn:
            claim = claim_case(conn, keys.tenant, ada.by, case).token
        notes.append(f"note {n} <b> \u202e =HYPERLINK(" + "\r\nline" * (n % 3))
        sent = {"form": ada.form, "claim": str(claim), "once": f"{n:024}", "action": "block", "note": notes[-1]}
        path = f"/console/cases/{case}/decide"
        if n % 4 == 3:  # it was taken, and the answer lost
            assert ada.client.post(path, data=sent).status_code == 303
        with transaction(pool) as conn:
            conn.execute(ENDS[n % 3])
            conn.execute("UPDATE staff SET totp_step = NULL")
        asked = ada.client.post(path, data=sent)
        assert asked.status_code == 401
        assert f"note {n}" not in asked.text
        page = ada.sign_in(asked.text)
        kept = {name: html.unescape(text) for name, text in re.findall(r'name="([^"]+)" value="([^"]*)"', page)}
        for _ in range(1 + n % 2):  # a second click
            done = ada.client.post(path, data=kept)
            assert done.status_code == 303, done.text
    return notes


def noted(pool: Pool, keys: TenantKeys) -> list[str]:
    """The notes that the log holds, sealed, in the order of their leaves."""
    found = rows(
        pool,
        "SELECT seq, leaf, sealed FROM audit_leaf JOIN audit_payload USING (tenant, seq)"
        ' WHERE position(\'"action":"media.reviewed"\'::bytea IN leaf) > 0 ORDER BY seq',
    )
    parts = []
    for seq, leaf, sealed in found:
        commitment = bytes.fromhex(json.loads(bytes(leaf))["commitments"][0])
        parts.append(json.loads(open_part(keys, keys.tenant, seq, 0, bytes(sealed), commitment))["note"])
    return parts


@pytest.mark.parametrize("count", [24, pytest.param(300, marks=pytest.mark.slow)])
def test_no_note_is_lost_and_nothing_is_decided_twice(
    ada: Ada, pool: Pool, keys: TenantKeys, count: int, figure: Figure
) -> None:
    notes = interrupt(ada, pool, keys, count)
    decided = "SELECT count(*) FROM review_case WHERE closed_by = %s AND outcome = 'block'"
    assert rows(pool, decided, ada.by) == [(count,)]
    assert noted(pool, keys) == notes
    assert rows(pool, "SELECT DISTINCT revision FROM decision") == [(2,)]
    figure(f"{count} sessions ended in the middle of a decision: 0 notes lost, 0 decided twice")
