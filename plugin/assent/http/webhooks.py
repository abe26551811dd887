"""Lists the webhooks that are sent, in one literal table, as the OpenAPI document tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from assent.decisions.messages import DecisionMessage, SuggestionMessage
from assent.outbox.schedule import DELIVERY_SCHEDULE
from assent.platforms.callback_calls import CallbackMessage

SIGNED = """Signed as Standard Webhooks, with the endpoint's secret or the one that a callback was connected with. A
repetition has the same `webhook-id`."""
_TIMES = f"{len(DELIVERY_SCHEDULE)} times in {sum(DELIVERY_SCHEDULE, timedelta()) // timedelta(hours=1)} hours"
_OF_ENDPOINTS = {
    "2XX": "Delivered.",
    "410": "The receiver wants no more: the endpoint is disabled.",
    "default": f"Sent again: {_TIMES}, then it is a dead letter. Redirects are not followed.",
}
_OF_CALLBACKS = {
    "2XX": "Stored; the body is empty or JSON.",
    "4XX": "400, 404, 410 and 422 refuse for good.",
    "default": f"Sent again: {_TIMES}. Redirects are not followed.",
}


class Webhook(NamedTuple):
    message: type  # of the body, whose `type` is the webhook's name
    summary: str
    answers: Mapping[str, str]  # by HTTP status


WEBHOOKS: dict[str, Webhook] = {
    "media.tagged": Webhook(DecisionMessage, "A media item was decided.", _OF_ENDPOINTS),
    "media.failed": Webhook(DecisionMessage, "A media item could not be analysed: it waits for review.", _OF_ENDPOINTS),
    "media.reviewed": Webhook(DecisionMessage, "A moderator decided, or took a decision back.", _OF_ENDPOINTS),
    "tag.suggested": Webhook(SuggestionMessage, "Subjects are to be asked about matches.", _OF_ENDPOINTS),
    "tag.published": Webhook(DecisionMessage, "A subject approved a match.", _OF_ENDPOINTS),
    "tag.retracted": Webhook(DecisionMessage, "Somebody may no longer be named.", _OF_ENDPOINTS),
    "action.requested": Webhook(CallbackMessage, "The platform is asked to act.", _OF_CALLBACKS),
    "action.withdrawn": Webhook(CallbackMessage, "The platform is asked to undo an act.", _OF_CALLBACKS),
}
