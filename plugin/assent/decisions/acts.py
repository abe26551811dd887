"""Stores what a decision wants done at the platform itself, in the decision's own transaction.

An act at a post or account is one row, whatever many media items' decisions want it: it stands as long as one of them
does. What has changed is looked at by a worker (`outbox.actions`), which does or undoes it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from assent.core.values import Action, Analysis, MediaItem, Quarantined, Unprocessable
from assent.db.pool import Conn, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.keys.keystore import TenantKeys
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.policy.acts import ACTS, stands

_Q = named_queries("actions")


# What media items of a platform's adapter are called: the post's id, or the account's, stands between the slashes.
_POSTS = {"mastodon": "status", "discourse": "post"}
_ACCOUNTS = {"mastodon": "account", "discourse": "user"}


@dataclass(frozen=True, slots=True)
class PostRef:
    """The post that a media item belongs to, and its author's account, by the platform's own ids.

    `id` is None where there is no post: an avatar, a chat message.
    """

    id: str | None
    account: str | None


@dataclass(frozen=True, slots=True)
class ActRequest:
    """An act with its target, as it is sealed: the platform's post, the media item, and the rule with its reason."""

    act: str
    media: str
    rule: str
    words: str
    post: PostRef | None


def post_of(platform: str, media_id: str, author: str | None) -> PostRef | None:
    """Returns the post of a media item of that platform; None where the platform names its posts nowhere."""
    kind, _, rest = media_id.partition("/")
    number = rest.partition("/")[0]
    if platform not in _POSTS or not number:
        return None
    if kind == _ACCOUNTS[platform]:
        return PostRef(None, number)
    return PostRef(number if kind == _POSTS[platform] else None, author)


def intend_acts(
    conn: Conn,
    keys: TenantKeys,
    item: MediaItem,
    author: str | None,
    outcome: Analysis | Quarantined | Unprocessable,
    revision: int,
) -> None:
    """Notes what a new decision wants done at the platform, and that it wants nothing else any more.

    The platform of the source says which acts there are. Images that came by the API have no platform. What could not
    be looked at changes nothing: a platform that hid a picture may serve it to nobody.
    """
    if not isinstance(outcome, Analysis):
        return
    row = fetch_one(conn, _Q["read_platform_of_source"], tenant=keys.tenant, source=item.source)
    platform = row["adapter"] if row else ""
    verdict = outcome.verdict
    post = post_of(platform, item.id, author)
    requests = [
        ActRequest(act.act, item.id, act.rule, act.words, post)
        for act in verdict.acts
        if stands(act.act, verdict.action, platform)
    ]
    ids = [_intend(conn, keys, item, request, revision) for request in requests]
    dropped = fetch(conn, _Q["drop_causes_but"], **item.key(keys.tenant), ids=ids)
    _wake(conn, keys, [row["action_id"] for row in dropped])


def follow_acts(conn: Conn, keys: TenantKeys, item: MediaItem, action: Action, hold: timedelta) -> None:
    """Lets acts stand or fall with the action that a moderator decided on, or restored, once the hold is over."""
    row = fetch_one(conn, _Q["read_platform_of_source"], tenant=keys.tenant, source=item.source)
    turned = []
    for cause in fetch(conn, _Q["list_causes_of_media"], **item.key(keys.tenant)) if row else ():
        values = {"id": cause["action_id"], "wanted": bool(row and stands(cause["act"], action, row["adapter"]))}
        if execute(conn, _Q["turn_cause"], **item.key(keys.tenant), **values, hold=hold):
            turned.append(cause["action_id"])
    _wake(conn, keys, turned, hold)


def release_acts(conn: Conn, keys: TenantKeys, item: MediaItem) -> None:
    """Notes that nothing is wanted any more of a media item that the platform deleted."""
    dropped = fetch(conn, _Q["delete_causes"], **item.key(keys.tenant))
    _wake(conn, keys, [row["action_id"] for row in dropped])


def is_own_deletion(conn: Conn, keys: TenantKeys, item: MediaItem) -> bool:
    """Tells whether the platform says no more than that an act of ours deleted the post.

    The decision has to stay then: it is what a moderator can reverse.
    """
    (row,) = fetch(conn, _Q["is_deleted_by_us"], **item.key(keys.tenant))
    return bool(row["ours"])


def open_act_request(keys: TenantKeys, action_id: UUID, sealed: bytes) -> ActRequest:
    """Opens the request of an action. Raises SealBroken where its row was altered."""
    values: dict[str, Any] = json.loads(
        unseal_for_tenant(keys, "event", sealed, keys.tenant, "act", "request", str(action_id))
    )
    post = PostRef(**values.pop("post")) if values["post"] else values.pop("post")
    return ActRequest(**values, post=post)


def _intend(conn: Conn, keys: TenantKeys, item: MediaItem, request: ActRequest, revision: int) -> UUID:
    """Stores an act unless it is intended or done already, and notes that this decision wants it; returns its id."""
    action_id = uuid4()
    sealed = seal_for_tenant(
        keys, "event", json.dumps(asdict(request)).encode(), keys.tenant, "act", "request", str(action_id)
    )
    key = {"tenant": keys.tenant, "source": item.source, "act": request.act, "mac": _target_mac(keys, item, request)}
    if not execute(conn, _Q["insert_action_once"], **key, id=action_id, request=sealed):
        existing = fetch_one(conn, _Q["lock_action_of_target"], **key)
        if existing is None:  # undone between the two statements
            return _intend(conn, keys, item, request, revision)
        action_id = existing["id"]
        execute(conn, _Q["intend_again"], tenant=keys.tenant, id=action_id)
        if existing["state"] == "undoing":
            _wake(conn, keys, [action_id])
    execute(conn, _Q["want_action"], **item.key(keys.tenant), id=action_id, revision=revision)
    return action_id


def _wake(conn: Conn, keys: TenantKeys, ids: Iterable[UUID], hold: timedelta = timedelta()) -> None:
    if ids := sorted(ids):
        execute(conn, _Q["wake_actions"], tenant=keys.tenant, ids=ids, hold=hold)


def _target_mac(keys: TenantKeys, item: MediaItem, request: ActRequest) -> bytes:
    """Names the post or account that an act meets, so that several images of one post ask for it once."""
    post = request.post
    on_account = any(name == request.act and act.on_account for name, act in ACTS.items())
    target = f"media\x00{item.id}"
    if post is not None:
        target = f"post\x00{post.id}" if post.id and not on_account else f"account\x00{post.account}"
    message = f"act\x00{item.source}\x00{target}".encode()
    return hmac.digest(keys.pseudonym_key, message, hashlib.sha256)
