"""Lists the adapters for all supported senders in one literal table.

An adapter verifies the raw body with the source's live secrets and turns it into an `Event`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from assent.core.values import Event
from assent.platforms import event
from assent.platforms import standard_webhooks as signature


class Adapter(NamedTuple):
    verify: Callable[[Mapping[str, str], bytes, Sequence[str]], str]  # → the delivery's id
    parse: Callable[[bytes], Event]


ADAPTERS: dict[str, Adapter] = {
    # Standard Webhooks carrying assent.event/1
    "standard": Adapter(verify=signature.verify_webhook, parse=event.parse_event),
}
