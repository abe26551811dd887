"""Lists the calls that act back at each platform in one literal table."""

from __future__ import annotations

from assent.platforms.callback_calls import CALLBACK_ACTS
from assent.platforms.calls import ActingAdapter
from assent.platforms.discourse_calls import DISCOURSE_ACTS
from assent.platforms.mastodon_calls import MASTODON_ACTS

# By the adapter of a source. `policy.acts` says which acts each of them has.
ACTING: dict[str, ActingAdapter] = {
    "standard": CALLBACK_ACTS,
    "mastodon": MASTODON_ACTS,
    "discourse": DISCOURSE_ACTS,
}
