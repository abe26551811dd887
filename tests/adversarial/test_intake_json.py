"""Bodies that two readers would understand differently, or that are made to be expensive: refused, the same way each
time, and not remembered."""

from __future__ import annotations

import base64
import hmac
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from assent.app import create_app
from assent.core.settings import Settings
from assent.db.pool import Pool
from assent.tenants import CreatedTenant
from tests.fixtures.figures import Figure

MEDIA = {"id": "photo-1", "url": "https://media.example/1.jpg", "alt": "a bay"}
EVENT = {"schema": "assent.event/1", "type": "media.created", "media": [MEDIA], "author": "alice", "revision": 3}
IMAGE = {"id": "photo-1", "url": "https://media.example/1.jpg", "author": "alice", "revision": 3}
CONSENT = {
    "subject": "alice",
    "purpose": "face-match",
    "notice": "We compare faces.",
    "notice_version": "1",
    "jurisdiction": "DE",
    "method": "settings page",
    "age": "adult",
    "valid_days": 30,
}


@dataclass(frozen=True)
class Good:
    """A body that is accepted, and which of its fields hold a text and a number."""

    said: dict[str, Any]
    a_text: str
    a_number: str

    @property
    def body(self) -> bytes:
        return json.dumps(self.said).encode()

    def text(self, value: bytes) -> bytes:
        """The text's value written out as it is given."""
        return json.dumps(self.said | {self.a_text: "@"}).encode().replace(b'"@"', value)

    def number(self, value: bytes) -> bytes:
        return json.dumps(self.said | {self.a_number: "@"}).encode().replace(b'"@"', value)

    def more(self, field: bytes) -> bytes:
        return self.body[:-1] + b", " + field + b"}"


NAMES = b",".join(b'"n%d":1' % n for n in range(50_000))
DEAR = 30  # times what it takes to read these names once, in processor time
WAYS = {
    "/v1/webhooks/platform": Good(EVENT, "author", "revision"),
    "/v1/images?wait=0": Good(IMAGE, "author", "revision"),
    "/v1/consents": Good(CONSENT, "subject", "valid_days"),
}


def deep(opening: bytes, closing: bytes) -> bytes:
    return opening * 10_000 + b"1" + closing * 10_000


CASES: dict[str, Callable[[Good], bytes]] = {
    "same name twice": lambda g: g.more(f'"{g.a_text}": "mallory"'.encode()),
    "same name twice, same value": lambda g: g.more(f'"{g.a_text}": "alice"'.encode()),
    "same name twice, once escaped": lambda g: g.more(f'"\\u{ord(g.a_text[0]):04x}{g.a_text[1:]}": "mallory"'.encode()),
    "same number twice": lambda g: g.more(f'"{g.a_number}": 1'.encode()),
    "byte order mark": lambda g: b"\xef\xbb\xbf" + g.body,
    "utf-16": lambda g: g.body.decode().encode("utf-16"),
    "utf-16 without a mark": lambda g: g.body.decode().encode("utf-16-le"),
    "utf-32": lambda g: g.body.decode().encode("utf-32"),
    "1e400": lambda g: g.number(b"1e400"),
    "-1e400": lambda g: g.number(b"-1e400"),
    "1e-400": lambda g: g.number(b"1e-400"),
    "NaN": lambda g: g.number(b"NaN"),
    "Infinity": lambda g: g.number(b"-Infinity"),
    "a number as a double": lambda g: g.number(b"3.0"),
    "hexadecimal": lambda g: g.number(b"0x3"),
    "leading zero": lambda g: g.number(b"03"),
    "plus sign": lambda g: g.number(b"+3"),
    "2**64": lambda g: g.number(b"18446744073709551616"),
    "a number of 100,000 digits": lambda g: g.number(b"9" * 100_000),
    "a number as text": lambda g: g.number(b'"3"'),
    "true as a number": lambda g: g.number(b"true"),
    "high surrogate alone": lambda g: g.text(b'"a\\ud800"'),
    "low surrogate alone": lambda g: g.text(b'"a\\udc00"'),
    "surrogates the wrong way round": lambda g: g.text(b'"\\udc00\\ud800"'),
    "surrogate in a name": lambda g: g.more(b'"\\ud800": 1'),
    "surrogate as bytes": lambda g: g.text(b'"\xed\xa0\x80"'),
    "overlong utf-8": lambda g: g.text(b'"\xc0\xaf"'),
    "cut utf-8": lambda g: g.text(b'"\xe2\x82"'),
    "NUL escaped": lambda g: g.text(b'"a\\u0000b"'),
    "NUL": lambda g: g.text(b'"a\x00b"'),
    "line break in a text": lambda g: g.text(b'"a\nb"'),
    "escape that is none": lambda g: g.text(b'"\\x41"'),
    "10,000 arrays": lambda g: g.text(deep(b"[", b"]")),
    "10,000 arrays, open": lambda _: b"[" * 10_000,
    "10,000 objects": lambda g: g.text(deep(b'{"a":', b"}")),
    "10,000 objects under a new name": lambda g: g.more(b'"x": ' + deep(b'{"a":', b"}")),
    "50,000 names": lambda g: g.more(NAMES),
    "a name of 500,000 characters": lambda g: g.more(b'"' + b"n" * 500_000 + b'": 1'),
    "a text of 500,000 characters": lambda g: g.text(b'"' + b"n" * 500_000 + b'"'),
    "two documents": lambda g: g.body * 2,
    "NUL behind": lambda g: g.body + b"\x00",
    "trailing comma": lambda g: g.body[:-1] + b",}",
    "comment": lambda g: b"/* */" + g.body,
    "single quotes": lambda g: g.body.replace(b'"', b"'"),
    "a list around": lambda g: b"[" + g.body + b"]",
    "a text around": lambda g: json.dumps(g.body.decode()).encode(),
    "null": lambda _: b"null",
    "nothing": lambda _: b"",
    "blanks": lambda _: b" " * 1000,
    "not JSON": lambda _: b"schema=assent.event/1",
    "cut": lambda g: g.body[:-2],
    "private name": lambda g: g.more(b'"__class__": "x"'),
}


