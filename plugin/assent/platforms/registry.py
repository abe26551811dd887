"""Lists the adapters for all supported senders in one literal table.

An adapter verifies the raw body with the source's live secrets and turns it into events, or says why it is ignored.
`sign` is the platform's half: samples and tests are signed by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from assent.platforms.delivery import Parsed, SourceSettings
from assent.platforms.discourse import parse_discourse, sign_discourse, verify_discourse
from assent.platforms.mastodon import parse_mastodon, sign_mastodon, verify_mastodon
from assent.platforms.standard import parse_standard, sign_standard, verify_standard

MEGABYTE = 1 << 20


class Adapter(NamedTuple):
    verify: Callable[[Mapping[str, str], bytes, Sequence[str]], None]  # headers, raw body, live secrets
    sign: Callable[[bytes, str, str], dict[str, str]]  # raw body, secret, the delivery's id → headers, as the platform
    parse: Callable[[Mapping[str, str], bytes, SourceSettings], Parsed]
    max_body: int  # bytes


ADAPTERS: dict[str, Adapter] = {
    # Standard Webhooks carrying assent.event/1
    "standard": Adapter(verify_standard, sign_standard, parse_standard, MEGABYTE),
    "mastodon": Adapter(verify_mastodon, sign_mastodon, parse_mastodon, 2 * MEGABYTE),
    "discourse": Adapter(verify_discourse, sign_discourse, parse_discourse, 8 * MEGABYTE),
}
