"""Asks Mastodon whether posts still exist, as steps without I/O. Read from the source of 4.7 alpha.

A post that our account may not see is missing like one that was deleted, and so is every post of a suspended account,
which comes back with it. So what is missing in a list counts as gone only once its own address answers 404 and its
author's account tells of no other reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from assent.platforms.calls import ActUnclear, ApiReply, ReadingSteps, get_call

MOST_STATUSES = 20  # of one list; more is answered 422


def list_missing_statuses(statuses: Sequence[str]) -> ReadingSteps[frozenset[str]]:
    """Asks for at most MOST_STATUSES statuses by id; returns those that are not shown. Raises ActUnclear."""
    reply = yield get_call("/api/v1/statuses?" + urlencode([("id[]", status) for status in statuses]))
    shown = {str(row.get("id")) for row in _objects(reply.value)}
    if not shown <= set(statuses):
        raise ActUnclear("the answer has statuses that were not asked for")
    return frozenset(statuses) - shown


def confirm_token() -> ReadingSteps[str]:
    """Asks whose the token is; returns the account's id. Raises ActUnclear where the answer is no account."""
    reply = yield get_call("/api/v1/accounts/verify_credentials")
    return reply.field("id")


def is_status_gone(status: str, account: str) -> ReadingSteps[bool]:
    """Tells whether a status that everybody might see was deleted, by itself or with its author's account.

    Raises ActUnclear where an answer is none of Mastodon's.
    """
    reply = yield get_call(f"/api/v1/statuses/{quote(status, safe='')}", 404)
    if reply.status != 404:
        return False
    _is_error(reply)
    author = yield get_call(f"/api/v1/accounts/{quote(account, safe='')}", 404)
    if author.status == 404:
        return _is_error(author)
    if author.field("id") != account:
        raise ActUnclear("the answer is another account")
    if author.value.get("suspended"):
        return False
    related = yield get_call("/api/v1/accounts/relationships?" + urlencode([("id[]", account)]))
    for row in _objects(related.value):
        if str(row.get("id")) == account and isinstance(row.get("blocked_by"), bool):
            return not row["blocked_by"]
    raise ActUnclear("the answer does not tell whether the author blocks this account")


def _is_error(reply: ApiReply) -> bool:
    """Raises ActUnclear unless the reply is an error in Mastodon's own form: a proxy before it answers 404 too."""
    if not isinstance(reply.value, Mapping) or not isinstance(reply.value.get("error"), str):
        raise ActUnclear("the answer is no error of Mastodon's")
    return True


def _objects(value: object) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, Mapping) and "id" in row for row in value):
        raise ActUnclear("the answer is no list")
    return value
