"""Defines logs and metrics. A log line holds ids, codes, counts and times: no secret, no URL, no name, no image byte.

Of lines of one kind LINES_A_MINUTE are written, then their number, so that no stranger can fill a disk.

The message of an exception that is not ours may hold any of what is private (a database's does: the row), so that only
its type and where it came from are logged.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from threading import Lock
from traceback import walk_tb
from typing import TextIO

import structlog
from prometheus_client import Counter, Histogram, start_http_server

from assent.core.errors import AssentError
from assent.core.host_errors import MetricsUnavailable

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

LINES_A_MINUTE = 60  # of one kind

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def configure(level: str) -> None:
    """Writes logs as JSON lines on standard error, from that level up; the libraries' own from `warning` up."""
    structlog.configure(
        processors=[
            _drop_repeated,
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
    handler.addFilter(_leave_out_repeated)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def serve_metrics(host: str, port: int) -> None:
    """Serves this process's metrics to Prometheus at `/metrics` of that address, in a thread of its own.

    Raises MetricsUnavailable where that address is no address of this machine, or taken.
    """
    try:
        start_http_server(port, host)
    except OSError as error:
        raise MetricsUnavailable(f"{host}, port {port}: {error.strerror}") from error


class Repeats:
    """Counts lines of each kind, minute by minute. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, Lock()
        self._minutes: dict[Hashable, tuple[float, int]] = {}  # when a kind's minute began, and its lines since

    def admit(self, kind: Hashable) -> int | None:
        """Counts a line of that kind; returns how many were left out before it, None where it is to be left out."""
        with self._lock:
            began, lines = self._minutes.get(kind, (-60.0, 0))
            now = self._clock()
            if now - began >= 60:
                self._minutes[kind] = (now, 1)
                return max(0, lines - LINES_A_MINUTE)
            self._minutes[kind] = (began, lines + 1)
            return 0 if lines < LINES_A_MINUTE else None


_REPEATS = Repeats()


def _drop_repeated(_logger: object, _level: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    left_out = _REPEATS.admit(line["event"])
    if left_out is None:
        raise structlog.DropEvent
    return {**line, "left_out": left_out} if left_out else line


def _leave_out_repeated(record: logging.LogRecord) -> bool:
    """Lets a line of a library through; of one kind is what comes from one place with one type of error."""
    kind = type(record.exc_info[1]) if record.exc_info else None
    left_out = _REPEATS.admit((record.pathname, record.lineno, kind))
    if left_out:
        record.msg, record.args = f"{record.getMessage()} (left out before: {left_out})", ()
    return left_out is not None


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
