"""Fetches the images of events side by side and apart from the models, so that a host that drips holds up no other.

Each queue has places for images whose bytes are being fetched or in hand, half of them at most for one host, and shared
among tenants. PLACES and the 20 MB of an image bound the memory. A fetch has PATIENCE_S; a host that takes longer
drips, and what its event still needs is left to the queue SLOW, which has few places and the whole time of
`fetch_media`. For SLOW_FOR_S, or until a fetch from that host is quick again, its images are fetched in SLOW alone. The
fetches of one event have BUDGET_S together, however many hosts it names and however close to PATIENCE_S each stays:
what it needs beyond is left to SLOW.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from urllib.parse import urlsplit

from assent.core.errors import AssentError
from assent.core.settings import AllowedHost
from assent.db.queue import INTERACTIVE, PICTURES, SLOW
from assent.media.fetch import FetchKey, fetch_media
from assent.worker.turns import Turns

# By queue: events under way at once in one worker, and images of theirs being fetched or in hand.
PLACES = {INTERACTIVE: 8, PICTURES: 12, SLOW: 4}
SIDE_BY_SIDE = 4  # images of one event
PATIENCE_S = 3.0
BUDGET_S = 10.0  # of an event's fetches together, which run side by side
SLOW_FOR_S = 60.0

Fetched = bytes | AssentError


class HostSlow(Exception):
    """Ends a job that goes on in the queue SLOW, since a host dripped `strikes` times lately.

    An event whose fetches took BUDGET_S counts as one of a host that dripped once. `failed` is the failure of another
    of its media items, after which the event is tried again later.
    """

    def __init__(self, strikes: int, failed: Exception | None = None) -> None:
        super().__init__(f"dripped {strikes} times")
        self.strikes = strikes
        self.failed = failed


@dataclass(frozen=True, slots=True)
class FetchWay:
    """The private hosts that an event's images may be fetched from, and the key of its platform, where there is one."""

    allow: Sequence[AllowedHost]
    key: FetchKey | None = None


class Fetches:
    """Shares the places among the events of one worker, and remembers which hosts dripped."""

    def __init__(self) -> None:
        self._places = {queue: Turns(total, total // 2) for queue, total in PLACES.items()}
        self._lock = Lock()
        self._dripped: dict[str, tuple[float, int]] = {}  # host → until when it counts, and how often it did

    @contextmanager
    def fetched(
        self, queue: str, tenant: str, url: str | None, way: FetchWay, took: list[float]
    ) -> Iterator[Fetched | None]:
        """Yields the bytes behind the URL or the error of their fetch, and keeps their place until the block ends.

        Yields None where there is no URL. `took` holds the seconds that each fetch of the event took, and gets this
        one's. Raises HostSlow, in another queue than SLOW, where the host drips or the event's budget is spent.
        """
        if url is None:
            yield None
            return
        host = (urlsplit(url).hostname or "").rstrip(".")
        self._refuse_slow(queue, self._spent(took))  # an event that is over its budget waits for no place
        with self._places[queue].turn(0, tenant, host):
            self._refuse_slow(queue, self._strikes(host) or self._spent(took))
            began = time.monotonic()
            try:
                outcome: Fetched = fetch_media(url, way.allow, math.inf if queue == SLOW else PATIENCE_S, way.key)
            except AssentError as error:
                outcome = error
            seconds = time.monotonic() - began
            took.append(seconds)
            self._refuse_slow(queue, self._note(host, seconds))
            yield outcome

    @staticmethod
    def _refuse_slow(queue: str, strikes: int) -> None:
        if strikes and queue != SLOW:
            raise HostSlow(strikes)

    @staticmethod
    def _spent(took: Sequence[float]) -> int:
        return int(sum(took) >= BUDGET_S)

    def _strikes(self, host: str) -> int:
        until, strikes = self._dripped.get(host, (0.0, 0))
        return strikes if time.monotonic() < until else 0

    def _note(self, host: str, seconds: float) -> int:
        """Counts a fetch that took so long, and returns how often the host dripped lately."""
        now = time.monotonic()
        with self._lock:
            strikes = self._strikes(host) + 1 if seconds >= PATIENCE_S else 0
            dripped = {name: value for name, value in self._dripped.items() if value[0] > now and name != host}
            self._dripped = dripped | ({host: (now + SLOW_FOR_S, strikes)} if strikes else {})
        return strikes
