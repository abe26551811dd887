"""A policy that cannot be meant is refused, with file, line, column and the nearest right name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assent.core.errors import PolicyInvalid
from assent.policy.load import load_policy, stored_policy
from tests.unit.policy_files import CASE, LABELS, policy, rule, write

WHEN = 'score["nudity"] > 0.0'
TEXT = """\
schema: assent.policy/1
name: test
version: "1"
labels:
  nudity: {threshold: 0.5}
rules:
  - id: one
    when: score["nudity.explicit"] > 0.0
    then: {action: limit}
cases:
  - name: nothing
    given: {}
    expect: {action: allow, tags: []}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("nudity:", "nudty:", "test.yaml:5:3: nudty is no label of the taxonomy (did you mean nudity?)"),
        ("threshold: 0.5", "treshold: 0.5", "test.yaml:5:12: labels.nudity.treshold"),
        ("threshold: 0.5", "treshold: 0.5", "(did you mean threshold?)"),
        ("threshold: 0.5", "threshold: 0.04", "test.yaml:5:23: labels.nudity.threshold"),
        ("action: limit", "action: limmit", "test.yaml:9:20: rules.0.then.action"),
        ("action: limit", "action: limmit", "(did you mean limit?)"),
        ("rules:", "ruls:", "test.yaml:6:1: ruls: Extra inputs are not permitted (did you mean rules?)"),
        ('["nudity.explicit"]', '["nudity.explict"]', "test.yaml:8:18: rule one: nudity.explict is no label"),
        ('["nudity.explicit"]', '["nudity.explict"]', "(did you mean nudity.explicit?)"),
        (
            '["nudity.explicit"]',
            '["pistol"]',
            "pistol is no label of the taxonomy (did you mean object.weapon.firearm.handgun?)",
        ),
        ('["nudity.explicit"]', '["revolver"]', "object.weapon.firearm or object.weapon.firearm.handgun?)"),
        ("score[", "scroe[", "test.yaml:8:11: rule one: scroe is no name (did you mean score?)"),
        ("given: {}", "given: {tags: {nudity.feet: 1.0}}", "test.yaml:12:20: case nothing: nudity.feet is no label"),
        ("given: {}", "given: {surface: avatr}", "(did you mean avatar?)"),
        ("then: {action: limit}", "then: {action: allow}", "test.yaml:7:5: rule one changes nothing"),
        ("then: {action: limit}", "then: {}", "test.yaml:7:5: rule one changes nothing"),
        ("then: {action: limit}", "then: {suppress: [nudity], emit: [nudity]}", "both says and suppresses nudity"),
        ("then: {action: limit}", "then: {suppress: [nudity], rename: {nudity: x}}", "both says and suppresses nudity"),
        ("then: {action: limit}", "then: {redact: [nudety]}", "test.yaml:9:21: rule one: nudety is no label"),
        ('score["nudity.explicit"]', 'score["text.code"]', "asks for text.code, for which `labels` has no threshold"),
        ('score["nudity.explicit"] > 0.0', "hash.severe", "asks for hash.known.severe"),
        ('version: "1"', "version: 1", "test.yaml:3:10: version"),
        ("schema: assent.policy/1", "schema: assent.policy/2", "test.yaml:1:9: schema"),
        ("  - id: one", "  - id: One", "test.yaml:7:9: rules.0.id"),
    ],
)
def test_each_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    path = tmp_path / "test.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(PolicyInvalid) as refused:
        load_policy(path)
    assert said in refused.value.detail


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "test.yaml"
    path.write_text(TEXT.replace("nudity:", "nudty:").replace("score[", "scroe["))
    with pytest.raises(PolicyInvalid) as refused:
        load_policy(path)
    assert len(refused.value.detail.splitlines()) >= 2


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"rules": []}, "has no rules"),
        ({"labels": {}}, "has no labels"),
        ({"cases": []}, "has no cases"),
        ({"rules": [rule("a", WHEN, action="limit"), rule("a", "hash.listed", action="label")]}, "same id a"),
        (
            {"rules": [rule("a", WHEN, action="limit"), rule("b", 'score["nudity"]>0.0', action="label")]},
            "rule b has the condition of a",
        ),
        ({"emit": [{"id": "f", "to": ["public"], "never": ["nudty"]}]}, "filter f: nudty is no label"),
        ({"statements": {"languages": ["en", "de"]}}, "rule a restricts, and has no `reason` in en"),
    ],
)
def test_rules_that_contradict_or_say_nothing(tmp_path: Path, parts: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        policy(tmp_path, **{"rules": [rule("a", WHEN, action="limit")], **parts})
    assert said in refused.value.detail


def test_what_was_stored_reads_back_as_the_same_policy() -> None:
    made = load_policy()
    again = stored_policy(made.canonical.decode())
    assert (again.ref, again.canonical) == (made.ref, made.canonical)


@pytest.mark.parametrize("text", ["", "{}", "null", '{"schema": "assent.policy/9"}'])
def test_a_stored_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        stored_policy(text)


def test_include_and_override(tmp_path: Path) -> None:
    write(
        tmp_path / "base.yaml",
        rules=[rule("one", WHEN, action="limit"), rule("two", "text.has_code", action="label")],
        matches={"approval": "always"},
        emit=[{"id": "f", "to": ["public"], "never": ["text"]}],
    )
    made = policy(
        tmp_path,
        include=["./base.yaml"],
        labels={"nudity.explicit": {"threshold": 0.9}},
        rules=[rule("one", 'score["nudity"] > 0.9', action="block"), rule("three", "text.has_blocked", action="label")],
        drop=["two"],
    )
    assert [(one.id, one.action.name) for one in made.rules] == [("one", "block"), ("three", "label")]
    assert made.thresholds == {"nudity": 0.5, "text": 0.5, "nudity.explicit": 0.9}
    assert (made.approval, [one.id for one in made.filters]) == ("always", ["f"])
    assert (made.ref.name, made.ref.version) == ("test", "1")


def test_a_mistake_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", rules=[rule("one", 'score["nudty"] > 0.0', action="limit")])
    with pytest.raises(PolicyInvalid, match=r"base\.yaml:\d+:\d+: rule one: nudty"):
        policy(tmp_path, include=["./base.yaml"], rules=[])


@pytest.mark.parametrize(
    ("include", "said"),
    [
        (["./test.yaml"], "circle"),
        (["../secret.yaml"], "neither the name of a shipped policy nor a file beside this one"),
        (["/etc/passwd"], "neither the name"),
        (["./none.yaml"], "cannot be read"),
        (["no-such-policy"], "cannot be read"),
    ],
)
def test_what_cannot_be_included(tmp_path: Path, include: list[str], said: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        policy(tmp_path, include=include, rules=[rule("one", WHEN, action="limit")])
    assert said in refused.value.detail


def test_nothing_included_can_be_dropped_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match=r"explicit-avatr.*did you mean explicit-avatar"):
        policy(tmp_path, include=["default"], drop=["explicit-avatr"], labels=LABELS, rules=[], cases=[CASE])


def test_cases_beside_the_file_count(tmp_path: Path) -> None:
    path = write(tmp_path / "test.yaml", rules=[rule("one", WHEN, action="limit")], cases=[])
    (tmp_path / "test.cases.yaml").write_text("cases:\n  - {name: x, given: {}, expect: {action: block, tags: []}}\n")
    assert [case.name for case in load_policy(path).cases] == ["x"]
