"""The process behind a decoder."""

from __future__ import annotations

import psutil

from assent.media.sandbox import Decoder


def child_of(decoder: Decoder) -> psutil.Process:
    assert decoder._child is not None
    return psutil.Process(decoder._child.process.pid)
