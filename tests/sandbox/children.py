"""The processes behind a decoder."""

from __future__ import annotations

import psutil

from assent.media.sandbox import OPERATOR, Decoder


def child_of(decoder: Decoder, tenant: str = OPERATOR) -> psutil.Process:
    return psutil.Process(decoder._children[tenant].pid)


def server_of(decoder: Decoder) -> psutil.Process:
    assert decoder._server is not None
    return psutil.Process(decoder._server.process.pid)
