"""Lists the adapters for all supported senders in one literal table.

An adapter verifies the raw body with the source's live secrets and turns it into events, or says why it is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from assent.platforms.delivery import Parsed, SourceSettings
from assent.platforms.discourse import parse_discourse, verify_discourse
from assent.platforms.mastodon import parse_mastodon, verify_mastodon
from assent.platforms.standard import parse_standard, verify_standard

MEGABYTE = 1 << 20


class Adapter(NamedTuple):
    verify: Callable[[Mapping[str, str], bytes, Sequence[str]], None]  # headers, raw body, live secrets
    parse: Callable[[Mapping[str, str], bytes, SourceSettings], Parsed]
    max_body: int  # bytes


ADAPTERS: dict[str, Adapter] = {
    # Standard Webhooks carrying assent.event/1
    "standard": Adapter(verify_standard, parse_standard, MEGABYTE),
    "mastodon": Adapter(verify_mastodon, parse_mastodon, 2 * MEGABYTE),
    "discourse": Adapter(verify_discourse, parse_discourse, 8 * MEGABYTE),
}
