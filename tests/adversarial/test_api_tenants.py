"""Every route with no scope, each one, all but one and all, on one's own things, another tenant's and nobody's.

What is another's looks like what does not exist, and a missing scope is refused before anything is looked up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from assent.app import create_app
from assent.core.errors import Undecodable
from assent.core.settings import Settings
from assent.core.values import Event, MediaRef, Unprocessable
from assent.db.pool import Pool, transaction
from assent.decisions.media_items import MediaKey
from assent.decisions.store import NewDecision, record
from assent.http.api_keys import SCOPES, create_key
from assent.http.limits import RATES, Rate, RateLimiter
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import Keystore
from assent.platforms.standard_webhooks import sign_webhook
from assent.policy.load import load_policy
from assent.review.cases import open_cases
from assent.review.decide import ReviewInput, decide_case
from assent.subjects.consent import Given, give
from assent.tenants import CreatedTenant, init_tenant
from tests.events import SOURCE
from tests.fixtures.figures import Figure

# An erasure's token, which nobody can guess, is all that its receipt asks for.
OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/v1/erasures/{token}")}
SIGNED = ("POST", "/v1/webhooks/{source}")


@dataclass(frozen=True)
class Things:
    """What a tenant owns, by the names that routes use."""

    media: str
    consent: UUID
    subject: str
    leaf: int
    case: UUID


NOBODY = Things("photo-of-nobody", UUID(int=0), "nobody", 10**6, UUID(int=0))
CONSENT = {
    "subject": "somebody new",
    "purpose": "face-match",
    "notice": "n",
    "notice_version": "1",
    "jurisdiction": "DE",
    "method": "test",
    "age": "adult",
}
IMAGES = "/v1/images?wait=0"
PHOTO = {"files": {"photos": ("a.jpg", b"\xff\xd8\xff", "image/jpeg")}}


@dataclass(frozen=True)
class Route:
    """How a route is called on a tenant's things, the scope it asks for, and what its owner and anybody else get."""

    scope: str
    call: Callable[[Things], tuple[str, dict[str, Any]]]
    own: int
    other: int


