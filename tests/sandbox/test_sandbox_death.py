"""Neither side survives the other wrongly: a dead child is replaced, a lying one is not believed, an orphan ends."""

from __future__ import annotations

import json
import mmap
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from threading import Thread

import numpy as np
import psutil
import pytest

from assent.core.errors import DecoderDied, MediaUnsupported, PictureTooLarge, Undecodable
from assent.media.sandbox import Decoder, _Child, _exchange
from tests.sandbox.children import child_of, server_of
from tests.unit.picture_files import heic, motif, samples
from tests.waiting import until

SMALL = samples()["png"]
SIZES = {"format": "png", "width": 2, "height": 1, "frame_count": 1}
FRAME = {"index": 0, "width": 2, "height": 1, "scale": 1.0, "codes": None}
CODE = [True, "text.payment", [0, 0, 2, 1]]
Answer = Callable[[socket.socket, int], None]


def test_a_child_killed_on_the_way_is_a_typed_error_and_the_next_picture_decodes() -> None:
    with Decoder() as decoder:
        first = child_of(decoder)
        first.suspend()
        errors: list[DecoderDied] = []

        def one() -> None:
            try:
                decoder.decode(SMALL)
            except DecoderDied as error:
                errors.append(error)

        thread = Thread(target=one)
        thread.start()
        until(decoding, "the picture is with the child")
        first.kill()
        thread.join()
        assert [error.detail for error in errors] == ["the decoder ended with status -9"]
        np.testing.assert_array_equal(decoder.decode(SMALL).frames[0].pixels, motif())


def decoding() -> bool:
    """Whether this process has a picture on its way: memory for its pixels is open."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return any("assent-pixels" in str(link.readlink()) for link in links)


def test_a_child_killed_between_pictures_costs_no_picture() -> None:
    with Decoder() as decoder:
        first = child_of(decoder)
        first.kill()
        until(lambda: first.status() == psutil.STATUS_ZOMBIE, "the child has ended")
        np.testing.assert_array_equal(decoder.decode(SMALL).frames[0].pixels, motif())


def test_a_file_that_crashes_a_decoder_harms_nobody_else() -> None:
    """pi_heif 1.4.0 dereferences null on a metadata item of unknown type; another one decodes this file."""
    spoiled = heic(1).replace(b"Exif", b"E\xffif", 1)
    assert spoiled != heic(1)
    with Decoder() as decoder:
        if version("pi-heif") == "1.4.0":
            with pytest.raises(DecoderDied, match="status -11"):
                decoder.decode(spoiled)
        else:
            assert decoder.decode(spoiled).width == 64
        np.testing.assert_array_equal(decoder.decode(SMALL).frames[0].pixels, motif())


def test_an_orphan_ends() -> None:
    script = """
import sys, psutil
from assent.media.sandbox import Decoder
with Decoder():
    print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        orphans = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(orphans, timeout=5)
    assert len(orphans) >= 2  # the fork server, a child, and who holds their PID namespace
    assert not alive


