"""Where the policy asks for it, the platform hears of a match only after the person said yes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assent.core.errors import ConsentMissing, NotFound
from assent.core.resources import resource
from assent.core.values import Approval
from assent.db.pool import transaction
from assent.outbox.endpoints import list_endpoints
from assent.policy.cases import run_cases
from assent.policy.load import load_policy
from assent.policy.versions import Policies
from assent.subjects.matches import approve, refuse
from assent.tenants import add_endpoint
from tests.command import assent, failing
from tests.events import decision, media_item, rows
from tests.integration.album import Album


@pytest.fixture
def asking(album: Album) -> Album:
    """The policy `ask-first`, and an endpoint that asks people."""
    policy = load_policy(resource("policies") / "ask-first.yaml")
    with transaction(album.bench.pool) as conn:
        add_endpoint(conn, album.keys, "people", f"{album.web.url}/people", "person")
    return replace(album, bench=replace(album.bench, policies=Policies(policy)))


def test_the_ready_policy_is_valid_and_asks() -> None:
    policy = load_policy(resource("policies") / "ask-first.yaml")
    assert run_cases(policy) == ()
    assert policy.approval == "always"
    assert load_policy().approval == "never"


def test_the_person_is_asked_and_then_the_platform_told(asking: Album) -> None:
    asking.opt_in("alice", "second")
    assert asking.post(author="alice") == {}
    tagged, suggested = sorted(asking.deliver(), key=lambda body: str(body["type"]))
    assert tagged["type"] == "media.tagged"
    assert [face["match"] for face in tagged["data"]["faces"]] == [None] * 6
    (one,) = asking.seen("alice")
    assert (one.state, one.item, one.box) == ("suggested", media_item("group"), (275, 169, 107, 104))
    assert suggested["type"] == "tag.suggested"
    assert (suggested["data"]["source"], suggested["data"]["media"]["id"]) == one.item
    assert suggested["data"]["suggestions"] == [
        {"subject": "alice", "face": one.face, "box": list(one.box), "band": one.band}
    ]
    approve(asking.bench.pool, asking.keys, asking.pid("alice"), media_item("group"), one.face)
    assert asking.named() == {"alice": "second"}
    (told,) = asking.deliver()
    assert (told["type"], told["data"]["revision"]) == ("tag.published", 2)
    assert told["data"]["faces"][one.face]["match"]["subject"] == "alice"
    approve(asking.bench.pool, asking.keys, asking.pid("alice"), media_item("group"), one.face)
    assert asking.deliver() == []
    assert asking.leaves("tag.published") == 1


def test_each_endpoint_gets_what_is_meant_for_it(asking: Album) -> None:
    asking.opt_in("alice", "second")
    asking.post(author="alice")
    approve(asking.bench.pool, asking.keys, asking.pid("alice"), media_item("group"), asking.seen("alice")[0].face)
    said = rows(asking.bench, "SELECT DISTINCT endpoint, type FROM outbox ORDER BY 1, 2")
    assert said == [("people", "tag.suggested"), ("platform", "media.tagged")]
    assert asking.deliver()[0]["data"]["revision"] == 2  # the first had not been sent: the newest goes as media.tagged


def test_a_suggestion_that_was_answered_is_not_sent(asking: Album) -> None:
    asking.opt_in("alice", "second")
    asking.post(author="alice")
    refuse(asking.bench.pool, asking.keys, asking.pid("alice"), media_item("group"), asking.seen("alice")[0].face)
    assert [told["type"] for told in asking.deliver()] == ["media.tagged"]
    assert rows(asking.bench, "SELECT state FROM outbox WHERE type = 'tag.suggested'") == [("superseded",)]
    assert asking.leaves("tag.retracted") == 0  # the platform never heard of it


def test_one_answer_leaves_the_other_suggestion_open(asking: Album) -> None:
    asking.opt_in("alice", "second")
    asking.opt_in("bob", "fifth")
    asking.post(author="alice", connections=("bob",))
    approve(asking.bench.pool, asking.keys, asking.pid("alice"), media_item("group"), asking.seen("alice")[0].face)
    suggested = next(body for body in asking.deliver() if body["type"] == "tag.suggested")
    assert [one["subject"] for one in suggested["data"]["suggestions"]] == ["bob"]
    approve(asking.bench.pool, asking.keys, asking.pid("bob"), media_item("group"), asking.seen("bob")[0].face)
    assert asking.named() == {"alice": "second", "bob": "fifth"}


@pytest.mark.parametrize(
    ("approval", "author", "waiting"),
    [("others", "alice", False), ("others", "bob", True), ("never", "bob", False), ("always", "alice", True)],
)
def test_who_is_asked(album: Album, tmp_path: Path, approval: Approval, author: str, waiting: bool) -> None:
    text = (resource("policies") / "ask-first.yaml").read_text().replace("approval: always", f"approval: {approval}")
    (tmp_path / "policy.yaml").write_text(text)
    policy = load_policy(tmp_path / "policy.yaml")
    album = replace(album, bench=replace(album.bench, policies=Policies(policy)))
    album.opt_in("alice", "second")
    assert album.post(author=author, connections=("alice",)) == ({} if waiting else {"alice": "second"})


def test_nobody_answers_for_another(asking: Album) -> None:
    asking.opt_in("alice", "second")
    asking.opt_in("bob", "fifth")
    asking.post(author="alice")
    face = asking.seen("alice")[0].face
    for answer in (approve, refuse):
        with pytest.raises(NotFound):
            answer(asking.bench.pool, asking.keys, asking.pid("bob"), media_item("group"), face)
        with pytest.raises(NotFound):
            answer(asking.bench.pool, asking.keys, asking.pid("alice"), media_item("group"), face + 1)
    assert asking.seen("alice")[0].state == "suggested"


def test_no_yes_after_the_consent_is_gone(asking: Album) -> None:
    consent = asking.opt_in("alice", "second")
    asking.post(author="alice")
    (one,) = asking.seen("alice")
    asking.withdraw(consent)
    with pytest.raises(ConsentMissing):
        approve(asking.bench.pool, asking.keys, asking.pid("alice"), media_item("group"), one.face)
    assert [face["match"] for face in decision(asking.bench, asking.keys, "group")["faces"]] == [None] * 6
    assert [told["type"] for told in asking.deliver()] == ["media.tagged"]


def test_endpoints_are_listed_with_their_audience(asking: Album) -> None:
    with transaction(asking.bench.pool) as conn:
        assert [(row["name"], row["audience"]) for row in list_endpoints(conn, "default")] == [
            ("people", "person"),
            ("platform", "platform"),
        ]


def test_an_endpoint_for_people_is_added_on_the_command_line(album: Album, environment: dict[str, str]) -> None:
    words = ("endpoint", "add", "people", f"{album.web.url}/people", "--audience", "person")
    assert assent(environment, *words).startswith("whsec_")
    assert rows(album.bench, "SELECT name, audience FROM endpoint ORDER BY 1") == [
        ("people", "person"),
        ("platform", "platform"),
    ]
    assert failing(environment, *words).startswith("already_initialised ")
