"""Runs the test cases that a policy carries with it."""

from __future__ import annotations

from collections.abc import Iterator

from assent.core.taxonomy import BY_NAME as LABELS
from assent.core.values import Event, Face, Perception, Picture, Tag, Verdict
from assent.policy.decide import decide
from assent.policy.model import Policy
from assent.policy.schema import CaseModel, ExpectModel, GivenModel

_SIDE = 10_000  # pixels: room for a face that is far from everything
_FACE_NEAR, _FACE_FAR = (400, 100, 200, 250), (9_000, 9_000, 20, 25)


def run_cases(policy: Policy) -> tuple[str, ...]:
    """Returns one line for each case and point whose outcome differs from the expected one."""
    return tuple(
        f"{case.name}: expected {what} {expected}, got {got}"
        for case in policy.cases
        for what, expected, got in _mismatches(case.expect, decided(policy, case)[1])
    )


def _mismatches(expect: ExpectModel, verdict: Verdict) -> Iterator[tuple[str, object, object]]:
    """Returns point, expected value and value for each point at which the verdict differs from the expectation."""
    points: list[tuple[str, object, object]] = [
        ("action", expect.action, verdict.action.name),
        ("tags", sorted(expect.tags), sorted({tag.name for tag in verdict.tags})),
    ]
    if expect.approval is not None:
        points.append(("approval", expect.approval, verdict.approval))
    if expect.rules is not None:
        points.append(("rules", list(expect.rules), [rule.id for rule in verdict.rules]))
    if expect.queue is not None:
        points.append(("queue", expect.queue, verdict.review.queue if verdict.review else None))
    for audience, tags in expect.to.items():
        names = sorted({name for _, name in verdict.audience_views[audience].tags})
        points.append((f"tags to {audience}", sorted(tags), names))
    return (point for point in points if point[1] != point[2])


def decided(policy: Policy, case: CaseModel) -> tuple[Perception, Verdict]:
    """Returns the perception that a case describes, and the policy's verdict on it."""
    given: GivenModel = case.given
    tags = tuple(
        Tag(name, LABELS[name].category, score, (400, 400, 200, 200), 0, "case") for name, score in given.tags.items()
    )
    box = _FACE_NEAR if given.near_face else _FACE_FAR
    faces = tuple(Face(box, 0, 0.9, 0.9) for _ in range(given.faces))
    event = Event(
        given.type,
        (),
        given.visibility,
        given.surface,
        region=given.region,
        lang=given.lang,
        audience_age=given.audience_age,
    )
    picture = Picture("", "jpeg", _SIDE, _SIDE, 2 if given.partial else 1, (), partial=given.partial)
    perception = Perception(tags, faces, ())
    return perception, decide(policy, event, picture, perception, range(given.matched))
