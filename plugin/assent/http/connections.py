"""Bounds the HTTP server's connections, in all and of each address, within the file descriptors that it may have."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

from assent.http.limits import rate_limit_prefix

MOST_OPEN = 2000  # in all; each may hold 32 kB of a head
MOST_OF_ADDRESS = 400  # a key's burst; behind a proxy the rates of `limits` let a stranger's slow bodies be no more
BACKLOG = 512  # accepted at one go, before the first of them is counted
_OTHERS = 256  # descriptors for what is no connection: files, the database, the worker


class Connection(Protocol):
    """A connection of the server, as far as it is counted."""

    @property
    def transport(self) -> asyncio.Transport:
        """Returns what its bytes go through."""


class Connections:
    """The server's open connections, of all addresses; for one event loop.

    Where there are too many, the one whose request has been incomplete for longest makes room for the next.
    """

    def __init__(self, most: int, exempt: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._most, self._exempt = most, exempt
        self._addresses: dict[Connection, str] = {}
        self._counts: Counter[str] = Counter()
        self._incomplete: dict[Connection, None] = {}  # the one that waits for longest first

    def admit(self, connection: Connection, host: str) -> bool:
        """Counts a new connection of that host; returns False, and counts nothing, where it is one too many."""
        address = "" if self._is_exempt(host) else rate_limit_prefix(host)
        if address and self._counts[address] >= MOST_OF_ADDRESS:
            return False
        if len(self._addresses) >= self._most and not self._make_room():
            return False
        self._addresses[connection] = address
        self._counts[address] += 1
        return True

    def await_request(self, connection: Connection) -> None:
        """Notes that a connection's next request is still to come, or has come in part."""
        if connection in self._addresses:
            self._incomplete.setdefault(connection)

    def note_request(self, connection: Connection) -> None:
        """Notes that a connection's request has come as a whole."""
        self._incomplete.pop(connection, None)

    def release(self, connection: Connection) -> None:
        """Counts a connection no more that ended or never was admitted."""
        self._incomplete.pop(connection, None)
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def _make_room(self) -> bool:
        oldest = next(iter(self._incomplete), None)
        if oldest is None:
            return False
        self.release(oldest)
        oldest.transport.abort()
        return True

    def _is_exempt(self, host: str) -> bool:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._exempt)


def claim_descriptors() -> int:
    """Raises this process's limit of descriptors as far as needed and allowed; returns for how many connections."""
    wanted = MOST_OPEN + BACKLOG + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MOST_OPEN
    return min(MOST_OPEN, max(soft - BACKLOG - _OTHERS, _OTHERS))