def signed(secret: str, body: bytes) -> dict[str, str]:
    """Headers with a good signature of any bytes, also of those that are no text."""
    delivery, at = f"msg_{uuid4().hex}", str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{delivery}.{at}.".encode() + body, "sha256")
    said = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": delivery, "webhook-timestamp": at, "webhook-signature": said}


@pytest.fixture
def client(settings: Settings, database_url: str, made: CreatedTenant) -> Iterator[TestClient]:
    with TestClient(create_app(settings, database_url)) as client:
        yield client


def count(pool: Pool, table: str) -> int:
    with pool.connection() as conn:
        row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - ours
    assert row is not None
    return int(row[0])


def test_hostile_json_gets_one_answer_each_and_leaves_nothing(
    client: TestClient, made: CreatedTenant, pool: Pool, figure: Figure
) -> None:
    leaves = count(pool, "audit_leaf")
    key = {"authorization": f"Bearer {made.api_key}"}
    wrong, costs = [], dict[tuple[str, str], float]()
    for path, good in WAYS.items():
        for name, spoil in CASES.items():
            body = spoil(good)
            answers, costs[path, name] = set(), math.inf
            for _ in range(3):
                headers = key | signed(made.source_secret, body) | {"content-type": "application/json"}
                began = time.process_time()
                answer = client.post(path, content=body, headers=headers)
                costs[path, name] = min(costs[path, name], time.process_time() - began)
                answers.add((answer.status_code, answer.headers["content-type"], answer.json().get("code")))
                assert len(answer.content) < 4096
            expected = (400, "application/problem+json", "bad_request")
            if path.startswith("/v1/webhooks") and not is_text(body):
                expected = (401, "application/problem+json", "signature_invalid")  # Standard Webhooks signs text
            if answers != {expected}:
                wrong.append((path, name, answers))
    assert wrong == []
    tables = ("event", "intake_seen", "consent", "subject", "procrastinate_jobs")
    assert [count(pool, table) for table in tables] == [0] * len(tables)
    assert count(pool, "audit_leaf") == leaves
    usual = min(cost(lambda: json.loads(b"{%s}" % NAMES)) for _ in range(3))
    assert {one: seconds for one, seconds in costs.items() if seconds > DEAR * usual} == {}
    figure(f"{len(CASES) * len(WAYS)} hostile JSON bodies × 3: 0 accepted, 0 leaves")


def cost(call: Callable[[], object]) -> float:
    """Seconds of the processor for this call, whatever else the machine does."""
    began = time.process_time()
    call()
    return time.process_time() - began


def is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_the_good_bodies_are_accepted(client: TestClient, made: CreatedTenant) -> None:
    for path, good in WAYS.items():
        body = good.body
        headers = {"authorization": f"Bearer {made.api_key}"} | signed(made.source_secret, body)
        assert client.post(path, content=body, headers=headers).status_code in (201, 202)


def test_made_up_names_cannot_hide_what_a_source_was_sent(
    settings: Settings, database_url: str, made: CreatedTenant, pool: Pool
) -> None:
    app = create_app(settings, database_url)
    with TestClient(app) as client:
        for n in range(1_100):
            app.state.limits.refund("address", "")
            answer = client.post(f"/v1/webhooks/name-{n}", content=b"{}")
            assert answer.status_code == 401
        app.state.limits.refund("address", "")
        assert client.post("/v1/webhooks/platform", content=b"{}").status_code == 401
    with pool.connection() as conn:
        row = conn.execute("SELECT leaf FROM audit_leaf ORDER BY seq DESC LIMIT 1").fetchone()
    assert row is not None
    leaf = json.loads(row[0])
    assert (leaf["source"], leaf["rejected"]) == ("platform", {"signature_invalid": 1})
