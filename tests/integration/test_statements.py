"""Statements of reasons are stored once for each restriction, told to the author, exported in batches, and say nothing
about anybody."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from assent.core.errors import BadRequest
from assent.core.resources import resource
from assent.core.values import Face, MediaRef, Perception, Tag
from assent.db.pool import Pool, transaction
from assent.decisions.assemble import Recipient, assemble_view
from assent.decisions.statement import derive_puid
from assent.decisions.views import AuthorView, document_json
from assent.hashlists.entries import Entries
from assent.hashlists.lists import ListTerms, import_hashes
from assent.keys.keystore import TenantKeys
from assent.policy.load import load_policy
from assent.policy.versions import Policies
from assent.review.cases import open_cases
from assent.review.decide import ReviewInput, decide_case
from assent.review.undo import undo
from assent.worker.jobs import WorkerContext, decide_event
from tests.command import assent, failing
from tests.events import media_item, rows, store

HIDDEN = ("alice-the-author", "bob-the-friend", "photo-of-alice", "alt words", "hidden.example")


def seen(*_: object) -> Perception:
    """A nude beside a face."""
    tag = Tag("nudity.explicit.breast", "safety", 0.93, (10, 10, 20, 20), 0, "m")
    return Perception((tag,), (Face((10, 10, 20, 20), 0, 0.9, 0.9),), ("m",))


def doubtful(*_: object) -> Perception:
    """A nude and no face near: a person looks."""
    return replace(seen(), faces=())


@pytest.fixture
def eu(bench: WorkerContext) -> WorkerContext:
    policy = load_policy(resource("policies") / "eu.yaml")
    return replace(bench, stages=replace(bench.stages, perceive=seen), policies=Policies(policy))


def post(bench: WorkerContext, keys: TenantKeys, cat: bytes, media: str, revision: int = 1) -> None:
    ref = MediaRef(media, None, "alt words of https://hidden.example/")
    event = store(bench, keys, ref, cat, author=HIDDEN[0], connections=(HIDDEN[1],), revision=revision, region="DE")
    decide_event(bench, "default", event)


def test_a_restriction_is_stated_once_and_the_author_told(eu: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    post(eu, keys, cat, HIDDEN[2])
    post(eu, keys, cat, "another", revision=2)
    stored = rows(eu, "SELECT puid, body, notice FROM statement ORDER BY at")
    assert [one[0] for one in stored] == [derive_puid(keys, media_item(name), 1) for name in (HIDDEN[2], "another")]
    assert all(one[1]["puid"] == one[0] for one in stored)
    item = media_item(HIDDEN[2])
    with transaction(eu.pool) as conn:
        author, public = (assemble_view(conn, keys, item, Recipient(who)) for who in ("author", "public"))
    assert isinstance(author, AuthorView)
    assert author.statement == stored[0][0]
    assert set(author.notice) == {"en", "de", "fr"}
    assert "Nacktheit" in author.notice["de"]
    assert public is not None
    assert "notice" not in document_json(public)


def test_no_personal_data_is_in_a_statement(eu: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    post(eu, keys, cat, HIDDEN[2])
    text = json.dumps(rows(eu, "SELECT puid, body, notice FROM statement"), default=str)
    event, sha256 = rows(eu, "SELECT event_id::text, document -> 'media' ->> 'sha256' FROM decision")[0]
    for word in (*HIDDEN, event, sha256, "0.93"):
        assert word not in text


def test_a_decision_anew_is_another_statement_and_they_outlive_the_picture(
    eu: WorkerContext, keys: TenantKeys, cat: bytes
) -> None:
    post(eu, keys, cat, "cat")
    post(eu, keys, cat, "cat", revision=2)
    assert len(rows(eu, "SELECT puid FROM statement")) == 2
    decide_event(eu, "default", store(eu, keys, MediaRef("cat", None), type="media.deleted", revision=3))
    assert rows(eu, "SELECT count(*) FROM decision") == [(0,)]
    assert len(rows(eu, "SELECT puid FROM statement")) == 2


def test_nothing_is_stated_under_a_policy_that_makes_none(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    bench = replace(bench, stages=replace(bench.stages, perceive=seen))
    post(bench, keys, cat, "cat")
    assert rows(bench, "SELECT count(*) FROM statement") == [(0,)]
    assert rows(bench, "SELECT action FROM decision") == [("limit",)]


def test_export_in_batches_of_a_hundred(
    pool: Pool, keys: TenantKeys, environment: dict[str, str], tmp_path: Path
) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    with transaction(pool) as conn:
        for n in range(250):
            conn.execute(
                "INSERT INTO statement (tenant, puid, body, notice, at) VALUES ('default', %s, %s, '{}', %s)",
                [f"{n:03}", Jsonb({"puid": f"{n:03}"}), begin + timedelta(days=n // 2)],  # two share a time
            )
    done = assent(environment, "statements", "export", tmp_path / "out")
    assert done.startswith("250 statements in 3 files")
    batches = [json.loads(path.read_text())["statements"] for path in sorted((tmp_path / "out").iterdir())]
    assert [len(batch) for batch in batches] == [100, 100, 50]
    assert [one["puid"] for batch in batches for one in batch] == [f"{n:03}" for n in range(250)]
    later = assent(environment, "statements", "export", tmp_path / "late", "--since", "2026-05-01")
    assert later.startswith("10 statements in 1 files")
    assert "holds statements already" in failing(environment, "statements", "export", tmp_path / "out")


def restrict(eu: WorkerContext, keys: TenantKeys, given: ReviewInput) -> str | None:
    """A moderator's decision on the newest case; the puid that the decision names since."""
    with transaction(eu.pool) as conn:
        (case,) = open_cases(conn, "default", 2)
        decide_case(conn, keys, "cli", case.id, given)
    ((puid,),) = rows(eu, "SELECT document ->> 'statement' FROM decision")
    return None if puid is None else str(puid)


