"""Implements one guarded HTTP/1.1 client, for fetching images and for delivering webhooks.

The guard sits at the socket: a host is resolved once, every address it resolves to is compared with the table below,
and the address that was checked is the address that is dialled. Redirects are not followed here.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from re import compile as regex
from threading import Thread
from urllib.parse import quote, urlsplit

import httpcore2

from assent.core.errors import AssentError, FetchFailed, FetchRefused
from assent.core.settings import AllowedHost
from assent.net.answer import Response as Response
from assent.net.answer import receive

Address = IPv4Address | IPv6Address

# IANA's special-purpose registries (IPv4 and IPv6) and multicast. `ipaddress.is_global` calls several of these global,
# so it is not asked. Everything in IPv6 outside 2000::/3 is refused: nothing there is assigned as global unicast.
_FORBIDDEN_V4 = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local, cloud metadata
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # IETF protocol assignments
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
)
_FORBIDDEN_V6 = (
    "::/3",  # ::, ::1, v4-compatible, v4-mapped, v4-translated, local-use NAT64 64:ff9b:1::/48, discard 100::/64
    "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, AMT, AS112, ORCHID, drones
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
    "4000::/2",  # unassigned, segment routing 5f00::/16
    "8000::/1",  # unique local fc00::/7, link-local fe80::/10, site-local fec0::/10, multicast ff00::/8
)
_TABLE = tuple(ip_network(cidr) for cidr in _FORBIDDEN_V4 + _FORBIDDEN_V6)
_NAT64 = ip_network("64:ff9b::/96")  # well-known: the last 32 bits are the IPv4 address that is reached (RFC 6052)

_HOST = regex(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?")
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TRANSPORT_ERRORS = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ConnectionNotAvailable,
    OSError,
)


@dataclass(frozen=True, slots=True)
class ExchangeLimits:
    """The bounds of one exchange, counted from its start, DNS and TLS included; seconds and bytes of the body."""

    first_byte_s: float
    total_s: float
    max_bytes: int  # 0: no body is read


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The bytes of a request's body, and what is called right before the first of them is written."""

    content: bytes
    before: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str  # with the query


def forbidden(address: Address) -> bool:
    """Tells whether the address is special-purpose or multicast, so that nothing may be fetched from it."""
    if _within(address, _NAT64):
        address = IPv4Address(int(address) & 0xFFFFFFFF)
    return any(_within(address, network) for network in _TABLE)


def permitted(host: str, port: int, addresses: Sequence[Address], allow: Sequence[AllowedHost]) -> bool:
    """Tells whether every address of `host` may be dialled.

    They may be if all are public, or if host and port are listed and all are in the listed networks. One forbidden
    address forbids the host. A host without addresses is not permitted.
    """
    if not addresses:
        return False
    if not any(map(forbidden, addresses)):
        return True
    networks = [entry.network for entry in allow if (entry.host, entry.port) == (host, port)]
    return all(any(_within(address, network) for network in networks) for address in addresses)


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: RequestBody | None = None,
    limits: ExchangeLimits,
    allow: Sequence[AllowedHost],
) -> Response:
    """Sends one request on a fresh connection and returns its answer, whatever its status; follows no redirect.

    `body.before` is called once the connection stands and the head is written: what it raises ends the exchange without
    a byte of the body.
    The body of a 2xx answer is whole or refused; that of a redirect is not read; that of another status is cut at
    64 KiB (or `max_bytes`) and left out if it is encoded.
    Raises FetchRefused (bad URL, forbidden address, unknown content encoding), FetchTooLarge (declared, received or
    inflated bytes beyond the limit) and FetchFailed (DNS, connection, TLS, protocol, time). Details name the host only.
    """
    content = None
    if body is not None:
        content = _asked(body)
        headers = {**headers, "Content-Length": str(len(body.content))}
    with exchange(method, url, headers=headers, content=content, limits=limits, allow=allow) as (answer, host):
        return receive(answer, host, limits.max_bytes)


@contextmanager
def exchange(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: Iterator[bytes] | None = None,
    limits: ExchangeLimits,
    allow: Sequence[AllowedHost],
) -> Iterator[tuple[httpcore2.Response, str]]:
    """Yields the answer of one guarded request, its body still unread, and the host's name.

    Raises FetchRefused and FetchFailed as `request` does; what goes wrong while the body is read counts too."""
    target = _parse(url)
    fixed = {"Host": _host_header(target), "Accept-Encoding": "identity", "Connection": "close"}
    fields = [*fixed.items(), *headers.items()]
    address = httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
    backend = _GuardedBackend(_Clock(limits), allow)
    try:
        with (
            httpcore2.ConnectionPool(ssl_context=_tls(), max_keepalive_connections=0, network_backend=backend) as pool,
            pool.stream(method, address, headers=fields, content=content) as answer,
        ):
            yield answer, target.host
    except _TRANSPORT_ERRORS as error:
        raise _failure(target.host, error) from None  # the cause's text may hold the path


