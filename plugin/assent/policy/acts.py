"""Lists what a policy may have done at a platform itself, act by act, in one literal table. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assent.core.values import Action

ActName = Literal["report", "reject-trend", "hide", "delete", "account-sensitive", "account-silence", "account-suspend"]


@dataclass(frozen=True, slots=True)
class Act:
    """An act: the weakest action under which it is done and stands, and the platforms that have a call for it.

    `on_account`: it meets the author with all their posts, not the one post. `outlives`: it stays done when the
    platform says that the post is gone, which may be the act's own effect.
    """

    least: Action
    platforms: tuple[str, ...]
    on_account: bool = False
    outlives: bool = False


ACTS: dict[ActName, Act] = {
    # Moderators of the platform see the post in their own queue.
    "report": Act(Action.label, ("mastodon", "discourse", "standard")),
    # The post stays where it is, and is kept out of trends.
    "reject-trend": Act(Action.limit, ("mastodon",)),
    # The post is hidden until a moderator of the platform looked.
    "hide": Act(Action.limit, ("discourse", "standard")),
    "delete": Act(Action.block, ("discourse", "standard"), outlives=True),
    "account-sensitive": Act(Action.limit, ("mastodon",), on_account=True, outlives=True),
    "account-silence": Act(Action.block, ("mastodon",), on_account=True, outlives=True),
    "account-suspend": Act(Action.block, ("mastodon",), on_account=True, outlives=True),
}


def stands(act: str, action: Action, platform: str) -> bool:
    """Tells whether an act is done, or stays done, at that platform under a decision with that action.

    An act that this version does not know stands nowhere.
    """
    known = {str(name): entry for name, entry in ACTS.items()}.get(act)
    return known is not None and action >= known.least and platform in known.platforms


def outlives_post(act: str) -> bool:
    """Tells whether an act stays done when its post is gone."""
    return any(name == act and entry.outlives for name, entry in ACTS.items())
