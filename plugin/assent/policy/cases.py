"""The tests that a policy carries with it."""

from __future__ import annotations

from assent.policy.decide import decide
from assent.policy.load import Policy
from assent.policy.schema import CaseModel, GivenModel
from assent.taxonomy import BY_NAME as LABELS
from assent.values import Event, Face, Perception, Picture, Tag

_SIDE = 10_000  # pixels: room for a face that is far from everything
_FACE_NEAR, _FACE_FAR = (400, 100, 200, 250), (9_000, 9_000, 20, 25)


def run_cases(policy: Policy) -> tuple[str, ...]:
    """What came out otherwise than expected, one line a case."""
    lines = []
    for case in policy.cases:
        verdict = decide(policy, *_given(case))
        said = tuple(sorted({tag.name for tag in verdict.tags}))
        if (verdict.action.name, said) != (case.expect.action, tuple(sorted(case.expect.tags))):
            lines.append(
                f"{case.name}: expected {case.expect.action} {sorted(case.expect.tags)}, "
                f"got {verdict.action.name} {list(said)}"
            )
        if case.expect.approval not in (None, verdict.approval):
            lines.append(f"{case.name}: expected approval {case.expect.approval}, got {verdict.approval}")
    return tuple(lines)


def _given(case: CaseModel) -> tuple[Event, Picture, Perception]:
    given: GivenModel = case.given
    tags = tuple(
        Tag(name, LABELS[name].category, score, (400, 400, 200, 200), 0, "case") for name, score in given.tags.items()
    )
    box = _FACE_NEAR if given.near_face else _FACE_FAR
    faces = tuple(Face(box, 0, 0.9, 0.9) for _ in range(given.faces))
    event = Event("media.created", (), "public", given.surface)
    return event, Picture("", "jpeg", _SIDE, _SIDE, 1, ()), Perception(tags, faces, ())
