"""Shares what a worker has few of among tenants: turns with the models, places for images, threads for deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import Condition


@dataclass(frozen=True, slots=True)
class _Ticket:
    priority: int
    tenant: str
    host: str
    number: int


class Turns:
    """Gives `places` turns at once, of which one host has `of_host` at most, and one tenant all but one.

    So the turn that is left awaits the first of another tenant. Of those who wait the highest priority goes first; then
    the tenant that has the fewest turns now, of several the one whose last turn is longest ago; then who came first.
    """

    def __init__(self, places: int, of_host: int | None = None) -> None:
        self._free, self._of_host, self._of_tenant = places, of_host or places, max(places - 1, 1)
        self._waiting: list[_Ticket] = []
        self._tenants, self._hosts = Counter[str](), Counter[str]()
        self._served: dict[str, int] = {}  # tenants that have a turn or wait for one; when they had their last
        self._numbers = count(1)
        self._changed = Condition()

    @contextmanager
    def turn(self, priority: int, tenant: str, host: str = "") -> Iterator[None]:
        """Waits for a turn, which lasts until the block ends."""
        ticket = _Ticket(priority, tenant, host, next(self._numbers))
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._free > 0 and self._next() == ticket)
            self._waiting.remove(ticket)
            self._take(ticket, 1)
            self._served[tenant] = next(self._numbers)
        try:
            yield
        finally:
            with self._changed:
                self._take(ticket, -1)

    def _next(self) -> _Ticket | None:
        """Returns who has the next turn; a host or a tenant that has its share waits, and holds up nobody."""
        return min(filter(self._may, self._waiting), key=self._order, default=None)

    def _may(self, ticket: _Ticket) -> bool:
        return self._hosts[ticket.host] < self._of_host and self._tenants[ticket.tenant] < self._of_tenant

    def _order(self, ticket: _Ticket) -> tuple[int, int, int, int]:
        tenant = ticket.tenant
        return -ticket.priority, self._tenants[tenant], self._served.get(tenant, 0), ticket.number

    def _take(self, ticket: _Ticket, turns: int) -> None:
        self._free -= turns
        self._tenants[ticket.tenant] += turns
        self._hosts[ticket.host] += turns if ticket.host else 0
        for counted in (self._tenants, self._hosts):
            for name in (ticket.tenant, ticket.host):
                if not counted[name]:
                    del counted[name]
        here = {waiting.tenant for waiting in self._waiting} | self._tenants.keys()
        self._served = {tenant: number for tenant, number in self._served.items() if tenant in here}
        self._changed.notify_all()  # another may have a turn now
