"""Mutation testing of stage 6: no wrong version of it survives the policies' cases and changes an action.

Every mutant of `policy/decide.py`, `policy/views.py` and the filters of `policy/model.py` runs the cases that the
shipped policies carry and those below, which say by hand what has to come out. Whoever survives that must decide as the
original does on thousands of random pictures; what may still differ is no action (a suppression's name, an order).
"""

from __future__ import annotations

import ast
import inspect
import random
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from assent.core.resources import resource
from assent.core.taxonomy import LABELS
from assent.core.values import Action, Event, Face, Perception, Picture, Surface, Tag, Verdict, Visibility
from assent.policy import cases as policy_cases
from assent.policy import decide as original
from assent.policy import views
from assent.policy.load import load_policy
from assent.policy.model import ADULT, TEEN, Filter, Policy, age_band
from tests.adversarial.mutants import Mutant, mutants
from tests.fixtures.figures import Figure
from tests.unit.policy_files import BREAST, FEET, PHONE, PICTURE, POST, policy, rule, seen

RANDOM = 1_500  # pictures on which a survivor is compared with the original
POLICIES = [load_policy(path) for path in sorted(resource("policies").glob("*.yaml"))]


# What a filter does, without the rest of its module, of which nothing is used here.
FILTERS = f"""from __future__ import annotations
from dataclasses import dataclass
from assent.core.values import Audience, Event, Surface
from assent.policy.input import above
from assent.policy.schema import AgeBand
TEEN, ADULT = {TEEN}, {ADULT}

{inspect.getsource(Filter)}
{inspect.getsource(age_band)}
"""


def build(trees: Mapping[str, ast.Module]) -> Any:
    """The three modules, made of these trees."""
    made = {}
    for name, tree in trees.items():
        module = ModuleType(f"mutant_{name}")
        sys.modules[module.__name__] = module  # dataclasses look their module up
        exec(compile(tree, name, "exec"), module.__dict__)  # noqa: S102 - our own source, changed by us
        made[name] = module
    made["decide"].build_audience_views = made["views"].build_audience_views  # type: ignore[attr-defined]  # as imported
    made["decide"].Filter = made["filters"].Filter  # type: ignore[attr-defined]
    return made["decide"]


def bound(mutant: Any, made: Policy) -> Policy:
    """The policy with its filters made of the mutant's class."""
    names = [field.name for field in fields(Filter)]
    filters = (mutant.Filter(**{name: getattr(one, name) for name in names}) for one in made.filters)
    return replace(made, filters=tuple(filters))


class Battery:
    """What has to come out, said by hand."""

    def __init__(self, folder: Path) -> None:
        self.two = policy(
            folder,
            rules=[
                rule("late", "10 / (faces.count - 3) > 100", action="label"),
                rule("nude", 'near_face["nudity.explicit"] > 0.0', action="limit", review={"queue": "a"}),
                rule("number", "text.has_contact", action="review", redact=["text"], notify=["author"]),
                rule("both", 'text.has_contact && score["nudity"] > 0.0', review={"queue": "b", "priority": 5}),
                rule("listed", "hash.listed && faces.count > 0", emit=["hash"]),
                rule("feet", 'score["nudity.partial"] >= 0.9', suppress=["nudity.partial"]),
            ],
            emit=[
                {"id": "young", "to": ["public"], "ages": ["child", "teen"], "never": ["nudity"]},
                {"id": "german", "to": ["author"], "regions": ["DE"], "surfaces": ["story"], "only": ["text"]},
                {"id": "kids", "to": ["person"], "ages": ["child"], "never": ["nudity"]},
                {"id": "faces", "to": ["public"], "surfaces": ["message"], "faces": True},
                {"id": "open", "to": ["public"], "surfaces": ["avatar"], "faces": True, "matches": True},
            ],
            labels={
                "nudity": {"threshold": 0.5},
                "text": {"threshold": 0.5},
                "hash": {"threshold": 0.5, "emit": False},
            },
        )

    def wrong(self, mutant: Any, monkeypatch: pytest.MonkeyPatch) -> str:
        """Which expectation does not hold; empty where all do."""
        with monkeypatch.context() as patched:
            patched.setattr(policy_cases, "decide", mutant.decide)
            for one in POLICIES:
                if lines := policy_cases.run_cases(bound(mutant, one)):
                    return lines[0]
        try:
            self.check(mutant)
        except AssertionError as error:
            return str(error).splitlines()[0] if str(error) else "an assertion"
        return ""

    def check(self, mutant: Any) -> None:
        def decided(*tags: tuple[str, float], faces: int = 0, event: Event = POST) -> Verdict:
            verdict: Verdict = mutant.decide(two, event, PICTURE, seen(*tags, faces=faces))
            return verdict

        two = bound(mutant, self.two)

        assert decided((BREAST, 0.5), faces=1).action is Action.limit
        assert decided((BREAST, 0.4999), faces=1).action is Action.allow
        assert decided((BREAST, 0.5)).action is Action.allow
        broken = decided((BREAST, 0.9), faces=3)
        assert (broken.action, broken.broken) == (Action.review, ("late",))
        assert [one.id for one in broken.rules] == ["late", "nude"]
        urgent = decided((BREAST, 0.7), (PHONE, 0.9), (BREAST, 0.9), faces=1)
        assert (urgent.action, urgent.review and urgent.review.queue) == (Action.review, "b")
        assert urgent.rules[0].because == f"{BREAST} 0.90 ≥ 0.50"
        assert urgent.rules[2].because == f"{PHONE} 0.90 ≥ 0.50"
        assert [tag.name for tag in decided(("hash.known.listed", 0.9)).tags] == []
        assert [tag.name for tag in decided(("hash.known.listed", 0.9), faces=1).tags] == ["hash.known.listed"]
        later = replace(seen((PHONE, 0.9)).tags[0], frame=1)
        assert mutant.decide(two, POST, PICTURE, Perception((later,), (), ())).redact == ()
        number = decided((PHONE, 0.9))
        assert number.redact == ((10, 10, 20, 20),)
        assert number.notify == ("author",)
        assert number.review is not None
        assert decided(event=replace(POST, audience_age=12)).review is None
        assert [tag.name for tag in decided((FEET, 0.9)).tags] == []
        assert [tag.name for tag in decided((FEET, 0.8)).tags] == [FEET]
        for age, names in ((12, []), (13, []), (17, []), (18, [BREAST]), (None, [BREAST])):
            told = decided((BREAST, 0.9), event=replace(POST, audience_age=age)).audience_views["public"].tags
            assert [name for _, name in told] == names
        for age, names in ((12, []), (13, [BREAST])):
            told = decided((BREAST, 0.9), event=replace(POST, audience_age=age)).audience_views["person"].tags
            assert [name for _, name in told] == names
        for event, names in (
            (replace(POST, region="DE", surface="story"), []),
            (replace(POST, region="DE"), [BREAST]),
            (replace(POST, region="FR", surface="story"), [BREAST]),
        ):
            assert [name for _, name in decided((BREAST, 0.9), event=event).audience_views["author"].tags] == names
        shown = {who: (one.faces, one.matches) for who, one in decided().audience_views.items()}
        assert shown == {
            "platform": (True, True),
            "author": (True, False),
            "person": (True, True),
            "public": (False, False),
        }
        avatar = decided(event=replace(POST, surface="avatar")).audience_views["public"]
        assert (avatar.faces, avatar.matches) == (True, True)
        message = decided(event=replace(POST, surface="message")).audience_views["public"]
        assert (message.faces, message.matches) == (True, False)
        alone = mutant.decide(replace(two, recognises=False), POST, PICTURE, seen()).audience_views["platform"]
        assert (alone.faces, alone.matches) == (True, False)
        asked = [(kind, own) for kind in ("never", "others", "always") for own in (True, False)]
        waiting = [one for one in asked if mutant.waits(*one)]
        assert waiting == [("others", False), ("always", True), ("always", False)]


