"""Runs programs of PostgreSQL in a mount namespace of their own, where files may lie that no other process sees.

Started as a file by the interpreter alone, `python -I -S namespace.py ORDER`, with `Order` as JSON; root becomes the
order's user in it, an ordinary user makes a user namespace first. What is mounted there is gone with its last process.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

_USERS = "/etc/passwd"
_NEWNS, _NEWIPC, _NEWUSER = 0x00020000, 0x08000000, 0x10000000  # linux/sched.h
_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _SLAVE = 2, 4, 8, 4096, 16384, 1 << 19  # linux/mount.h


@dataclass(frozen=True, slots=True)
class Order:
    """One run: the user, what is mounted for it, and the commands, of which the last takes this process's place.

    `memory` is the folder that a tmpfs of at most `size` bytes covers, `passwd` the file that stands for /etc/passwd;
    empty: none.
    """

    uid: int
    gid: int
    memory: str = ""
    size: int = 0
    passwd: str = ""
    commands: tuple[tuple[str, ...], ...] = ()
    env: dict[str, str] = field(default_factory=dict)


def run_in_namespace(order: Order) -> tuple[str, ...]:
    """Returns the command that carries out the order. It ends with status 1 and says why, where it may not."""
    return (sys.executable, "-I", "-S", __file__, json.dumps(asdict(order)))


def why_not(order: Order) -> str:
    """Tries an order without commands; returns why it is not possible here, empty where it is."""
    if sys.platform != "linux":
        return f"{sys.platform} has no mount namespaces"
    tried = subprocess.run(run_in_namespace(order), capture_output=True, text=True, cwd="/", check=False)
    return "" if tried.returncode == 0 else tried.stderr.strip()[-200:] or f"status {tried.returncode}"


def _enter(order: Order) -> None:
    """Raises OSError, with what was tried, where the kernel or the container's rules refuse it."""
    root = os.geteuid() == 0
    _call("unshare", _NEWNS | _NEWIPC | (0 if root else _NEWUSER))
    if not root:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{order.uid} {order.uid} 1")
        _write("/proc/self/gid_map", f"{order.gid} {order.gid} 1")
    _call("mount", b"none", b"/", None, _REC | _SLAVE, None)
    if order.memory:
        options = f"mode=0700,uid={order.uid},gid={order.gid},size={order.size}"
        _mount_memory(order.memory, f"{options},noswap", options)
    if order.passwd:
        _call("mount", os.fsencode(order.passwd), _USERS.encode(), None, _BIND, None)
    if root:
        os.setgroups([])
        os.setgid(order.gid)
        os.setuid(order.uid)


def _mount_memory(folder: str, *options: str) -> None:
    """Mounts a tmpfs with the first of the options that this kernel takes; noswap is Linux 6.4's, and root's."""
    for last, text in enumerate(options, 1 - len(options)):
        try:
            _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", _NOSUID | _NODEV | _NOEXEC, text.encode())
        except OSError:
            if not last:
                raise
        else:
            return


def _write(path: str, text: str) -> None:
    Path(path).write_text(text)


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _main(text: str) -> None:
    order = Order(**json.loads(text))
    try:
        _enter(order)
    except OSError as error:
        sys.exit(f"no namespace may be made here: {error.strerror}")
    os.umask(0o077)
    for command in order.commands[:-1]:
        if (status := subprocess.run(command, env=order.env, check=False).returncode) != 0:
            sys.exit(status)
    if order.commands:
        os.execve(order.commands[-1][0], order.commands[-1], order.env)  # noqa: S606 - there is no shell to want


if __name__ == "__main__":
    _main(sys.argv[1])
