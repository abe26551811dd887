"""Small policies written for one test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from assent.core.values import Event, Face, Perception, Picture, Tag
from assent.policy.load import load_policy
from assent.policy.model import Policy

PICTURE = Picture("", "jpeg", 1000, 1000, 1, ())
POST = Event("media.created", (), "public", "post")
BREAST, FEET, PHONE = "nudity.explicit.breast", "nudity.partial.feet", "text.contact.phone"
CASE = {"name": "nothing", "given": {}, "expect": {"action": "allow", "tags": []}}
LABELS = {"nudity": {"threshold": 0.5}, "text": {"threshold": 0.5}}


def rule(id: str, when: str, **then: Any) -> dict[str, Any]:
    return {"id": id, "when": when, "then": then}


def policy(folder: Path, **parts: Any) -> Policy:
    """A policy of these parts; labels and a case unless they are given."""
    return load_policy(write(folder / "test.yaml", **parts))


def write(path: Path, **parts: Any) -> Path:
    said = {"schema": "assent.policy/1", "name": path.stem, "version": "1", "cases": [CASE], "labels": LABELS}
    path.write_text(yaml.safe_dump({**said, **parts}, sort_keys=False), encoding="utf-8")
    return path


def seen(*tags: tuple[str, float], faces: int = 0) -> Perception:
    """Tags of those scores, in one place, and faces in that place."""
    found = tuple(Tag(name, "safety", score, (10, 10, 20, 20), 0, "m") for name, score in tags)
    return Perception(found, tuple(Face((10, 10, 20, 20), 0, 0.9, 0.9) for _ in range(faces)), ("m",))
