"""The adapter that `docs/platforms/new.md` builds works as the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from assent.core.errors import SignatureInvalid
from assent.platforms.conformance import load_samples
from assent.platforms.delivery import Ignored, ParsedDelivery, SourceSettings
from assent.platforms.registry import MEGABYTE, Adapter

PAGE = (Path(__file__).parents[2] / "docs/platforms/new.md").read_text()
SECRET = "lichtbild-secret"


@pytest.fixture
def adapter() -> Adapter:
    """The page's adapter, entered into the table by the page's line."""
    table: dict[str, Adapter] = {}
    names: dict[str, Any] = {"ADAPTERS": table, "Adapter": Adapter, "MEGABYTE": MEGABYTE}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(code, names)  # noqa: S102 - the page's own code
    return table["lichtbild"]


def bodies() -> list[Any]:
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def parsed(adapter: Adapter, **changes: Any) -> ParsedDelivery | Ignored:
    body = bodies()[0]
    body["upload"] |= {"for" if name == "visible" else name: value for name, value in changes.items() if name != "kind"}
    raw = json.dumps(body | {"kind": changes.get("kind", body["kind"])}).encode()
    headers = adapter.sign(raw, SECRET, "")
    adapter.verify(headers, raw, [SECRET])
    with pytest.raises(SignatureInvalid):
        adapter.verify(headers, raw + b" ", [SECRET])
    return adapter.parse(headers, raw, SourceSettings("https://lichtbild.example"))


def test_the_pages_delivery_becomes_the_pages_event(adapter: Adapter) -> None:
    _, sample = bodies()
    delivery = parsed(adapter)
    assert isinstance(delivery, ParsedDelivery)
    assert sample["answer"] == "event"
    assert {media.id: media.url for media in delivery.events[0].media} == sample["media"]
    assert sample["body"] == bodies()[0]
    assert set(sample) >= {"is", "headers", "answer"}
    assert load_samples("standard")  # the form that the page shows is the one that is read


def test_its_rules_hold(adapter: Adapter) -> None:
    first, more_views, removal = parsed(adapter), parsed(adapter, views=9), parsed(adapter, kind="removal")
    assert isinstance(first, ParsedDelivery)
    assert first == more_views
    assert isinstance(removal, ParsedDelivery)
    assert (removal.events[0].type, removal.id == first.id) == ("media.deleted", False)
    assert parsed(adapter, visible="friends") == parsed(adapter, visible="nobody") == Ignored("visibility")
    assert (parsed(adapter, nr=None), parsed(adapter, kind="x")) == (Ignored("template"), Ignored("unwanted"))