# A route that is not in this table fails the test below.
ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "/v1/images"): Route(
        "images:tag",
        lambda t: (IMAGES, {"json": {"id": f"{t.media}-new", "url": "http://a.example"}}),
        202,
        202,
    ),
    ("GET", "/v1/media/{media_id}"): Route("images:tag", lambda t: (f"/v1/media/{t.media}", {}), 200, 404),
    # It came by a webhook and stays.
    ("DELETE", "/v1/media/{media_id}"): Route("images:tag", lambda t: (f"/v1/media/{t.media}", {}), 204, 204),
    ("GET", "/v1/media"): Route("images:tag", lambda _: ("/v1/media", {}), 200, 200),
    # No copy is kept here; that another tenant's is not shown stands in tests/integration/test_redacted.py.
    ("GET", "/v1/media/{media_id}/redacted"): Route(
        "images:tag", lambda t: (f"/v1/media/{t.media}/redacted", {}), 404, 404
    ),
    # The case is closed: no decision is made twice, and its picture is shown no more.
    ("GET", "/v1/reviews"): Route("review", lambda _: ("/v1/reviews", {}), 200, 200),
    ("GET", "/v1/reviews/{case_id}"): Route("review", lambda t: (f"/v1/reviews/{t.case}", {}), 200, 404),
    ("GET", "/v1/reviews/{case_id}/picture"): Route(
        "review", lambda t: (f"/v1/reviews/{t.case}/picture", {}), 409, 404
    ),
    ("POST", "/v1/reviews/{case_id}"): Route(
        "review", lambda t: (f"/v1/reviews/{t.case}", {"json": {"action": "allow"}}), 409, 404
    ),
    ("POST", "/v1/reviews/next"): Route("review", lambda _: ("/v1/reviews/next", {}), 200, 200),
    ("POST", "/v1/reviews/{case_id}/claim"): Route(
        "review", lambda t: (f"/v1/reviews/{t.case}/claim", {"json": {}}), 409, 404
    ),
    ("POST", "/v1/reviews/{case_id}/undo"): Route("review", lambda t: (f"/v1/reviews/{t.case}/undo", {}), 409, 404),
    ("POST", "/v1/reviews/{case_id}/faces/{face}/veto"): Route(
        "review", lambda t: (f"/v1/reviews/{t.case}/faces/0/veto", {}), 409, 404
    ),
    ("POST", "/v1/reviews/{case_id}/leave"): Route(
        "review",
        lambda t: (f"/v1/reviews/{t.case}/leave", {"json": {"claim": str(t.case), "how": "skip"}}),
        409,
        404,
    ),
    ("POST", "/v1/media/{media_id}/corrections"): Route(
        "review", lambda t: (f"/v1/media/{t.media}/corrections", {"json": {"add": ["text.code"]}}), 200, 404
    ),
    ("POST", "/v1/consents"): Route("consents:write", lambda _: ("/v1/consents", {"json": CONSENT}), 201, 201),
    ("POST", "/v1/consents/{consent_id}/withdraw"): Route(
        "consents:write", lambda t: (f"/v1/consents/{t.consent}/withdraw", {}), 204, 404
    ),
    ("GET", "/v1/consents/{consent_id}"): Route(
        "consents:write", lambda t: (f"/v1/consents/{t.consent}", {}), 200, 404
    ),
    ("GET", "/v1/subjects/{ref}"): Route("subjects:write", lambda t: (f"/v1/subjects/{t.subject}", {}), 200, 404),
    # Whoever it names, known or not; here somebody else, since these are still needed.
    ("DELETE", "/v1/subjects/{ref}"): Route(
        "subjects:delete", lambda t: (f"/v1/subjects/{t.subject}-once", {}), 202, 202
    ),
    ("GET", "/v1/subjects/{ref}/export"): Route(
        "subjects:write", lambda t: (f"/v1/subjects/{t.subject}/export", {}), 200, 404
    ),
    ("POST", "/v1/subjects/{ref}/links"): Route(
        "subjects:write", lambda t: (f"/v1/subjects/{t.subject}-once/links", {}), 201, 201
    ),
    ("DELETE", "/v1/subjects/{ref}/links"): Route(
        "subjects:write", lambda t: (f"/v1/subjects/{t.subject}-once/links", {}), 204, 204
    ),
    # The consent was withdrawn just before.
    ("PUT", "/v1/subjects/{ref}/connections"): Route(
        "subjects:write", lambda t: (f"/v1/subjects/{t.subject}/connections", {"json": {"connections": []}}), 409, 409
    ),
    # What is no photo is only found by the worker, so the owner waits; here the consent was withdrawn just before.
    ("POST", "/v1/subjects/{ref}/templates"): Route(
        "subjects:write", lambda t: (f"/v1/subjects/{t.subject}/templates", PHOTO), 409, 409
    ),
    ("GET", "/v1/audit/checkpoint"): Route("audit:read", lambda _: ("/v1/audit/checkpoint", {}), 200, 200),
    ("GET", "/v1/audit/proof/{leaf}"): Route("audit:read", lambda t: (f"/v1/audit/proof/{t.leaf}", {}), 200, 404),
    ("GET", "/v1/audit/consistency"): Route(
        "audit:read", lambda t: (f"/v1/audit/consistency?old=1&new={t.leaf}", {}), 200, 404
    ),
}


def in_query(route: Route, held: str, alone: str) -> Route:
    """The route as it is called with the id in the query."""

    def call(things: Things) -> tuple[str, dict[str, Any]]:
        place, sent = route.call(things)
        who, _, action = place.removeprefix(f"/v1/{held}/").partition("/")
        name = "ref" if alone == "subject" else "media_id"
        return f"/v1/{alone}{action and '/'}{action}", {**sent, "params": {name: who}}

    return replace(route, call=call)


# They are the same functions, so that no scope and all of them are enough.
IN_QUERY = {
    (method, path.replace(f"/{held}/{name}", f"/{alone}")): in_query(route, held, alone)
    for (method, path), route in ROUTES.items()
    for held, alone, name in (("subjects", "subject", "{ref}"), ("media", "media-item", "{media_id}"))
    if path.startswith(f"/v1/{held}/")
}


