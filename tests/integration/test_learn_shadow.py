"""A head on trial is counted beside the live ones and says nothing; promoted with its figures it speaks, on workers
that never stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from assent.audit import verify
from assent.cli.doctor import _ended_heads
from assent.core.errors import HeadAlreadyActive, InsufficientEvidence, ModelUnknown, NotFound
from assent.core.values import Event, MediaRef, Trial
from assent.db.pool import transaction
from assent.decisions.media_items import MediaKey
from assent.perceive.labels.backbone import Backbone
from assent.shadow import heads as trial
from assent.shadow import traffic
from assent.shadow.live import TenantHeads, note_trials
from assent.tenants import init_tenant
from assent.worker.jobs import decide_event
from assent.worker.maintenance import purge_expired
from tests.events import SOURCE, decision, leaves, rows, store
from tests.integration.album import Album
from tests.integration.head_files import default_backbone, write_head

HAT, SHOES = "product.clothing.hat", "product.clothing.shoes"


class Trials:
    """Trials at the desk's tenant, as the command line makes them."""

    def __init__(self, desk: Album, folder: Path) -> None:
        self.desk, self.folder = desk, folder
        self.n = 0

    def shadow(self, says: dict[str, float], name: str = "wardrobe", **said: Any) -> str:
        self.n += 1
        path = write_head(self.folder / str(self.n), name, says, **said)
        with transaction(self.desk.bench.pool) as conn:
            stored = trial.try_out(conn, self.desk.keys, "cli", path)
        self.refresh()
        return stored.sha256

    def promote(self, name: str = "wardrobe", anyway: str | None = "a test") -> None:
        with transaction(self.desk.bench.pool) as conn:
            trial.promote(conn, self.desk.keys, "cli", name, anyway)
        self.refresh()

    def roll_back(self, name: str = "wardrobe") -> str | None:
        with transaction(self.desk.bench.pool) as conn:
            before = trial.roll_back_head(conn, self.desk.keys, "cli", name)
        self.refresh()
        return before

    def refresh(self) -> None:
        """What each worker does every two seconds."""
        bench = self.desk.bench
        bench.heads.refresh(bench.settings, bench.pool, bench.keystore)

    def compared(self, head: str) -> traffic.Comparison:
        with transaction(self.desk.bench.pool) as conn:
            return traffic.compare_heads(conn, "default", head)

    def said(self, media_id: str = "group") -> list[str]:
        """The labels of clothes that the stored perceptions hold, from which decisions are made."""
        found = rows(self.desk.bench, f"SELECT perceptions FROM decision WHERE media_id = '{media_id}'")  # noqa: S608
        return sorted(tag["name"] for (seen,) in found[-1:] for tag in seen["tags"] if tag["name"] in (HAT, SHOES))


@pytest.fixture
def trials(desk: Album, tmp_path: Path) -> Trials:
    return Trials(desk, tmp_path / "heads")


def test_what_a_head_on_trial_says_is_counted_and_nowhere_else(trials: Trials, moderator: TestClient) -> None:
    head = trials.shadow({HAT: 0.8, SHOES: 0.1})
    desk = trials.desk
    desk.post("one")
    desk.post("two")
    assert trials.said("one") == []
    assert HAT not in json.dumps(decision(desk.bench, desk.keys, "one"))
    assert all(HAT not in json.dumps(told) for told in desk.deliver())
    stored = rows(desk.bench, "SELECT document::text || perceptions::text FROM decision")
    assert not any(HAT in text for (text,) in stored)
    found = trials.compared(head)
    assert found.pictures == 2
    assert found.labels == (traffic.LabelCounts(HAT, only_candidate=2),)
    moderator.post("/v1/media/one/corrections", json={"add": [HAT]})
    for case in moderator.get("/v1/reviews").json()["reviews"]:
        body = {"action": "allow", "add" if case["media"] == "one" else "remove": [HAT]}
        assert moderator.post(f"/v1/reviews/{case['id']}", json=body).status_code == 200
    assert trials.compared(head).labels == (traffic.LabelCounts(HAT, 0, 0, 2, 2, 1, 1),)


