"""Model files come from an address or a folder, whole and the right ones, or not at all."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from assent.core.errors import AssentError, FetchRefused, ModelDownload, ModelMissing, ModelUnknown
from assent.perceive.packs.manifest import Input, ModelFile, read_verified
from assent.perceive.packs.pull import from_address, from_folder
from tests.unit.real_models import entry
from tests.unit.wire_server import WireServer

DATA = os.urandom(300_000)
FILE = replace(
    entry("faces", "net", "yunet", Input(size=(64, 64))), size=len(DATA), sha256=hashlib.sha256(DATA).hexdigest()
)
Answer = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes = DATA) -> Answer:
    """A server that knows ranges."""

    def answer(request: bytes) -> list[bytes]:
        asked = re.search(rb"(?i)range: bytes=(\d+)-", request)
        start = int(asked[1]) if asked else 0
        head = f"HTTP/1.1 {206 if asked else 200} OK\r\nContent-Length: {len(data) - start}\r\n"
        head += f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}\r\n" if asked else ""
        return [f"{head}\r\n".encode(), data[start:]]

    return answer


def cut_off(request: bytes) -> list[bytes]:
    """Announces all and hangs up after 100,000 bytes."""
    return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA), DATA[:100_000]]


def pulled(folder: Path, answer: Answer, file: ModelFile = FILE) -> tuple[list[int], list[bytes]]:
    """The progress that was told, and what the server was asked."""
    told: list[int] = []
    with WireServer(answer) as server:
        from_address(replace(file, url=server.url("/net.onnx")), folder, server.allowed(), told.append)
        return told, server.requests


def refused(folder: Path, answer: Answer, error: type[AssentError], why: str, file: ModelFile = FILE) -> None:
    with pytest.raises(error, match=why):
        pulled(folder, answer, file)
    assert not (folder / "files" / FILE.stored).exists()


def leftover(folder: Path) -> Path:
    return folder / "files" / f"{FILE.stored}.part"


def test_a_file_arrives_whole(tmp_path: Path) -> None:
    told, _ = pulled(tmp_path, whole())
    assert read_verified(FILE, tmp_path) == DATA
    assert told == sorted(told)
    assert told[-1] == len(DATA)
    assert not leftover(tmp_path).exists()


def test_a_download_that_was_cut_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    refused(tmp_path, cut_off, ModelDownload, "RemoteProtocolError|sent 100000")
    assert leftover(tmp_path).stat().st_size == 100_000
    told, requests = pulled(tmp_path, whole())
    assert b"range: bytes=100000-" in requests[0].lower()
    assert min(told) > 100_000
    assert read_verified(FILE, tmp_path) == DATA


def test_a_server_without_ranges_sends_it_all_again(tmp_path: Path) -> None:
    refused(tmp_path, cut_off, ModelDownload, "100000|Protocol")
    pulled(tmp_path, lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DATA), DATA])
    assert read_verified(FILE, tmp_path) == DATA


def test_what_was_whole_but_not_yet_in_place_is_not_fetched_again(tmp_path: Path) -> None:
    leftover(tmp_path).parent.mkdir()
    leftover(tmp_path).write_bytes(DATA)
    _, requests = pulled(tmp_path, whole())
    assert requests == []
    assert read_verified(FILE, tmp_path) == DATA


def test_a_changed_leftover_is_thrown_away(tmp_path: Path) -> None:
    leftover(tmp_path).parent.mkdir()
    leftover(tmp_path).write_bytes(b"x" * 1000)
    refused(tmp_path, whole(), ModelUnknown, "not the file")
    assert not leftover(tmp_path).exists()
    pulled(tmp_path, whole())
    assert read_verified(FILE, tmp_path) == DATA


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (whole(DATA[:-1] + b"x"), ModelUnknown, "not the file"),
        (whole(DATA[:-1]), ModelDownload, "299999 of the 300000"),
        (whole(DATA + b"x"), ModelUnknown, "more than the 300000"),
        (lambda _: [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], ModelDownload, "404"),
        (lambda _: [b"HTTP/1.1 302 Found\r\nLocation: /net.onnx\r\nContent-Length: 0\r\n\r\n"], ModelDownload, "redir"),
        (lambda _: [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/\r\n\r\n"], FetchRefused, "not public"),
    ],
    ids=["wrong checksum", "truncated", "too long", "missing", "redirects for ever", "redirect to a private address"],
)
def test_what_is_not_the_file_does_not_take_its_place(
    tmp_path: Path, answer: Answer, error: type[AssentError], why: str
) -> None:
    refused(tmp_path, answer, error, why)


def test_another_part_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, cut_off, ModelDownload, "100000|Protocol")
    wrong = b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-9/300000\r\nContent-Length: 10\r\n\r\n" + DATA[:10]
    refused(tmp_path, lambda _: [wrong], ModelDownload, "another part")
    assert leftover(tmp_path).stat().st_size == 100_000


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    def meanwhile(request: bytes) -> Iterable[bytes]:
        with pytest.raises(ModelDownload, match="another process"):
            from_folder(FILE, tmp_path, tmp_path, lambda _: None)
        return whole()(request)

    (tmp_path / "net.onnx").write_bytes(DATA)
    pulled(tmp_path, meanwhile)
    assert read_verified(FILE, tmp_path) == DATA


def test_a_file_without_an_address_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="--from FOLDER"):
        from_address(FILE, tmp_path, (), lambda _: None)


def test_a_folder_gives_the_file_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    source = tmp_path / "source" / "deep"
    source.mkdir(parents=True)
    (source / "renamed.bin").write_bytes(DATA)
    (source / "same-size.onnx").write_bytes(DATA[::-1])
    from_folder(FILE, tmp_path / "models", tmp_path / "source", lambda _: None)
    assert read_verified(FILE, tmp_path / "models") == DATA
    assert [path.name for path in (tmp_path / "models/files").iterdir()] == [FILE.stored]


@pytest.mark.parametrize("data", [DATA[:-1], DATA[:-1] + b"x", DATA + b"x", b""], ids=len)
def test_a_folder_with_another_file_of_that_name_is_refused(tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / FILE.path).write_bytes(data)
    with pytest.raises(ModelUnknown, match=r"net\.onnx is not the file"):
        from_folder(FILE, tmp_path / "models", source, lambda _: None)
    assert not (tmp_path / "models/files" / FILE.stored).exists()


def test_a_folder_without_the_file_is_missing_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ModelMissing):
            from_folder(FILE, tmp_path / "models", folder, lambda _: None)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(DATA)
    (tmp_path / "models").write_text("a file where the folder belongs")
    with pytest.raises(ModelMissing, match="cannot be written"):
        from_folder(FILE, tmp_path / "models", tmp_path, lambda _: None)