def fill(pool: Pool, keystore: Keystore, made: CreatedTenant, media: str, subject: str, leaves: int) -> Things:
    """A tenant with a decided picture, a withdrawn consent and a log of at least so many leaves."""
    keys = keystore.tenant(made.tenant)
    picture, event_id = MediaRef(media, None), uuid4()
    event = Event("media.created", (picture,), "public", "post")
    with transaction(pool) as conn:
        given = give(conn, keys, Given(subject, "own", "n", "DE", "test", timedelta(days=1), "1", "adult"))
        store_event(conn, keys, event_id, event, Origin(SOURCE, "live"))
    with transaction(pool) as conn:
        media_key = MediaKey(made.tenant, event_id, SOURCE, 0, event, picture)
        record(conn, keys, media_key, NewDecision(Unprocessable(Undecodable()), load_policy(None).ref))
    for n in range(leaves):
        with transaction(pool) as conn:
            give(conn, keys, Given(f"{subject} {n}", "own", "n", "DE", "test", timedelta(days=1), "1", "adult"))
    with transaction(pool) as conn:
        (case,) = open_cases(conn, made.tenant, 2)
        decide_case(conn, keys, "a moderator", case.id, ReviewInput("label"))
    return Things(media, given, subject, leaves, case.id)


@pytest.fixture
def client(settings: Settings, database_url: str, made: CreatedTenant) -> Iterator[TestClient]:
    app = create_app(settings, database_url)
    app.state.limits = RateLimiter({kind: Rate(1e6, 10**6) for kind in RATES})  # another test's matter
    with TestClient(app) as client:
        yield client


def keyed(client: TestClient) -> set[tuple[str, str]]:
    """The document's operations that ask for a key."""
    document = client.get("/openapi.json").json()
    found = {(method.upper(), path) for path, said in document["paths"].items() for method in said}
    assert found >= OPEN | {SIGNED}
    return found - OPEN - {SIGNED}


ENDS = (0, 1, len(SCOPES) - 1, len(SCOPES))


@pytest.mark.parametrize("sizes", [ENDS, pytest.param(range(2, len(SCOPES) - 1), marks=pytest.mark.slow)])
def test_scopes_and_tenants(
    client: TestClient, pool: Pool, keystore: Keystore, made: CreatedTenant, sizes: Sequence[int], figure: Figure
) -> None:
    assert keyed(client) == {*ROUTES, *IN_QUERY}
    other = init_tenant(pool, keystore, "other", "elsewhere", None)
    ours = fill(pool, keystore, made, "photo-ours", "person-ours", 3)
    theirs = fill(pool, keystore, other, "photo-theirs", "person-theirs", 300)
    before = state(pool, "other")
    sets = [scopes for size in sizes for scopes in combinations(SCOPES, size)]
    cases = 0
    leaks: list[object] = []
    for scopes in sets:
        with transaction(pool) as conn:
            key = create_key(conn, keystore.tenant(made.tenant), scopes)
        routes = ROUTES if 0 < len(scopes) < len(SCOPES) else ROUTES | IN_QUERY
        for (method, path), route in routes.items():
            answers = {}
            for name, things in (("own", ours), ("theirs", theirs), ("nobody", NOBODY)):
                place, sent = route.call(things)
                answer = client.request(method, place, headers={"Authorization": f"Bearer {key}"}, **sent)
                answers[name] = (answer.status_code, same(answer.text))
                cases += 1
                if "theirs" in answer.text.replace("photo-theirs-new", "") or "elsewhere" in answer.text:
                    leaks.append((scopes, method, path, name, answer.text))
            expected = (route.own, route.other, route.other) if route.scope in scopes else (403, 403, 403)
            said = tuple(status for status, _ in answers.values())
            if said != expected or answers["theirs"][1] != answers["nobody"][1]:
                leaks.append((scopes, method, path, answers, expected))
    assert leaks == []
    assert state(pool, "other") == before
    figure(f"{cases} calls: {len(ROUTES)} routes × {len(sets)} sets of scopes × 3 owners, some in the query: 0 leaks")


