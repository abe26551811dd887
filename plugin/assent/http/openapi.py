"""Completes FastAPI's OpenAPI document.

Adds the bodies that routes read by themselves, and removes answers that are never sent.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI
from pydantic.json_schema import models_json_schema

from assent.decisions.document import DecisionMessage
from assent.http.problems import ProblemDocument
from assent.http.routes.intake import ImageRequest
from assent.http.routes.review import CorrectionRequest, ReviewRequest
from assent.http.routes.rights import LinkRequest
from assent.http.routes.subjects import ConnectionsRequest, ConsentRequest
from assent.platforms.event import EventModel

_MODELS = (
    ProblemDocument,
    EventModel,
    ImageRequest,
    ConsentRequest,
    ConnectionsRequest,
    LinkRequest,
    ReviewRequest,
    CorrectionRequest,
)


webhooks = APIRouter()


@webhooks.post("decision", tags=["webhooks"])
def deliver_decision(message: DecisionMessage) -> None:
    """Signed as Standard Webhooks with the endpoint's secret. Answer with a 2xx; anything else is sent again."""


class Documented(FastAPI):
    """A FastAPI application whose document lists every status that a route may answer."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = complete_document(super().openapi())
        return self.openapi_schema


def complete_document(document: dict[str, Any]) -> dict[str, Any]:
    """Adds the models above; removes FastAPI's own 422, since a request that does not fit is a 400 here."""
    _, ours = models_json_schema(
        [(kind, "validation") for kind in _MODELS], ref_template="#/components/schemas/{model}"
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= ours["$defs"]
    operations = {**document["paths"], **document.get("webhooks", {})}
    for path in operations.values():
        for operation in path.values():
            refusal = operation["responses"].get("422")
            if refusal and "HTTPValidationError" in str(refusal):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document
