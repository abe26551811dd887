"""A decode child that its file took over gets nothing from the kernel but memory, threads and its own link.

Each attempt runs in a really confined child, and, where it can, also unconfined: there it is not refused.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assent.core.errors import DecoderDied, MediaUnsupported
from assent.media import sandbox
from assent.media.sandbox import Decoder
from tests.sandbox.attempts import ATTEMPTS, BOOT, FILES, NETWORK, PERMITTED, PROCESSES, Targets

REFUSED = {errno.EPERM, errno.EACCES}


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    folder = tmp_path_factory.mktemp("at")
    folder.chmod(0o755)
    (folder / "key").write_bytes(b"secret")
    (folder / "key").chmod(0o600)
    for name in ("file", "unlinked"):
        (folder / name).write_bytes(b"x")
        (folder / name).chmod(0o666)
    (folder / "folder").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "unix"))
        unix.listen()
        yield Targets(str(folder), tcp.getsockname()[1], os.getpid())


def confined(boot: str) -> Iterator[Decoder]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "_BOOT", BOOT.format(boot, boot))
        with Decoder() as decoder:
            yield decoder


@pytest.fixture(scope="module")
def taken_over() -> Iterator[Decoder]:
    yield from confined("")


@pytest.fixture(scope="module")
def without_seccomp() -> Iterator[Decoder]:
    yield from confined("_without_seccomp")


@pytest.fixture(scope="module")
def unconfined(targets: Targets) -> dict[str, int]:
    """The kernel's answers where nothing confines, in copies of the targets."""
    copies = Path(targets.folder).with_name("copies")
    subprocess.run(["cp", "-a", targets.folder, copies], check=True)  # noqa: S607
    with socket.socket(socket.AF_UNIX) as unix:
        (copies / "unix").unlink()
        unix.bind(str(copies / "unix"))
        unix.listen()
        command = [sys.executable, "-m", "tests.sandbox.attempts", json.dumps([str(copies), *targets[1:]])]
        done = subprocess.run(command, check=True, capture_output=True)
    answers: dict[str, int] = json.loads(done.stdout)
    return answers


def tried(decoder: Decoder, name: str, targets: Targets) -> int:
    with pytest.raises(MediaUnsupported) as told:
        decoder.decode(json.dumps([name, targets]).encode())
    return int(told.value.detail)


@pytest.mark.parametrize("name", sorted(ATTEMPTS.keys() - PERMITTED.keys() - {"x32"}))
def test_it_is_refused(name: str, taken_over: Decoder, targets: Targets, unconfined: dict[str, int]) -> None:
    assert tried(taken_over, name, targets) == (errno.ENOSYS if name == "clone3" else errno.EPERM)
    if os.geteuid() == 0:
        assert unconfined[name] not in REFUSED, "refused to whoever asks: it shows nothing"


@pytest.mark.parametrize("name", sorted(PERMITTED))
def test_what_codecs_need_is_permitted(name: str, taken_over: Decoder, targets: Targets) -> None:
    assert tried(taken_over, name, targets) == 0


@pytest.mark.parametrize("name", sorted({**FILES, **NETWORK, **PROCESSES}))
def test_without_seccomp_the_other_layers_refuse_it(name: str, without_seccomp: Decoder, targets: Targets) -> None:
    assert tried(without_seccomp, name, targets) != 0


def test_nothing_of_the_targets_was_touched(taken_over: Decoder, targets: Targets) -> None:
    for name in sorted(FILES):
        tried(taken_over, name, targets)
    assert {path.name for path in Path(targets.folder).iterdir()} == {"key", "file", "unlinked", "folder", "unix"}
    assert Path(targets.path("key")).stat().st_mode & 0o777 == 0o600
    assert Path(targets.path("file")).read_bytes() == b"x"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86-64 has a second set of numbers")
def test_a_call_by_the_numbers_of_x32_ends_the_child(taken_over: Decoder, targets: Targets) -> None:
    with pytest.raises(DecoderDied, match=f"status -{signal.SIGSYS:d}"):
        taken_over.decode(json.dumps(["x32", targets]).encode())
