"""Runs the decode child: a process of its own, bounded in memory, time and files, decodes what strangers send.

The child is a fresh interpreter (never a fork of a process that holds models), with an empty environment and no
descriptor but one end of a socket pair. Per image the parent sends a length, an empty memfd and the file's bytes;
the child maps the memfd, writes the pixels into it and answers with a small JSON of sizes. The parent made the memfd,
cuts it to the size that was announced and seals it: the seal fails while the child still maps it, and after it nobody
can change what the parent reads. The child may write no file at all (RLIMIT_FSIZE 0 leaves mapped writes alone).
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from threading import Lock
from types import TracebackType

import numpy as np

from assent.core.errors import DECODE_ERRORS, AssentError, DecoderDied
from assent.core.values import Frame, Picture
from assent.media.decode import FORMATS, MAX_SIDE, OUTPUT_SIDE, Decoded, decode

WALL_S = 10.0
LIFETIME = 500
MEMORY = 1 << 30
START_S = 30.0
CPU_S = 20  # beyond the wall time: ends a child that spins after its parent died

_MAX_FRAMES = 3
_MAX_OUTPUT = 2 * _MAX_FRAMES * OUTPUT_SIDE * OUTPUT_SIDE * 3
_MAX_REPLY = 4_096
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_LENGTH = 8  # bytes of a big-endian length
_ERRORS: dict[str, type[AssentError]] = {error.code: error for error in (*DECODE_ERRORS, DecoderDied)}


@dataclass(frozen=True, slots=True)
class _FrameSize:
    index: int
    width: int
    height: int
    scale: float

    @property
    def length(self) -> int:
        return self.width * self.height * 3


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The child's answer for a decoded image; its frames lie in the memfd in their order, then those over black."""

    format: str
    width: int
    height: int
    frame_count: int
    frames: tuple[_FrameSize, ...]
    over_black: tuple[_FrameSize, ...]


