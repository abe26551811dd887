"""`assent policy check` and `schema`: what a policy's author sees."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cel
import jsonschema_rs
import pytest
import yaml
from typer.testing import CliRunner

from assent.cli import app
from assent.core.resources import resource
from assent.core.values import Event
from assent.policy.input import Needs, PolicyInput, policy_input
from assent.policy.lint import warnings
from assent.policy.load import load_policy
from tests.unit.policy_files import BREAST, FEET, PHONE, PICTURE, POST, policy, rule, seen, write

WHEN = 'score["nudity"] > 0.0'
LIMIT = rule("one", WHEN, action="limit")


def check(*words: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["policy", "check", *map(str, words)])
    return done.exit_code, done.output


def test_all_shipped_policies_pass_without_a_warning() -> None:
    code, said = check("--strict", resource("policies"))
    assert code == 0, said
    lines = said.splitlines()
    assert len(lines) == len(list(resource("policies").glob("*.yaml"))) >= 7
    assert all(line.endswith(" 0 wrong") and " 0 warnings" in line for line in lines)


def test_a_case_that_does_not_hold_is_told_and_ends_with_status_1(tmp_path: Path) -> None:
    case = {"name": "a nude", "given": {"tags": {BREAST: 0.9}}, "expect": {"action": "block", "tags": []}}
    code, said = check(write(tmp_path / "p.yaml", rules=[LIMIT], cases=[case]))
    assert code == 1
    assert "p.yaml: case a nude: expected action block, got limit" in said
    assert f"p.yaml: case a nude: expected tags [], got ['{BREAST}']" in said


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"rules": []}, "expected rules [], got ['one']"),
        ({"queue": "adult"}, "expected queue adult, got None"),
        ({"to": {"public": []}}, f"expected tags to public [], got ['{BREAST}']"),
        ({"approval": "always"}, "expected approval always, got never"),
    ],
)
def test_every_expectation_is_compared(tmp_path: Path, expect: dict[str, Any], said: str) -> None:
    wanted = {"action": "limit", "tags": [BREAST], **expect}
    case = {"name": "a nude", "given": {"tags": {BREAST: 0.9}}, "expect": wanted}
    code, printed = check(write(tmp_path / "p.yaml", rules=[LIMIT], cases=[case]))
    assert (code, said in printed) == (1, True), printed


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", rules=[rule("one", 'score["nudty"] > 0.0', action="limit")])
    write(tmp_path / "b.yaml", rules=[LIMIT])
    (tmp_path / "b.cases.yaml").write_text("cases: []\n")
    code, said = check(tmp_path)
    assert code == 1
    assert "a.yaml:" in said
    assert "(did you mean nudity?)" in said
    assert "b 1 (" in said


def test_a_folder_without_policies_is_no_success(tmp_path: Path) -> None:
    assert check(tmp_path)[0] != 0


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"rules": [LIMIT]}, "category text has thresholds and no rule"),
        (
            {"rules": [LIMIT], "labels": {"nudity.explicit": {"threshold": 0.2}}},
            "no figure on harmless pictures at 0.20",
        ),
        ({"rules": [LIMIT], "labels": {"nudity": {"threshold": 0.5}, "body": {"threshold": 0.5}}}, "labels.body"),
        ({"rules": [rule("never", "faces.count < 0", action="limit")]}, "rule never held on none of 500"),
        ({"rules": [rule("never", f'{WHEN} && score["nudity"] < 0.0', action="limit")]}, "rule never held on none"),
    ],
)
def test_what_is_probably_not_meant_is_warned_of(tmp_path: Path, parts: dict[str, Any], said: str) -> None:
    assert any(said in line for line in warnings(policy(tmp_path, **parts)))
    path = write(tmp_path / "p.yaml", **parts)
    assert check(path)[0] == 0
    assert check("--strict", path)[0] == 1


@pytest.mark.parametrize(
    "when",
    [
        'event.region == "NO" && event.audience_age < 18',
        "media.width > 6000 && media.frames.count > 1",
        "faces.count > 40 && faces.matched > 1",
        "tags.exists(t, t.near_face) && text.has_code",
        'near_face["nudity"] > 0.0 && event.lang == "de"',
    ],
)
def test_what_can_hold_is_not_called_unreachable(tmp_path: Path, when: str) -> None:
    made = policy(tmp_path, rules=[LIMIT, rule("rare", when, action="label")])
    assert not any("rare" in line for line in warnings(made))


def test_the_schema_takes_the_shipped_policies_and_no_others() -> None:
    schema = json.loads(CliRunner().invoke(app, ["policy", "schema"]).output)
    takes = jsonschema_rs.validator_for(schema)
    for path in resource("policies").glob("*.yaml"):
        assert takes.is_valid(yaml.safe_load(path.read_text())), path
    assert not takes.is_valid({"schema": "assent.policy/1", "name": "x"})
    given = json.loads(CliRunner().invoke(app, ["policy", "schema", "--input"]).output)
    assert set(given["properties"]) == set(PolicyInput.model_fields)


def test_what_a_condition_is_given_is_the_model_that_the_schema_shows() -> None:
    names = frozenset(PolicyInput.model_fields)
    needs = Needs(names, ("nudity", BREAST, "food"), ("nudity",), frozenset({"tags", "faces.each"}))
    perception = seen((BREAST, 0.7), (FEET, 0.9), (PHONE, 0.8), faces=2)
    event = Event("media.updated", (), "direct", "story", region="DE")
    given = policy_input(event, PICTURE, perception, perception.tags, (1,), needs)
    PolicyInput.model_validate(given, strict=True, extra="forbid")
    assert given["score"] == {"nudity": 0.9, BREAST: 0.7, "food": 0.0}
    assert given["text"] == {"has_contact": True, "has_payment": False, "has_blocked": False, "has_code": False}
    assert [face["subject"] for face in given["faces"]["each"]] == ["", "known"]
    assert given["event"]["audience_age"] == -1
    assert cel.evaluate("tags[0].name == 'nudity.partial.feet' && faces.each.size() == 2", given)


def test_nothing_is_built_that_no_condition_names() -> None:
    perception = seen((BREAST, 0.7), faces=2)
    needs = load_policy().needs
    given = policy_input(POST, PICTURE, perception, perception.tags, (), needs)
    assert set(given) == {"score", "near_face", "event", "text", "hash", "second_opinion", "media"}
    assert set(given["score"]) == {"nudity.explicit", "nudity.partial", "nsfw", "violence", "food", "product.grocery"}


def test_the_languages_own_command_line_is_left_out() -> None:
    """It brings an editor for terminals along, for which every command and process would wait."""
    assert not hasattr(sys.modules["cel.cli"], "app")
