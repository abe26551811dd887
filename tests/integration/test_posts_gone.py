"""Posts that Mastodon shows no more are deleted here; a wrong answer, or another reason to be missing, deletes none."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain, repeat

import pytest

from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.intake.accept import Origin
from assent.intake.posts import compare_post, store_delivery
from assent.keys.keystore import Keystore
from assent.platforms.delivery import ParsedDelivery, SourceSettings
from assent.platforms.registry import ADAPTERS
from assent.worker.post_checks import MOST_CONFIRMED, check_posts
from tests.acting import Acting
from tests.events import leaves, rows
from tests.platform_api import Api, Fault
from tests.web import Answer

SETTINGS = SourceSettings("https://social.example", ("public", "followers"))
HTML = Answer(200, {"content-type": "text/html"}, b"<!DOCTYPE html>")
Check = Callable[[], None]


@pytest.fixture
def turn(acting: Acting, settings: Settings, keystore: Keystore) -> Check:
    """A turn of asking, an hour after each post was asked about."""
    allowed = settings.model_copy(update={"allow_private": (acting.api.allowed,)})

    def ask() -> None:
        rows(acting.pool, "UPDATE post_check SET asked_at = asked_at - interval '61 minutes' RETURNING 1")
        check_posts(allowed, acting.pool, keystore)

    return ask


@pytest.fixture
def check(acting: Acting, turn: Check) -> Check:
    """A turn of asking, after any pause."""

    def ask() -> None:
        later(acting.pool, "rests_until")
        later(acting.pool, "ask_from")
        turn()

    return ask


def later(pool: Pool, pause: str) -> None:
    """That pause of all platforms is over."""
    rows(pool, f"UPDATE platform_connection SET {pause} = NULL RETURNING 1")  # noqa: S608 - ours


def sent(acting: Acting, *statuses: str, account: str = "7", visibility: str = "public", at: str = "03:04:05") -> None:
    """What the platform sends of posts, which it shows from then on, and a decision on each that reports it."""
    for status in statuses:
        acting.api.statuses[status] = account
        image = {"id": "1", "type": "image", "url": "https://files.example/1.jpg", "description": at}
        subject = {"id": status, "visibility": visibility, "account": {"id": account}, "media_attachments": [image]}
        event = {"event": "status.created", "created_at": f"2026-01-02T{at}Z", "object": subject}
        parsed = ADAPTERS["mastodon"].parse({}, json.dumps(event).encode(), SETTINGS)
        assert isinstance(parsed, ParsedDelivery)
        with transaction(acting.pool) as conn:
            change = compare_post(conn, "default", "social", parsed)
            store_delivery(conn, acting.keys, Origin("social", "live"), parsed, change)
        acting.decide("social", f"status/{status}/1", ["report"], author=account)


def held(acting: Acting) -> list[str]:
    return [media for (media,) in rows(acting.pool, "SELECT DISTINCT media_id FROM decision ORDER BY media_id")]


def test_a_deleted_post_leaves_nothing_and_its_report_is_resolved(acting: Acting, api: Api, check: Check) -> None:
    sent(acting, "1", "2")
    acting.settle()
    api.gone.add("2")
    check()
    assert held(acting) == ["status/1/1", "status/2/1"]  # once is not enough
    check()
    assert held(acting) == ["status/1/1"]
    acting.settle()
    assert [(one["status_ids"], one["action_taken"]) for one in api.reports] == [(["1"], False), (["2"], True)]
    assert len(leaves(acting.pool, "media.deleted")) == 1
    assert rows(acting.pool, "SELECT post FROM post_check") == [("status/1",)]
    assert rows(acting.pool, "SELECT post FROM post_media") == [("status/1",)]


def test_a_post_that_is_shown_is_asked_about_once_an_hour(acting: Acting, api: Api, check: Check) -> None:
    sent(acting, *map(str, range(1, 31)))
    for _ in range(3):
        check()
    assert [len(line.split("id%5B%5D=")) - 1 for line in api.asked] == [20, 20, 20]  # no more in one list
    assert len(held(acting)) == 30


def test_an_account_that_was_deleted_takes_its_posts_along(acting: Acting, api: Api, check: Check) -> None:
    sent(acting, "1", account="9")
    api.gone.add("9")
    check()
    check()
    assert held(acting) == []


@pytest.mark.parametrize("why", ["blocked", "suspended", "silent-list", "private"])
def test_a_post_that_is_missing_for_another_reason_stays(acting: Acting, api: Api, check: Check, why: str) -> None:
    sent(acting, "1", visibility="private" if why == "private" else "public")
    if why == "blocked":
        api.blocked_by.add("7")
    elif why == "suspended":
        api.accounts["7"] = {"id": "7", "suspended": True}
    elif why == "private":
        api.invisible.add("1")
    for _ in range(3):
        api.faults = iter([Fault(Answer(200, body=b"[]"))] if why == "silent-list" else [])
        check()
    assert held(acting) == ["status/1/1"]
    assert (api.asked == []) == (why == "private")  # of which it says nothing that we could believe


@pytest.mark.parametrize(
    "answer",
    [
        *(Answer(status, body=b'{"error": "x"}') for status in (401, 403, 410, 422, 500, 503)),
        Answer(429, {"retry-after": "60"}),
        Answer(302, {"location": "https://elsewhere.example/"}),
        Answer(404, {"content-type": "text/html"}, b"<h1>Not Found</h1>"),
        Answer(200, body=b""),
        Answer(200, body=b"{}"),
        Answer(200, body=b'[{"id": "77"}]'),
        Answer(raw=b""),
        HTML,
    ],
    ids=lambda answer: f"{answer.status}-{answer.body[:8]!r}",
)
def test_no_wrong_answer_deletes_anything(acting: Acting, api: Api, check: Check, answer: Answer) -> None:
    sent(acting, "1", "2")
    api.gone.add("1")
    check()
    for good in range(5):  # the list, the token, the post, its author, who blocks whom
        api.faults = chain(repeat(None, good), [Fault(answer)])
        check()
        assert held(acting) == ["status/1/1", "status/2/1"], good
    check()
    assert held(acting) == ["status/2/1"]


def test_what_is_sent_again_meanwhile_stays(acting: Acting, api: Api, check: Check) -> None:
    sent(acting, "1")
    api.gone.add("1")
    check()
    api.gone.clear()
    sent(acting, "1", at="04:00:00")
    api.gone.add("1")
    check()
    assert held(acting) == ["status/1/1"]  # this was the first time that it is missing
    api.faults = iter(
        [None, None, Fault(Answer(404, body=b'{"error": "x"}'), before=lambda: sent(acting, "1", at="05:00:00"))]
    )
    check()
    assert held(acting) == ["status/1/1"]


def test_a_platform_that_loses_everything_is_believed_slowly(acting: Acting, api: Api, check: Check) -> None:
    sent(acting, *map(str, range(1, 11)))
    api.gone |= set(api.statuses)
    check()
    check()
    assert len(held(acting)) == 10 - MOST_CONFIRMED


def test_a_pause_that_it_asks_for_is_kept_by_acts_too(acting: Acting, api: Api, turn: Check, check: Check) -> None:
    sent(acting, "1")
    api.faults = iter([Fault(Answer(429, {"retry-after": "3600"}))])
    check()
    later(acting.pool, "ask_from")
    turn()
    assert len(api.asked) == 1
    (waiting,) = acting.step()
    assert waiting.because == "the platform asked for a pause"


def test_a_token_that_may_not_read_is_tried_again_in_minutes_and_hinders_no_act(
    acting: Acting, api: Api, turn: Check, check: Check
) -> None:
    sent(acting, "1")
    api.faults = iter([Fault(Answer(403, body=b'{"error": "This action is outside the authorized scopes"}'))])
    check()
    later(acting.pool, "rests_until")
    turn()
    assert len(api.asked) == 1
    acting.settle()
    assert acting.states() == ["done"]


def test_whom_a_post_belongs_to_lies_sealed(acting: Acting, check: Check, api: Api) -> None:
    sent(acting, "1", account="70007")
    ((account,),) = rows(acting.pool, "SELECT account FROM post_check")
    assert b"70007" not in account
    api.gone.add("1")
    check()
    rows(acting.pool, "UPDATE post_check SET account = 'x' RETURNING 1")
    check()
    assert held(acting) == ["status/1/1"]
