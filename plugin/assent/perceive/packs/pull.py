"""Brings a pack's files into `<models_dir>/files`: from their public addresses, or from a folder.

A file stands there under its name only once its size and sha256 are the manifest's. The rest of a broken download is
kept as `.part` and continued.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import httpcore2

from assent import __version__
from assent.core.errors import FetchFailed, ModelDownload, ModelMissing, ModelUnknown
from assent.core.files import rename_durably, sync_file
from assent.core.settings import AllowedHost
from assent.media.fetch import MAX_REDIRECTS, REDIRECTS, next_url
from assent.net.client import ExchangeLimits, exchange
from assent.perceive.packs.manifest import ModelFile

PULL_FIRST_BYTE_S = 30.0
PULL_TOTAL_S = 3_600.0
_CHUNK = 1 << 20

PullProgress = Callable[[int], None]  # how many bytes of the file are here


def from_folder(file: ModelFile, models_dir: Path, folder: Path, progress: PullProgress) -> Path:
    """Copies the file from somewhere below a folder, found by its content, whatever it is called there.

    Raises ModelMissing where it is not there, ModelUnknown where one of its name has another size or content."""
    if not folder.is_dir():
        raise ModelMissing(f"{folder} is no folder")
    below = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = [path for path in below if path.name == Path(file.path).name]
    for path in sorted(
        (path for path in below if path.stat().st_size == file.size), key=lambda path: path not in named
    ):
        with path.open("rb") as source, _part(file, models_dir) as (target, part):
            target.truncate(0)
            if _copied(source, target, progress) == file.sha256:
                return _in_place(file, models_dir, target, part)
            part.unlink()
    if named:
        raise ModelUnknown(f"{named[0]} is not the file that the manifest describes: its size or content is another")
    raise ModelMissing(f"{folder} does not hold {file.path} ({file.size} bytes)")


def from_address(file: ModelFile, models_dir: Path, allow: Sequence[AllowedHost], progress: PullProgress) -> Path:
    """Downloads the file, or the rest of it where a download was cut off before.

    Raises ModelMissing where the manifest names no address, ModelUnknown where what came is not the file, ModelDownload
    for what another try may mend, and FetchRefused for an address that is not public."""
    if file.url is None:
        raise ModelMissing(f"{file.path} has no public address; bring it with `assent models pull --from FOLDER`")
    with _part(file, models_dir) as (target, part):
        if target.seek(0, os.SEEK_END) > file.size:
            target.truncate(0)
        if (have := target.seek(0, os.SEEK_END)) < file.size:
            try:
                _download(file, target, have, allow, progress)
            except FetchFailed as error:
                raise ModelDownload(f"{file.path}: {error.detail}") from error
        target.seek(0)
        if _digest(target) != file.sha256:
            part.unlink()
            raise ModelUnknown(f"what came as {file.path} is not the file that the manifest describes")
        return _in_place(file, models_dir, target, part)


def _download(
    file: ModelFile, target: BinaryIO, have: int, allow: Sequence[AllowedHost], progress: PullProgress
) -> None:
    url = file.url or ""
    for _ in range(MAX_REDIRECTS + 1):
        headers = {"User-Agent": f"assent/{__version__}", **({"Range": f"bytes={have}-"} if have else {})}
        limits = ExchangeLimits(PULL_FIRST_BYTE_S, PULL_TOTAL_S, file.size)
        with exchange("GET", url, headers=headers, limits=limits, allow=allow) as (answer, host):
            if answer.status not in REDIRECTS:
                _receive(file, answer, host, target, have, progress)
                return
            url = next_url(url, answer.status, _header(answer, b"location"))
    raise FetchFailed(f"more than {MAX_REDIRECTS} redirects")


def _receive(
    file: ModelFile, answer: httpcore2.Response, host: str, target: BinaryIO, have: int, progress: PullProgress
) -> None:
    if answer.status not in (200, 206):
        raise ModelDownload(f"{host} answered {answer.status} for {file.path}")
    resumed = answer.status == 206 and (_header(answer, b"content-range") or "").startswith(f"bytes {have}-")
    if answer.status == 206 and not resumed:
        raise ModelDownload(f"{host} sent another part of {file.path} than was asked for")
    target.truncate(have if resumed else 0)
    size = target.seek(0, os.SEEK_END)
    for chunk in answer.iter_stream():
        size += len(chunk)
        if size > file.size:
            target.truncate(0)
            raise ModelUnknown(f"{host} sends more than the {file.size} bytes of {file.path}")
        target.write(chunk)
        progress(size)
    if size < file.size:
        raise ModelDownload(f"{host} sent {size} of the {file.size} bytes of {file.path}")


def _header(answer: httpcore2.Response, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in answer.headers if name.lower() == wanted), None)


@contextmanager
def _part(file: ModelFile, models_dir: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Opens the unfinished file, for one process at a time.

    Raises ModelDownload where another process works on it, ModelMissing where the folder cannot be written."""
    part = models_dir / "files" / f"{file.stored}.part"
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        target = part.open("a+b")
    except OSError as error:
        raise ModelMissing(f"{part.parent} cannot be written: {error.strerror}") from error
    with target:
        try:
            fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ModelDownload(f"another process is bringing {file.path}") from error
        yield target, part


def _copied(source: BinaryIO, target: BinaryIO, progress: PullProgress) -> str:
    digest, done = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
        progress(done := done + len(chunk))
    return digest.hexdigest()


def _digest(source: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _in_place(file: ModelFile, models_dir: Path, target: BinaryIO, part: Path) -> Path:
    final = models_dir / "files" / file.stored
    sync_file(target)
    rename_durably(part, final)
    return final