def test_what_a_moderator_restricts_is_stated_as_a_persons_decision(
    eu: WorkerContext, keys: TenantKeys, cat: bytes
) -> None:
    eu = replace(eu, stages=replace(eu.stages, perceive=doubtful))
    post(eu, keys, cat, "cat")
    assert rows(eu, "SELECT action FROM decision") == [("review",)]
    puid = restrict(eu, keys, ReviewInput("block"))
    ((stored, body, notice),) = rows(eu, "SELECT puid, body, notice FROM statement")
    assert stored == puid == derive_puid(keys, media_item("cat"), 2)
    assert body["automated_decision"] == "AUTOMATED_DECISION_NOT_AUTOMATED"
    assert body["decision_visibility"] == ["DECISION_VISIBILITY_CONTENT_DISABLED"]
    assert "A person looked at the picture" in body["decision_facts"]
    assert "Ein Mensch hat dein Bild angesehen" in notice["de"]
    with transaction(eu.pool) as conn:
        author = assemble_view(conn, keys, media_item("cat"), Recipient("author"))
    assert isinstance(author, AuthorView)
    assert (author.statement, author.notice) == (puid, notice)


def test_its_ground_is_the_rule_that_the_moderator_names(eu: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    eu = replace(eu, stages=replace(eu.stages, perceive=doubtful))
    post(eu, keys, cat, "cat")
    with pytest.raises(BadRequest, match="explicit-nudity"):
        restrict(eu, keys, ReviewInput("block", ground="no-such-rule"))
    restrict(eu, keys, ReviewInput("block", ground="explicit-nudity"))
    ((body, notice),) = rows(eu, "SELECT body, notice FROM statement")
    assert body["incompatible_content_ground"] == "Terms of service, nudity"
    assert "An uncovered female breast" in body["decision_facts"]
    assert "nudity" in notice["en"]


def test_on_a_severe_list_it_is_the_rule_about_such_lists(eu: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    listed = Entries(sha256=bytearray(sha256(cat).digest()))
    with transaction(eu.pool) as conn:
        import_hashes(conn, keys, "hotline", listed, ListTerms(severe=True), replace=False)
    post(eu, keys, cat, "cat")
    restrict(eu, keys, ReviewInput("block"))
    ((body,),) = rows(eu, "SELECT body FROM statement WHERE body ->> 'automated_decision' LIKE '%NOT_AUTOMATED'")
    assert body["illegal_content_legal_ground"] == "Illegal content, by the list's keeper"


def test_what_a_moderator_allows_is_not_stated(eu: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    eu = replace(eu, stages=replace(eu.stages, perceive=doubtful))
    post(eu, keys, cat, "cat")
    assert restrict(eu, keys, ReviewInput("allow")) is None
    assert rows(eu, "SELECT count(*) FROM statement") == [(0,)]


def test_a_decision_that_may_be_undone_is_not_exported_yet(
    eu: WorkerContext, keys: TenantKeys, cat: bytes, environment: dict[str, str], tmp_path: Path
) -> None:
    eu = replace(eu, stages=replace(eu.stages, perceive=doubtful))
    post(eu, keys, cat, "cat")
    restrict(eu, keys, ReviewInput("block", hold=timedelta(seconds=30)))
    assert assent(environment, "statements", "export", tmp_path / "early").startswith("0 statements")
    with transaction(eu.pool) as conn:
        conn.execute("UPDATE statement SET at = at - interval '31 s'")
    assert assent(environment, "statements", "export", tmp_path / "late").startswith("1 statements")
    ((case,),) = rows(eu, "SELECT id FROM review_case")
    with transaction(eu.pool) as conn:
        undo(conn, keys, "cli", case)
    assert rows(eu, "SELECT count(*) FROM statement") == [(0,)]
    assert rows(eu, "SELECT document ->> 'statement' FROM decision") == [(None,)]
