"""Every route of the console, for every role, with a case in every state: only what the roles permit, and never more
than 96 pixels of a picture without a look that was counted before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from io import BytesIO
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image

from assent.console.access import ROUTES
from assent.db.pool import Pool, transaction
from assent.db.queue import database_time
from assent.keys.keystore import Keystore, TenantKeys
from assent.policy.load import load_policy
from assent.policy.versions import Policies
from assent.review.claims import claim_case
from assent.review.decide import ReviewInput, decide_case
from assent.staff.accounts import create_staff
from assent.staff.roles import STEP_UP, StaffRole, may
from assent.staff.sessions import form_token, open_session
from assent.tenants import init_tenant
from tests.caseload import store_case
from tests.events import SOURCE, rows
from tests.integration.console_pages import mark_queue, more_cases

SIDE, WITHOUT_LOOK = 640, 96  # pixels
ROLES: tuple[StaffRole, ...] = get_args(StaffRole)
MORE = {  # of a path, what else may be asked for
    "/console/cases/{case_id}": ("?veil=2", "?veil=full", f"?look={'A' * 43}", "?of=elsewhere"),
    "/console/cases/{case_id}/similar/veil": ("?side=640",),
    "/console/clusters/{case_id}/veil": ("?side=640",),
}
OUT = ("/console/sign-in", "/console/step-up")


@dataclass
class Crawl:
    """A case in some state, and the account that crawls."""

    pool: Pool
    keys: TenantKeys
    client: TestClient
    role: StaffRole
    queues: list[str] | None = None
    minutes: int = 0  # since the sign-in
    case: UUID = field(default_factory=uuid4)
    queue: str = "queue-0"
    tenant: str = "default"

    def __post_init__(self) -> None:
        with transaction(self.pool) as conn:
            self.staff = create_staff(conn, self.keys, "Robin", [self.role], self.queues)
            self.victim = create_staff(conn, self.keys, "Sam", ["viewer"])
        self.looks: list[str] = []
        self.whole = 0
        self.form = ""

    def sign_in(self) -> None:
        """Opens a session; the one before may have been ended by what was crawled."""
        with transaction(self.pool) as conn:
            at = database_time(conn) - timedelta(minutes=self.minutes)
            token = open_session(conn, self.keys, self.staff.id, at)
        self.client.cookies.clear()
        self.client.cookies.set("assent_console", token)
        self.form = form_token(token)

    @property
    def claim(self) -> str:
        ((claim,),) = rows(self.pool, "SELECT claim FROM review_case WHERE id = %s", self.case)
        return str(claim or uuid4())

    def fields(self) -> dict[str, Any]:
        """Whatever any form of the console asks for."""
        return {
            "form": self.form, "claim": self.claim, "once": "A" * 24, "seconds": "3", "action": "allow", "sure": "1",
            "how": "release", "reason": "because", "note": "a note", "of": "", "name": "Kim", "role": "admin",
            "ticked": str(self.case), "case": str(self.case),
        }  # fmt: skip

    def path(self, route: str) -> str:
        media = f"?source={SOURCE}&media=photo"
        path = route.format(
            case_id=self.case, queue=self.queue, step="2", face="0", token=(self.looks or ["A" * 43])[-1],
            account=self.victim.id, key="AAAA", leaf="0",
        )  # fmt: skip
        return path + media if route.endswith("similar/veil") else path

    def ask(self, method: str, path: str) -> Response:
        if not self.form or "/cases/" not in path:
            self.sign_in()
        accept = {"accept": "application/json" if path.endswith("/look") else "text/html"}
        if method == "POST":
            return self.client.post(path, data=self.fields(), headers=accept)
        return self.client.request(method, path, headers=accept)

    def permits(self, route: str) -> bool:
        """Whether this account may be let through, by the roles' table alone."""
        permission = ROUTES[route]
        of_case = "{case_id}" in route or "{queue}" in route
        if of_case and self.tenant != "default":
            return False
        if permission in STEP_UP and self.minutes > 5:
            return False
        return may([self.role], self.queues, permission, self.queue if of_case else None)

    def crawl(self, route: str) -> int:
        """Asks for a route in every way; how many answers there were."""
        method, _, path = route.partition(" ")
        asked = 0
        for more in ("", *MORE.get(path, ())):
            answer = self.ask(method, self.path(path) + more)
            asked += 1
            self.check(answer, self.permits(route), f"{self.role}: {route}{more}")
            if method == "POST" and path.endswith("/look") and answer.status_code == 200:
                self.looks.append(answer.json()["look"].rpartition("/")[2])
        for other in {"GET", "POST"} - {method}:
            if f"{other} {path}" not in ROUTES:
                answer = self.ask(other, self.path(path))
                asked += 1
                self.check(answer, False, f"{self.role}: {other} {path}")
        return asked

    def check(self, answer: Response, permitted: bool, what: str) -> None:
        assert answer.status_code < 500, f"{what}: {answer.status_code}"
        through = answer.status_code in (200, 303) and not answer.headers.get("location", "").startswith(OUT)
        assert permitted or not through, f"{what}: {answer.status_code}"
        if answer.content.startswith(b"\xff\xd8") or answer.headers.get("content-type", "").startswith("image/"):
            assert permitted, what
            if max(Image.open(BytesIO(answer.content)).size) > WITHOUT_LOOK:
                self.whole += 1
        else:
            assert b"data:image" not in answer.content, what
        assert self.whole <= self.counted(), f"{what}: a picture without a look"

    def counted(self) -> int:
        ((looks,),) = rows(self.pool, "SELECT coalesce(sum(looks), 0) FROM exposure WHERE by = %s", self.staff.by)
        return int(looks)