def test_promoted_it_speaks_and_rolled_back_it_is_silent(trials: Trials) -> None:
    first = trials.shadow({HAT: 0.9})
    trials.promote()
    trials.desk.post("one")
    assert trials.said("one") == [HAT]
    tag = next(
        tag
        for (seen,) in rows(trials.desk.bench, "SELECT perceptions FROM decision")
        for tag in seen["tags"]
        if tag["name"] == HAT
    )
    assert tag["model"].startswith("wardrobe@")
    second = trials.shadow({HAT: 0.1, SHOES: 0.8})
    trials.desk.post("two")
    assert trials.said("two") == [HAT]
    assert trials.compared(second).labels == (
        traffic.LabelCounts(HAT, only_live=1),
        traffic.LabelCounts(SHOES, only_candidate=1),
    )
    trials.promote()
    trials.desk.post("three")
    assert trials.said("three") == [SHOES]
    assert trials.roll_back() == first
    trials.desk.post("four")
    assert trials.said("four") == [HAT]
    assert trials.roll_back() is None
    trials.desk.post("five")
    assert trials.said("five") == []
    with pytest.raises(NotFound):
        trials.roll_back()
    assert rows(trials.desk.bench, "SELECT count(*) FROM shadow") == [(0,)]


def test_the_log_holds_the_figures_and_verifies(trials: Trials) -> None:
    head = trials.shadow({HAT: 0.9})
    trials.desk.post()
    trials.promote(anyway="hidden-reason")
    trials.roll_back()
    (promoted,) = leaves(trials.desk.bench, "head.promoted")
    assert (promoted["head"], promoted["manifest"], promoted["replaces"]) == ("wardrobe", head, None)
    assert promoted["evaluation"]["labels"] == {HAT: {"threshold": 0.5, "precision": 0.95, "recall": 0.4}}
    assert promoted["evaluation"]["figures"]["photos"] == 400
    assert promoted["evaluation"]["data"] == "photos of a test"
    assert promoted["compared"]["pictures"] == 1
    assert "hidden-reason" not in json.dumps(promoted)
    assert [leaf["to"] for leaf in leaves(trials.desk.bench, "head.rolled-back")] == [None]
    assert len(leaves(trials.desk.bench, "head.tried")) == 1
    with transaction(trials.desk.bench.pool) as conn:
        verify.verify_database(conn, trials.desk.keys, None)


