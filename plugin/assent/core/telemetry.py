"""Defines logs and metrics. A log line holds ids, codes, counts and times: no secret, no URL, no name, no image byte.

The message of an exception that is not ours may hold any of these (a database's does: the row), so that only its type
and where it came from are logged.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from traceback import walk_tb
from typing import TextIO

import structlog
from prometheus_client import Counter, Histogram

from assent.core.errors import AssentError

ACCEPTED = Counter("assent_events_accepted_total", "Events stored and queued.", ["source", "lane"])
REJECTED = Counter("assent_webhooks_rejected_total", "Webhooks refused before anything was stored.", ["code"])
IGNORED = Counter("assent_webhooks_ignored_total", "Webhooks that concern us not, by reason.", ["source", "reason"])
DECIDED = Counter("assent_pictures_decided_total", "Pictures decided, by action.", ["action"])
BROKEN = Counter("assent_rules_broken_total", "Conditions that could not be evaluated.", ["policy", "rule"])
FAILED = Counter("assent_pictures_failed_total", "Pictures that could not be looked at, by error code.", ["code"])
ACTED = Counter(
    "assent_platform_acts_total", "Acts at platforms that came to an end, by state.", ["platform", "act", "state"]
)
POSTS_GONE = Counter("assent_posts_gone_total", "Posts that their platform shows no more, deleted here.", ["source"])
POSTS_MISSED = Counter(
    "assent_posts_missed_total", "Posts whose webhook never came, read from their platform.", ["source"]
)
DELIVERED = Counter("assent_deliveries_total", "Attempts to deliver, by outcome.", ["outcome"])
SIGN_INS = Counter("assent_console_sign_ins_total", "Sign-ins to the console, by way, or `refused`.", ["way"])
ANALYSIS_SECONDS = Histogram("assent_look_seconds", "Seconds from bytes to verdict of one picture.")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def configure(level: str) -> None:
    """Writes logs as JSON lines on standard error, from that level up; the libraries' own from `warning` up."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=_Lossy(sys.stderr)),  # type: ignore[arg-type]  # it only writes
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Discreet("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


class _Lossy:
    """A text stream that drops what cannot be written, so that a full disk does not stop the process."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class _Discreet(logging.Formatter):
    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        error = ei[1] if isinstance(ei, tuple) else None
        return "\n".join(_chain(error)) if isinstance(error, BaseException) else ""


def _chain(error: BaseException) -> list[str]:
    """Describes the error and its causes, innermost first: type, our own message, SQLSTATE, and the places."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    detail = error.detail if isinstance(error, AssentError) else (getattr(error, "sqlstate", None) or "")
    places = (
        f"  {frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in walk_tb(error.__traceback__)
    )
    inner = (
        [line for part in error.exceptions for line in _chain(part)] if isinstance(error, BaseExceptionGroup) else []
    )
    return [*(_chain(cause) if cause else []), *inner, f"{type(error).__qualname__} {detail}".strip(), *places]
