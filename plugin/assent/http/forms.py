"""Reads multipart forms with photos into memory: a photo is never written to a temporary file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from assent.core.errors import BadRequest, BodyTooLarge
from assent.core.http_errors import FormsWaiting
from assent.http.body import MAX_BODY, bounded, within

MAX_PHOTOS = 10  # photos of one enrolment
FORM_SECONDS = 60.0  # for all of a form
MAX_FORM = 64 << 20  # bytes of a form, however many photos it may hold
FORM_PATIENCE_S = 60.0  # for the forms before this one
_OVERHEAD = 64 << 10  # boundaries, headers and the small fields
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046 §5.1.1


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 30  # never reached: the stream itself is bounded

    def on_part_end(self) -> None:
        """Refuses a field that is not UTF-8, which Starlette would read as Latin-1."""
        if self._current_part.file is None:
            try:
                self._current_part.data.decode()
            except UnicodeDecodeError:
                raise MultiPartException("a field is not UTF-8") from None
        super().on_part_end()


class BigForms:
    """Lets one form of more than MAX_BODY at a time be read and stored: each takes several times its size of memory."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """Waits, before anything is read, until the form has its turn, which lasts until the block ends.

        Raises FormsWaiting after FORM_PATIENCE_S.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) <= MAX_BODY:
            yield
            return
        try:
            async with asyncio.timeout(FORM_PATIENCE_S):
                await self._turn.acquire()
        except TimeoutError:
            raise FormsWaiting from None
        try:
            yield
        finally:
            self._turn.release()


async def read_form(
    request: Request, file_bytes: int, *, files: Sequence[str], most: int
) -> tuple[dict[str, str], list[bytes]]:
    """Returns the text fields by name, and the files of the named fields in order.

    Raises BodyTooLarge when a file has more than `file_bytes` or the form more than MAX_FORM, RequestTooSlow when it is
    not complete within FORM_SECONDS, BadRequest when the form is malformed, repeats a field or has one that is not
    UTF-8, has more than `most` files or a file under another name.
    """
    stream = bounded(request, min(file_bytes * most + _OVERHEAD, MAX_FORM))
    parser = _InMemory(_content_type(request), stream, max_files=most, max_fields=20)  # type: ignore[arg-type]  # iterated only
    try:
        async with within(FORM_SECONDS):
            form = await parser.parse()
    except MultiPartException as error:
        raise BadRequest(f"the form: {error.message}") from error
    try:
        fields, photos = await _sort(form, files)
    finally:
        await form.close()
    if any(len(data) > file_bytes for data in photos):
        raise BodyTooLarge(f"a photo is larger than {file_bytes} bytes")
    return fields, photos


async def _sort(form: FormData, files: Sequence[str]) -> tuple[dict[str, str], list[bytes]]:
    fields: dict[str, str] = {}
    photos: list[bytes] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name not in files:
                raise BadRequest(f"a file under a name that is not expected; expected: {', '.join(files)}")
            photos.append(await value.read())
        elif name in fields:
            raise BadRequest("the form: the same field twice")
        else:
            fields[name] = value
    return fields, photos


def _content_type(request: Request) -> Headers:
    """Returns the Content-Type header with nothing but the boundary.

    Its `charset` would choose among Python's codecs; some of them raise errors of their own or make invalid Unicode.
    """
    _, parameters = parse_options_header(request.headers.get("content-type", ""))
    boundary = parameters.get(b"boundary", b"")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("the form: its Content-Type names no boundary")
    return Headers({"content-type": f'multipart/form-data; boundary="{boundary.decode()}"'})
