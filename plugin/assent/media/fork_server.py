"""Runs the fork server: a process that has imported every codec, never reads an image, and forks the decode children.

It is a fresh interpreter with an empty environment, so that no child inherits keys, models or connections. The worker
asks by single messages on a socket:

1. `fork`, with one end of a socket pair: a confined child that serves at that end; the answer is its pid
2. `renew` pid: CPU time for one more image
3. `end` pid: the child is killed and waited for; the answer is its exit status, 0 where that was done before

It ends when the worker does, and with it every child.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from assent.media.confine import Layers, confine_child, isolate, renew_cpu_time, seal_off

FORK, RENEW, END = b"f", b"r", b"e"
COMMAND = struct.Struct("=cI")  # which, and the pid
ANSWER = struct.Struct("=i")
LENGTH = 8  # bytes of a big-endian length

DecodeAnswer = Callable[[bytes, int], dict[str, object]]  # the file's bytes, the descriptor of the pixels' memory


def run_fork_server(descriptor: int, memory: int, load: Callable[[], DecodeAnswer]) -> None:
    """Confines itself around `load`, tells its layers, then obeys until the worker is gone.

    `memory`: bytes that a child may use beyond what it begins with. `load` imports what a child needs.
    """
    control = socket.socket(fileno=descriptor)
    layers, held = isolate()
    answer = load()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    layers |= seal_off(layers)
    gc.collect()
    gc.freeze()  # a child's collector leaves the shared pages alone
    control.send(json.dumps(layers).encode())
    space, foreign = pages * mmap.PAGESIZE + memory, (descriptor, *held)
    children: set[int] = set()
    while True:
        message, links, _, _ = socket.recv_fds(control, COMMAND.size, 1)
        if not message:
            return
        command, pid = COMMAND.unpack(message)
        if command == FORK:
            pid = os.fork()
            if not pid:
                _be_child(socket.socket(fileno=links[0]), foreign, space, answer)
            children.add(pid)
            os.close(links[0])
            control.send(ANSWER.pack(pid))
        elif command == RENEW and pid in children:
            renew_cpu_time(pid)
        elif command == END:
            control.send(ANSWER.pack(_end(pid) if pid in children else 0))
            children.discard(pid)


def _end(pid: int) -> int:
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _be_child(link: socket.socket, foreign: tuple[int, ...], address_space: int, answer: DecodeAnswer) -> NoReturn:
    """Closes what is the server's, confines itself, and decodes one file after the other until the worker is gone."""
    try:
        for descriptor in foreign:
            os.close(descriptor)
        layers = confine_child(address_space)
        serve_link(link, layers, answer)
    finally:
        os._exit(1)


def serve_link(link: socket.socket, layers: Layers, answer: DecodeAnswer) -> None:
    """Tells the child's own layers, then answers each file with a small JSON document."""
    _send(link, {"layers": layers})
    while True:
        head, descriptors, _, _ = socket.recv_fds(link, LENGTH, 1, socket.MSG_WAITALL)
        if len(head) < LENGTH:
            return
        data = _read(link, int.from_bytes(head))
        if data is None:
            return
        document = answer(data, descriptors[0])
        os.close(descriptors[0])
        _send(link, document)


def _read(link: socket.socket, size: int) -> bytes | None:
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        count = os.readv(link.fileno(), [view[done:]])
        if count == 0:
            return None
        done += count
    return bytes(data)


def _send(link: socket.socket, document: dict[str, object]) -> None:
    text = json.dumps(document).encode()
    rest = memoryview(len(text).to_bytes(LENGTH) + text)
    while rest:
        rest = rest[os.write(link.fileno(), rest) :]