def test_a_spinning_child_ends_with_its_worker_too() -> None:
    script = """
import sys
from threading import Thread
from assent.media.sandbox import Decoder
from tests.sandbox.children import child_of, server_of
with Decoder() as decoder:
    child = child_of(decoder)
    child.suspend()
    Thread(target=decoder.decode, args=(b"GIF89a",), daemon=True).start()
    print(child.pid, server_of(decoder).pid, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        orphans = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
        parent.wait()
    assert not psutil.wait_procs(orphans, timeout=5)[1]


def test_a_fork_server_that_is_killed_costs_no_picture() -> None:
    with Decoder() as decoder:
        first, orphan = server_of(decoder), child_of(decoder)
        first.kill()
        assert not psutil.wait_procs([orphan], timeout=5)[1]
        np.testing.assert_array_equal(decoder.decode(SMALL).frames[0].pixels, motif())
        assert server_of(decoder) != first


def test_a_fork_server_that_is_deaf_is_replaced() -> None:
    with Decoder() as decoder:
        assert decoder._server is not None
        decoder._server.control.settimeout(0.5)
        first = server_of(decoder)
        first.suspend()
        with pytest.raises(DecoderDied, match="does not answer"):
            decoder.decode(SMALL, "another tenant")
        assert not first.is_running()
        np.testing.assert_array_equal(decoder.decode(SMALL).frames[0].pixels, motif())


def exchange(answer: Answer) -> mmap.mmap:
    """What the parent makes of an impostor at the other end of its link."""
    ours, theirs = socket.socketpair()

    def impostor() -> None:
        with theirs:
            _, (memory,), _, _ = socket.recv_fds(theirs, 8, 1)
            theirs.recv(100)
            answer(theirs, memory)
            os.close(memory)

    thread = Thread(target=impostor)
    thread.start()
    try:
        with closing(ours):
            return _exchange(_Child(0, ours, lambda: 0, lambda: None), b"data", time.monotonic() + 3)[1]
    finally:
        thread.join()


def say(reply: object) -> Answer:
    text = json.dumps(reply).encode()
    return lambda link, _: link.sendall(len(text).to_bytes(8) + text)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        [],
        None,
        {"ready": True},
        SIZES,
        SIZES | {"frames": []},
        SIZES | {"frames": [FRAME] * 2},
        SIZES | {"frames": [FRAME | {"width": 5000}]},
        SIZES | {"frames": [FRAME | {"width": -2, "height": -1}]},
        SIZES | {"frames": [FRAME | {"width": 2.0}]},
        SIZES | {"frames": [FRAME | {"scale": 0}]},
        SIZES | {"frames": [FRAME | {"scale": float("nan")}]},
        SIZES | {"frames": [FRAME | {"scale": 1.5}]},
        SIZES | {"frames": [FRAME | {"index": 1}]},
        SIZES | {"frames": [{key: value for key, value in FRAME.items() if key != "codes"}]},
        SIZES | {"frames": [FRAME | {"codes": [CODE] * 33}]},
        SIZES | {"frames": [FRAME | {"codes": [[True, "nudity", [0, 0, 2, 1]]]}]},
        SIZES | {"frames": [FRAME | {"codes": [[False, "text.payment", [0, 0, 2, 1]]]}]},
        SIZES | {"frames": [FRAME | {"codes": [[True, None, [0, 0, 3, 1]]]}]},
        SIZES | {"frames": [FRAME | {"codes": [[True, None, [0, 0, float("nan"), 1]]]}]},
        SIZES | {"frames": [FRAME | {"codes": [[True, None, [0, 0, 2]]]}]},
        SIZES | {"frames": [FRAME], "format": "exe"},
        SIZES | {"frames": [FRAME], "width": 0},
        SIZES | {"frames": [FRAME], "height": 10**9},
        SIZES | {"frames": [FRAME] * 4, "frame_count": 4},
        {"error": "no such code"},
        {"error": ["undecodable"]},
    ],
)
def test_an_impossible_answer_is_not_believed(reply: object) -> None:
    with pytest.raises(DecoderDied):
        exchange(say(reply))


@pytest.mark.parametrize("error", [MediaUnsupported, PictureTooLarge, Undecodable, DecoderDied])
def test_an_error_is_raised_by_its_code(error: type[DecoderDied]) -> None:
    with pytest.raises(error) as caught:
        exchange(say({"error": error.code, "detail": "x" * 1000}))
    assert caught.value.detail == "x" * 200


@pytest.mark.parametrize(
    "raw", [b"", b"\x00" * 7, (1 << 40).to_bytes(8), (4).to_bytes(8) + b"nope", (2000).to_bytes(8) + b"[" * 2000]
)
def test_an_answer_that_is_none_is_not_believed(raw: bytes) -> None:
    with pytest.raises(DecoderDied):
        exchange(lambda link, _: link.sendall(raw))


def test_pixels_that_the_child_still_maps_are_not_taken() -> None:
    kept: list[mmap.mmap] = []

    def clinging(link: socket.socket, memory: int) -> None:
        kept.append(mmap.mmap(memory, 6))
        say(SIZES | {"frames": [FRAME]})(link, memory)

    with pytest.raises(DecoderDied, match="let go"):
        exchange(clinging)
    kept[0].close()


def test_an_honest_impostor_is_believed() -> None:
    def honest(link: socket.socket, memory: int) -> None:
        with mmap.mmap(memory, 6) as pixels:
            pixels[:] = b"RGBrgb"
        say(SIZES | {"frames": [FRAME]})(link, memory)

    assert exchange(honest)[:] == b"RGBrgb"