def _asked(body: RequestBody) -> Iterator[bytes]:
    body.before()
    yield body.content


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _failure(host: str, error: Exception) -> AssentError:
    if isinstance(error, TimeoutError | httpcore2.TimeoutException):
        return FetchFailed(f"{host} did not answer in time")
    return FetchFailed(f"the exchange with {host} failed ({type(error).__name__})")


def _within(address: Address, network: IPv4Network | IPv6Network) -> bool:
    return address.version == network.version and address in network


# The URL


def _parse(url: str) -> _Target:
    if any(char <= " " or char in "\\\x7f" for char in url):
        raise FetchRefused("the URL holds white space, a control character or a backslash")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
        path = quote(parts.path or "/", safe=PRINTABLE)
        query = quote(parts.query, safe=PRINTABLE)
    except ValueError:
        raise FetchRefused("the URL cannot be parsed") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise FetchRefused("the URL is neither http nor https")
    if "@" in parts.netloc:
        raise FetchRefused("the URL holds a user name or password")
    if not parts.netloc.isascii() or not _valid_host(host) or port == 0:  # lower() makes a k of the Kelvin sign
        raise FetchRefused("the URL's host is neither an ASCII name nor an address without a zone")
    full = f"{path}?{query}" if query else path
    return _Target(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], full)


def _valid_host(host: str) -> bool:
    if ":" not in host:
        return _HOST.fullmatch(host) is not None
    try:
        return "%" not in host and ip_address(host).version == 6
    except ValueError:
        return False


def _host_header(target: _Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == _DEFAULT_PORTS[target.scheme] else f"{host}:{target.port}"


# The socket


class _Clock:
    """Counts down the exchange's time: the limit for the first byte until one came, then that for the whole."""

    def __init__(self, limits: ExchangeLimits) -> None:
        start = time.monotonic()
        self._end = start + limits.total_s
        self._now_until = min(start + limits.first_byte_s, self._end)

    def answered(self) -> None:
        self._now_until = self._end

    def left(self) -> float:
        seconds = self._now_until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class _Stream(httpcore2.NetworkStream):
    """A socket whose every operation ends with the clock, however slowly the other side sends."""

    def __init__(self, sock: socket.socket, clock: _Clock) -> None:
        self._sock, self._clock = sock, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the clock decides
        self._sock.settimeout(self._clock.left())
        data = self._sock.recv(max_bytes)
        self._clock.answered()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the clock decides
        rest = memoryview(buffer)
        while rest:
            self._sock.settimeout(self._clock.left())
            try:
                rest = rest[self._sock.send(rest) :]
            except TimeoutError:
                raise
            except OSError as error:  # httpcore2 then still reads what a server said before it hung up
                raise httpcore2.WriteError from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the clock decides
    ) -> httpcore2.NetworkStream:
        try:
            self._sock.settimeout(self._clock.left())
            return _Stream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname), self._clock)
        except OSError:
            self.close()
            raise


class _GuardedBackend(httpcore2.NetworkBackend):
    """Resolves, checks, and only then dials what it checked."""

    def __init__(self, clock: _Clock, allow: Sequence[AllowedHost]) -> None:
        self._clock, self._allow = clock, allow

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the clock decides
        local_address: str | None = None,  # noqa: ARG002 - never set here
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 - never set here
    ) -> httpcore2.NetworkStream:
        addresses = _resolve(host, port, self._clock)
        if not permitted(host, port, addresses, self._allow):
            raise FetchRefused(f"{host} resolves to an address that is not public")
        return _Stream(_dial(addresses, port, self._clock), self._clock)


def _resolve(host: str, port: int, clock: _Clock) -> list[Address]:
    """Returns all addresses of the host. getaddrinfo knows no time-out, so a daemon thread is left behind with it."""
    results: SimpleQueue[list[Address] | OSError | ValueError] = SimpleQueue()
    Thread(target=_look_up, args=(host, port, results), daemon=True).start()
    try:
        result = results.get(timeout=clock.left())
    except Empty:
        raise TimeoutError from None
    if isinstance(result, socket.gaierror):
        raise FetchFailed(f"{host} does not resolve")
    if isinstance(result, ValueError):
        raise FetchRefused(f"{host} is no host name, or resolves to an address with a zone")
    if isinstance(result, OSError):
        raise result
    return result


def _look_up(host: str, port: int, results: SimpleQueue[list[Address] | OSError | ValueError]) -> None:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        results.put([_plain_address(info[4]) for info in infos])
    except (OSError, ValueError) as error:
        results.put(error)


def _plain_address(sockaddr: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> Address:
    address = str(sockaddr[0])
    if "%" in address or any(sockaddr[3:]):
        raise ValueError("zone")
    return ip_address(address)


def _dial(addresses: Sequence[Address], port: int, clock: _Clock) -> socket.socket:
    """Tries the addresses in turn; a silent one takes its share of the time, not all. Raises OSError."""
    failure = OSError("no address")
    for tried, address in enumerate(addresses):
        sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            sock.settimeout(clock.left() / (len(addresses) - tried))
            sock.connect((str(address), port))
        except OSError as error:
            sock.close()
            failure = error
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    raise failure
