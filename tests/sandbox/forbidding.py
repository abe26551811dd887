"""Runs a decoder where a seccomp filter of the surroundings forbids calls, as containers do, and tells the outcome.

`python -m tests.sandbox.forbidding CALLS UID`: the calls by their names below, a comma between them; a uid to become, 0
to stay root.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import stat
import sys
from pathlib import Path

import numpy

from assent.core.errors import AssentError
from assent.media.confine import _prctl
from assent.media.namespaces import NAMESPACES, unshare
from assent.media.sandbox import Decoder
from assent.media.seccomp import Call, install_filter, seccomp_program
from tests.unit.picture_files import motif, samples

ALL, ALLOW = 0xFFFF_FFFF, 0x7FFF_0000
# Permitted only with an argument that nobody gives; of prctl, without the options from 16 to 31 (22: seccomp).
FORBIDDEN = {
    "unshare": Call(272, 97, mask=ALL, value=1),
    "landlock": Call(444, 444, mask=ALL, value=1),
    "seccomp": Call(157, 167, mask=16, value=0),
}


def _open_up(paths: set[Path]) -> None:
    """Lets everybody reach these paths, in a mount namespace of this process: a root's home folder is closed."""
    closed = {
        path: folder
        for path in {path.resolve() for path in paths}
        for folder in reversed(path.parents)
        if not folder.stat().st_mode & stat.S_IXOTH
    }
    libc = ctypes.CDLL(None, use_errno=True)
    unshare(NAMESPACES["mount namespace"])
    assert libc.mount(None, b"/", None, 0x4000 | 0x4_0000, None) == 0
    held = {path: os.open(path, os.O_PATH) for path in closed if path.is_dir()}
    for folder in set(closed.values()):
        assert libc.mount(b"open", bytes(folder), b"tmpfs", 0, b"mode=755") == 0
    for path, descriptor in held.items():
        path.mkdir(parents=True, exist_ok=True)
        assert libc.mount(f"/proc/self/fd/{descriptor}".encode(), bytes(path), None, 0x1000, None) == 0


def main(calls: str, uid: int) -> None:
    if uid:
        _open_up(
            {Path(sys.executable), Path(sys.base_prefix), Path(__file__).parents[2], Path(numpy.__file__).parents[1]}
        )
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    wanted = {name: FORBIDDEN[name] for name in calls.split(",") if name}
    if wanted:
        _prctl(38, 1)
        install_filter(seccomp_program(wanted, platform.machine(), ALLOW))
    try:
        with Decoder(unsafe_unconfined="ASSENT_UNSAFE" in os.environ) as decoder:
            pixels = decoder.decode(samples()["png"]).frames[0].pixels
            print(json.dumps({"layers": decoder.layers, "decoded": bool(numpy.array_equal(pixels, motif()))}))
    except AssentError as error:
        print(json.dumps({"error": error.code, "detail": error.detail}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
