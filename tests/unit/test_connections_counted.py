"""How many connections an address may have, and whose they are."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from assent.http.connections import MOST_OF_ADDRESS, Connections


class Open(asyncio.Transport):
    """A connection that notes whether it was closed."""

    closed = False

    @property
    def transport(self) -> asyncio.Transport:
        return self

    def abort(self) -> None:
        self.closed = True


def admitted(connections: Connections, host: str, n: int) -> int:
    return sum(connections.admit(Open(), host) for _ in range(n))


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ("203.0.113.1", "203.0.113.1", "203.0.113.2"),
        ("203.0.113.1", "::ffff:203.0.113.1", "::ffff:203.0.113.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::1", "2001:db8:1:3::1"),
        ("fe80::1%eth0", "fe80::2%eth0", "203.0.113.2"),
    ],
)
def test_one_subscriber_has_so_many_connections(one: str, same: str, other: str) -> None:
    connections = Connections(10 * MOST_OF_ADDRESS)
    assert admitted(connections, one, MOST_OF_ADDRESS - 1) == MOST_OF_ADDRESS - 1
    last = Open()
    assert connections.admit(last, same)
    assert admitted(connections, one, 10) == 0
    assert admitted(connections, other, 1) == 1
    connections.release(last)
    connections.release(last)
    assert admitted(connections, same, 10) == 1


def test_only_a_named_proxy_is_not_counted_by_its_address() -> None:
    connections = Connections(10 * MOST_OF_ADDRESS, [ip_network("10.0.0.0/8"), ip_network("2001:db8::7/128")])
    for proxy in ("10.1.2.3", "2001:db8::7"):
        assert admitted(connections, proxy, 2 * MOST_OF_ADDRESS) == 2 * MOST_OF_ADDRESS
    assert admitted(connections, "2001:db8::8", 2 * MOST_OF_ADDRESS) == MOST_OF_ADDRESS


def test_where_there_are_too_many_only_one_that_waits_for_its_request_makes_room() -> None:
    connections = Connections(3)
    first, second, third, fourth, fifth = (Open() for _ in range(5))
    for connection in (first, second, third):
        assert connections.admit(connection, "203.0.113.1")
        connections.await_request(connection)
    connections.note_request(first)
    assert connections.admit(fourth, "203.0.113.2")
    assert [connection.closed for connection in (first, second, third)] == [False, True, False]
    connections.note_request(third)
    assert not connections.admit(fifth, "203.0.113.3")
    connections.await_request(first)
    assert connections.admit(fifth, "203.0.113.3")
    assert first.closed
