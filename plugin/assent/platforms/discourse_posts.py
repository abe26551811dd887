"""Reads posts of a Discourse, as steps without I/O, and names the uploads that its key opens. Read from its source.

`/posts.json` lists the public posts that our account may see, fifty a page, the newest first; `before` is an id. It
knows no edits: an edited post stays where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from assent.platforms.calls import ActCredentials, ActUnclear, ReadingSteps, get_call

# Below the forum's address: they ask for the key, and answer with a redirect to wherever the file lies.
KEYED_PATHS = ("/secure-uploads/", "/secure-media-uploads/", "/uploads/short-url/")


def read_latest_posts(before: int | None) -> ReadingSteps[Sequence[Mapping[str, Any]]]:
    """Reads a page of posts, the newest or those with ids below `before`. Raises ActUnclear."""
    reply = yield get_call("/posts.json" + (f"?before={before}" if before else ""))
    posts = reply.value.get("latest_posts") if isinstance(reply.value, Mapping) else None
    if not isinstance(posts, list) or not all(isinstance(post, Mapping) and _is_id(post.get("id")) for post in posts):
        raise ActUnclear("the answer is no list of posts")
    return posts


def read_first_post(topic: str) -> ReadingSteps[tuple[Mapping[str, Any], str] | None]:
    """Reads a topic's first post and the topic's archetype; None where it is gone, or not for our account's eyes."""
    reply = yield get_call(f"/t/{quote(topic, safe='')}.json", 403, 404, 410)
    if reply.status != 200:
        return None
    if not isinstance(reply.value, Mapping) or str(reply.value.get("id")) != topic:
        raise ActUnclear("the answer is another topic, or none")
    stream = reply.value.get("post_stream")
    posts = stream.get("posts") if isinstance(stream, Mapping) else None
    if not isinstance(posts, list) or not posts or not isinstance(posts[0], Mapping):
        raise ActUnclear("the answer is a topic without posts")
    return posts[0], str(reply.value.get("archetype"))


def key_headers(credentials: ActCredentials) -> Mapping[str, str]:
    """Returns the headers that carry the API key to a file."""
    return {"api-key": credentials.token, "api-username": credentials.user}


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**62
