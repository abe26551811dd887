"""The API against its own OpenAPI document: thousands of generated requests, with a key and without one."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hmac
import socket
import threading
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import jsonschema_rs
import psycopg
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as trials
from hypothesis.errors import Unsatisfiable
from requests.auth import AuthBase

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies' doing
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from assent.app import create_app
from assent.core.settings import Settings
from assent.db.pool import Pool
from assent.http.limits import RATES, Rate, RateLimiter
from assent.http.problems import PROBLEM_JSON
from assent.http.server import uvicorn_server
from assent.keys.keystore import Keystore
from assent.tenants import CreatedTenant
from tests.adversarial.test_api_tenants import Things, fill
from tests.events import SOURCE
from tests.fixtures.figures import Figure
from tests.waiting import until

SEED = 20261123
# It takes 3.0 for an integer, as JSON Schema does; here a number has one spelling.
EXCLUDED = [positive_data_acceptance]


class Signed(AuthBase):
    """Signs whatever body goes out, and brings the API key."""

    def __init__(self, made: CreatedTenant) -> None:
        self._made = made

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        assert isinstance(body, str | bytes)
        raw = body.encode() if isinstance(body, str) else body
        delivery, at = f"msg_{uuid4().hex}", str(int(time.time()))
        key = base64.b64decode(self._made.source_secret.removeprefix("whsec_"))
        digest = hmac.digest(key, f"{delivery}.{at}.".encode() + raw, "sha256")
        request.headers["webhook-id"], request.headers["webhook-timestamp"] = delivery, at
        request.headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        request.headers["authorization"] = f"Bearer {self._made.api_key}"
        return request


@pytest.fixture
def url(settings: Settings, database_url: str, made: CreatedTenant) -> Iterator[str]:
    """The real server, without a worker, with room for a flood."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    app = create_app(settings, database_url)
    app.state.limits = RateLimiter({kind: Rate(1e6, 10**6) for kind in RATES})  # another test's matter
    server = uvicorn_server(settings.model_copy(update={"port": port}), app)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "the server listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def attack(url: str, made: CreatedTenant, things: Things, examples: int, mode: GenerationMode) -> Counter[str]:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    counts: Counter[str] = Counter()
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # an error has none, and fails here

        @seed(SEED)
        @trials(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case: Any) -> None:
            if case.path == "/v1/images":
                case.query = at_once(case.query)
            if case.path == "/v1/subjects/{ref}/templates":
                case.path_parameters["ref"] = f"nobody {case.path_parameters['ref']}"  # else it waits for a worker
            if case.path.startswith("/v1/webhooks") and mode == GenerationMode.POSITIVE:
                case.path_parameters["source"] = SOURCE
            if mode == GenerationMode.POSITIVE:  # else every case and picture asked about would be unknown
                known = {"case_id": str(things.case), "media_id": things.media, "source": SOURCE}
                for named in (case.path_parameters, case.query):
                    named.update({name: known[name] for name in known.keys() & named.keys()})
            auth = None if spoils_headers(case) else Signed(made)
            response = case.call(auth=auth)
            # It does not count "too large" as a refusal of text that is too long.
            excluded = [*EXCLUDED, negative_data_rejection] if response.status_code == 413 else EXCLUDED
            case.validate_response(response, excluded_checks=excluded, transport_kwargs={"auth": auth})
            counts[f"{response.status_code // 100}xx"] += 1

        # A route that takes nothing cannot be asked wrongly.
        with contextlib.suppress(*([Unsatisfiable] if mode == GenerationMode.NEGATIVE else [])):
            run()
    return counts


def spoils_headers(case: Any) -> bool:
    """Whether the headers are what is wrong with the case, so that they must go out as they are."""
    return any(
        place.value in ("header", "cookie") and said.mode == GenerationMode.NEGATIVE
        for place, said in case.meta.components.items()
    )


def at_once(query: Any) -> Any:
    """Nobody decides here, so there is no point in waiting as long as was generated."""
    wait = (query or {}).get("wait", 20)
    with contextlib.suppress(TypeError, ValueError):
        if 0 <= float(wait) <= 60:
            return {**(query or {}), "wait": 0}
    return query


