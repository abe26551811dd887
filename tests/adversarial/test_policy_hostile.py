"""Policy files made to confuse, to grow or to crash: each is refused with one clear sentence, quickly."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assent.core.errors import PolicyInvalid
from assent.core.resources import resource
from assent.core.values import Action, Event, Face, Perception, Picture, Tag
from assent.policy.decide import decide
from assent.policy.expression import MAX_BRACKETS, MAX_TOKENS, read_expression
from assent.policy.input import MAX_LIST
from assent.policy.load import load_policy
from assent.policy.source import MAX_POLICY_BYTES, parse_source

DEFAULT = (resource("policies") / "default.yaml").read_text()
EVENT, PICTURE = Event("media.created", (), "public", "post"), Picture("", "jpeg", 100, 100, 1, ())
QUICK = 20  # times what the default policy takes, in processor time
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"b{n}: &b{n} [{','.join(['*a'] * 9)}]\n" for n in range(9))


def cost(call: Callable[[], object]) -> float:
    """Measures this thread's processor time in seconds, the least of three calls: others may be charged for garbage."""

    def once() -> float:
        began = time.thread_time()
        call()
        return time.thread_time() - began

    return min(once() for _ in range(3))


def refusal(raw: bytes) -> str:
    with pytest.raises(PolicyInvalid) as refused:
        parse_source("p.yaml", raw)
    return refused.value.detail


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (BOMB.encode(), "p.yaml:1:4: an anchor or alias"),
        (b"a: 1\nb: *a\n", "p.yaml:2:4: an anchor or alias"),
        (b"&a b: 1\n", "p.yaml:1:1: a name that is no plain word"),
        (b"<<: {a: 1}\n? [1]\n: 2\n", "p.yaml:2:3: a name that is no plain word"),
        (b"a: !!python/object/apply:os.system [id]\n", "p.yaml:1:4: the tag"),
        (b"a: !!binary aGVsbG8=\n", "p.yaml:1:4: the tag"),
        (b"a: 1\nb: 2\na: 3\n", "p.yaml:3:1: a a second time"),
        (b"a:\n\tb: 1\n", "p.yaml:2:1: a tab"),
        (b'a: "x\ty"\n', "p.yaml:1:6: a tab"),
        (b"\xef\xbb\xbfa: 1\n", "p.yaml:1:1: begins with a byte order mark"),
        ("a: 1\n".encode("utf-16"), "p.yaml:1:1: begins with a byte order mark"),
        (b"a: 1\nb: \xff\n", "p.yaml:2:1: is not UTF-8"),
        (b"a: 1\n---\nb: 2\n", "p.yaml:2:1: a second document"),
        (b"[" * 50_000, "exceeded maximum nesting depth"),
        (b"a: " * 2_000, "is no YAML"),
        (b"- " * 100_000, "nested deeper than 12"),
        (b"a: 1\x00\n", "is no YAML"),
        (b"a: [1, 2\n", "is no YAML"),
        (b"a: \x1b[31m\n", "is no YAML"),
        (b" " * (MAX_POLICY_BYTES + 1), "larger than"),
    ],
)
def test_what_can_be_read_in_two_ways_or_grows_is_refused(raw: bytes, said: str) -> None:
    assert said in refusal(raw)
    assert cost(lambda: refusal(raw)) < QUICK * cost(lambda: parse_source("p.yaml", DEFAULT.encode()))


def test_words_stay_words() -> None:
    """Norway, and what YAML 1.1 reads as numbers of base 60 and 8."""
    read = parse_source("p.yaml", b"a: [no, off, 12:30, 0o7, 0x1f, 1_000, .inf, 1e2, 0.5, true, ~, '1', 2026-01-01]\n")
    words = ["no", "off", "12:30", "0o7", "0x1f", "1_000", ".inf"]
    assert read.data["a"] == [*words, 100.0, 0.5, True, None, "1", "2026-01-01"]


