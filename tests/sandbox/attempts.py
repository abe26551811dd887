"""What a file that took over the decode child would try, as functions that a test runs in a really confined child.

Each raises the OSError of the kernel's answer, or returns. Arguments are chosen so that what is permitted does no
harm: `python -m tests.sandbox.attempts` tries them all without confinement, one process each, and prints the answers.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from assent.core.errors import MediaUnsupported
from assent.media import confine
from assent.media.fork_server import run_fork_server

BOOT = (
    f"import sys; sys.path[:0] = [sys.argv[1], {str(Path(__file__).parents[2])!r}]; "
    "from tests.sandbox.attempts import main{}; main{}(*sys.argv[2:])"
)
DONE = "done"

# Numbers on x86-64 and aarch64.
NUMBERS = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "setns": (308, 268),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "reboot": (169, 142),
    "execveat": (322, 281),
    "pidfd_open": (434, 434),
    "kexec_load": (246, 104),
    "swapon": (167, 224),
    "fanotify_init": (300, 262),
    "open_by_handle_at": (304, 265),
    "syslog": (103, 116),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "memfd_secret": (447, 447),
    "mount_setattr": (442, 442),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "acct": (163, 89),
}
PTRACE_SEIZE, PROT_ALL, ANONYMOUS = 0x4206, 7, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
CLONE_NEWUSER, CLONE_NEWUTS = 0x1000_0000, 0x0400_0000
AF_VSOCK = 40
libc = ctypes.CDLL(None, use_errno=True)


class Targets(NamedTuple):
    """What the test lays out for the attempts."""

    folder: str  # holds `key` (0600), `file`, `folder` and the listening socket `unix`
    port: int  # of a listening TCP socket
    pid: int  # of the process that started the decoder

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)


def call(name: str, *arguments: Any) -> int:
    return checked(libc.syscall(NUMBERS[name][platform.machine() == "aarch64"], *arguments))


def checked(result: int) -> int:
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def new_process(make: Callable[[], int]) -> None:
    if not (pid := make()):
        os._exit(0)
    os.waitpid(pid, 0)


def connect(family: int, address: Any, kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(family, kind) as link:
        link.connect(address)
        link.send(b"out")


def foreign_memory(name: str, pid: int) -> None:
    """Asks for 8 bytes at an address where nothing lies: EFAULT for whoever may ask."""
    own = ctypes.create_string_buffer(8)
    call(name, pid, struct.pack("=QQ", ctypes.addressof(own), 8), 1, struct.pack("=QQ", 4096, 8), 1, 0)


def thread() -> None:
    started = threading.Thread(target=lambda: None)
    started.start()
    started.join()


def execute_memory() -> None:
    code = os.memfd_create("code")
    call("execveat", code, b"", None, None, 0x1000)


Attempt = Callable[[Targets], object]
FILES: dict[str, Attempt] = {
    "open a 0600 key": lambda at: os.open(at.path("key"), os.O_RDONLY),
    "open a new file for writing": lambda at: os.open(at.path("new"), os.O_WRONLY | os.O_CREAT),
    "open an existing file for writing": lambda at: os.open(at.path("file"), os.O_WRONLY),
    "list a folder": lambda at: os.listdir(at.folder),
    "stat": lambda at: os.stat(at.path("key")),
    "open /proc of the parent": lambda at: os.open(f"/proc/{at.pid}/environ", os.O_RDONLY),
    "open the memory of the parent": lambda at: os.open(f"/proc/{at.pid}/mem", os.O_RDWR),
    "unlink": lambda at: os.unlink(at.path("unlinked")),
    "truncate": lambda at: os.truncate(at.path("file"), 0),
    "rename": lambda at: os.rename(at.path("file"), at.path("renamed")),
    "mkdir": lambda at: os.mkdir(at.path("made")),
    "rmdir": lambda at: os.rmdir(at.path("folder")),
    "chmod": lambda at: os.chmod(at.path("key"), 0o666),
    "chown": lambda at: os.chown(at.path("key"), 1, 1),
    "symlink": lambda at: os.symlink("key", at.path("symlink")),
    "link": lambda at: os.link(at.path("key"), at.path("linked")),
    "mknod": lambda at: os.mkfifo(at.path("fifo")),
    "utime": lambda at: os.utime(at.path("key")),
    "set an attribute": lambda at: os.setxattr(at.path("key"), "user.mark", b"x"),
    "chroot": lambda at: os.chroot(at.folder),
}
NETWORK: dict[str, Attempt] = {
    "connect by TCP": lambda at: connect(socket.AF_INET, ("127.0.0.1", at.port)),
    "connect by a Unix socket": lambda at: connect(socket.AF_UNIX, at.path("unix")),
    "send by UDP": lambda at: connect(socket.AF_INET, ("127.0.0.1", at.port), socket.SOCK_DGRAM),
    "listen": lambda _: socket.create_server(("127.0.0.1", 0)),
}
PROCESSES: dict[str, Attempt] = {
    "ptrace": lambda at: call("ptrace", PTRACE_SEIZE, at.pid, None, None),
    "process_vm_readv": lambda at: foreign_memory("process_vm_readv", at.pid),
    "process_vm_writev": lambda at: foreign_memory("process_vm_writev", at.pid),
    "kill the parent": lambda at: os.kill(at.pid, 0),
    "open a pidfd of the parent": lambda at: call("pidfd_open", at.pid, 0),
    "change the limits of the parent": lambda at: resource.prlimit(
        at.pid, resource.RLIMIT_CORE, resource.prlimit(at.pid, resource.RLIMIT_CORE)
    ),
}
KERNEL: dict[str, Attempt] = {
    "netlink": lambda _: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "vsock": lambda _: socket.socket(AF_VSOCK, socket.SOCK_STREAM),
    "packets": lambda _: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "execve": lambda _: os.execv("/bin/true", ["true"]),
    "fork": lambda _: new_process(os.fork),
    "clone with a new namespace": lambda _: new_process(
        lambda: call("clone", CLONE_NEWUSER | signal.SIGCHLD, None, None, None, None)
    ),
    "clone3": lambda _: call("clone3", None, 0),
    "mount": lambda at: checked(libc.mount(b"none", at.path("folder").encode(), b"no such thing", 0, None)),
    "umount": lambda at: checked(libc.umount2(at.path("folder").encode(), 0)),
    "pivot_root": lambda at: checked(libc.pivot_root(at.path("folder").encode(), at.path("folder").encode())),
    "mount_setattr": lambda _: call("mount_setattr", -1, b"", 0x1000, None, 0),
    "open_tree": lambda _: call("open_tree", -1, b"nowhere", 0),
    "fsopen": lambda _: call("fsopen", b"no such thing", 0),
    "keyctl": lambda _: call("keyctl", 0, -2, 0, 0, 0),
    "add_key": lambda _: call("add_key", b"user", b"name", b"value", 5, -2),
    "request_key": lambda _: call("request_key", b"user", b"name", None, 0),
    "bpf": lambda _: call("bpf", 9999, None, 0),
    "io_uring_setup": lambda _: call("io_uring_setup", 1, None),
    "perf_event_open": lambda _: call("perf_event_open", None, 0, -1, -1, 0),
    "userfaultfd": lambda _: call("userfaultfd", 0x7FFF_0000),
    "unshare": lambda _: checked(libc.unshare(CLONE_NEWUTS)),
    "setns": lambda _: call("setns", -1, 0),
    "setuid": lambda _: os.setuid(0),
    "setgid": lambda _: os.setgid(0),
    "raise a limit of its own": lambda _: checked(libc.setrlimit(resource.RLIMIT_CPU, struct.pack("=QQ", 900, 900))),
    "become dumpable by prctl": lambda _: checked(libc.prctl(4, 1, 0, 0, 0)),
    "undo seccomp by prctl": lambda _: checked(libc.prctl(22, 0, 0, 0, 0)),
    "another seccomp filter": lambda _: call("seccomp", 2, 0, ctypes.c_char_p(512)),
    "landlock_create_ruleset": lambda _: call("landlock_create_ruleset", None, 0, 1),
    "mmap of code": lambda _: mmap.mmap(-1, 4096, ANONYMOUS, PROT_ALL),
    "mprotect to code": lambda _: checked(libc.mprotect(libc.mmap(None, 4096, 3, ANONYMOUS, -1, 0), 4096, 5)),
    "memfd_create": lambda _: os.memfd_create("more"),
    "execute a memfd": lambda _: execute_memory(),
    "memfd_secret": lambda _: call("memfd_secret", 0x7FFF_0000),
    "personality": lambda _: checked(libc.personality(0xFFFF_FFFF)),
    "init_module": lambda _: call("init_module", None, 0, b""),
    "finit_module": lambda _: call("finit_module", -1, b"", 0),
    "kexec_load": lambda _: call("kexec_load", None, 0, None, 0xFFFF),
    "reboot": lambda _: call("reboot", 0, 0, 0, None),
    "swapon": lambda _: call("swapon", b"/nowhere", 0),
    "acct": lambda _: call("acct", b"/nowhere"),
    "syslog": lambda _: call("syslog", 10, None, 0),
    "fanotify_init": lambda _: call("fanotify_init", 0x7FFF_0000, 0),
    "open_by_handle_at": lambda _: call("open_by_handle_at", -1, None, 0),
    "sethostname": lambda _: checked(libc.sethostname(None, ctypes.c_size_t(9999))),
    "ioctl": lambda _: os.openpty(),
    "pipe": lambda _: os.pipe(),
    "x32": lambda _: checked(libc.syscall(0x4000_0000 + 39)),
}
PERMITTED: dict[str, Attempt] = {"a thread": lambda _: thread(), "memory": lambda _: bytearray(50_000_000)}
ATTEMPTS: dict[str, Attempt] = {**FILES, **NETWORK, **PROCESSES, **KERNEL, **PERMITTED}


def outcome(name: str, targets: Targets) -> int:
    """The errno of the kernel's answer, 0 where the attempt succeeded."""
    try:
        ATTEMPTS[name](targets)
    except OSError as error:
        return error.errno or -1
    return 0


def answer(data: bytes, _memory: int) -> dict[str, object]:
    """Stands where the decode child decodes a file: makes the attempt that the bytes name."""
    name, targets = json.loads(data)
    return {"error": MediaUnsupported.code, "detail": str(outcome(name, Targets(*targets)))}


def main(descriptor: str, memory: str, _codes: str) -> None:
    run_fork_server(int(descriptor), int(memory), lambda: answer)


def main_without_seccomp(descriptor: str, memory: str, _codes: str) -> None:
    """Leaves a layer out, to show what the others hold."""
    with patch.object(confine, "install_seccomp"):
        main(descriptor, memory, _codes)


def unconfined(name: str, targets: Targets) -> int:
    """The outcome in a process of its own, which nothing confines."""
    read, write = os.pipe()
    if not (pid := os.fork()):
        os.set_inheritable(write, False)  # a successful execve closes it
        os.write(write, str(outcome(name, targets)).encode())
        os._exit(0)
    os.close(write)
    told = os.read(read, 16)
    os.close(read)
    os.waitpid(pid, 0)
    return int(told or 0)


if __name__ == "__main__":
    print(json.dumps({name: unconfined(name, Targets(*json.loads(sys.argv[1]))) for name in ATTEMPTS}))
