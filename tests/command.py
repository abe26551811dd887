"""`assent …` in this process: all that the command does and prints, without a Python that starts for it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import structlog
from typer.testing import CliRunner

from assent.cli import main
from assent.core import telemetry
from assent.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended; `stdout` and `stderr` as a process would have written them, neither being a terminal."""

    status: int
    stdout: str
    stderr: str


def environment_of(settings: Settings) -> dict[str, str]:
    """Makes the environment in which commands find that installation."""
    assert settings.database_url is not None
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")}
    return kept | {
        "ASSENT_DATA_DIR": str(settings.data_dir),
        "ASSENT_DATABASE_URL": settings.database_url.get_secret_value(),
    }


def invoke(environment: Mapping[str, str], *words: str | Path) -> Done:
    """Runs the command in that environment, with no ASSENT_ setting besides."""
    gone = {name: None for name in os.environ if name.startswith("ASSENT_")}
    argv = ["assent", *map(str, words)]
    runner = CliRunner().isolation(env={**gone, **environment})
    with runner as (out, err, _), patch.object(sys, "argv", argv), _logging():
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        return Done(status, out.getvalue().decode(), err.getvalue().decode())


def assent(environment: Mapping[str, str], *words: str | Path) -> str:
    """Runs the command; returns what it printed. Fails the test when it ends with another status than 0."""
    done = invoke(environment, *words)
    assert done.status == 0, done.stderr or done.stdout
    return done.stdout


def failing(environment: Mapping[str, str], *words: str | Path) -> str:
    """Runs a command that has to end with status 1; returns what it said of it, in one line."""
    done = invoke(environment, *words)
    assert done.status == 1, done.stderr or done.stdout
    return " ".join(done.stderr.split())


@contextmanager
def _logging() -> Iterator[None]:
    """Sends the log to this command's standard error, and lets no logger keep that stream for later tests."""

    def configure(level: str) -> None:
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
            logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
            cache_logger_on_first_use=False,
        )

    before = structlog.get_config()
    try:
        with patch.object(telemetry, "configure", configure):
            yield
    finally:
        structlog.configure(**before)
