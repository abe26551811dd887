"""Confines the fork server and the decode children, layer by layer; each layer acts where the others are forbidden.

1. namespaces of their own, before anything is imported
2. no_new_privs
3. an empty root, an own uid and no capability, once everything is imported
4. Landlock without a rule: no file, no TCP, no abstract socket, no signal to the outside
5. limits and seccomp, in each child

A layer that the kernel or the container forbids is told with the reason, and `assent doctor` shows it.
"""

from __future__ import annotations

import ctypes
import errno
import grp
import os
import pwd
import resource
import signal
import struct
import time
from collections.abc import Callable
from functools import partial

from assent.media.namespaces import NAMESPACES, empty_root, hold_pid_namespace, unshare
from assent.media.seccomp import install_seccomp

Layers = dict[str, str]  # the layer → why it is absent, "" where it acts

NO_NEW_PRIVS, SECCOMP = "no_new_privs", "seccomp"
REQUIRED = (NO_NEW_PRIVS, SECCOMP)  # without these nothing is decoded, unless a setting accepts it
CPU_S = 20  # of one image
MAX_FILES = 32

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_VERSION = 444, 446, 1  # the calls' numbers on every machine
# Version of Landlock → what it can withhold of files, of the network and outside of the sandbox, a bit each
# (include/uapi/linux/landlock.h).
_LANDLOCK_RIGHTS = {
    1: (0x1FFF,),
    2: (0x3FFF,),
    3: (0x7FFF,),
    4: (0x7FFF, 0x3),
    5: (0xFFFF, 0x3),
    6: (0xFFFF, 0x3, 0x3),
}
_CAPABILITY_VERSION = 0x2008_0522
_UIDS = range(65_533, 60_000, -1)  # the one above is nobody's
_libc = ctypes.CDLL(None, use_errno=True)


def isolate() -> tuple[Layers, list[int]]:
    """Moves the caller into namespaces and forbids it new privileges: layers 1 and 2.

    Returns the layers, and descriptors that the caller keeps and its children have to close.
    """
    layers = {name: _tried(partial(unshare, flag)) for name, flag in NAMESPACES.items()}
    layers[NO_NEW_PRIVS] = _tried(lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1))
    return layers, [] if layers["pid namespace"] else [hold_pid_namespace(_confine_first)]


def seal_off(layers: Layers) -> Layers:
    """Takes files, uid and capabilities from the caller: layers 3 and 4. Returns these, given those of `isolate`.

    The caller has one thread; what it will need is imported and open."""
    uid = _unused_uid()  # accounts can be asked about as long as there are files
    return {
        "empty root": layers["mount namespace"] or _tried(empty_root),  # never in a namespace that others live in
        "own uid": _tried(lambda: _become(uid)),
        "no capability": _tried(_drop_capabilities),
        "undumpable": _tried(lambda: _prctl(_PR_SET_DUMPABLE, 0)),
        "Landlock": _tried(_restrict_by_landlock),
    }


def confine_child(address_space: int) -> Layers:
    """Limits the caller, a new child of the fork server, to that many bytes and to its system calls: layer 5."""
    _die_with_parent()
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
    return {SECCOMP: _tried(install_seccomp)}


def renew_cpu_time(pid: int) -> None:
    """Gives a child CPU_S more seconds than it has used; it cannot do so itself. Raises OSError where it is gone."""
    used = time.clock_gettime((~pid << 3) | 2)  # the clock of another process: clock_getcpuclockid(3)
    hard = resource.prlimit(pid, resource.RLIMIT_CPU)[1]
    resource.prlimit(pid, resource.RLIMIT_CPU, (int(used) + CPU_S, hard))


def _confine_first() -> None:
    """Confines the first process of a PID namespace, which does nothing."""
    uid = _unused_uid()
    _tried(lambda: _become(uid))
    _tried(_drop_capabilities)
    _die_with_parent()
    _tried(install_seccomp)


def _tried(act: Callable[[], object]) -> str:
    try:
        act()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _unused_uid() -> int | None:
    """Returns the highest id below nobody's that no account has; None where this process is not root."""
    if os.geteuid():
        return None
    taken = {account.pw_uid for account in pwd.getpwall()} | {group.gr_gid for group in grp.getgrall()}
    return next((uid for uid in _UIDS if uid not in taken), None)


def _become(uid: int | None) -> None:
    if uid is None:
        raise OSError(errno.EPERM, "only root can give it one")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _drop_capabilities() -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    if _libc.capset(header, bytes(24)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _restrict_by_landlock() -> None:
    version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    rights = _LANDLOCK_RIGHTS[min(version, max(_LANDLOCK_RIGHTS))]
    rules = _libc.syscall(
        _LANDLOCK_CREATE, struct.pack(f"={len(rights)}Q", *rights), ctypes.c_size_t(8 * len(rights)), 0
    )
    if rules < 0 or _libc.syscall(_LANDLOCK_RESTRICT, rules, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.close(rules)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
