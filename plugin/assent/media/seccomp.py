"""Builds and installs the decode child's seccomp filter: a BPF program that lists what it may ask of the kernel.

Everything absent from ALLOWED answers EPERM before the kernel's own code runs, but `clone3`, whose flags lie in memory
that a filter cannot read: it answers ENOSYS, whereupon libc makes its threads by `clone`. Calls of another
architecture (32-bit, x32) end the process. Numbers: Linux, arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import NamedTuple

_PROT_EXEC, _CLONE_THREAD, _F_DUPFD_CLOEXEC = 0x4, 0x0001_0000, 1030
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_CLONE_NEW = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000


class Call(NamedTuple):
    """One permitted system call and its numbers; with `mask`, only where `argument & mask == value`."""

    x86_64: int
    aarch64: int
    argument: int = 0
    mask: int = 0
    value: int = 0


ALLOWED: dict[str, Call] = {
    # the link to the parent, and the pixels' memory
    "read": Call(0, 63),
    "readv": Call(19, 65),
    "write": Call(1, 64),
    "recvmsg": Call(47, 212),
    "close": Call(3, 57),
    "fcntl": Call(72, 25, argument=1, mask=0xFFFF_FFFF, value=_F_DUPFD_CLOEXEC),
    # memory, none of which may become code
    "mmap": Call(9, 222, argument=2, mask=_PROT_EXEC),
    "mprotect": Call(10, 226, argument=2, mask=_PROT_EXEC),
    "munmap": Call(11, 215),
    "mremap": Call(25, 216),
    "madvise": Call(28, 233),
    "brk": Call(12, 214),
    # threads, no processes
    "clone": Call(56, 220, mask=_CLONE_THREAD | _CLONE_NEW, value=_CLONE_THREAD),
    "futex": Call(202, 98),
    "set_robust_list": Call(273, 99),
    "rseq": Call(334, 293),
    "sched_yield": Call(24, 124),
    "sched_getaffinity": Call(204, 123),
    "getpid": Call(39, 172),
    "gettid": Call(186, 178),
    "exit": Call(60, 93),
    "exit_group": Call(231, 94),
    # signals to itself, time, chance
    "rt_sigaction": Call(13, 134),
    "rt_sigprocmask": Call(14, 135),
    "rt_sigreturn": Call(15, 139),
    "sigaltstack": Call(131, 132),
    "restart_syscall": Call(219, 128),
    "clock_gettime": Call(228, 113),
    "clock_getres": Call(229, 114),
    "clock_nanosleep": Call(230, 115),
    "gettimeofday": Call(96, 169),
    "getrandom": Call(318, 278),
}
_CLONE3 = 435  # everywhere
_AUDIT = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_X32 = 0x4000_0000  # added to the numbers of x32's calls, which come with x86-64's architecture

_LOAD, _AND, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _REFUSE, _KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def seccomp_program(calls: dict[str, Call], machine: str, otherwise: int = _REFUSE | errno.EPERM) -> bytes:
    """Assembles the filter that permits `calls` on that machine (`uname -m`) and answers all others with `otherwise`.

    Raises KeyError on a machine without numbers."""
    instructions: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        instructions += [(_JUMP_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    instructions += [(_JUMP_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _REFUSE | errno.ENOSYS)]
    for call in calls.values():
        checks = _checks(call)
        instructions += [(_JUMP_EQUAL, 0, len(checks), getattr(call, machine)), *checks]
    instructions.append((_RETURN, 0, 0, otherwise))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def install_filter(program: bytes) -> None:
    """Binds the calling thread and all that it will start to the program. Raises OSError; needs no_new_privs."""
    libc = ctypes.CDLL(None, use_errno=True)
    loaded = _Program(len(program) // 8, program)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(loaded), 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def install_seccomp() -> None:
    """Binds the calling thread to ALLOWED. Raises OSError where the kernel or the machine does not let it."""
    if platform.machine() not in _AUDIT:
        raise OSError(errno.ENOSYS, f"no system calls are listed for {platform.machine()}")
    install_filter(seccomp_program(ALLOWED, platform.machine()))


def _checks(call: Call) -> list[Instruction]:
    """Returns what follows once the number is this call's: the permission, or it and the refusal by its argument."""
    permit = (_RETURN, 0, 0, _ALLOW)
    if not call.mask:
        return [permit]
    return [
        (_LOAD, 0, 0, _ARGUMENTS + 8 * call.argument),  # the lower half: both machines are little-endian
        (_AND, 0, 0, call.mask),
        (_JUMP_EQUAL, 0, 1, call.value),
        permit,
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
    ]
