"""Fetches an image's bytes from the URL that the platform gave, stage 1 of the pipeline."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin

from assent import __version__
from assent.core.errors import FetchFailed, FetchMissing, FetchRefused
from assent.core.settings import AllowedHost
from assent.media.files import MAX_IMAGE_BYTES
from assent.net.answer import TRY_AGAIN
from assent.net.client import PRINTABLE, ExchangeLimits, Response, request

FIRST_BYTE_S = 5.0
TOTAL_S = 10.0
MAX_REDIRECTS = 3

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*")  # no `..`, nothing escaped, no query
_HEADERS = {"User-Agent": f"assent/{__version__}", "Accept": "image/*"}


@dataclass(frozen=True, slots=True)
class FetchKey:
    """A platform's key for files of its own: the headers, and how the addresses begin that alone are sent them."""

    prefixes: tuple[str, ...]
    headers: Mapping[str, str] = field(repr=False)

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Returns the key's headers for an address below one of the prefixes, and none for any other."""
        for prefix in self.prefixes:
            if url.startswith(prefix) and _PLAIN_PATH.fullmatch(url, len(prefix)):
                return self.headers
        return {}


def fetch_media(
    url: str, allow: Sequence[AllowedHost], within_s: float = math.inf, key: FetchKey | None = None
) -> bytes:
    """Fetches the body behind an http(s) URL: at most 20 MB, within 5 s to the first byte and 10 s over all redirects.

    `within_s` shortens both. `key` is sent where it belongs, and to no other address that a redirect names.
    Raises FetchRefused (forbidden address or scheme, more than 3 redirects), FetchMissing (4xx but 408, 425, 429),
    FetchTooLarge, and FetchFailed (no answer in time, DNS, connection, 408, 425, 429, 5xx), which alone is worth
    another try.
    """
    end = time.monotonic() + min(TOTAL_S, within_s)
    for _ in range(MAX_REDIRECTS + 1):
        left = max(end - time.monotonic(), 0.0)
        limits = ExchangeLimits(min(FIRST_BYTE_S, left), left, MAX_IMAGE_BYTES)
        headers = {**_HEADERS, **key.headers_for(url)} if key else _HEADERS
        response = request("GET", url, headers=headers, limits=limits, allow=allow)
        if response.status not in REDIRECTS:
            return _body(response)
        url = next_url(url, response.status, response.headers.get("location"))
    raise FetchRefused(f"more than {MAX_REDIRECTS} redirects")


def next_url(url: str, status: int, location: str | None) -> str:
    """Returns a redirect's target. Raises FetchFailed without a Location, FetchRefused where it cannot be parsed."""
    if not location:
        raise FetchFailed(f"status {status} without a Location")
    try:
        # urljoin drops tabs and line ends without a word; escaped, they stay visible to the next request's checks.
        return urljoin(url, quote(location.encode("latin-1"), safe=PRINTABLE))
    except ValueError:
        raise FetchRefused("a redirect's Location cannot be parsed") from None


def _body(response: Response) -> bytes:
    status = response.status
    if status == 200:
        return response.body
    if 400 <= status < 500 and status not in TRY_AGAIN:
        raise FetchMissing(f"the picture's server answered {status}")
    raise FetchFailed(f"the picture's server answered {status}")