def pictures(count: int) -> list[tuple[Policy, Event, Picture, Perception, frozenset[int]]]:
    """Random pictures, each under one of the policies; scores often lie at a threshold."""
    rng = random.Random(20261125)
    found = []
    for n in range(count):
        made = POLICIES[n % len(POLICIES)]
        tags = []
        for label in rng.sample(LABELS, rng.randint(0, 6)):
            score = rng.choice((rng.random(), min(1.0, made.threshold(label.name))))
            box = rng.choice((None, (10, 10, 20, 20), (900, 900, 20, 20)))
            tags.append(Tag(label.name, label.category, score, box, rng.choice((0, 1)), "m"))
        faces = tuple(Face((10, 10, 20, 20), 0, 0.9, 0.9) for _ in range(rng.choice((0, 1, 2, 25))))
        event = Event(
            "media.created",
            (),
            rng.choice(get_args(Visibility)),
            rng.choice(get_args(Surface)),
            region=rng.choice((None, "DE")),
            audience_age=rng.choice((None, 9, 12, 13, 17, 18, 40)),
        )
        matched = frozenset(range(rng.randint(0, min(2, len(faces)))))
        found.append((made, event, PICTURE, Perception(tuple(tags), faces, ("m",)), matched))
    return found


def action(mutant: Any, picture: Any) -> str:
    made, *given = picture
    try:
        found: str = mutant.decide(bound(mutant, made), *given).action.name
        return found
    except Exception as error:  # noqa: BLE001 - a mutant may raise anything
        return type(error).__name__


def survives(mutant: Any, battery: Battery, monkeypatch: pytest.MonkeyPatch) -> bool:
    try:
        return battery.wrong(mutant, monkeypatch) == ""
    except Exception:  # noqa: BLE001 - a mutant that raises is noticed
        return False


@pytest.mark.slow
def test_no_surviving_mutant_changes_an_action(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure) -> None:
    files = {"decide": original, "views": views}
    sources = {name: Path(str(module.__file__)).read_text() for name, module in files.items()} | {"filters": FILTERS}
    trees = {name: ast.parse(source) for name, source in sources.items()}
    battery, some = Battery(tmp_path), pictures(RANDOM)
    unchanged = build(trees)
    expected = [action(unchanged, one) for one in some]
    assert set(expected) == {one.name for one in Action}
    assert battery.wrong(unchanged, monkeypatch) == ""
    made, survivors, dangerous = 0, [], []
    for name, source in sources.items():
        for mutant in mutants(source):
            made += 1
            changed = build({**trees, name: mutant.tree})
            if survives(changed, battery, monkeypatch):
                survivors.append(f"{name}, {mutant.said}")
                if [action(changed, one) for one in some] != expected:
                    dangerous.append(survivors[-1])
    assert made > 40
    assert dangerous == []
    figure(f"{made} mutants, {len(survivors)} survive ({'; '.join(survivors)}) and change no action")


def test_the_mutator_changes_what_it_says() -> None:
    found = [mutant.said for mutant in mutants("def f(a, b):\n    return a >= 1 and not b\n")]
    assert found == [
        "line 2: a >= 1 and (not b) → a >= 1 or not b",
        "line 2: a >= 1 → a > 1",
        "line 2: a >= 1 → a < 1",
        "line 2: not b → not not b",
        "line 2: 1 → 2",
        "line 2: 1 → 0",
    ]
    assert isinstance(next(mutants("a = b > 1\n")), Mutant)
