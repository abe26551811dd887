"""When a message is tried again, and what each answer means."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.core.errors import FetchFailed, FetchRefused
from assent.net.client import Response
from assent.outbox.schedule import (
    DELIVERY_SCHEDULE,
    JITTER,
    MAX_RETRY_AFTER,
    classify_response,
    next_attempt,
    retry_after,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Spread(random.Random):
    """Always the same place between no jitter (0) and all of it (1)."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = at

    def random(self) -> float:
        return self.at


NONE, ALL = Spread(0), Spread(1)


def answer(status: int, **headers: str) -> Response:
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def test_the_whole_schedule_lasts_75_hours_and_35_minutes() -> None:
    at, waits = NOW, []
    for attempts in range(1, len(DELIVERY_SCHEDULE)):
        following = next_attempt(attempts, at, None, NONE)
        assert following is not None
        waits.append(following - at)
        at = following
    assert waits[:3] == [timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30)]
    assert at - NOW == timedelta(hours=75, minutes=35, seconds=5)
    assert next_attempt(len(DELIVERY_SCHEDULE), at, None, NONE) is None


def test_jitter_adds_at_most_a_tenth() -> None:
    for attempts in range(1, len(DELIVERY_SCHEDULE)):
        assert next_attempt(attempts, NOW, None, ALL) == NOW + DELIVERY_SCHEDULE[attempts] * (1 + JITTER)


def test_retry_after_lengthens_a_wait_and_never_shortens_it() -> None:
    assert next_attempt(1, NOW, timedelta(hours=1), NONE) == NOW + timedelta(hours=1)
    assert next_attempt(5, NOW, timedelta(seconds=1), NONE) == NOW + timedelta(hours=5)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("0", timedelta(0)),
        (" 120 ", timedelta(minutes=2)),
        ("86401", MAX_RETRY_AFTER),
        ("9" * 5000, MAX_RETRY_AFTER),
        (format_datetime(NOW + timedelta(minutes=7), usegmt=True), timedelta(minutes=7)),
        ("Sat, 31 Jan 2026 12:10:00 -0000", timedelta(minutes=10)),
        (format_datetime(NOW - timedelta(minutes=7), usegmt=True), timedelta(0)),
        (format_datetime(NOW + timedelta(days=7), usegmt=True), MAX_RETRY_AFTER),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("Sat, 99 Jan 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_a_day_at_most(text: str, wait: timedelta | None) -> None:
    assert retry_after({"retry-after": text}, NOW) == wait


def test_no_retry_after() -> None:
    assert retry_after({}, NOW) is None


@given(st.text())
def test_no_retry_after_breaks_us_or_leaves_its_bounds(text: str) -> None:
    wait = retry_after({"retry-after": text}, NOW)
    assert wait is None or timedelta(0) <= wait <= MAX_RETRY_AFTER


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_only_2xx_is_success(status: int) -> None:
    assert classify_response(answer(status), 1, NOW, NONE).state == "delivered"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 409, 422, 500, 503])
def test_everything_else_is_tried_again(status: int) -> None:
    outcome = classify_response(answer(status), 1, NOW, NONE)
    assert (outcome.state, outcome.retry_at) == ("waiting", NOW + timedelta(seconds=5))
    assert str(status) in outcome.because


def test_gone_ends_it_at_once() -> None:
    outcome = classify_response(answer(410), 1, NOW, NONE)
    assert (outcome.state, outcome.retry_at) == ("dead", None)


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_throttling_is_obeyed(status: int) -> None:
    assert classify_response(answer(status, retry_after="600"), 1, NOW, NONE).retry_at == NOW + timedelta(minutes=10)


def test_other_failures_cannot_delay_us() -> None:
    assert classify_response(answer(400, retry_after="600"), 1, NOW, NONE).retry_at == NOW + timedelta(seconds=5)


@pytest.mark.parametrize("error", [FetchFailed("a.example did not answer"), FetchRefused("a.example is not public")])
def test_no_answer_is_a_failure_that_names_its_code(error: FetchFailed | FetchRefused) -> None:
    outcome = classify_response(error, 2, NOW, NONE)
    assert (outcome.state, outcome.retry_at) == ("waiting", NOW + timedelta(minutes=5))
    assert outcome.because == f"{error.code}: {error.detail}"


def test_after_the_last_attempt_the_message_is_dead() -> None:
    assert classify_response(answer(500), len(DELIVERY_SCHEDULE), NOW, NONE).state == "dead"
    assert classify_response(answer(500), len(DELIVERY_SCHEDULE) - 1, NOW, NONE).state == "waiting"
