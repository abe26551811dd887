"""A network of the test's own: every address there is answers, a name server says what it is told, all is counted.

`fetch_inside` starts this file as a process in a new network namespace. There every IPv4 and IPv6 address is local
(AnyIP), so whatever is dialled is reached: a web server listens on port 80 of all of them. A packet socket, which sees
what the kernel sends before any firewall or listener does, notes where every connection and every datagram goes to.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from shutil import which
from socketserver import ThreadingTCPServer
from threading import Thread
from unittest.mock import patch
from urllib.parse import unquote

from assent.core.errors import AssentError
from assent.core.settings import AllowedHost
from assent.media.fetch import fetch_media
from assent.net import client as network

NAME_SERVER = "5.53.53.53"
REPOSITORY = Path(__file__).parents[2]
# A name's answers, in turn: the first query gets the first list of addresses, the last list stays.
Zone = Mapping[str, Sequence[Sequence[str]]]

_A, _AAAA = 1, 28
_ETH_P_ALL, _ETH_P_IP, _ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
_PACKET_OUTGOING = 4
_TCP, _UDP = 6, 17
_ACK, _RESET = 0x10, 0x04


@dataclass(frozen=True, slots=True)
class Job:
    """One fetch; `guarded=False` takes the address check away, which shows that the count sees what it stops."""

    url: str
    allow: tuple[str, ...] = ()
    guarded: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a fetch ended: the error's class name, or "" and the body; packets by destination; queries by name."""

    error: str
    detail: str
    body: str
    packets: Mapping[str, int]
    queries: Mapping[str, int]


def fetch_inside(jobs: Sequence[Job], zone: Zone) -> list[Outcome]:
    """Runs the fetches one after the other in a namespace that ends with them; skips where none may be made."""
    from tests.installed import need  # imports the whole product, which the process inside does without

    command = ["unshare", "--net", "--mount"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    if not which("ip"):
        need("`ip` (Debian: iproute2) is not installed")
    if subprocess.run([*command, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode != 0:
        need("no network namespace may be made here")
    said = subprocess.run(
        [*command, sys.executable, "-m", "tests.adversarial.netns"],
        input=json.dumps({"jobs": [asdict(job) for job in jobs], "zone": zone}),
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=240,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return [Outcome(**outcome) for outcome in json.loads(said.stdout)]


# Inside


def main() -> None:
    order = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        _prepare(Path(folder))
        names = NameServer(order["zone"])
        for serve in (names.serve, _web_server().serve_forever):
            Thread(target=serve, daemon=True).start()
        wire = stack.enter_context(Wire())
        json.dump([asdict(_run(Job(**job), wire, names)) for job in order["jobs"]], sys.stdout)


def _prepare(folder: Path) -> None:
    files = {
        "resolv.conf": f"nameserver {NAME_SERVER}\noptions timeout:2 attempts:1\n",
        "nsswitch.conf": "hosts: files dns\n",
        "hosts": "127.0.0.1 localhost localhost.localdomain\n::1 ip6-localhost ip6-loopback\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
        _command("mount", "--bind", str(folder / name), f"/etc/{name}")
    _command("ip", "link", "set", "lo", "up")
    _command("ip", "route", "add", "local", "default", "dev", "lo")
    _command("ip", "-6", "route", "add", "local", "default", "dev", "lo")


def _command(*words: str) -> None:
    subprocess.run(words, check=True)


def _run(job: Job, wire: Wire, names: NameServer) -> Outcome:
    allow = tuple(AllowedHost.parse(entry) for entry in job.allow)
    wire.packets()
    names.queries.clear()
    error, detail, body = "", "", b""
    with ExitStack() as stack:
        if not job.guarded:
            stack.enter_context(patch.object(network, "permitted", lambda *_: True))
        try:
            body = fetch_media(job.url, allow)
        except AssentError as caught:
            error, detail = type(caught).__name__, caught.detail
    return Outcome(error, detail, body.decode(), wire.packets(), dict(names.queries))


class Wire:
    """All that this namespace sends, but for DNS with its name server and for segments that acknowledge something or
    reset: these belong to a connection (a reset may come after its fetch has ended), and a connection begins with a
    segment that does neither.
    """

    def __enter__(self) -> Wire:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def packets(self) -> dict[str, int]:
        """How many packets went to each address since the last call. The kernel counts before a send returns."""
        seen: Counter[str] = Counter()
        while True:
            try:
                packet, (_, protocol, kind, *_) = self._socket.recvfrom(128, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return dict(seen)
            if kind == _PACKET_OUTGOING and (destination := _destination(packet, protocol)):
                seen[destination] += 1


def _destination(packet: bytes, protocol: int) -> str:
    """The address a packet goes to; empty for those that are not counted."""
    if protocol == _ETH_P_IP:
        addresses, kind, payload = packet[12:20], packet[9], packet[(packet[0] & 15) * 4 :]
    elif protocol == _ETH_P_IPV6:
        addresses, kind, payload = packet[8:40], packet[6], packet[40:]
    else:
        return f"protocol {protocol:#06x}"
    half = len(addresses) // 2
    of_the_name_server = IPv4Address(NAME_SERVER).packed in (addresses[:half], addresses[half:])
    if (kind == _UDP and of_the_name_server) or (kind == _TCP and payload[13] & (_ACK | _RESET)):
        return ""
    return str(ip_address(addresses[half:]))


class NameServer:
    """Answers A and AAAA from a zone, TTL 0; no such name for the rest."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._turns: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.queries: Counter[str] = Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((NAME_SERVER, 53))

    def serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(512)
            self._socket.sendto(self._answer(query), sender)

    def _answer(self, query: bytes) -> bytes:
        name, question = _question(query)
        kind = struct.unpack(">H", question[-4:-2])[0]
        turns = self._zone.get(name)
        if turns is None:
            return query[:2] + struct.pack(">HHHHH", 0x8583, 1, 0, 0, 0) + question
        turn = self._turns[name, kind]
        self._turns[name, kind] += 1
        self.queries[name] += kind == _A
        packed = [ip_address(address).packed for address in turns[min(turn, len(turns) - 1)]]
        records = [address for address in packed if len(address) == {_A: 4, _AAAA: 16}.get(kind)]
        head = struct.pack(">HHHHH", 0x8580, 1, len(records), 0, 0)
        body = b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(record)) + record for record in records)
        return query[:2] + head + question + body


def _question(query: bytes) -> tuple[str, bytes]:
    labels, at = [], 12
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode("latin-1").lower())
        at += 1 + size
    return ".".join(labels), query[12 : at + 5]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """`/to?<URL>` redirects there, everything else is a picture."""
        path, _, query = self.path.partition("?")
        body = b"picture"
        self.send_response(302 if path == "/to" else 200)
        if path == "/to":
            self.send_header("Location", unquote(query, "latin-1"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingTCPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


def _web_server() -> _Server:
    """On port 80 of every address, IPv4 as well."""
    return _Server(("::", 80), _Handler)


if __name__ == "__main__":
    main()
