"""Limits request rates: token buckets in this process, one table of rates."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Literal, NamedTuple

from fastapi import Request

from assent.core.errors import RateLimited

RateKind = Literal["key", "address", "person", "photos", "staff", "sign-in"]
ADDRESS = "assent.address"  # where a request's scope keeps whose bucket its token came from


class Rate(NamedTuple):
    """The rate of a bucket: it holds `burst` requests and gains `per_second`."""

    per_second: float
    burst: int


# `address` counts only what does not authenticate: a request takes its token first and gets it back once its key or
# signature was found good. So a platform's own traffic is bounded by its keys, and a stranger's by where it comes from.
RATES: Mapping[RateKind, Rate] = {
    "key": Rate(100, 400),
    "address": Rate(20, 200),
    "person": Rate(2, 60),  # on their own page
    "photos": Rate(1 / 30, 10),  # forms with photos of one person, from their own page or the platform
    "staff": Rate(20, 200),  # in the console
    "sign-in": Rate(1 / 45, 20),  # by password, of an address; a right one is given back
}
_MOST = 10_000  # buckets of a kind kept; the one unused for longest goes first, and is full by then or soon


class RateLimiter:
    """The token buckets of all keys, addresses and persons. Safe to use from several threads."""

    def __init__(self, rates: Mapping[RateKind, Rate] = RATES, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates, self._clock = rates, clock
        self._buckets: dict[RateKind, OrderedDict[str, tuple[float, float]]] = {kind: OrderedDict() for kind in rates}
        self._lock = threading.Lock()

    def consume(self, kind: RateKind, name: str) -> None:
        """Counts one request of that key, address or person. Raises RateLimited when its bucket is empty."""
        rate = self._rates[kind]
        with self._lock:
            tokens = self._tokens(kind, name)
            if tokens >= 1:
                self._put(kind, name, tokens - 1)
                return
        raise RateLimited(math.ceil((1 - tokens) / rate.per_second))

    def refund(self, kind: RateKind, name: str) -> None:
        """Undoes a `consume`."""
        with self._lock:
            self._put(kind, name, min(self._tokens(kind, name) + 1, self._rates[kind].burst))

    def _tokens(self, kind: RateKind, name: str) -> float:
        rate = self._rates[kind]
        tokens, counted_at = self._buckets[kind].get(name, (float(rate.burst), 0.0))
        return min(tokens + (self._clock() - counted_at) * rate.per_second, rate.burst)

    def _put(self, kind: RateKind, name: str, tokens: float) -> None:
        buckets = self._buckets[kind]
        buckets[name] = (tokens, self._clock())
        buckets.move_to_end(name)
        if len(buckets) > _MOST:
            buckets.popitem(last=False)


def consume_photos(request: Request, tenant: str, pseudonym: bytes) -> None:
    """Counts a form with photos of that person. Raises RateLimited when they sent too many."""
    limits: RateLimiter = request.app.state.limits
    limits.consume("photos", f"{tenant}/{pseudonym.hex()}")


def rate_limit_prefix(host: str) -> str:
    """Returns what counts as one address: an IPv4 address, or an IPv6 /64 (one subscriber has them all).

    Returns an empty string for a host that is no address.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(IPv6Address(int(address) >> 64 << 64))
