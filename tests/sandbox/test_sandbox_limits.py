"""The child is bounded in memory and time, owns nothing it does not need, and is replaced when its time has come."""

from __future__ import annotations

import os
import resource
import time
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest

from assent.core.errors import DecoderDied
from assent.media.sandbox import Decoder
from tests.sandbox.children import child_of, server_of
from tests.unit.picture_files import encoded, motif, samples

SMALL = samples()["png"]


@cache
def large() -> bytes:
    """48 MP, of which the RGB takes 192 MB in Pillow."""
    return encoded(np.zeros((6000, 8000, 3), np.uint8), "PNG")


def test_a_memory_bomb_ends_typed_and_the_next_picture_decodes() -> None:
    with Decoder(memory=100_000_000) as decoder:
        first = child_of(decoder)
        with pytest.raises(DecoderDied, match="memory"):
            decoder.decode(large())
        assert not first.is_running()
        np.testing.assert_array_equal(decoder.decode(SMALL).frames[0].pixels, motif())


def test_the_same_picture_passes_with_the_memory_that_is_usual() -> None:
    with Decoder() as decoder:
        assert decoder.decode(large()).frames[0].pixels.shape == (3072, 4096, 3)


def test_a_picture_that_takes_too_long_ends_typed_and_the_next_decodes() -> None:
    with Decoder(wall_s=0.4) as decoder:
        first = child_of(decoder)
        first.suspend()  # as deaf as a decoder in an endless loop
        start = time.monotonic()
        with pytest.raises(DecoderDied, match="too long"):
            decoder.decode(SMALL)
        assert time.monotonic() - start < 2
        assert not first.is_running()
        np.testing.assert_array_equal(decoder.decode(SMALL).frames[0].pixels, motif())


def test_the_child_is_replaced_after_its_lifetime() -> None:
    with Decoder(lifetime=2) as decoder:
        first = child_of(decoder).pid
        decoder.decode(SMALL)
        assert child_of(decoder).pid == first
        decoder.decode(SMALL)
        decoder.decode(SMALL)
        assert child_of(decoder).pid != first


def test_the_childs_limits_are_set() -> None:
    with Decoder(memory=1 << 30) as decoder:
        pid = child_of(decoder).pid
        mapped = child_of(decoder).memory_info().vms
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[1] <= 32
        soft, hard = resource.prlimit(pid, resource.RLIMIT_AS)
        assert soft == hard
        assert mapped < soft <= mapped + (1 << 30) + 50_000_000
        decoder.decode(SMALL)
        assert 0 < resource.prlimit(pid, resource.RLIMIT_CPU)[0] < 60


def test_the_child_knows_no_secret_and_holds_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSENT_ROOT_KEY", "secret")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        with Decoder() as decoder:
            environment = Path(f"/proc/{child_of(decoder).pid}/environ").read_bytes()
            assert b"ASSENT" not in environment
            assert b"secret" not in environment
            assert child_of(decoder).open_files() == []
            assert child_of(decoder).num_fds() == 4  # /dev/null three times, and the link
            assert server_of(decoder).num_threads() == 1  # whoever forks holds nobody's lock


def test_the_child_holds_no_model_runtime() -> None:
    with Decoder() as decoder:
        decoder.decode(SMALL)
        maps = Path(f"/proc/{child_of(decoder).pid}/maps").read_text()
        assert "_pi_heif" in maps
        assert "/cv2/" in maps
        assert not any(name in maps for name in ("onnxruntime", "dlib", "psycopg", "pydantic"))
        assert child_of(decoder).memory_info().rss < 150_000_000


def test_no_child_is_left_behind() -> None:
    with Decoder() as decoder:
        pid = child_of(decoder).pid
        decoder.decode(SMALL)
    assert not psutil.pid_exists(pid)
