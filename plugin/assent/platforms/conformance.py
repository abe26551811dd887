"""Loads the samples of each platform: deliveries in its own form, with what a source with usual settings answers.

A sample is `samples/<platform>/<name>.json`, composed for this purpose: what it `is`, the platform's `headers` without
a signature, the `body` (or `raw` text that is no JSON), and the `answer`: `event`, or why it is ignored. Of an event
`media` holds ids and addresses, `event_type` its type where it is a deletion; `same_as` names the sample that it
repeats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assent.platforms.delivery import SourceSettings

_FOLDER = Path(__file__).with_name("samples")
# By platform, of the source that the samples' answers hold for.
SAMPLE_SETTINGS = {
    "standard": SourceSettings(),
    "mastodon": SourceSettings("https://social.example"),
    "discourse": SourceSettings("https://forum.example"),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One delivery as a platform sends it, before it is signed, and the answer that it gets."""

    name: str
    explanation: str
    headers: Mapping[str, str]
    raw: bytes = field(repr=False)
    answer: str
    media: Mapping[str, str]
    deletes: bool
    same_as: str | None


def load_samples(platform: str) -> list[Sample]:
    """Loads the samples of a platform, by name."""
    return [_load(path) for path in sorted((_FOLDER / platform).glob("*.json"))]


def _load(path: Path) -> Sample:
    stored = json.loads(path.read_text())
    raw = stored["raw"] if "raw" in stored else json.dumps(stored["body"], separators=(",", ":"))
    return Sample(
        name=path.stem,
        explanation=stored["is"],
        headers=stored["headers"],
        raw=raw.encode(),
        answer=stored["answer"],
        media=stored.get("media", {}),
        deletes=stored.get("event_type") == "media.deleted",
        same_as=stored.get("same_as"),
    )
