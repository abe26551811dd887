"""Puts a process into namespaces of its own and takes the file system from it.

Each namespace is asked for alone, since kernels and containers forbid some and permit others. In the user namespace
ids mean what they meant before: root's is mapped whole, so that what root could import it still can; an ordinary
user's has that user alone.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

_CLONE_NEWUSER = 0x1000_0000
NAMESPACES = {  # the user namespace first: by it an ordinary user may have the others
    "user namespace": _CLONE_NEWUSER,
    "mount namespace": 0x0002_0000,
    "network namespace": 0x4000_0000,
    "pid namespace": 0x2000_0000,
    "ipc namespace": 0x0800_0000,
    "uts namespace": 0x0400_0000,
}
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
_MS_REC, _MS_PRIVATE = 0x4000, 0x4_0000
_MNT_DETACH = 2
_ANY_FOLDER = b"/proc"  # which one is of no matter: it becomes the root
_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flag: int) -> None:
    """Moves the caller into a new namespace; into one of PIDs the processes that it starts. Raises OSError."""
    if flag == _CLONE_NEWUSER:
        _unshare_user()
    else:
        _check(_libc.unshare(flag), "unshare")


def _unshare_user() -> None:
    """Moves the caller into a user namespace in which its ids are what they were.

    A helper that stays outside writes the maps: inside, root may no longer map more than itself. Raises OSError.
    """
    go, done = os.pipe()
    helper = os.fork()
    if not helper:
        os.close(done)
        _exit_after(lambda: _write_maps(Path(f"/proc/{os.getppid()}")) if os.read(go, 1) else None)
    os.close(go)
    try:
        _check(_libc.unshare(_CLONE_NEWUSER), "unshare")
        os.write(done, b"1")
    finally:
        os.close(done)
        status = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    if status:
        raise OSError(status, f"id maps: {os.strerror(status)}")


def hold_pid_namespace(confine: Callable[[], object]) -> int:
    """Starts the first process of the new PID namespace, with whose end all others in it end.

    It keeps none of the caller's descriptors, calls `confine`, then waits for the caller's end. Returns the descriptor
    that holds it; the caller's other children have to close theirs. Raises OSError.
    """
    wait, hold = os.pipe()
    if not os.fork():
        os.closerange(0, wait)
        os.closerange(wait + 1, os.sysconf("SC_OPEN_MAX"))
        _exit_after(lambda: (confine(), os.read(wait, 1)))
    os.close(wait)
    return hold


def empty_root() -> None:
    """Replaces the root of this mount namespace by an empty, unwritable folder. Raises OSError."""
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mount private")
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _check(_libc.mount(b"empty", _ANY_FOLDER, b"tmpfs", flags, b"size=4k,nr_inodes=2,mode=555"), "mount tmpfs")
    os.chdir(_ANY_FOLDER)
    if _libc.pivot_root(b".", b"."):  # where the root is the kernel's first file system it cannot be replaced
        os.chroot(".")
    else:
        _check(_libc.umount2(b".", _MNT_DETACH), "umount")  # the old root, which lies on the new one
    os.chdir("/")


def _write_maps(process: Path) -> None:
    """Maps all ids where this process may (CAP_SETUID), else its own uid and gid."""
    try:
        for name in ("uid_map", "gid_map"):
            ranges = (line.split() for line in Path("/proc/self", name).read_text().splitlines())
            (process / name).write_text("".join(f"{first} {first} {count}\n" for first, _, count in ranges))
    except OSError:
        (process / "setgroups").write_text("deny")
        (process / "uid_map").write_text(f"{os.geteuid()} {os.geteuid()} 1\n")
        (process / "gid_map").write_text(f"{os.getegid()} {os.getegid()} 1\n")


def _exit_after(act: Callable[[], object]) -> None:
    """Ends this process after the act, with its errno as status."""
    status = 1
    try:
        act()
        status = 0
    except OSError as error:
        status = error.errno or 1
    finally:
        os._exit(status)


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
