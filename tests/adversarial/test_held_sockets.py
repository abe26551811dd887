"""Connections that are held open, with half a head or none, keep nobody else from an answer and fill no log."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from assent.http.connections import MOST_OF_ADDRESS, MOST_OPEN
from assent.http.limits import RATES
from assent.http.server import UNREAD_SECONDS
from tests.fixtures.figures import Figure
from tests.house import House, running
from tests.installed import need
from tests.waiting import until
from tests.web import serving

PROXY = "127.0.0.4"
HALF_A_HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Half: "


@pytest.fixture(scope="module")
def house(open_folder: Path) -> Iterator[House]:
    """A server that was started with the soft limit of descriptors that most systems give."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 4 * MOST_OPEN:
        need(f"at most {hard} descriptors are allowed here")
    with serving() as web, ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        settings = {"ASSENT_PROXIES": PROXY, "FORWARDED_ALLOW_IPS": "*"}  # the second is another program's, not ours
        house = stack.enter_context(running(open_folder / "sockets", web, "--no-worker", **settings))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        yield house


def connect(house: House, address: str) -> socket.socket:
    parts = urlsplit(house.url)
    assert parts.hostname
    assert parts.port
    return socket.create_connection((parts.hostname, parts.port), 30, (address, 0))


@contextmanager
def held(house: House, counts: dict[str, int]) -> Iterator[list[socket.socket]]:
    """Half heads, so many from each address."""
    with ExitStack() as stack:
        peers = [stack.enter_context(connect(house, address)) for address, n in counts.items() for _ in range(n)]
        for peer in peers:
            with suppress(OSError):  # closed already
                peer.sendall(HALF_A_HEAD)
            peer.setblocking(False)
        yield peers


def is_open(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


@contextmanager
def client_at(address: str) -> Iterator[httpx2.Client]:
    """A client of that address, which opens a connection for each request."""
    transport = httpx2.HTTPTransport(local_address=address, limits=httpx2.Limits(max_keepalive_connections=0))
    with httpx2.Client(transport=transport, timeout=30) as client:
        yield client


def test_half_heads_of_one_address_leave_the_others_their_answers(house: House, figure: Figure) -> None:
    logged = house.log.stat().st_size
    with held(house, {"127.0.0.2": 1100}) as peers, client_at("127.0.0.3") as other, client_at("127.0.0.2") as same:
        assert [other.get(house.url + "/healthz").status_code for _ in range(20)] == [200] * 20
        until(lambda: sum(map(is_open, peers)) == MOST_OF_ADDRESS, "those too many are closed", 5)
        with pytest.raises(httpx2.TransportError):
            same.get(house.url + "/healthz")
    with client_at("127.0.0.2") as same:
        until(lambda: answers(same, house), "the address has room again", 5)
    grown = house.log.stat().st_size - logged
    assert grown < 1000
    figure(f"1,100 half heads of one address: {MOST_OF_ADDRESS} held, another's 20 requests answered, {grown} B of log")


def answers(client: httpx2.Client, house: House) -> bool:
    with suppress(httpx2.TransportError):
        return client.get(house.url + "/healthz").status_code == 200
    return False


def test_where_all_places_are_held_the_one_held_longest_makes_room(house: House) -> None:
    crowd = {f"127.0.1.{n}": MOST_OF_ADDRESS for n in range(MOST_OPEN // MOST_OF_ADDRESS)}
    with held(house, crowd) as peers, client_at("127.0.0.3") as other:
        until(lambda: all(map(is_open, peers)), "all are taken in", 5)
        assert [other.get(house.url + "/healthz").status_code for _ in range(20)] == [200] * 20
        gone = [n for n, peer in enumerate(peers) if not is_open(peer)]
    assert gone == list(range(len(gone)))
    assert 1 <= len(gone) <= 20


def test_a_proxy_has_more_connections_than_an_address(house: House) -> None:
    with held(house, {PROXY: MOST_OF_ADDRESS + 100}) as peers, client_at(PROXY) as proxy:
        assert proxy.get(house.url + "/healthz").status_code == 200
        assert all(map(is_open, peers))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_peer_that_reads_no_answer_is_cut_off(house: House) -> None:
    with connect(house, "127.0.0.6") as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        with suppress(BlockingIOError):  # until no buffer takes more
            while True:
                peer.send(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: not connections_from(house, peer), "the server has let go", 4 * UNREAD_SECONDS)


def connections_from(house: House, peer: socket.socket) -> list[object]:
    name = peer.getsockname()
    return [found for found in house.process.net_connections("tcp") if found.raddr == name]


def asked(house: House, sender: str, most: int) -> int:
    """How many requests with ever another forwarded address are answered before the first 429, of so many at most."""
    with client_at(sender) as client:
        for n in range(most):
            forwarded = {"X-Forwarded-For": f"203.0.113.{n % 250}"}
            if client.get(house.url + "/healthz", headers=forwarded).status_code == 429:
                return n
    return most


def test_a_forwarded_address_counts_only_from_a_proxy(house: House) -> None:
    most = 6 * RATES["address"].burst  # a slow machine gives tokens back meanwhile
    answered = asked(house, "127.0.0.5", most)
    assert answered < most
    assert asked(house, PROXY, answered + 100) == answered + 100


def test_what_a_stranger_wrote_into_the_forwarded_addresses_does_not_count(house: House) -> None:
    with client_at(PROXY) as proxy:
        for n in range(RATES["address"].burst * 2):
            forwarded = {"X-Forwarded-For": f"192.0.2.{n % 250}, 198.51.100.1"}
            if proxy.get(house.url + "/healthz", headers=forwarded).status_code == 429:
                break
        else:
            pytest.fail("no limit was met")
        assert proxy.get(house.url + "/healthz", headers={"X-Forwarded-For": "198.51.100.2"}).status_code == 200
