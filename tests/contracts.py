"""What other systems may rely on, as files in `docs/contracts`, made from the code. `make contracts` writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from assent.app import create_app
from assent.core.settings import Settings
from assent.decisions.views import AudienceDocument
from assent.http.openapi import SentSchema, message_schemas, model_schemas
from assent.http.webhooks import SIGNED, WEBHOOKS
from assent.platforms.callback_calls import CallbackMessage
from assent.platforms.conformance import load_samples
from assent.platforms.delivery import HEX_HMAC
from assent.platforms.event import EventModel
from assent.platforms.registry import ADAPTERS, Adapter
from assent.platforms.standard_webhooks import SIGNED_HEADERS, new_secret
from tests.contract_files import FOLDER, Json

DRAFT = "https://json-schema.org/draft/2020-12/schema"
MOST_SHOWN = 10  # media items of a sample that stands as an example


def documents() -> dict[str, Json]:
    """Every file of the folder and what is to stand in it."""
    openapi = create_app(Settings(), "").openapi()
    return {
        "openapi.json": openapi,
        "asyncapi.json": asyncapi(openapi["info"]),
        "event.schema.json": {"$schema": DRAFT} | EventModel.model_json_schema() | {"title": "assent.event/1"},
        "decision.schema.json": _sent_schema("assent.decision/1", AudienceDocument),
        "callback.schema.json": _sent_schema("callback", CallbackMessage),
    }


def written(document: Json) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _sent_schema(title: str, kind: Any) -> Json:
    schema = TypeAdapter[Any](kind).json_schema(mode="serialization", schema_generator=SentSchema)
    return {"$schema": DRAFT, **schema, "title": title}


def asyncapi(info: Json) -> Json:
    """The AsyncAPI 3 document: what each adapter takes, what endpoints and callbacks get."""
    incoming = {name: _incoming(name, adapter) for name, adapter in ADAPTERS.items()}
    outgoing = {name: _outgoing(name) for name in WEBHOOKS}
    callbacks = [name for name, webhook in WEBHOOKS.items() if webhook.message is CallbackMessage]
    endpoints = [name for name in WEBHOOKS if name not in callbacks]
    return {
        "asyncapi": "3.0.0",
        "info": {
            **{name: info[name] for name in ("title", "version")},
            "description": "Events that sources send, decisions that endpoints get, acts that platforms are asked for.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "source": {
                "address": "/v1/webhooks/{source}",
                "parameters": {"source": {"description": "The source's name; its adapter says what it sends."}},
                **_carries(incoming),
            },
            "endpoint": {"address": None, "title": "The address of an endpoint", **_carries(endpoints)},
            "callback": {
                "address": None,
                "title": "The address that a source is connected with",
                **_carries(callbacks),
            },
        },
        "operations": {
            **{f"take_{name}": _operation("receive", "source", name) for name in incoming},
            **{f"send_{name}": _operation("send", "endpoint", name) for name in endpoints},
            **{f"send_{name}": _operation("send", "callback", name) for name in callbacks},
        },
        "components": {
            "messages": incoming | outgoing,
            "schemas": draft_07(model_schemas("validation", EventModel) | message_schemas()),
        },
    }


def _carries(names: Any) -> Json:
    return {"messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names}}


def _operation(action: str, channel: str, message: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
        "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
    }


def _incoming(name: str, adapter: Adapter) -> Json:
    """A delivery of that adapter. Of a platform's own form no field is required: what is not there is not looked at."""
    signature = {header: SIGNED_HEADERS.get(header, HEX_HMAC) for header in adapter.sign(b"", new_secret(), "id")}
    ours = name == "standard"
    payload = {"$ref": "#/components/schemas/EventModel"} if ours else {"type": "object"}
    said = "`assent.event/1`" if ours else "The platform's own webhook, as docs/platforms tells"
    shown = [s for s in load_samples(name) if s.answer == "event" and not s.same_as and len(s.media) <= MOST_SHOWN]
    return {
        "name": name,
        "summary": f"{said}; at most {adapter.max_body} bytes.",
        "headers": _headers(signature),
        "payload": payload,
        "examples": [
            {"name": sample.name, "summary": sample.explanation, "payload": json.loads(sample.raw)} for sample in shown
        ],
    }


def _outgoing(name: str) -> Json:
    webhook = WEBHOOKS[name]
    body = {"$ref": f"#/components/schemas/{webhook.message.__name__}"}
    return {
        "name": name,
        "summary": webhook.summary,
        "description": SIGNED,
        "headers": _headers(SIGNED_HEADERS),
        "payload": {"allOf": [body, {"properties": {"type": {"const": name}}}]},
    }


def _headers(signature: Mapping[str, str]) -> Json:
    properties = {name: {"type": "string", "description": meaning} for name, meaning in signature.items()}
    return {"type": "object", "required": sorted(properties), "properties": properties}


def draft_07(schema: Any) -> Any:
    """The schema in draft 7, which AsyncAPI speaks: without OpenAPI's discriminator, and with `items` for tuples."""
    if isinstance(schema, dict):
        named = {"items" if name == "prefixItems" else name: draft_07(part) for name, part in schema.items()}
        return {name: part for name, part in named.items() if name != "discriminator"}
    return [draft_07(part) for part in schema] if isinstance(schema, list) else schema


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, content in documents().items():
        (FOLDER / file).write_text(written(content))