Case = Callable[[Crawl], None]


def waiting(_: Crawl) -> None: ...


def mine(crawl: Crawl) -> None:
    with transaction(crawl.pool) as conn:
        claim_case(conn, "default", crawl.staff.by, crawl.case)


def another_has_it(crawl: Crawl) -> None:
    with transaction(crawl.pool) as conn:
        claim_case(conn, "default", crawl.victim.by, crawl.case)


def closed(crawl: Crawl) -> None:
    with transaction(crawl.pool) as conn:
        decide_case(conn, crawl.keys, crawl.victim.by, crawl.case, ReviewInput("allow"))


def deleted(crawl: Crawl) -> None:
    with transaction(crawl.pool) as conn:
        conn.execute("DELETE FROM decision")
        conn.execute("UPDATE review_case SET closed_at = now(), media_id = 'deleted ' || id")


def severe(crawl: Crawl) -> None:
    with transaction(crawl.pool) as conn:
        conn.execute("UPDATE review_case SET reason = 'hash-severe'")


def grave(crawl: Crawl) -> None:
    mark_queue(crawl.pool, "queue-0", grave=True)


def grave_and_tired(crawl: Crawl) -> None:
    grave(crawl)
    crawl.minutes = 6


def escalated(crawl: Crawl) -> None:
    with transaction(crawl.pool) as conn:
        conn.execute("UPDATE review_case SET queue = 'senior'")
    crawl.queue = "senior"


STATES: Mapping[str, Case] = {
    state.__name__: state
    for state in (waiting, mine, another_has_it, closed, deleted, severe, grave, grave_and_tired, escalated)
}


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    written = BytesIO()
    Image.effect_noise((SIDE, SIDE), 60).convert("RGB").save(written, "JPEG")
    return written.getvalue()


@pytest.fixture
def crawls(stranger: TestClient, pool: Pool, keys: TenantKeys, jpeg: bytes) -> Callable[..., Crawl]:
    """Makes the one case there is anew, for an account that crawls."""
    policy = load_policy(None)
    with transaction(pool) as conn:
        Policies(policy).of(conn, keys.tenant)

    def begin(role: StaffRole, state: Case = waiting, queues: list[str] | None = None) -> Crawl:
        crawl = Crawl(pool, keys, stranger, role, queues)
        with transaction(pool) as conn:
            for table in ("review_case", "kept_picture", "decision", "media_search", "review_queue", "media_item"):
                conn.execute(f"DELETE FROM {table}")  # noqa: S608 - of the list above
        store_case(pool, keys, policy, "photo", jpeg, SIDE)
        ((crawl.case,),) = rows(pool, "SELECT id FROM review_case")
        state(crawl)
        return crawl

    return begin