def changed(tmp_path: Path, when: str) -> Path:
    """The default policy with that condition in its first rule."""
    old = 'when: near_face["nudity.explicit"] > 0.0\n    then: {action: limit}'
    assert old in DEFAULT
    path = tmp_path / "p.yaml"
    new = "when: |-\n      " + when.replace("\n", "\n      ") + "\n    then: {action: limit}"
    path.write_text(DEFAULT.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("(" * 3_000 + "true" + ")" * 3_000, "longer than"),
        ("(" * 200 + "true" + ")" * 200, f"deeper than {MAX_BRACKETS} brackets"),
        ("[" * 60 + "]" * 60 + " == []", f"deeper than {MAX_BRACKETS} brackets"),
        ("!" * 500 + "true", "signs in a row"),
        ("-" * 500 + "1 < 2", "signs in a row"),
        ("1" + "+1" * 900 + " > 0", f"more than {MAX_TOKENS}"),
        ("true ? " * 100 + "true" + " : false" * 100, "times ? :"),
        ("faces.count in [" + ",".join(["1"] * 290) + "]", "a list of more than 256"),
        ("tags.exists(a, tags.exists(b, tags.exists(c, a.name == c.name)))", "2 macros inside each other"),
        ("tags.map(a, tags.map(b, tags.filter(c, true))).size() > 0", "2 macros inside each other"),
        ("score[event.region] > 0.5", "by a label in quotes"),
        ('score["nudity"+".explicit"] > 0.5', "by a label in quotes"),
        ("score.size() > 0", "is asked for by label"),
        ("true # comment", "means nothing here"),
        ('"""x" && \'""" == "" || tags.all(a, a.score > 0.0) || \' \' == ""', "means nothing here"),
        ("r'\\' == '' || true || '' == ''", "means nothing here"),
        ("event.region == `x`", "means nothing here"),
        ('"\\U0010FFFF" == "', "means nothing here"),
        ("evnt.region == 'DE'", "evnt is no name (did you mean event?)"),
        ("event.regoin == 'DE'", "regoin is no field of event (did you mean region?)"),
        ("tags.exists(t, t.nme == 'x')", "nme is no field of tags (did you mean name?)"),
        ("faces.each[0].subjct == 'known'", "subjct is no field of faces.each"),
        ("faces.each.exist(f, true)", "exist is no function (did you mean exists?)"),
        ("getenv('HOME') == ''", "getenv is no function"),
        ("1 / 0 == 1", "division by zero"),
        ("faces.count", "int, not true or false"),
        ("'true'", "str, not true or false"),
        ('faces.count > "one"', "No such overload"),
        ("", "rules.0.when"),
    ],
)
def test_conditions_that_are_too_much_or_mean_nothing_are_refused(tmp_path: Path, when: str, said: str) -> None:
    path = changed(tmp_path, when)
    details: list[str] = []

    def refuse() -> None:
        with pytest.raises(PolicyInvalid) as refused:
            load_policy(path)
        details.append(refused.value.detail)

    assert cost(refuse) < QUICK * cost(lambda: load_policy(resource("policies") / "default.yaml"))
    assert all(said in detail and detail.startswith("p.yaml:") for detail in details)


@pytest.mark.parametrize(
    "when",
    [
        "tags.exists(a, tags.exists(b, a.name != b.name && b.score > 0.9))",
        "faces.each.exists(f, f.subject == 'known' && f.width > 0.3)",
        "tags.filter(t, t.category == 'safety' && t.near_face).size() > 2",
        "event.region in ['DE', 'AT'] || size(event.lang) == 2",
        "has(event.region) && !(faces.count > 3 ? hash.listed : text.has_code)",
        'score["nudity.explicit.breast"] * 2.0 > near_face["nudity"] && media.format.startsWith("g")',
    ],
)
def test_conditions_within_the_bounds_are_read(tmp_path: Path, when: str) -> None:
    assert load_policy(changed(tmp_path, when)).rules[0].id == "explicit-nudity"


def test_the_longest_and_slowest_condition_that_is_read_ends_soon(tmp_path: Path) -> None:
    policy = load_policy(changed(tmp_path, "tags.exists(a, tags.exists(b, a.score > 2.0 && b.score > 2.0))"))
    tag = Tag("nudity.partial.feet", "safety", 0.9, (0, 0, 9, 9), 0, "m")
    most, many = (
        cost(lambda: decide(policy, EVENT, PICTURE, Perception((tag,) * count, (), ())))  # noqa: B023 - called here
        for count in (MAX_LIST, 20 * MAX_LIST)
    )
    assert many < 20 * most  # looked through in pairs, all of them would take 400 times as long


def test_a_rule_that_fails_on_one_picture_in_many_fails_closed(tmp_path: Path) -> None:
    policy = load_policy(changed(tmp_path, "10 / (media.width - 777) < 1000"))
    others = {decide(policy, EVENT, Picture("", "jpeg", n, 9, 1, ()), Perception((), (), ())).broken for n in (1, 776)}
    failed = decide(policy, EVENT, Picture("", "jpeg", 777, 9, 1, ()), Perception((), (), ()))
    assert others == {()}
    assert (failed.action, failed.broken) == (Action.review, ("explicit-nudity",))
    assert failed.rules[0].because == "the condition could not be evaluated"
    assert failed.review is not None


def test_an_index_beyond_a_list_fails_closed(tmp_path: Path) -> None:
    policy = load_policy(changed(tmp_path, "faces.count > 0 && faces.each[1].quality > 0.5"))
    none, one = (Perception((), (Face((0, 0, 9, 9), 0, 0.9, 0.9),) * n, ()) for n in (0, 1))
    assert decide(policy, EVENT, PICTURE, none).broken == ()
    assert decide(policy, EVENT, PICTURE, one).broken == ("explicit-nudity",)


def test_every_condition_of_three_hundred_nested_macros_is_refused_before_it_is_parsed() -> None:
    when = "tags.exists(t, " * 300 + "true" + ")" * 300
    assert read_expression(when).problems
