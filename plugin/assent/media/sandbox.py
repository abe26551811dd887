"""Runs decode children: processes bounded in memory, time and files, and confined, that decode what strangers send.

A child reads the files of one tenant and of no other. It is forked by a warm fork server (`fork_server.py`), which is a
fresh interpreter, never a fork of a process that holds models or keys. Per image the worker sends a length, an empty
memfd and the file's bytes; the child maps the memfd, writes the pixels into it and answers with a small JSON of sizes.
The worker made the memfd, cuts it to the size that was announced and seals it: the seal fails while the child still
maps it, and after it nobody can change what the worker reads.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import socket
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from select import select
from threading import Lock
from types import TracebackType

import numpy as np

import assent
from assent.core.errors import DECODE_ERRORS, AssentError, DecoderDied
from assent.core.media_errors import DecoderUnconfined
from assent.core.settings import Settings
from assent.core.values import Frame, Picture
from assent.media.confine import REQUIRED, Layers
from assent.media.fork_server import ANSWER, COMMAND, END, FORK, LENGTH, RENEW
from assent.media.reply import MAX_OUTPUT, Sizes, read_sizes

WALL_S = 10.0
LIFETIME = 500
MEMORY = 1 << 30
START_S = 30.0
CHILDREN = 4  # at once; the one of the tenant that waited longest ends for another tenant's
OPERATOR = ""  # the tenant of an operator's own files

_MAX_REPLY = 131_072
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_ERRORS: dict[str, type[AssentError]] = {error.code: error for error in (*DECODE_ERRORS, DecoderDied)}
_PACKAGES = str(Path(assent.__file__).parents[1])  # the server runs the very code that this process runs
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from assent.media.decode_child import main; main(*sys.argv[2:])"


@dataclass(slots=True)
class _Child:
    pid: int
    link: socket.socket
    end: Callable[[], int]  # ends the process and returns its exit status
    renew: Callable[[], None]  # gives it CPU time for one more image
    left: int = LIFETIME


@dataclass(frozen=True, slots=True)
class _Server:
    process: subprocess.Popen[bytes]
    control: socket.socket
    layers: Layers


class Decoder:
    """Decodes one image at a time, from any thread, in a warm child of the image's tenant.

    A child is replaced after `lifetime` images and after every failure of its own; `memory` bytes are what it may use
    beyond its baseline, `wall_s` the seconds one image may take. `codes`: whether QR codes are looked for.
    """

    def __init__(
        self,
        *,
        wall_s: float = WALL_S,
        lifetime: int = LIFETIME,
        memory: int = MEMORY,
        codes: bool = False,
        unsafe_unconfined: bool = False,
    ) -> None:
        self._wall_s, self._lifetime, self._memory = wall_s, lifetime, memory
        self._codes, self._unsafe_unconfined = codes, unsafe_unconfined
        self._lock = Lock()
        self._server: _Server | None = None
        self._children: OrderedDict[str, _Child] = OrderedDict()  # the tenant that waited longest first
        self.layers: Layers = {}

    def __enter__(self) -> Decoder:
        """Starts the fork server and a first child. Raises DecoderUnconfined where a layer is forbidden that it needs,
        DecoderDied where they do not come up."""
        with self._lock:
            self._warm_child(OPERATOR)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._lock:
            for tenant in list(self._children):
                self._end_child(tenant)
            self._end_server()

    def decode(self, data: bytes, tenant: str = OPERATOR) -> Picture:
        """Decodes `data`, with its pixels read-only in shared memory that lives as long as the arrays do.

        Raises MediaUnsupported, PictureTooLarge, Undecodable as `assent.media.decode.decode` does, DecodersDisagree as
        `assent.media.compare.confirm` does, and DecoderDied when the child went beyond its memory or time, or ended;
        the tenant's next image then gets a new child. Raises DecoderUnconfined as `__enter__` does.
        """
        with self._lock:
            child = self._warm_child(tenant)
            child.left -= 1
            sound = False
            try:
                child.renew()
                sizes, memory = _exchange(child, data, time.monotonic() + self._wall_s)
                sound = True
            except DECODE_ERRORS:
                sound = True
                raise
            finally:
                if not sound or child.left <= 0:
                    self._end_child(tenant)
        return _picture(sizes, memory, sha256(data).hexdigest())

    def _warm_child(self, tenant: str) -> _Child:
        """Returns the tenant's child, which has confined itself."""
        if tenant in self._children and _is_gone(self._children[tenant].link):
            self._end_child(tenant)
        if tenant not in self._children:
            while len(self._children) >= CHILDREN:
                self._end_child(next(iter(self._children)))
            self._children[tenant] = self._new_child()
        self._children.move_to_end(tenant)
        return self._children[tenant]

    def _new_child(self) -> _Child:
        if self._server and self._server.process.poll() is not None:
            self._end_server()
        try:
            self._server = self._server or _start(self._memory, self._codes)
            child, own = _fork(self._server, self._lifetime)
        except DecoderDied:
            self._end_server()
            raise
        self.layers = self._server.layers | own
        absent = [f"{layer}: {self.layers[layer]}" for layer in REQUIRED if self.layers[layer]]
        if absent and not self._unsafe_unconfined:
            child.link.close()
            self._end_server()
            raise DecoderUnconfined("; ".join(absent))
        return child

    def _end_child(self, tenant: str) -> None:
        """Ends the tenant's child; the whole server where that no longer obeys."""
        child = self._children.pop(tenant, None)
        if child is None:
            return
        child.link.close()
        try:
            child.end()
        except DecoderDied:
            self._end_server()

    def _end_server(self) -> None:
        for child in self._children.values():
            child.link.close()
        self._children.clear()
        if self._server:
            _stop(self._server)
        self._server = None


