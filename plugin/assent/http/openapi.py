"""Completes FastAPI's OpenAPI document.

Adds the bodies that routes read by themselves, and removes answers that are never sent.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from assent.http.problems import ProblemDocument, header_parameters, schema_ref
from assent.http.routes.intake import ImageRequest
from assent.http.routes.review import CorrectionRequest, ReviewRequest
from assent.http.routes.rights import LinkRequest
from assent.http.routes.subjects import ConnectionsRequest, ConsentRequest
from assent.http.webhooks import SIGNED, WEBHOOKS, Webhook
from assent.platforms.event import EventModel
from assent.platforms.standard_webhooks import SIGNED_HEADERS

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


class Documented(FastAPI):
    """A FastAPI application whose document lists every status that a route may answer."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = complete_document(super().openapi())
        return self.openapi_schema


def complete_document(document: dict[str, Any]) -> dict[str, Any]:
    """Adds the models above and the webhooks; removes FastAPI's own 422, since what does not fit is a 400 here."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= message_schemas() | model_schemas("validation", *_MODELS)
    document["webhooks"] = {name: {"post": _webhook(name, webhook)} for name, webhook in WEBHOOKS.items()}
    for path in document["paths"].values():
        for operation in path.values():
            refusal = operation["responses"].get("422")
            if refusal and "HTTPValidationError" in str(refusal):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document


class SentSchema(GenerateJsonSchema):
    """Requires each part of what is sent, whether it has a default or not, but those that are left out of the JSON."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "serialization":
            return "serialization_exclude_if" not in field
        return super().field_is_required(field, total)


def model_schemas(mode: Literal["validation", "serialization"], *kinds: type) -> dict[str, Any]:
    """Returns the JSON Schemas of models, and of all that they hold, by name; references are those of OpenAPI."""
    adapters = [(kind.__name__, mode, TypeAdapter[Any](kind)) for kind in kinds]
    template = "#/components/schemas/{model}"
    _, ours = TypeAdapter.json_schemas(adapters, ref_template=template, schema_generator=SentSchema)
    schemas: dict[str, Any] = ours["$defs"]
    return schemas


def message_schemas() -> dict[str, Any]:
    """Returns the JSON Schemas of what is sent."""
    return model_schemas("serialization", *(webhook.message for webhook in WEBHOOKS.values()))


def _webhook(name: str, webhook: Webhook) -> dict[str, Any]:
    """Describes one outgoing webhook: the body with its `type`, the headers, and what its receiver may answer."""
    body = {"allOf": [schema_ref(webhook.message), {"properties": {"type": {"const": name}}}]}
    return {
        "tags": ["webhooks"],
        "operationId": f"send_{name.replace('.', '_')}",
        "summary": webhook.summary,
        "description": SIGNED,
        "parameters": header_parameters(SIGNED_HEADERS),
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {status: {"description": meaning} for status, meaning in webhook.answers.items()},
    }