@dataclass(frozen=True, slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    link: socket.socket


class Decoder:
    """One warm child and the lock around it: one image at a time, from any thread.

    The child is replaced after `lifetime` images and after every failure of its own; `memory` bytes are what it may
    use beyond its baseline, `wall_s` the seconds one image may take.
    """

    def __init__(self, *, wall_s: float = WALL_S, lifetime: int = LIFETIME, memory: int = MEMORY) -> None:
        self._wall_s, self._lifetime, self._memory = wall_s, lifetime, memory
        self._lock = Lock()
        self._child: _Child | None = None
        self._left = 0

    def __enter__(self) -> Decoder:
        with self._lock:
            self._warm_child()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._lock:
            self._end_child()

    def decode(self, data: bytes) -> Picture:
        """Decodes `data`, with its pixels read-only in shared memory that lives as long as the arrays do.

        Raises MediaUnsupported, PictureTooLarge, Undecodable as `assent.media.decode.decode` does, DecodersDisagree as
        `assent.media.compare.confirm` does, and DecoderDied when the child went beyond its memory or time, or ended;
        the next image then gets a new child.
        """
        with self._lock:
            child = self._warm_child()
            self._left -= 1
            sound = False
            try:
                sizes, memory = _exchange(child, data, time.monotonic() + self._wall_s)
                sound = True
            except DECODE_ERRORS:
                sound = True
                raise
            finally:
                if not sound or self._left <= 0:
                    self._end_child()
        return _picture(sizes, memory, sha256(data).hexdigest())

    def _warm_child(self) -> _Child:
        if self._child and self._child.process.poll() is not None:
            self._end_child()
        if self._child is None:
            self._child, self._left = _start(self._memory), self._lifetime
        return self._child

    def _end_child(self) -> None:
        if self._child:
            _end(self._child)
        self._child = None


# The parent's side


def _start(memory: int) -> _Child:
    """Starts a child, which has done its imports and limited itself. Raises DecoderDied when it does not come up."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        command = [sys.executable, "-I", "-B", "-m", "assent.media.sandbox", str(theirs.fileno()), str(memory)]
        process = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(),),
            env={"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a traceback could quote the image
            process_group=0,  # an interrupt at the terminal is for the parent
        )
    child = _Child(process, ours)
    try:
        _reply(child, time.monotonic() + START_S)
    except DecoderDied:
        _end(child)
        raise
    return child


def _end(child: _Child) -> None:
    child.link.close()
    child.process.kill()
    child.process.wait()


def _exchange(child: _Child, data: bytes, end: float) -> tuple[_Sizes, mmap.mmap]:
    """Sends one file; returns the checked sizes and the sealed pixels. Raises the child's error, or DecoderDied."""
    memory = os.memfd_create("assent-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(memory, _MAX_OUTPUT)
        try:
            child.link.settimeout(_left(end))
            socket.send_fds(child.link, [len(data).to_bytes(_LENGTH)], [memory])
            child.link.sendall(data)
        except OSError as error:
            raise _death(child, error) from None
        sizes = _sizes(_reply(child, end))
        return sizes, _sealed(memory, sum(frame.length for frame in (*sizes.frames, *sizes.over_black)))
    finally:
        os.close(memory)


def _reply(child: _Child, end: float) -> object:
    length = int.from_bytes(_received(child, _LENGTH, end))
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
    try:
        status = child.process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return DecoderDied("the decoder closed its link")
    return DecoderDied(f"the decoder ended with status {status}")


def _sizes(reply: object) -> _Sizes:
    """Checks every number of the child's answer against the range of a sound child. Raises DecoderDied."""
    match reply:
        case {
            "format": str(name),
            "width": int(width),
            "height": int(height),
            "frame_count": int(count),
            "frames": [_, *_] as frames,
            "over_black": [*over_black],
        } if (
            name in FORMATS
            and 1 <= width <= MAX_SIDE
            and 1 <= height <= MAX_SIDE
            and len(over_black) <= len(frames) <= min(count, _MAX_FRAMES)
        ):
            sizes = [_frame_size(frame, count) for frame in (*frames, *over_black)]
            return _Sizes(name, width, height, count, tuple(sizes[: len(frames)]), tuple(sizes[len(frames) :]))
    raise DecoderDied("the decoder's answer has impossible sizes")


def _frame_size(frame: object, count: int) -> _FrameSize:
    match frame:
        case {"index": int(index), "width": int(width), "height": int(height), "scale": int(scale) | float(scale)} if (
            0 <= index < count and 1 <= width <= OUTPUT_SIDE and 1 <= height <= OUTPUT_SIDE and 0 < scale <= 1
        ):
            return _FrameSize(index, width, height, scale)
    raise DecoderDied("the decoder's answer has a frame of impossible size")


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


def _picture(sizes: _Sizes, memory: mmap.mmap, digest: str) -> Picture:
    every = (*sizes.frames, *sizes.over_black)
    starts = accumulate((frame.length for frame in every), initial=0)
    frames = tuple(
        Frame(
            frame.index,
            np.frombuffer(memory, np.uint8, frame.length, start).reshape(frame.height, frame.width, 3),
            frame.scale,
        )
        for frame, start in zip(every, starts, strict=False)  # the last start is the end
    )
    shown, over_black = frames[: len(sizes.frames)], frames[len(sizes.frames) :]
    return Picture(digest, sizes.format, sizes.width, sizes.height, sizes.frame_count, shown, over_black)


# The child's side


def _serve(link: socket.socket, memory: int) -> None:
    """Decodes one file after the other until the parent is gone."""
    from assent.media.compare import confirm  # OpenCV: only the child needs it, and before the limits are set

    _limit(memory)
    _send(link, {"ready": True})
    while True:
        head, descriptors, _, _ = socket.recv_fds(link, _LENGTH, 1, socket.MSG_WAITALL)
        if len(head) < _LENGTH:
            return
        data = _read(link, int.from_bytes(head))
        if data is None:
            return
        _renew_cpu_time()
        answer = _answer(bytes(data), descriptors[0], confirm)
        os.close(descriptors[0])
        _send(link, answer)


def _limit(memory: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * mmap.PAGESIZE + memory
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def _renew_cpu_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S, hard))


def _read(link: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = link.recv_into(view[done:])
        if count == 0:
            return None
        done += count
    return data


def _answer(data: bytes, memory: int, confirm: Callable[[bytes, Decoded], None]) -> dict[str, object]:
    try:
        decoded = decode(data)
        confirm(data, decoded)
        _write(memory, decoded)
    except DECODE_ERRORS as error:
        return {"error": error.code, "detail": error.detail}
    except MemoryError:
        return {"error": DecoderDied.code, "detail": "the picture needs more memory than the decoder may use"}
    frames, over_black = (
        tuple(_FrameSize(frame.index, frame.pixels.shape[1], frame.pixels.shape[0], frame.scale) for frame in part)
        for part in (decoded.frames, decoded.over_black)
    )
    return asdict(_Sizes(decoded.format, decoded.width, decoded.height, decoded.frame_count, frames, over_black))


def _write(memory: int, decoded: Decoded) -> None:
    frames = (*decoded.frames, *decoded.over_black)
    with mmap.mmap(memory, sum(frame.pixels.nbytes for frame in frames)) as view:
        for frame in frames:
            view.write(np.ascontiguousarray(frame.pixels).data)


def _send(link: socket.socket, answer: dict[str, object]) -> None:
    text = json.dumps(answer).encode()
    link.sendall(len(text).to_bytes(_LENGTH) + text)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
