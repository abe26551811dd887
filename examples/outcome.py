"""What came out of a run of the demo, and whether it is what had to come out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from examples.photos import Box, Cast, Expected, Photo
from examples.platform.feed import Delivery, Post, action_of
from examples.platform.instance import Report
from examples.witness import Checkpoint

SAME_FACE = 0.3  # intersection over union from which two boxes mean the same face


class Check(NamedTuple):
    """One expectation: what, whether it held, and what was seen."""

    what: str
    ok: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Told:
    """One post and what the platform was told about it."""

    photo: Photo
    post: Post
    delivery: Delivery

    @property
    def data(self) -> dict[str, Any]:
        return self.delivery.data

    @property
    def failed(self) -> bool:
        """Whether nobody could look at it."""
        return self.delivery.type == "media.failed"

    @property
    def error(self) -> dict[str, str]:
        """`code` and `detail` of what was in the way, or nothing."""
        return dict(self.data.get("error") or {})

    @property
    def action(self) -> str:
        return action_of(self.delivery)

    @property
    def faces(self) -> list[dict[str, Any]]:
        return list(self.data.get("faces") or [])

    @property
    def matched(self) -> dict[str, Box]:
        """Who was named, and where."""
        return matches_of(self.delivery)

    @property
    def milliseconds(self) -> float:
        """From sending the event to receiving the decision."""
        return (self.delivery.at - (self.post.sent_at or self.delivery.at)) * 1000


@dataclass(frozen=True, slots=True)
class Proof:
    """A decision found in the log, from the checkpoint that came with its webhook."""

    told: Told
    leaf: bytes
    index: int
    path: Sequence[bytes]
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Circle:
    """What happened to a status at Mastodon's API: who was named, what was retracted, whether the report stood then,
    and the reports in the end."""

    account: str
    named: dict[str, Box]
    retracted: Delivery
    stood: bool
    reports: tuple[Report, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that the page and the terminal tell."""

    cast: Cast
    told: tuple[Told, ...]
    proof: Proof
    proofs_held: int
    circle: Circle | None
    checks: tuple[Check, ...]
    seconds: float


def matches_of(delivery: Delivery) -> dict[str, Box]:
    """Who is named in a decision, and where."""
    faces = delivery.data.get("faces") or []
    return {face["match"]["subject"]: as_box(face["box"]) for face in faces if face["match"]}


def as_box(box: Iterable[int]) -> Box:
    x, y, width, height = box
    return (x, y, width, height)


def is_same_face(a: Box, b: Box) -> bool:
    return overlap(a, b) > SAME_FACE


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0–1."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0, across) * max(0, down)
    union = a[2] * a[3] + b[2] * b[3] - shared
    return shared / union if union else 0.0


def check_told(told: Told) -> list[Check]:
    """Whether one post came out as it had to."""
    title, expected = told.photo.title, told.photo.expected
    if expected.error is not None:
        seen = (told.delivery.type, told.error.get("code"), told.action)
        held = seen == ("media.failed", expected.error, "review")
        return [Check(f"{title}: cannot be looked at, so it goes to review", held, f"{seen[0]}, {seen[1]}, {seen[2]}")]
    if told.failed and expected != Expected():
        return [Check(f"{title}: looked at", False, f"media.failed, {told.error.get('code')}")]
    checks = []
    if expected.faces is not None:
        found = len(told.faces)
        checks.append(Check(f"{title}: {_faces(expected.faces)}", found == expected.faces, f"{found} found"))
    if expected.matched is not None:
        checks.append(_check_matched(title, told.matched, expected.matched))
    if expected.tag is not None:
        checks.append(_check_tagged(title, sorted({tag["name"] for tag in told.data.get("tags") or []}), expected.tag))
    return checks


def _check_tagged(title: str, names: list[str], expected: str) -> Check:
    held = any(name == expected or name.startswith(f"{expected}.") for name in names)
    return Check(f"{title}: tagged {expected}", held, ", ".join(names) or "no tag")


def _faces(count: int) -> str:
    return {0: "no face", 1: "one face"}.get(count, f"{count} faces")


def _check_matched(title: str, found: dict[str, Box], expected: dict[str, Box]) -> Check:
    placed = all(is_same_face(found[name], box) for name, box in expected.items() if name in found)
    what = f"{' and '.join(sorted(expected))} named at their own faces, nobody else" if expected else "nobody named"
    seen = ", ".join(f"{name} at {list(box)}" for name, box in sorted(found.items())) or "nobody"
    return Check(f"{title}: {what}", found.keys() == expected.keys() and placed, seen)