def open_decoder(settings: Settings) -> Decoder:
    """Returns the decoder that the settings ask for; it starts as a context."""
    return Decoder(codes=settings.read != "nothing", unsafe_unconfined=settings.unsafe_unconfined_decoder)


def _start(memory: int, codes: bool) -> _Server:
    """Starts the fork server, which has confined itself. Raises DecoderDied when it does not come up."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-I", "-B", "-c", _BOOT, _PACKAGES, str(theirs.fileno()), str(memory), f"{codes:d}"]
        process = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(),),
            env={"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a traceback could quote the image
            process_group=0,  # an interrupt at the terminal is for the worker
        )
    ours.settimeout(START_S)
    try:
        return _Server(process, ours, json.loads(ours.recv(_MAX_REPLY)))
    except (OSError, ValueError):
        ours.close()
        process.kill()
        raise DecoderDied(f"the fork server ended with status {process.wait()}") from None


def _stop(server: _Server) -> None:
    server.control.close()
    server.process.kill()
    server.process.wait()


def _fork(server: _Server, lifetime: int) -> tuple[_Child, Layers]:
    """Returns a new child, and its own layers beyond the server's. Raises DecoderDied."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with theirs:
            pid = _ask(server, FORK, 0, theirs.fileno())
        child = _Child(pid, ours, partial(_ask, server, END, pid), partial(_tell, server, RENEW, pid), lifetime)
        match _reply(child, time.monotonic() + START_S):
            case {"layers": dict() as layers}:
                return child, layers
        raise DecoderDied("the decoder began with an unknown answer")
    except DecoderDied:
        ours.close()
        raise


def _ask(server: _Server, command: bytes, pid: int, *descriptors: int) -> int:
    """Sends a command and returns its answer. Raises DecoderDied where the server does not obey within START_S."""
    _tell(server, command, pid, *descriptors)
    try:
        answer = server.control.recv(ANSWER.size)
    except OSError:
        answer = b""
    if len(answer) != ANSWER.size:
        raise DecoderDied("the fork server does not answer")
    return int(ANSWER.unpack(answer)[0])


def _tell(server: _Server, command: bytes, pid: int, *descriptors: int) -> None:
    try:
        socket.send_fds(server.control, [COMMAND.pack(command, pid)], descriptors)
    except OSError:
        raise DecoderDied("the fork server is gone") from None


def _is_gone(link: socket.socket) -> bool:
    """Tells whether the process at the other end has ended: it sends nothing by itself."""
    return bool(select([link], [], [], 0)[0])


def _exchange(child: _Child, data: bytes, end: float) -> tuple[Sizes, mmap.mmap]:
    """Sends one file; returns the checked sizes and the sealed pixels. Raises the child's error, or DecoderDied."""
    memory = os.memfd_create("assent-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(memory, MAX_OUTPUT)
        try:
            child.link.settimeout(_left(end))
            socket.send_fds(child.link, [len(data).to_bytes(LENGTH)], [memory])
            child.link.sendall(data)
        except OSError as error:
            raise _death(child, error) from None
        sizes = read_sizes(_reply(child, end))
        return sizes, _sealed(memory, sum(frame.length for frame in sizes.views))
    finally:
        os.close(memory)


def _reply(child: _Child, end: float) -> object:
    length = int.from_bytes(_received(child, LENGTH, end))
    if length > _MAX_REPLY:
        raise DecoderDied("the decoder's answer is too long")
    try:
        reply: object = json.loads(_received(child, length, end))
    except (ValueError, RecursionError):
        raise DecoderDied("the decoder's answer is no JSON") from None
    if isinstance(reply, dict) and "error" in reply:
        error = _ERRORS.get(str(reply["error"]), DecoderDied)
        raise error(str(reply.get("detail", ""))[:200])
    return reply


def _received(child: _Child, size: int, end: float) -> bytes:
    data = b""
    while len(data) < size:
        try:
            child.link.settimeout(_left(end))
            piece = child.link.recv(size - len(data))
        except OSError as error:
            raise _death(child, error) from None
        if not piece:
            raise _death(child, EOFError())
        data += piece
    return data


def _left(end: float) -> float:
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _death(child: _Child, error: Exception) -> DecoderDied:
    if isinstance(error, TimeoutError):
        return DecoderDied("the decoder took too long")
    return DecoderDied(f"the decoder ended with status {child.end()}")


def _sealed(memory: int, size: int) -> mmap.mmap:
    """Cuts the memfd to size, seals it, checks both, and maps it read-only. Raises DecoderDied."""
    try:
        os.ftruncate(memory, size)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        raise DecoderDied("the decoder did not let go of the pixels") from None
    if os.fstat(memory).st_size != size or fcntl.fcntl(memory, fcntl.F_GET_SEALS) != _SEALS:
        raise DecoderDied("the decoder changed the pixels' memory")
    return mmap.mmap(memory, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)  # older kernels refuse MAP_SHARED


def _picture(sizes: Sizes, memory: mmap.mmap, digest: str) -> Picture:
    starts = accumulate((frame.length for frame in sizes.views), initial=0)
    frames = tuple(
        Frame(
            frame.index,
            np.frombuffer(memory, np.uint8, frame.length, start).reshape(frame.height, frame.width, 3),
            frame.scale,
            codes=frame.codes,
        )
        for frame, start in zip(sizes.views, starts, strict=False)  # the last start is the end
    )
    shown, over_black = frames[: len(sizes.frames)], frames[len(sizes.frames) :]
    looked_at = len({frame.index for frame in shown})
    count, partial, other_turn = sizes.frame_count, sizes.partial, sizes.other_turn
    size = sizes.width, sizes.height
    return Picture(digest, sizes.format, *size, count, shown, looked_at, partial, other_turn, over_black)
