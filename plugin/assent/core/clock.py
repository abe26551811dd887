"""Formats and parses times: for documents, for files that machines read, and for the lines that people read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# The width of the times in rows that name a pseudonym, in seconds. An exact time would join such a row with the leaf,
# the job and the decisions of the same act.
COARSE_SECONDS = 3600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def coarse(at: datetime) -> datetime:
    """Rounds a time down to the whole hour, or to COARSE_SECONDS."""
    return at - (at - _EPOCH) % timedelta(seconds=COARSE_SECONDS)


def coarse_after(at: datetime) -> datetime:
    """Returns the next whole hour after a time."""
    return coarse(at) + timedelta(seconds=COARSE_SECONDS)


def rfc3339(at: datetime) -> str:
    """Formats a time as `2026-01-31T12:00:00.000000Z`. Raises ValueError on a time without a zone."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def rfc3339_with_offset(at: datetime) -> str:
    """Formats a time as `2026-01-31T12:00:00.000001+00:00`, without the fraction where it is zero."""
    return at.isoformat()


def rfc3339_in_seconds(at: datetime) -> str:
    """Formats a time as `2026-01-31T12:00:00+00:00`."""
    return at.isoformat(timespec="seconds")


def parse_rfc3339(text: str) -> datetime:
    """Parses a time in any of these three forms. Raises ValueError on other text, TypeError on what is no text."""
    return datetime.fromisoformat(text)


def format_minute(at: datetime) -> str:
    """Formats a time for a table or a sentence: `2026-01-31 12:00`."""
    return f"{at:%Y-%m-%d %H:%M}"


def format_day(at: datetime) -> str:
    """Formats the day of a time: `2026-01-31`."""
    return f"{at:%Y-%m-%d}"
