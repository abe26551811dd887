"""Asks a connected platform something, changing nothing there; whether acting is switched on does not matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import TypeVar

from assent.core.errors import KeyMissing, SealBroken
from assent.core.settings import AllowedHost
from assent.core.telemetry import log
from assent.db.pool import Pool, Row, execute, fetch, transaction
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.keys.keystore import Keystore, TenantKeys
from assent.outbox.connections import open_connection
from assent.outbox.exchange import ActFailed, ActingLine, exchange_steps
from assent.platforms.acting import ACTING
from assent.platforms.calls import ReadingSteps

_Q = named_queries("actions")
_Found = TypeVar("_Found")
ASK_AGAIN = timedelta(minutes=5)  # after a failure, so that a token without the scope fills no log
MAX_PAGE = 16_000_000  # bytes of one answer: fifty long posts, each as text and as HTML


class PlatformSilent(Exception):
    """The platform gave no answer to rely on, or wants a pause; the message says what came instead.

    `final`: the request itself was refused, and would be refused again.
    """

    def __init__(self, because: str, final: bool = False) -> None:
        super().__init__(because)
        self.final = final


class Asker:
    """Asks one platform. Raises PlatformSilent for all that is no answer, and leaves alone whom asked for a pause."""

    def __init__(self, pool: Pool, key: dict[str, str], line: ActingLine) -> None:
        self._pool, self._key, self._line = pool, key, line

    def __call__(self, steps: ReadingSteps[_Found]) -> _Found:
        found, rest = exchange_steps(steps, self._line)
        if rest:
            with transaction(self._pool) as conn:
                execute(conn, _Q["rest_connection"], **self._key, until=self._line.clock() + rest)
        if isinstance(found, ActFailed):
            raise PlatformSilent(found.because, found.final)
        if rest:
            raise PlatformSilent("it asked for a pause")
        return found


Turn = Callable[[TenantKeys, Row, Asker], None]


def ask_platforms(pool: Pool, keystore: Keystore, allow: Sequence[AllowedHost], platform: str, turn: Turn) -> None:
    """Gives each connected source of that kind of platform its turn; a failure of one is logged, and ends no other's.

    The row that a turn gets has tenant, source, platform, and the source's name, adapter and settings_sealed.
    """
    with transaction(pool) as conn:
        sources = fetch(conn, _Q["list_platforms_to_ask"], platform=platform)
    for row in sources:
        try:
            keys = keystore.tenant(row["tenant"])
            turn(keys, row, _open_asker(pool, keys, row, allow))
        except PlatformSilent as silence:
            log.warning("platform could not be asked", source=row["source"], because=str(silence))
            with transaction(pool) as conn:
                execute(conn, _Q["ask_later"], tenant=row["tenant"], source=row["source"], pause=ASK_AGAIN)
        except (SealBroken, KeyMissing) as error:
            log.error("platform is not asked", source=row["source"], code=error.code)


def _open_asker(pool: Pool, keys: TenantKeys, row: Row, allow: Sequence[AllowedHost]) -> Asker:
    connection = open_connection(keys, row["source"], row["sealed"])
    with transaction(pool) as conn:
        now = database_time(conn)
    started = monotonic()

    def clock() -> datetime:
        return now + timedelta(seconds=monotonic() - started)

    line = ActingLine(ACTING[row["platform"]], connection.credentials, allow, clock, lambda: None, MAX_PAGE)
    return Asker(pool, {"tenant": keys.tenant, "source": row["source"]}, line)
