"""Reads the answer of a guarded connection: status, headers, and a body that is whole, cut, or refused."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import httpcore2

from assent.core.errors import FetchFailed, FetchRefused, FetchTooLarge

TRY_AGAIN = frozenset({408, 425, 429, 502, 503, 504})  # answers about the server and the moment, not the request

_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's window and header codes
# The codings of IANA's registry that change the bytes. Storage services put other words there (`aws-chunked`, `utf-8`),
# which describe an upload long ago and change nothing.
_CODINGS = _WBITS.keys() | {"br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip", "aes128gcm"}
_ERROR_BODY = 65_536


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: header names in lower case, repeated headers joined by a comma, the body without its encoding."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def receive(answer: httpcore2.Response, host: str, max_bytes: int) -> Response:
    """Reads an answer as `client.request` describes it. Raises FetchTooLarge, FetchRefused and FetchFailed."""
    headers, body = _headers(answer.headers), b""
    if max_bytes and 200 <= answer.status < 300:
        body = _whole(answer.iter_stream(), headers, max_bytes, host)
    elif max_bytes and answer.status >= 400 and not _encoding(headers):
        body = _beginning(answer.iter_stream(), min(max_bytes, _ERROR_BODY))
    return Response(answer.status, headers, body)


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _encoding(headers: Mapping[str, str]) -> str:
    """Returns the codings that the body has to be freed of, joined by a comma; empty where there are none."""
    words = (word.strip() for word in headers.get("content-encoding", "").lower().split(","))
    return ", ".join(word for word in words if word in _CODINGS)


def _beginning(chunks: Iterable[bytes], size: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) >= size:
            break
    return bytes(body[:size])


def _whole(chunks: Iterable[bytes], headers: Mapping[str, str], limit: int, host: str) -> bytes:
    if int(headers.get("content-length", "0")) > limit:  # h11 has checked that these are at most 20 digits
        raise FetchTooLarge(f"{host} announces more than {limit} bytes")
    raw = _counted(chunks, limit, host)
    if not (encoding := _encoding(headers)):
        return b"".join(raw)
    if encoding not in _WBITS:
        raise FetchRefused(f"{host} answers in a content encoding that was not asked for")
    return b"".join(_counted(_inflated(raw, _WBITS[encoding], limit, host), limit, host))


def _counted(chunks: Iterable[bytes], limit: int, host: str) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise FetchTooLarge(f"{host} sends more than {limit} bytes")
        yield chunk


def _inflated(chunks: Iterable[bytes], wbits: int, limit: int, host: str) -> Iterator[bytes]:
    """Inflates the chunks, each to limit + 1 bytes at most: the count after it stops a bomb before it is unpacked."""
    inflater = zlib.decompressobj(wbits)
    try:
        for chunk in chunks:
            yield inflater.decompress(chunk, limit + 1)
    except zlib.error:
        raise FetchFailed(f"{host} sends a broken compressed body") from None
    if not inflater.eof or inflater.unused_data:
        raise FetchFailed(f"{host} sends a compressed body that does not end where it should")
