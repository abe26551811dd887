"""What hostile moderators and strangers put into addresses, forms and headers leads nowhere."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from assent.db.pool import Pool
from assent.keys.keystore import Keystore
from assent.tenants import init_tenant
from tests.events import rows
from tests.fixtures.console import SignedIn
from tests.integration.console_pages import address, claimed, hidden, more_cases, send

AWAY = (
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "/console/../v1",
    "/console\r\nX-Evil: 1",
    "javascript:1",
)
QUEUES = ("../../v1/reviews", "//evil.example", "x\r\nX-Evil: 1", "default?said=decided", "\u202edefault", "x" * 65)


@pytest.fixture
def case(pool: Pool, stranger: TestClient) -> UUID:
    more_cases(pool, 1)
    ((case,),) = rows(pool, "SELECT id FROM review_case")
    found: UUID = case
    return found


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_in_a_form_is_a_queues_name(case: UUID, signed_in: SignedIn, queue: str) -> None:
    robin = signed_in("moderator")
    page = claimed(robin, case)
    answer = send(robin, address(case, "leave"), {"claim": hidden(page, "claim"), "how": "release", "of": queue})
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize("to", AWAY)
def test_the_sign_in_leads_into_the_console_only(stranger: TestClient, signed_in: SignedIn, to: str) -> None:
    for client, path in ((stranger, "sign-in"), (signed_in("viewer"), "step-up")):
        answer = client.get(f"/console/{path}", params={"to": to})
        assert "evil" not in answer.text.lower() or answer.status_code == 200
        assert "location" not in answer.headers
        assert f'value="{to}"' not in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost:8400@evil.example", "", "127.0.0.1.nip.io"]
)
def test_another_host_opens_nothing(signed_in: SignedIn, host: str) -> None:
    robin = signed_in("admin")
    for path in ("/console", "/console/sign-in", f"/console/cases/{uuid4()}"):
        assert robin.get(path, headers={"Host": host}).status_code in (400, 404)


def test_a_cluster_takes_in_no_case_of_another_tenant_or_queue(
    case: UUID, signed_in: SignedIn, pool: Pool, keystore: Keystore
) -> None:
    init_tenant(pool, keystore, "other", "elsewhere", None)
    more_cases(pool, 1, tenant="other")
    more_cases(pool, 1, "second")
    robin = signed_in("moderator", queues=["default"])
    for (other,) in rows(pool, "SELECT id FROM review_case WHERE id <> %s", case):
        fields = {"claim": f"{other}:{uuid4()}", "ticked": str(other), "action": "block", "note": "", "ground": ""}
        assert send(robin, f"/console/clusters/{case}", fields).status_code in (200, 404)
        assert send(robin, f"/console/clusters/{case}/undo", {"only": str(other)}).status_code in (403, 404)
    assert rows(pool, "SELECT DISTINCT closed_at, claim FROM review_case") == [(None, None)]


def test_forms_too_large_or_of_another_site_are_refused(case: UUID, signed_in: SignedIn) -> None:
    robin = signed_in("moderator")
    assert send(robin, address(case, "note"), {"note": "x" * 300_000}).status_code == 413
    assert send(robin, address(case, "note"), {f"f{n}": "" for n in range(300)}).status_code == 400
    assert (
        send(robin, address(case, "note"), {"note": "x"}, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    )
