"""Multipart forms made to confuse or to cost: one refusal each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from assent.app import create_app
from assent.core.settings import Settings
from assent.db.pool import Pool
from assent.tenants import CreatedTenant
from tests.fixtures.figures import Figure

PLAIN = "multipart/form-data; boundary=b"
MEGABYTE = b"x" * (1 << 20)


def part(name: bytes, content: bytes = b"x", filename: bytes | None = b"a.jpg", more: bytes = b"") -> bytes:
    place = b'form-data; name="' + name + b'"' + (b'; filename="' + filename + b'"' if filename is not None else b"")
    return b"--b\r\nContent-Disposition: " + place + b"\r\n" + more + b"\r\n" + content + b"\r\n"


IMAGE, END = part(b"image"), b"--b--\r\n"
EVENT = part(b"event", b'{"author": "alice", "author": "bob"}', None)
# Content-Type and body; every one is refused with 400 but those that are too large.
CASES: dict[str, tuple[str, bytes]] = {
    "no boundary": ("multipart/form-data", IMAGE + END),
    "an empty boundary": ("multipart/form-data; boundary=", IMAGE + END),
    "a boundary of 71 characters": (f"multipart/form-data; boundary={'b' * 71}", IMAGE + END),
    "a boundary with a line break": ('multipart/form-data; boundary="b\\\n"', IMAGE + END),
    "a boundary that ends in a blank": ('multipart/form-data; boundary="b "', IMAGE + END),
    "another boundary": ("multipart/form-data; boundary=c", IMAGE + END),
    "two boundaries": ("multipart/form-data; boundary=c; boundary=c", IMAGE + END),
    "nothing": (PLAIN, b""),
    "only the end": (PLAIN, END),
    "cut in a part": (PLAIN, IMAGE[:-4]),
    "cut in a part's head": (PLAIN, IMAGE[:20]),
    "no name": (PLAIN, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END),
    "no disposition": (PLAIN, b"--b\r\nX: 1\r\n\r\nx\r\n" + END),
    "a head without a colon": (PLAIN, b"--b\r\nContent-Disposition\r\n\r\nx\r\n" + END),
    "a head of 1 MB": (PLAIN, part(b"image", more=b"X: " + MEGABYTE + b"\r\n") + END),
    "a file under another name": (PLAIN, part(b"picture") + END),
    "a file with no name": (PLAIN, part(b"") + END),
    "the image as a field": (PLAIN, part(b"image", filename=None) + END),
    "two images": (PLAIN, IMAGE * 2 + END),
    "1,000 images": (PLAIN, IMAGE * 1000 + END),
    "21 fields": (PLAIN, b"".join(part(b"f%d" % n, filename=None) for n in range(21)) + IMAGE + END),
    "a field twice": (PLAIN, part(b"event", b"{}", None) * 2 + IMAGE + END),
    "a field of more than 1 MB": (PLAIN, part(b"event", MEGABYTE + b"x", None) + IMAGE + END),
    "an event with a name twice": (PLAIN, EVENT + IMAGE + END),
    "an event that is no JSON": (PLAIN, part(b"event", b"author=alice", None) + IMAGE + END),
    "an author in Latin-1": (PLAIN, part(b"event", b'{"author": "Zo\xeb"}', None) + IMAGE + END),
    "an event in Latin-1": (PLAIN, part(b"event", b'{"author": "\xe9\xff\x00"}', None) + IMAGE + END),
    "an event as surrogates": (PLAIN, part(b"event", b'{"author": "\xed\xa0\x80\x00"}', None) + IMAGE + END),
    "an event as a file": (PLAIN, part(b"event", b"{}") + IMAGE + END),
    "a url beside the bytes": (PLAIN, part(b"event", b'{"url": "http://a.example/"}', None) + IMAGE + END),
}
# Codecs of Python that decoding by the sender's wish would call; the event they spoil is refused in UTF-8 too.
for _charset in ("undefined", "unicode_escape", "raw_unicode_escape", "idna", "punycode", "utf-7", "rot13", "zlib"):
    CASES[f"charset {_charset}"] = (f"{PLAIN}; charset={_charset}", EVENT + IMAGE + END)
LARGE = {
    "20 MB and a bit": (PLAIN, part(b"image", MEGABYTE * 20 + b"x") + END),
    "22 MB without an end": (PLAIN, part(b"image", MEGABYTE * 22)),
}


@pytest.fixture
def client(settings: Settings, database_url: str, made: CreatedTenant) -> Iterator[TestClient]:
    with TestClient(create_app(settings, database_url), headers={"authorization": f"Bearer {made.api_key}"}) as client:
        yield client


def test_malformed_forms_get_one_answer_each(client: TestClient, pool: Pool, figure: Figure) -> None:
    wrong = []
    expected = dict.fromkeys(CASES, (400, "bad_request")) | dict.fromkeys(LARGE, (413, "body_too_large"))
    for name, (kind, body) in (CASES | LARGE).items():
        answers = set()
        for _ in range(3):
            answer = client.post("/v1/images?wait=0", content=body, headers={"content-type": kind})
            answers.add((answer.status_code, answer.json().get("code")))
            assert len(answer.content) < 4096
        if answers != {expected[name]}:
            wrong.append((name, answers))
    assert wrong == []
    with pool.connection() as conn:
        assert conn.execute("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM upload)").fetchone() == (0, 0)
    figure(f"{len(expected)} malformed forms × 3: 0 accepted")


def test_a_good_form_is_accepted(client: TestClient) -> None:
    form = part(b"event", '{"author": "Zoë"}'.encode(), None) + IMAGE + END
    for kind in (PLAIN, f"{PLAIN}; charset=undefined", 'multipart/form-data; charset=utf-8; boundary="b"'):
        assert client.post("/v1/images?wait=0", content=form, headers={"content-type": kind}).status_code == 202
