"""Since when a moderator works without a pause of ten minutes, and what follows from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from assent.review.care import MUTABLE, CareMeter, ExposureLine, muted_labels, working_since

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def minutes_ago(*minutes: float) -> list[datetime]:
    return [NOW - timedelta(minutes=ago) for ago in minutes]


def test_a_pause_of_ten_minutes_ends_the_count() -> None:
    assert working_since(minutes_ago(1, 5, 14, 40), NOW) == NOW - timedelta(minutes=14)
    assert working_since(minutes_ago(11, 12), NOW) is None
    assert working_since([], NOW) is None


def test_a_pause_is_offered_after_fifty_minutes() -> None:
    meter = CareMeter((), 0, NOW - timedelta(minutes=50), NOW)
    assert meter.is_pause_due
    assert not CareMeter((), 0, NOW - timedelta(minutes=49), NOW).is_pause_due
    assert not CareMeter((), 0, None, NOW).is_pause_due


def test_enough_is_told_of_a_day_and_of_an_hour() -> None:
    day = tuple(ExposureLine(name, False, 1, 120 * 60, 1, 120 * 60) for name in ("nudity", "violence"))
    assert CareMeter(day, 60, None, NOW).is_day_full
    assert CareMeter(day, 60, None, NOW).is_hour_full
    assert not CareMeter(day[:1], 59, None, NOW).is_day_full
    assert not CareMeter(day[:1], 59, None, NOW).is_hour_full


def test_a_category_stands_for_all_its_labels() -> None:
    assert muted_labels(["safety", "text.code"]) == ["body", "nsfw", "nudity", "text.code", "violence"]
    assert MUTABLE == ("nudity", "body", "nsfw", "violence", "text", "hash")
