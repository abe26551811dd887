"""The shipped policies load, and their own cases come out as they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from assent.core.errors import PolicyInvalid
from assent.core.resources import resource
from assent.core.values import Action, Event, Face, Perception, Picture, Tag
from assent.policy.cases import run_cases
from assent.policy.decide import decide
from assent.policy.load import load_policy

EVENT = Event("media.created", (), "public", "post")
PICTURE = Picture("", "jpeg", 1000, 1000, 1, ())


@pytest.mark.parametrize("path", sorted(resource("policies").glob("*.yaml")), ids=lambda path: path.stem)
def test_cases_of_shipped_policies_hold(path: Path) -> None:
    policy = load_policy(path)
    assert len(policy.cases) >= 5
    assert run_cases(policy) == ()


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = (resource("policies") / "default.yaml").read_text()
    assert old in text
    path = tmp_path / "policy.yaml"
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("nudity.explicit.anus: ", "nudity.explicit.elbow: ", "elbow"),
        ('near_face["nudity.explicit"] > 0.0', 'near_face["nudity.explict"] > 0.0', "nudity.explict"),
        ('near_face["nudity.explicit"] > 0.0', 'nearface["nudity.explicit"] > 0.0', "nearface"),
        ('near_face["nudity.explicit"] > 0.0', 'near_face["nudity.explicit"]', "true or false"),
        ('near_face["nudity.explicit"] > 0.0', "((((", "explicit-nudity"),
        ("schema: assent.policy/1", "schema: assent.policy/2", "schema"),
        ("- id: explicit-avatar", "- id: explicit-nudity", "same id"),
        ("rules:\n", "ruls:\n", "ruls"),
    ],
)
def test_a_wrong_policy_is_refused_and_says_why(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        load_policy(changed(tmp_path, old, new))
    assert said in refused.value.detail


@pytest.mark.parametrize("content", [b"", b"schema: assent.policy/1\n", b"\xff\xfe", b"a: [", b"{}" + b" " * 300_000])
def test_half_a_policy_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(content)
    with pytest.raises(PolicyInvalid):
        load_policy(path)


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid):
        load_policy(tmp_path / "none.yaml")


def test_changing_a_case_that_does_not_hold_is_noticed(tmp_path: Path) -> None:
    policy = load_policy(
        changed(tmp_path, "nudity.explicit.breast: {threshold: 0.60}", "nudity.explicit.breast: {threshold: 0.70}")
    )
    assert any("fruit taken for a body" in line for line in run_cases(policy))


def test_a_condition_that_fails_later_sends_the_picture_to_review(tmp_path: Path) -> None:
    policy = load_policy(changed(tmp_path, 'near_face["nudity.explicit"] > 0.0', "1 / (faces.count - 3) > 1000"))
    two, three = (Perception((), tuple(Face((0, 0, 9, 9), 0, 0.9, 0.9) for _ in range(n)), ()) for n in (2, 3))
    assert decide(policy, EVENT, PICTURE, two).action is Action.allow
    failed = decide(policy, EVENT, PICTURE, three)
    assert failed.action is Action.review
    assert failed.rules[0].because == "the condition could not be evaluated"


def test_what_the_policy_does_not_list_is_never_said() -> None:
    seen = Perception((Tag("nudity.explicit.breast", "safety", 0.59, (0, 0, 9, 9), 0, "m"),), (), ())
    verdict = decide(load_policy(), EVENT, PICTURE, seen)
    assert verdict.tags == ()
    assert verdict.action is Action.allow


def test_the_reason_names_label_score_and_threshold() -> None:
    seen = Perception((Tag("nudity.explicit.breast", "safety", 0.913, (0, 0, 9, 9), 0, "m"),), (), ())
    verdict = decide(load_policy(), EVENT, PICTURE, seen)
    assert verdict.rules[0].because == "nudity.explicit.breast 0.91 ≥ 0.60"


def test_the_hash_is_of_the_meaning_not_of_the_spelling(tmp_path: Path) -> None:
    respelled = load_policy(changed(tmp_path, "# The strongest action", "# The very strongest action"))
    other = load_policy(changed(tmp_path, "threshold: 0.60", "threshold: 0.61"))
    assert respelled.ref.sha256 == load_policy().ref.sha256
    assert other.ref.sha256 != load_policy().ref.sha256
