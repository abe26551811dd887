"""What the tests' platforms answer to those who only read: whether posts exist, whose a token is, what is new."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.platform_api import Api, Fields, Handler

MOST_LISTED = 20
NOT_FOUND = 404, {"error": "Record not found"}


def is_shown(api: Api, status: str) -> bool:
    author = api.statuses.get(status, "")
    hidden = status in api.gone | api.invisible or author in api.gone | api.blocked_by
    return bool(author) and not hidden and not api.accounts.get(author, {}).get("suspended")


def list_statuses(api: Api, _match: re.Match[str], query: Fields, _form: Fields) -> tuple[int, Any]:
    if len(query["id[]"]) > MOST_LISTED:
        return 422, {"error": "Validation failed"}
    return 200, [{"id": one} for one in query["id[]"] if is_shown(api, one)]


def read_status(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    return (200, {"id": match[1]}) if is_shown(api, match[1]) else NOT_FOUND


def whose_token(_api: Api, _match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    return 200, {"id": "1", "username": "assent"}


def list_relationships(api: Api, _match: re.Match[str], query: Fields, _form: Fields) -> tuple[int, Any]:
    return 200, [{"id": one, "blocked_by": one in api.blocked_by} for one in query["id[]"]]


def read_public_account(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    suspended = api.accounts.get(match[1], {}).get("suspended")
    shown = {"id": match[1], **({"suspended": True} if suspended else {})}
    return NOT_FOUND if match[1] in api.gone else (200, shown)


def latest_posts(api: Api, _match: re.Match[str], query: Fields, _form: Fields) -> tuple[int, Any]:
    before = int(query.get("before", ["999999"])[0])
    numbers = sorted((int(one) for one in api.posts if int(one) < before and one not in api.gone), reverse=True)
    return 200, {"latest_posts": [api.posts[str(number)] for number in numbers[: api.page]]}


def read_topic(api: Api, match: re.Match[str], _query: Fields, _form: Fields) -> tuple[int, Any]:
    posts = sorted((one for one in api.posts.values() if str(one["topic_id"]) == match[1]), key=lambda one: one["id"])
    if not posts or match[1] in api.gone:
        return NOT_FOUND
    return 200, {"id": int(match[1]), "archetype": "regular", "post_stream": {"posts": posts}}


READS: dict[str, Handler] = {
    r"GET /api/v1/statuses": list_statuses,
    r"GET /api/v1/statuses/(\w+)": read_status,
    r"GET /api/v1/accounts/verify_credentials": whose_token,
    r"GET /api/v1/accounts/relationships": list_relationships,
    r"GET /api/v1/accounts/(\w+)": read_public_account,
    r"GET /posts\.json": latest_posts,
    r"GET /t/(\d+)\.json": read_topic,
}
