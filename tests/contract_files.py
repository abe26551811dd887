"""Holds what tests receive or read to the files of `docs/contracts`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

FOLDER = Path(__file__).parents[1] / "docs" / "contracts"
Json = dict[str, Any]


@cache
def committed(name: str) -> Json:
    document: Json = json.loads((FOLDER / name).read_text())
    return document


@cache
def _webhook_validator(name: str) -> Draft202012Validator:
    document = committed("openapi.json")
    body = document["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator({**body, "components": _closed(document["components"])})


@cache
def _decision_validator() -> Draft202012Validator:
    return Draft202012Validator(_closed(committed("decision.schema.json")))


def _closed(schema: Any) -> Any:
    """The schema where no object may have a field that it does not name."""
    if isinstance(schema, dict):
        closed = {name: _closed(part) for name, part in schema.items()}
        return {"additionalProperties": False, **closed} if isinstance(schema.get("properties"), dict) else closed
    return [_closed(part) for part in schema] if isinstance(schema, list) else schema


def hold_to_contract(body: Json) -> Json:
    """Returns the body of a webhook that was received, once it is what the OpenAPI document says of its type."""
    _webhook_validator(body["type"]).validate(body)
    return body


def hold_decision_to_contract(document: Json) -> Json:
    """Returns a decision that was read, once it is what its schema says."""
    _decision_validator().validate(document)
    return document
