"""Acts at Mastodon: reports, trends, and accounts where a policy names them. Read from the source of 4.7 alpha.

No API hides or deletes one post of somebody else. Every report is a new one, so each carries our id in its comment, by
which it is found again. Acting on an account closes all its open reports, gives it a strike and mails its owner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from assent.core.clock import parse_rfc3339
from assent.platforms.calls import (
    ActCredentials,
    ActDone,
    ActImpossible,
    ActingAdapter,
    ActSteps,
    ActTarget,
    ActUnclear,
    ApiCall,
    FindSteps,
    account_id,
    form_call,
    get_call,
    post_id,
)

MAX_COMMENT = 1000  # characters of a report's comment
# Act → the action's type, the field of the admin's account that tells whether it stands, the path of its undo.
_ACCOUNT = {
    "account-sensitive": ("sensitive", "sensitized", "unsensitive"),
    "account-silence": ("silence", "silenced", "unsilence"),
    "account-suspend": ("suspend", "suspended", "unsuspend"),
}
_PAGE, _PAGES = 100, 20  # reports of one account that are looked through
_EARLIER = timedelta(hours=1)  # by which the platform's clock may lag


def _headers(credentials: ActCredentials, _call: ApiCall) -> Mapping[str, str]:
    return {"authorization": f"Bearer {credentials.token}"}


def _do(target: ActTarget) -> ActSteps:
    if target.act == "report":
        return (yield from _report(target))
    if target.act == "reject-trend":
        return (yield from _trend(target, "reject"))
    return (yield from _act_on_account(target))


def _find(target: ActTarget) -> FindSteps:
    if target.act == "report":
        return (yield from _find_report(target))
    if target.act in _ACCOUNT:
        account, (_, state, _) = account_id(target), _ACCOUNT[target.act]
        reply = yield get_call(f"/api/v1/admin/accounts/{_id(account)}")
        return ActDone(f"account {account} is {state}", {"ours": True}) if _is(reply.value, state) else None
    return None  # rejecting twice is rejecting once


def _undo(target: ActTarget) -> ActSteps:
    if target.act == "report":
        report = str(target.handle.get("report", ""))
        if not report:
            raise ActImpossible("the report's id is not known")
        reply = yield form_call("POST", f"/api/v1/admin/reports/{_id(report)}/resolve", (), 404)
        return ActDone(f"report {report} {'is gone' if reply.status == 404 else 'resolved'}")
    if target.act == "reject-trend":
        return (yield from _trend(target, "approve"))
    account, (_, state, path) = account_id(target), _ACCOUNT[target.act]
    if not target.handle.get("ours", True):
        return ActDone(f"account {account} was {state} before; it stays so")
    now = yield get_call(f"/api/v1/admin/accounts/{_id(account)}", 404)
    if now.status == 404 or not _is(now.value, state):
        return ActDone(f"account {account} is not {state}")
    yield form_call("POST", f"/api/v1/admin/accounts/{_id(account)}/{path}", ())
    return ActDone(f"account {account} is no longer {state}")


def _report(target: ActTarget) -> ActSteps:
    """Reports the post; where our account may not see it, which answers 404 for the whole report, its author."""
    account, post = account_id(target), target.post
    fields = [("account_id", account), ("comment", _comment(target)), ("category", "other"), ("forward", "false")]
    if post and post.id:
        reply = yield form_call("POST", "/api/v1/reports", [*fields, ("status_ids[]", post.id)], 404)
        if reply.status != 404:
            report = reply.field("id")
            return ActDone(f"report {report} opened on post {post.id}", {"report": report})
    reply = yield form_call("POST", "/api/v1/reports", fields, 404)
    if reply.status == 404:
        raise ActImpossible("the account is gone")
    report = reply.field("id")
    return ActDone(f"report {report} opened on account {account}", {"report": report})


def _find_report(target: ActTarget) -> FindSteps:
    """Looks for our id in the comments of the account's reports since the act was intended, the newest first.

    Open ones and resolved ones are listed apart. Raises ActUnclear beyond _PAGES of either.
    """
    account = account_id(target)
    for query in ({}, {"resolved": "true"}):
        fields = {"target_account_id": account, "limit": str(_PAGE), **query}
        for _ in range(_PAGES):
            reply = yield get_call(f"/api/v1/admin/reports?{urlencode(fields)}")
            page = _list(reply.value)
            for report in page:
                if _mark(target) in str(report.get("comment", "")):
                    done = f"report {report['id']} stands on account {account}"
                    return ActDone(done, {"report": str(report["id"])})
            if len(page) < _PAGE or parse_rfc3339(str(page[-1].get("created_at"))) < target.at - _EARLIER:
                break
            fields["max_id"] = str(page[-1]["id"])
        else:
            raise ActUnclear(f"account {account} has too many reports to look through")
    return None


def _trend(target: ActTarget, verb: str) -> ActSteps:
    post = post_id(target)
    reply = yield form_call("POST", f"/api/v1/admin/trends/statuses/{_id(post)}/{verb}", (), 404)
    if reply.status == 404:
        if verb == "approve":
            return ActDone(f"post {post} is gone")
        raise ActImpossible("the post is gone")
    return ActDone(f"post {post} {'kept out of' if verb == 'reject' else 'admitted to'} trends")


def _act_on_account(target: ActTarget) -> ActSteps:
    account, (kind, state, _) = account_id(target), _ACCOUNT[target.act]
    now = yield get_call(f"/api/v1/admin/accounts/{_id(account)}", 404)
    if now.status == 404:
        raise ActImpossible("the account is gone")
    if _is(now.value, state):
        return ActDone(f"account {account} was {state} already", {"ours": False})
    yield form_call("POST", f"/api/v1/admin/accounts/{_id(account)}/action", [("type", kind), ("text", target.words)])
    return ActDone(f"account {account} is {state}; its open reports are closed", {"ours": True})


def _comment(target: ActTarget) -> str:
    """Returns the comment: reason, link, and our id at the end, whatever has to be cut."""
    end = f"\n{_mark(target)}"
    link = f"\n{target.site}/statuses/{target.post.id}" if target.post and target.post.id else ""
    text = (target.words or f"The rule {target.rule} holds.") + link
    return text[: MAX_COMMENT - len(end)] + end


def _mark(target: ActTarget) -> str:
    return f"[assent {target.mark}]"


def _is(account: object, state: str) -> bool:
    if not isinstance(account, Mapping) or not isinstance(account.get(state), bool):
        raise ActUnclear(f"the answer does not tell whether the account is {state}")
    return bool(account[state])


def _list(value: object) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, Mapping) and "id" in one for one in value):
        raise ActUnclear("the answer is no list of reports")
    return value


def _id(text: str) -> str:
    return quote(text, safe="")


MASTODON_ACTS = ActingAdapter(_headers, _do, _find, _undo)
