"""Acts at any platform that receives signed callbacks: it is told what to do, and does it itself.

The callback is signed as outgoing webhooks are (Standard Webhooks 1.0.0). Its id stays through all attempts, so a
platform that keeps ids does nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from assent.core.clock import rfc3339
from assent.platforms.calls import (
    ActCredentials,
    ActDone,
    ActingAdapter,
    ActSteps,
    ActTarget,
    ApiCall,
    FindSteps,
    json_call,
)
from assent.platforms.standard_webhooks import sign_webhook


def _headers(credentials: ActCredentials, call: ApiCall) -> Mapping[str, str]:
    return sign_webhook(call.headers["webhook-id"], datetime.now(UTC), call.body, [credentials.token])


def _do(target: ActTarget) -> ActSteps:
    yield _tell(target, "action.requested")
    return ActDone(f"{target.act} requested of {target.source}")


def _find(_target: ActTarget) -> FindSteps:
    yield from ()
    return None  # it is told again, under the same id


def _undo(target: ActTarget) -> ActSteps:
    yield _tell(target, "action.withdrawn")
    return ActDone(f"{target.act} withdrawn of {target.source}")


def _tell(target: ActTarget, kind: Literal["action.requested", "action.withdrawn"]) -> ApiCall:
    data = {
        "id": str(target.id),
        "act": target.act,
        "source": target.source,
        "media": target.media,
        "rule": target.rule,
        "reason": target.words or None,
    }
    call = json_call("", {"type": kind, "timestamp": rfc3339(target.at), "data": data})
    verb = "do" if kind == "action.requested" else "undo"
    return ApiCall("POST", "", call.body, {**call.headers, "webhook-id": f"{verb}_{target.mark}"})


CALLBACK_ACTS = ActingAdapter(_headers, _do, _find, _undo)
