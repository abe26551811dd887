"""The person's own page, form by form: what it takes, what it refuses, and that every refusal is a page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from assent.app import create_app
from assent.core.enrolment_errors import TemplateLimitReached
from assent.core.errors import (
    AnyoneUndeclared,
    AssentError,
    BadRequest,
    BodyTooLarge,
    ConsentMissing,
    CsrfFailed,
    GuardianMissing,
    LinkGone,
    NotFound,
    NoticeChanged,
    SessionOver,
)
from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.http.routes.subjects import REFUSALS
from assent.keys.keystore import Keystore, TenantKeys
from assent.me import words
from assent.me.notice import parse_notice
from assent.me.pages import page
from assent.subjects import links
from assent.subjects.consent import withdraw_all
from assent.tenants import CreatedTenant
from tests.integration.me_page import AGREED, FORMS, SITE, count, field, is_page, photos, submit

# What the page refuses beside photos.
OTHERS = (
    AnyoneUndeclared,
    BadRequest,
    BodyTooLarge,
    ConsentMissing,
    CsrfFailed,
    GuardianMissing,
    LinkGone,
    NotFound,
    NoticeChanged,
    SessionOver,
    TemplateLimitReached,
)


def test_a_consent_is_recorded_as_it_was_given(alice: TestClient, pool: Pool) -> None:
    assert "You are not recognised in photos" in alice.get("/me").text
    answer = submit(alice, "/me/consent", AGREED)
    assert (answer.status_code, answer.headers["location"]) == (303, "/me?said=agreed")
    with transaction(pool) as conn:
        rows = conn.execute(
            "SELECT scope, jurisdiction, method, age, notice_version, encode(notice_sha256, 'hex'),"
            " expires_at - given_at FROM consent"
        ).fetchall()
    shown = parse_notice((Path(__file__).parents[2] / "plugin/assent/me/pages/notice.txt").read_text())
    assert rows == [("own", "DE", "own-page", "adult", "default-2", shown.sha256, timedelta(days=365))]
    after = alice.get(answer.headers["location"]).text
    assert "You have agreed." in after
    assert "Only in what you post yourself" in after


@pytest.mark.parametrize(
    ("changed", "status", "says"),
    [
        ({"age": "minor"}, 422, "needs a parent or guardian"),
        ({"age": "unknown", "guardian": "  "}, 422, "needs a parent or guardian"),
        ({"age": ""}, 400, "missing or not as it has to be"),
        ({"scope": "everybody"}, 400, "missing or not as it has to be"),
        ({"scope": "anyone"}, 422, "Choose one of the other places"),
        ({"jurisdiction": ""}, 400, "missing or not as it has to be"),
        ({"jurisdiction": "Germany"}, 400, "missing or not as it has to be"),
        ({"guardian": "x" * 1001}, 400, "missing or not as it has to be"),
        ({"notice": "0" * 64}, 409, "read it again"),
    ],
)
def test_a_consent_that_is_none_is_refused_on_the_same_page(
    alice: TestClient, pool: Pool, changed: dict[str, str], status: int, says: str
) -> None:
    answer = submit(alice, "/me/consent", {**AGREED, **changed})
    assert (answer.status_code, is_page(answer)) == (status, True)
    assert says in answer.text
    assert 'role="alert"' in answer.text
    assert 'action="/me/consent"' in answer.text
    assert count(pool, "consent") == 0


def test_a_guardian_may_agree(alice: TestClient, pool: Pool) -> None:
    said = {**AGREED, "age": "minor", "guardian": "Grandmother <b>Ada</b>, by letter"}
    assert submit(alice, "/me/consent", said).status_code == 303
    assert count(pool, "consent WHERE age = 'minor' AND evidence IS NOT NULL") == 1


def test_anyone_is_offered_only_where_the_deployer_has_declared_it(
    settings: Settings, database_url: str, made: CreatedTenant, link: Callable[..., str], pool: Pool
) -> None:
    settings = settings.model_copy(update={"anyone_declaration": "Lawful here."})
    with TestClient(create_app(settings, database_url), base_url=SITE, follow_redirects=False) as client:
        client.post(link())
        assert 'value="anyone"' in client.get("/me").text
        assert submit(client, "/me/consent", {**AGREED, "scope": "anyone"}).status_code == 303
    assert count(pool, "consent WHERE scope = 'anyone'") == 1


def test_the_deployers_own_notice_is_what_is_shown_and_recorded(
    settings: Settings, database_url: str, made: CreatedTenant, link: Callable[..., str], pool: Pool, tmp_path: Path
) -> None:
    file = tmp_path / "notice.txt"
    file.write_text("Version: 2026-11\n# Ours\nWe <b>look</b>.\n\n- once\n- twice\n")
    settings = settings.model_copy(update={"notice": file})
    with TestClient(create_app(settings, database_url), base_url=SITE, follow_redirects=False) as client:
        client.post(link())
        shown = client.get("/me").text
        assert "<h3>Ours</h3>" in shown
        assert "We &lt;b&gt;look&lt;/b&gt;." in shown
        assert "<li>once</li><li>twice</li>" in shown
        read = field(client, "notice")
        file.write_text("Version: 2026-12\nWe look longer.")
        assert submit(client, "/me/consent", AGREED, notice=read).status_code == 409
        assert submit(client, "/me/consent", AGREED).status_code == 303
        assert "Read again what you agreed to" in client.get("/me").text
        file.write_text("Version: 2027-01\nWe look longer and longer.")
        assert "it has changed since you agreed" in client.get("/me").text
        file.unlink()
        gone = client.get("/me")
        assert (gone.status_code, is_page(gone)) == (500, True)
    assert count(pool, "consent WHERE notice_version = '2026-12'") == 1


def test_consent_is_taken_back(alice: TestClient, pool: Pool) -> None:
    submit(alice, "/me/consent", AGREED)
    answer = submit(alice, "/me/withdraw", {})
    assert (answer.status_code, answer.headers["location"]) == (303, "/me?said=withdrawn")
    after = alice.get("/me").text
    assert "You are not recognised in photos" in after
    assert 'action="/me/photos"' not in after
    assert count(pool, "consent WHERE withdrawn_at IS NULL") == 0
    assert submit(alice, "/me/withdraw", {}).status_code == 303


@pytest.mark.parametrize(
    ("files", "status", "says"),
    [
        ([], 422, "No photo was chosen"),
        ([("photos", ("", b"", "application/octet-stream"))], 422, "No photo was chosen"),  # as a browser sends nothing
        (photos(11), 422, "At most 10 photos"),
        (photos(12), 400, "missing or not as it has to be"),
        (photos(1, name="picture"), 400, "missing or not as it has to be"),
        (photos(1, b"x" * (20 << 20) + b"x"), 413, "20 MB"),
    ],
)
def test_photos_that_do_not_fit_the_form(
    alice: TestClient, pool: Pool, files: list[Any], status: int, says: str
) -> None:
    submit(alice, "/me/consent", AGREED)
    answer = submit(alice, "/me/photos", {}, files)
    assert (answer.status_code, is_page(answer)) == (status, True)
    assert says in answer.text
    assert count(pool, "upload") == 0


def test_photos_need_a_consent_that_holds(alice: TestClient, pool: Pool, keys: TenantKeys) -> None:
    submit(alice, "/me/consent", AGREED)
    with transaction(pool) as conn:
        withdraw_all(conn, keys, links.session(conn, keystore_of(alice), alice.cookies["__Host-assent_me"]).pseudonym)
    answer = submit(alice, "/me/photos", {}, photos(1))
    assert (answer.status_code, "only after you have agreed" in answer.text) == (409, True)
    assert count(pool, "upload") == 0


def keystore_of(client: TestClient) -> Keystore:
    found: Keystore = client.app.state.app_state.keystore  # type: ignore[attr-defined]  # the application of the fixture
    return found


def test_small_forms_are_bounded(alice: TestClient) -> None:
    answer = submit(alice, "/me/seen", {"source": "platform", "media": "m" * 70_000, "face": "0", "answer": "no"})
    assert (answer.status_code, is_page(answer)) == (413, True)
    answer = submit(alice, "/me/withdraw", {}, photos(1))
    assert (answer.status_code, is_page(answer)) == (400, True)


@pytest.mark.parametrize(
    ("changed", "status"),
    [({}, 404), ({"answer": "yes"}, 404), ({"answer": "maybe"}, 400), ({"face": "-1"}, 400), ({"face": "x"}, 400)],
)
def test_only_ones_own_face_can_be_answered_for(alice: TestClient, changed: dict[str, str], status: int) -> None:
    answer = submit(alice, "/me/seen", {**FORMS["/me/seen"], **changed})
    assert (answer.status_code, is_page(answer)) == (status, True)


def test_everything_is_deleted_once_the_person_is_sure(alice: TestClient, pool: Pool) -> None:
    submit(alice, "/me/consent", AGREED)
    assert submit(alice, "/me/delete", {}).status_code == 400
    assert count(pool, "subject") == 1
    answer = submit(alice, "/me/delete", {"sure": "yes"})
    assert answer.status_code == 303
    assert '__Host-assent_me=""' in answer.headers["set-cookie"]
    assert count(pool, "subject") == count(pool, "consent") == count(pool, "person_link") == 0
    receipt = alice.get(answer.headers["location"])  # the browser has no cookie any more
    assert (receipt.status_code, is_page(receipt)) == (200, True)
    assert "Everything is deleted" in receipt.text
    early = alice.get(f"{answer.headers['location']}/file")
    assert (early.status_code, is_page(early)) == (404, True)
    assert alice.get("/me").status_code == 401
    assert alice.get(f"/me/receipt/{'A' * 43}").status_code == 404


def test_somebody_who_never_agreed_is_deleted_too(alice: TestClient) -> None:
    answer = submit(alice, "/me/delete", {"sure": "yes"})
    assert "Everything is deleted" in alice.get(answer.headers["location"]).text


def test_what_is_held_can_be_taken_along(alice: TestClient) -> None:
    submit(alice, "/me/consent", AGREED)
    answer = alice.get("/me/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["subject"]["ref"] == "alice"


@pytest.mark.parametrize("kind", [*REFUSALS, *OTHERS], ids=lambda kind: kind.code)
def test_the_page_has_words_of_its_own_for_what_may_go_wrong(kind: type[AssentError]) -> None:
    title, text = words.wrong(kind.code, "photo 2 is not good")
    assert title != words.wrong("internal", "")[0] or text != words.wrong("internal", "")[1]
    assert kind.remedy not in text
    if kind.code.startswith("face_"):
        assert text.startswith("Photo 2 is not good. Send ")


def test_what_others_wrote_is_shown_as_text() -> None:
    evil = '"><script>alert(1)</script>'
    seen = {
        "source": evil,
        "media": evil,
        "face": 0,
        "waits": True,
        "state": "Waits",
        "on": "today",
        "certainty": "very sure",
        "place": "left",
        "link": None,
    }
    me = {"ref": evil, "form": "f", "minutes": 1}
    answer = page(
        "seen", title="t", here="/me/seen", me=me, message="", wrong="", recognised=True, seen=[seen], older=None
    )
    assert b"<script>" not in answer.body
    assert bytes(answer.body).count(b"&lt;script&gt;") == 4  # the account, the heading, the form's two fields


def test_the_page_stays_out_of_the_api_document(visitor: TestClient) -> None:
    assert not [
        path for path in visitor.get("/openapi.json").json()["paths"] if path == "/me" or path.startswith("/me/")
    ]