def same(text: str) -> str:
    """An answer without what is new in each: ids that were made for it, and the numbers that were asked for."""
    try:
        said = json.loads(text or "null")
    except ValueError:
        return "text"
    return json.dumps(sorted(said)) if isinstance(said, dict) and "code" not in said else re.sub(r"\d+", "#", text)


def state(pool: Pool, tenant: str) -> list[Any]:
    tables = "event decision consent template subject outbox review_case audit_leaf api_key connection_list connection"
    tables += " person_link erasure correction head media_item"
    with transaction(pool) as conn:
        return [
            conn.execute(f"SELECT * FROM {table} WHERE tenant = %s ORDER BY 2, 1", [tenant]).fetchall()  # noqa: S608 - ours
            for table in tables.split()
        ]


def test_no_key_or_a_bad_one_opens_nothing(
    client: TestClient, pool: Pool, keystore: Keystore, made: CreatedTenant, figure: Figure
) -> None:
    other = init_tenant(pool, keystore, "other", "elsewhere", None)
    with transaction(pool) as conn:
        revoked = create_key(conn, keystore.tenant(made.tenant))
        key_id = revoked.split("_")[2]
        conn.execute("UPDATE api_key SET revoked_at = now() WHERE id = %s", [key_id])
    mine, theirs = made.api_key.split("_"), other.api_key.split("_")
    bad = {
        "none": None,
        "empty": "",
        "no scheme": made.api_key,
        "another scheme": f"Basic {made.api_key}",
        "garbage": "Bearer x",
        "revoked": f"Bearer {revoked}",
        "cut": f"Bearer {made.api_key[:-1]}",
        "longer": f"Bearer {made.api_key}a",
        "another tenant's name": f"Bearer {'_'.join([mine[0], theirs[1], mine[2], mine[3]])}",
        "another tenant's id": f"Bearer {'_'.join([mine[0], mine[1], theirs[2], mine[3]])}",
        "another tenant's secret": f"Bearer {'_'.join([mine[0], mine[1], mine[2], theirs[3]])}",
        "a wildcard": "Bearer assent_%_%_%",
        "SQL": "Bearer assent_default' OR '1'='1_000000000000_" + "a" * 43,
        "a secret of one letter": f"Bearer {'_'.join([*mine[:3], 'a' * 43])}",
        "upper case": f"Bearer {made.api_key.upper()}",
        "digits beyond ASCII": f"Bearer {'_'.join([*mine[:2], '٠' * 12, mine[3]])}",
        "the source's secret": f"Bearer {made.source_secret}",
    }
    opened = []
    for (method, path), route in (ROUTES | IN_QUERY).items():
        place, sent = route.call(NOBODY)
        for name, header in bad.items():
            headers = {} if header is None else {"Authorization": header.encode()}
            answer = client.request(method, place, headers=headers, **sent)  # type: ignore[arg-type]  # bytes go out as they are
            if (answer.status_code, answer.json()["code"]) != (401, "unauthorized"):
                opened.append((method, path, name, answer.status_code))
    assert opened == []
    figure(f"{len(ROUTES | IN_QUERY)} routes × {len(bad)} bad keys: 0 opened")


def test_a_sources_secret_signs_for_no_other_source(
    client: TestClient, pool: Pool, keystore: Keystore, made: CreatedTenant
) -> None:
    other = init_tenant(pool, keystore, "other", "elsewhere", "http://127.0.0.1:9/")
    body = json.dumps({"type": "media.deleted", "media": [{"id": "a", "url": "http://a.example/"}]}).encode()
    wrong = [
        ("elsewhere", made.source_secret),
        ("platform", other.source_secret),
        ("elsewhere", str(other.endpoint_secret)),
        ("platform", str(made.endpoint_secret)),
        ("nobody", made.source_secret),
    ]
    answers = []
    for source, secret in wrong:
        headers = sign_webhook("msg_1", datetime.now(UTC), body, [secret])
        answers.append(client.post(f"/v1/webhooks/{source}", content=body, headers=headers))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
