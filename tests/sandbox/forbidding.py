"""Runs a decoder where a seccomp filter of the surroundings forbids some calls, as containers do, and tells the outcome.

`python -m tests.sandbox.forbidding CALLS UID`: the calls by their names below, a comma between them; a uid to become, 0
to stay root.
"""

from __future__ import annotations

import json
import os
import platform
import sys

import numpy as np

from assent.core.errors import AssentError
from assent.media.confine import _prctl
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


def main(calls: str, uid: int) -> None:
    if uid:
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
            print(json.dumps({"layers": decoder.layers, "decoded": bool(np.array_equal(pixels, motif()))}))
    except AssentError as error:
        print(json.dumps({"error": error.code, "detail": error.detail}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