@pytest.mark.parametrize("examples", [4, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.timeout(1800)
def test_every_answer_is_documented_and_none_is_a_server_error(
    url: str, made: CreatedTenant, pool: Pool, keystore: Keystore, examples: int, figure: Figure
) -> None:
    """Schemathesis checks: no 5xx, documented statuses, media types and bodies, nothing invalid accepted, nothing open
    without its key, 405 with Allow. It repeats each request without a key and with a bad one."""
    things = fill(pool, keystore, made, "photo", "person", 1)
    good, bad = (
        attack(url, made, things, examples, mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    )
    assert good["2xx"] > good.total() / 4
    assert bad["4xx"] > bad.total() * 0.95  # the rest are unknown names in the query, which mean nothing here
    assert (good + bad)["5xx"] == 0
    said = ", ".join(f"{n} {kind}" for kind, n in sorted((good + bad).items()))
    figure(f"{(good + bad).total()} generated requests: {said}; 0 unexpected")


def test_the_document_is_openapi_3_1(url: str) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    assert schema.raw_schema["openapi"].startswith("3.1.")
    schema.validate()
    schema.raw_schema["webhooks"]["media.tagged"]["post"]["parameters"][0]["in"] = "nowhere"
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict(schema.raw_schema).validate()


def test_the_document_promises_problem_json_for_every_refusal(url: str) -> None:
    document = requests.get(f"{url}/openapi.json", timeout=10).json()
    operations = [said for path in document["paths"].values() for said in path.values()]
    assert len(operations) >= 17
    for operation in operations:
        refusals = {status: said for status, said in operation["responses"].items() if int(status) >= 400}
        assert {"400", "408", "429", "431", "503"} <= refusals.keys()
        assert all(list(said["content"]) == [PROBLEM_JSON] for said in refusals.values())
        assert all("`" in said["description"] for said in refusals.values())  # a code of ours; the framework names none
    assert document["components"]["securitySchemes"]["api-key"]["scheme"] == "bearer"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
        ("GET", "/v1/webhooks/platform", 405, "method_not_allowed"),
        ("GET", "/v1/media/", 401, "unauthorized"),
        ("GET", "/v1/audit/proof/x", 401, "unauthorized"),
        ("GET", "/v1/media/%00", 401, "unauthorized"),
        ("GET", "/v1/reviews", 401, "unauthorized"),
        ("GET", "/v1/reviews/x/picture", 401, "unauthorized"),
        ("DELETE", "/v1/reviews", 405, "method_not_allowed"),
        ("POST", "/v1/media/%00/corrections", 401, "unauthorized"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/healthz/", 404, "not_found"),
        ("POST", "/v1/images/", 404, "not_found"),
        ("POST", "/v1/webhooks/platform/", 404, "not_found"),
        ("GET", "/me/", 404, "not_found"),
        ("TRACE", "/v1/images", 405, "method_not_allowed"),
    ],
)
def test_what_the_router_refuses_is_a_problem_too(url: str, method: str, path: str, status: int, code: str) -> None:
    answer = requests.request(method, url + path, timeout=10)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM_JSON)
    assert answer.json()["code"] == code


def test_head_answers_as_get_without_a_body(url: str, made: CreatedTenant) -> None:
    headers = {"authorization": f"Bearer {made.api_key}"}
    for path in ("/healthz", "/readyz", "/openapi.json", "/v1/audit/checkpoint", "/v1/nothing", "/me"):
        got, head = (requests.request(method, url + path, headers=headers, timeout=10) for method in ("GET", "HEAD"))
        assert head.status_code == got.status_code
        assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
        sent = raw_answer(url, f"HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert sent.endswith(b"\r\n\r\n")


def test_head_is_named_where_it_is_allowed_and_refused_where_get_is(url: str) -> None:
    assert requests.delete(f"{url}/healthz", timeout=10).headers["allow"] == "GET, HEAD"
    refused = requests.head(f"{url}/v1/images", timeout=10)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    malformed = raw_answer(url, b"HEAD /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert malformed.startswith(b"HTTP/1.1 400 ")
    assert malformed.endswith(b"\r\n\r\n")


def raw_answer(url: str, request: bytes) -> bytes:
    """All that the server sends until it closes the connection."""
    parts = urlsplit(url)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=10) as peer:
        peer.sendall(request)
        return b"".join(iter(lambda: peer.recv(65536), b""))


def test_a_coded_body_is_refused_by_every_route_that_reads_one(url: str, made: CreatedTenant) -> None:
    paths = requests.get(f"{url}/openapi.json", timeout=10).json()["paths"]
    kinds = [
        (method, path, kind, operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
        for kind in operation.get("requestBody", {"content": {}})["content"]
    ]
    assert len(kinds) >= 9
    for coding, (method, path, kind, operation) in product(("gzip", "BR", "identity, x-ours"), kinds):
        place = path.format_map(defaultdict(lambda: str(UUID(int=0)), source=made.source))
        stated = operation.get("parameters", ())
        needed = {one["name"]: "x" for one in stated if one["in"] == "query" and one["required"]}
        answer = requests.request(
            method,
            url + place,
            params=needed,
            data=gzip.compress(b'{"subject": "alice"}'),
            headers={"content-type": f"{kind}; boundary=b", "content-encoding": coding},
            auth=Signed(made),
            timeout=10,
        )
        assert (answer.status_code, answer.json()["code"]) == (415, "content_coding_unsupported"), (path, kind)
        assert answer.headers["accept-encoding"] == "identity"
        assert "content_coding_unsupported" in operation["responses"]["415"]["description"]
    plain = {"content-encoding": "identity"}
    answer = requests.post(f"{url}/v1/subjects/alice/links", json={}, headers=plain, auth=Signed(made), timeout=10)
    assert answer.status_code == 201


def test_an_error_of_our_own_says_nothing_of_itself(url: str, made: CreatedTenant, database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute("ALTER TABLE consent DROP COLUMN method")
    body = {"subject": "alice", "purpose": "face-match", "notice": "n", "notice_version": "1", "age": "adult"}
    body |= {"jurisdiction": "DE", "method": "secret words"}
    answer = requests.post(
        f"{url}/v1/consents", json=body, headers={"authorization": f"Bearer {made.api_key}"}, timeout=10
    )
    assert (answer.status_code, answer.headers["content-type"], answer.json()["code"]) == (
        500,
        PROBLEM_JSON,
        "internal",
    )
    assert not any(word in answer.text for word in ("secret", "column", "psycopg", "Traceback"))