def test_without_figures_or_pictures_nothing_is_promoted(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    trials.shadow({HAT: 0.9}, evaluated=False)
    with pytest.raises(InsufficientEvidence, match=r"precision and recall of product\.clothing\.hat"):
        trials.promote()
    trials.shadow({HAT: 0.9}, data="not stated")
    with pytest.raises(InsufficientEvidence, match="the data it was measured on"):
        trials.promote()
    trials.shadow({HAT: 0.9})
    with pytest.raises(InsufficientEvidence, match="saw 0 pictures"):
        trials.promote(anyway=None)
    assert rows(trials.desk.bench, "SELECT count(*) FROM head WHERE state = 'live'") == [(0,)]
    monkeypatch.setattr(trial, "MIN_PICTURES", 1)
    trials.desk.post()
    trials.promote(anyway=None)


def test_what_cannot_run_here_is_not_tried(trials: Trials) -> None:
    other = Backbone("another@000000000000+00000000", default_backbone().width)
    with pytest.raises(ModelUnknown, match="made for another"):
        trials.shadow({HAT: 0.9}, made_for=other)
    path = write_head(trials.folder / "swapped", "wardrobe", {HAT: 0.9})
    path.with_suffix(".onnx").write_bytes(b"another file")
    with pytest.raises(ModelUnknown), transaction(trials.desk.bench.pool) as conn:
        trial.try_out(conn, trials.desk.keys, "cli", path)
    trials.shadow({HAT: 0.9})
    trials.promote()
    with pytest.raises(HeadAlreadyActive):
        trials.shadow({HAT: 0.9})


def test_a_head_altered_in_the_database_is_left_out(trials: Trials, capsys: pytest.CaptureFixture[str]) -> None:
    trials.shadow({HAT: 0.9})
    trials.promote()
    bench = trials.desk.bench
    with transaction(bench.pool) as conn:
        conn.execute("UPDATE head SET network = set_byte(network, 40, get_byte(network, 40) # 1)")
    fresh = TenantHeads(bench.gallery.models, threads=1)
    fresh.refresh(bench.settings, bench.pool, bench.keystore)
    assert "head left out" in capsys.readouterr().out
    seen = bench.stages.perceive(bench.stages.decoder.decode(trials.desk.photo), False)
    assert fresh("default", seen).tags == seen.tags
    assert [leaf["kind"] for leaf in leaves(bench, "seal.broken")] == ["head"]


def test_a_head_of_a_former_backbone_ends_with_a_leaf_and_a_line(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = Backbone("former@000000000000+00000000", default_backbone().width)
    monkeypatch.setattr(trial, "backbone", lambda _: former)  # as it was tried and promoted then
    monkeypatch.setattr(trials, "refresh", lambda: None)
    live = trials.shadow({HAT: 0.9}, made_for=former)
    trials.promote()
    tried = trials.shadow({SHOES: 0.9}, "other", made_for=former)
    monkeypatch.undo()
    trials.refresh()
    bench = trials.desk.bench
    assert {(leaf["manifest"], leaf["was"], leaf["backbone"]) for leaf in leaves(bench, "head.ended")} == {
        (live, "live", former.id),
        (tried, "shadow", former.id),
    }
    assert rows(bench, "SELECT DISTINCT state FROM head") == [("ended",)]
    trials.refresh()  # and says so once
    assert len(leaves(bench, "head.ended")) == 2
    trials.desk.post("one")
    assert trials.said("one") == []
    told = list(_ended_heads(bench.pool))
    assert [(found.what, found.ok) for found in told] == [("head other", True), ("head wardrobe", True)]
    assert all("assent train" in found.repair for found in told)
    trials.shadow({HAT: 0.9})
    assert [found.what for found in _ended_heads(bench.pool)] == ["head other"]
    with transaction(bench.pool) as conn:
        verify.verify_database(conn, trials.desk.keys, None)


def test_another_tenant_has_none_of_it(trials: Trials) -> None:
    trials.shadow({HAT: 0.9})
    trials.promote()
    bench = trials.desk.bench
    init_tenant(bench.pool, bench.keystore, "other", "elsewhere", None)
    seen = bench.stages.perceive(bench.stages.decoder.decode(trials.desk.photo), False)
    assert [tag.name for tag in bench.heads("default", seen).tags if tag.name == HAT] == [HAT]
    assert bench.heads("other", seen) is seen


def test_counts_go_with_the_picture_and_are_bounded(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    head = trials.shadow({HAT: 0.9})
    desk = trials.desk
    for n in range(4):
        desk.post(f"photo-{n}")
    decide_event(desk.bench, "default", store(desk.bench, desk.keys, MediaRef("photo-3", None), type="media.deleted"))
    assert trials.compared(head).pictures == 3
    monkeypatch.setattr("assent.worker.maintenance.TRIAL_IMAGES", 2)
    purge_expired(desk.bench.settings, desk.bench.pool, desk.bench.keystore)
    assert rows(desk.bench, "SELECT media_id FROM shadow ORDER BY media_id") == [("photo-1",), ("photo-2",)]


def test_features_are_finite_and_in_no_row(trials: Trials) -> None:
    bench = trials.desk.bench
    seen = bench.stages.perceive(bench.stages.decoder.decode(trials.desk.photo), False)
    ((frame, features),) = seen.features.items()
    assert (frame, features.shape) == (0, (default_backbone().width,))
    assert np.isfinite(features).all()
    assert "features" not in repr(seen)


def test_a_broken_head_can_still_be_rolled_back(trials: Trials) -> None:
    trials.shadow({HAT: 0.9})
    trials.promote()
    with transaction(trials.desk.bench.pool) as conn:
        conn.execute("UPDATE head SET manifest = ''")
    assert trials.roll_back() is None
    assert rows(trials.desk.bench, "SELECT state FROM head") == [("withdrawn",)]


def test_a_picture_deleted_before_it_was_counted_is_not(trials: Trials) -> None:
    head = trials.shadow({HAT: 0.9})
    bench, keys = trials.desk.bench, trials.desk.keys
    trials.desk.post("gone")
    ((event_id,),) = rows(bench, "SELECT event_id FROM decision")
    decide_event(bench, "default", store(bench, keys, MediaRef("gone", None), type="media.deleted"))
    media = MediaRef("gone", None)
    place = MediaKey("default", event_id, SOURCE, 0, Event("media.created", (media,), "public", "post"), media)
    with transaction(bench.pool) as conn:
        note_trials(conn, place, [Trial(head, (), (HAT,))])
    assert trials.compared(head).pictures == 0
