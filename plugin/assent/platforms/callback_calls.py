"""Acts at any platform that receives signed callbacks: it is told what to do, and does it itself.

The callback is signed as outgoing webhooks are (Standard Webhooks 1.0.0). Its id stays through all attempts, so a
platform that keeps ids does nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

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
from assent.policy.acts import ACTS


@dataclass(frozen=True, slots=True)
class CallbackAct:
    """An act that the platform is asked to do or to undo, the rule that asks for it, and the rule's reason in words."""

    id: UUID
    act: Annotated[
        str, Field(json_schema_extra={"enum": [n for n, act in ACTS.items() if "standard" in act.platforms]})
    ]
    source: str
    media: str
    rule: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class CallbackMessage:
    """The body of a callback; `timestamp` (RFC 3339) is when the act was intended, and `data.id` stays for its undo."""

    type: Literal["action.requested", "action.withdrawn"]
    timestamp: str
    data: CallbackAct


_JSON = TypeAdapter(CallbackMessage)


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
    request = CallbackAct(target.id, target.act, target.source, target.media, target.rule, target.words or None)
    call = json_call("", _JSON.dump_python(CallbackMessage(kind, rfc3339(target.at), request), mode="json"))
    verb = "do" if kind == "action.requested" else "undo"
    return ApiCall("POST", "", call.body, {**call.headers, "webhook-id": f"{verb}_{target.mark}"})


CALLBACK_ACTS = ActingAdapter(_headers, _do, _find, _undo)