OF_CASES = [route for route in ROUTES if "{case_id}" in route or "{queue}" in route or "{token}" in route]


def crawl_all(begin: Callable[[], Crawl], routes: Iterable[str]) -> tuple[int, int]:
    """Crawls these routes, each change on a case made anew; how many answers there were, and whole pictures."""
    crawl, asked, whole = begin(), 0, 0
    for route in routes:
        asked += crawl.crawl(route)
        if route.startswith("POST") and crawl.permits(route) and not route.endswith("/look"):
            whole += crawl.whole
            crawl = begin()
    return asked, whole + crawl.whole


@pytest.mark.parametrize("state", STATES)
def test_a_case_in_any_state_opens_as_the_roles_permit(crawls: Callable[..., Crawl], state: str) -> None:
    seen = {}
    for role in ROLES:
        asked, seen[role] = crawl_all(partial(crawls, role, STATES[state]), OF_CASES)
        assert asked > 2 * len(OF_CASES)
    shown = {"moderator", "senior"} - ({"moderator"} if state == "escalated" else set())
    hidden = state in ("closed", "deleted", "severe", "grave_and_tired")
    assert {role for role, whole in seen.items() if whole} == (set() if hidden else shown)


def test_a_case_of_another_queue_opens_for_nobody(crawls: Callable[..., Crawl]) -> None:
    for role in ROLES:
        assert crawl_all(partial(crawls, role, waiting, ["elsewhere"]), OF_CASES)[1] == 0


def test_a_case_of_another_tenant_is_not_there(crawls: Callable[..., Crawl], keystore: Keystore) -> None:
    def foreign(crawl: Crawl) -> None:
        more_cases(crawl.pool, 1, "queue-0", tenant="other")
        ((crawl.case,),) = rows(crawl.pool, "SELECT id FROM review_case WHERE tenant = 'other'")
        crawl.tenant = "other"

    init_tenant(crawls("viewer").pool, keystore, "other", "elsewhere", None)
    of_case = [route for route in OF_CASES if "{case_id}" in route]
    for role in ROLES:
        assert crawl_all(partial(crawls, role, foreign), of_case)[1] == 0


def test_the_other_pages_open_as_the_roles_permit(crawls: Callable[..., Crawl]) -> None:
    for role in ROLES:
        crawl = crawls(role)
        for route in ROUTES.keys() - set(OF_CASES):
            crawl.crawl(route)


def test_the_team_opens_to_nobody_who_signed_in_long_ago(crawls: Callable[..., Crawl]) -> None:
    crawl = crawls("admin")
    crawl.minutes = 6
    for route in [route for route, permission in ROUTES.items() if permission in STEP_UP]:
        crawl.crawl(route)


def test_a_look_is_nobody_elses(crawls: Callable[..., Crawl]) -> None:
    robin = crawls("senior")
    robin.crawl("POST /console/cases/{case_id}/look")
    (token,) = robin.looks
    for role in ROLES:
        other = Crawl(robin.pool, robin.keys, robin.client, role, case=robin.case)
        other.looks = [token]
        assert other.ask("GET", f"/console/looks/{token}").status_code in (403, 404)
    assert robin.ask("GET", f"/console/looks/{token}").status_code == 200
    assert robin.ask("GET", f"/console/looks/{token}").status_code == 404


def test_without_a_session_nothing_opens(crawls: Callable[..., Crawl]) -> None:
    crawl = crawls("senior")
    for route in ROUTES:
        method, _, path = route.partition(" ")
        crawl.sign_in()
        for cookie in ("", "A" * 43, "../../etc"):
            crawl.client.cookies.clear()
            crawl.client.cookies.set("assent_console", cookie)
            answer = crawl.client.request(method, crawl.path(path), data=crawl.fields() if method == "POST" else None)
            crawl.check(answer, False, route)
