"""Acts at Discourse: flag, hide, delete, and their undo. Read from the newest stored source.

An account may flag a post once. Deciding about a flag in the review queue decides about everybody's flags of that post,
so ours is taken back there only while nobody else flagged it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from assent.platforms.calls import (
    ActCredentials,
    ActDone,
    ActImpossible,
    ActingAdapter,
    ActSteps,
    ActTarget,
    ActUnclear,
    ApiCall,
    ApiReply,
    FindSteps,
    form_call,
    get_call,
    post_id,
)

INAPPROPRIATE, NOTIFY_MODERATORS = "4", "7"  # the latter carries a message
_FLAGS = frozenset({3, 4, 7, 8, 10})
# What takes a flag back: a hidden post offers the first, another one the second.
_DISAGREE = ("disagree_and_restore", "disagree")


def _headers(credentials: ActCredentials, _call: ApiCall) -> Mapping[str, str]:
    return {"api-key": credentials.token, "api-username": credentials.user, "accept": "application/json"}


def _do(target: ActTarget) -> ActSteps:
    post = post_id(target)
    now = yield _read(post)
    if now.status == 404:
        raise ActImpossible("the post is gone")
    if done := _stands(target, now.value):
        return ActDone(f"post {post} was {done} already", {"ours": False})
    if target.act == "delete":
        yield _remove(target, now.value)
        return ActDone(f"post {post} deleted", {"ours": True})
    fields = [("id", post), ("flag_topic", "false")]
    if target.act == "hide":
        fields += [("post_action_type_id", INAPPROPRIATE), ("queue_for_review", "true")]
    else:
        message = target.words or f"The rule {target.rule} holds."
        fields += [("post_action_type_id", NOTIFY_MODERATORS), ("message", message)]
    reply = yield form_call("POST", "/post_actions.json", fields, 403)
    if reply.status == 403:  # flagged meanwhile by this account, or not allowed to
        raise ActImpossible("this account may not flag the post, or has flagged it before")
    if reply.field("id") != post:
        raise ActUnclear("the answer is another post")
    return ActDone(f"post {post} {'hidden and queued' if target.act == 'hide' else 'flagged'}", {"ours": True})


def _find(target: ActTarget) -> FindSteps:
    post = post_id(target)
    now = yield _read(post)
    if now.status == 404:
        raise ActImpossible("the post is gone")
    done = _stands(target, now.value)
    return ActDone(f"post {post} is {done}", {"ours": True}) if done else None


def _undo(target: ActTarget) -> ActSteps:
    post = post_id(target)
    if not target.handle.get("ours", True):
        return ActDone(f"post {post} was so before; it stays so")
    now = yield _read(post)
    if now.status == 404:
        return ActDone(f"post {post} is gone")
    if target.act == "delete":
        if not now.value.get("deleted_at"):
            return ActDone(f"post {post} is not deleted")
        topic, first = _topic(now.value)
        yield form_call("PUT", f"/t/{_id(topic)}/recover" if first else f"/posts/{_id(post)}/recover", ())
        return ActDone(f"post {post} restored")
    return (yield from _take_flag_back(target, now.value))


def _take_flag_back(target: ActTarget, post: Mapping[str, Any]) -> ActSteps:
    name, (topic, _) = post_id(target), _topic(post)
    queue = yield get_call(f"/review.json?type=ReviewableFlaggedPost&status=pending&topic_id={quote(topic)}")
    flagged = next((one for one in _rows(queue, "reviewables") if str(one.get("post_id")) == name), None)
    hidden = bool(post.get("hidden"))
    scores = flagged.get("reviewable_score_ids") if flagged else None
    if flagged is not None and _flagged_by_us(post) and isinstance(scores, list) and len(scores) == 1:
        action = _offered(queue, flagged)
        path = f"/review/{flagged['id']}/perform/{action}.json?version={flagged.get('version', 0)}"
        yield form_call("PUT", path, ())
        return ActDone(f"the flag of post {name} taken back{' and the post shown again' if hidden else ''}")
    if target.act == "hide":
        if not hidden:
            return ActDone(f"post {name} is not hidden")
        yield form_call("PUT", f"/posts/{_id(name)}/unhide", ())
        return ActDone(f"post {name} shown again")
    if flagged is None:
        raise ActImpossible("a moderator there has decided about the flag")
    raise ActImpossible("others flagged the post too, and their flags would fall with ours")


def _read(post: str) -> ApiCall:
    return get_call(f"/posts/{_id(post)}.json", 404)


def _stands(target: ActTarget, post: Any) -> str:
    """Returns how the act stands at the post, in a word; an empty text where it does not."""
    if not isinstance(post, Mapping) or "id" not in post:
        raise ActUnclear("the answer is no post")
    if post.get("deleted_at"):
        return "deleted"
    if target.act == "delete":
        return ""
    if target.act == "hide" and post.get("hidden"):
        return "hidden"
    return "flagged by this account" if target.act == "report" and _flagged_by_us(post) else ""


def _flagged_by_us(post: Mapping[str, Any]) -> bool:
    return any(one.get("acted") and one.get("id") in _FLAGS for one in post.get("actions_summary") or ())


def _remove(target: ActTarget, post: Mapping[str, Any]) -> ApiCall:
    topic, first = _topic(post)
    path = f"/t/{_id(topic)}.json" if first else f"/posts/{_id(post_id(target))}.json"
    return ApiCall("DELETE", path)


def _topic(post: Mapping[str, Any]) -> tuple[str, bool]:
    if not post.get("topic_id"):
        raise ActUnclear("the answer names no topic")
    return str(post["topic_id"]), post.get("post_number") == 1


def _rows(reply: ApiReply, name: str) -> list[Mapping[str, Any]]:
    rows = reply.value.get(name) if isinstance(reply.value, Mapping) else None
    if not isinstance(rows, list):
        raise ActUnclear(f"the answer has no {name}")
    return rows


def _offered(queue: ApiReply, flagged: Mapping[str, Any]) -> str:
    """Returns the action that takes flags back, as this queue offers it now."""
    offered = list(_actions(queue, flagged))
    for wanted in _DISAGREE:
        for action in offered:
            if action.rpartition("-")[2] == wanted:
                return action
    raise ActImpossible("the queue offers nothing that takes the flag back")


def _actions(queue: ApiReply, flagged: Mapping[str, Any]) -> Iterator[str]:
    bundles = {str(one.get("id")): one for one in _rows(queue, "bundled_actions")}
    names = {str(one.get("id")): str(one.get("server_action") or one.get("id")) for one in _rows(queue, "actions")}
    for bundle in flagged.get("bundled_action_ids") or ():
        for action in bundles.get(str(bundle), {}).get("action_ids") or ():
            yield names.get(str(action), "")


def _id(text: str) -> str:
    return quote(text, safe="")


DISCOURSE_ACTS = ActingAdapter(_headers, _do, _find, _undo)
