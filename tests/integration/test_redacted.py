"""A kept picture can be shown with everybody hidden who did not agree to be named, so that no embedder finds them."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from assent.core.values import MediaRef, Perception, Picture, Pixels, PolicyRef, Tag
from assent.db.pool import transaction
from assent.decisions.document import DecidedFace, DecidedMedia, Decision
from assent.decisions.render.redact import KEPT_SIDE, redact
from assent.subjects.matches import refuse
from assent.tenants import init_tenant
from assent.worker.jobs import decide_event
from assent.worker.maintenance import purge_expired
from tests.events import everything, media_item, rows, store
from tests.fixtures.figures import Figure
from tests.integration.album import Album, embedding
from tests.photos import FACES


@pytest.fixture
def keeping(album: Album) -> Album:
    settings = album.bench.settings.model_copy(update={"keep_for_redaction": True})
    return replace(album, bench=replace(album.bench, settings=settings))


def shown(client: TestClient, media_id: str = "group") -> Pixels:
    answer = client.get(f"/v1/media/{media_id}/redacted")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    return np.asarray(Image.open(BytesIO(answer.content)).convert("RGB"))


def test_hidden_faces_match_nobody_and_named_ones_stay(keeping: Album, client: TestClient, figure: Figure) -> None:
    keeping.opt_in("alice", "second")
    assert keeping.post(author="alice") == {"alice": "second"}
    before = np.asarray(Image.open(BytesIO(keeping.photo)).convert("RGB"))
    after = shown(client)
    scores = {
        name: float(embedding(keeping, before, box) @ embedding(keeping, after, box)) for name, box in FACES.items()
    }
    threshold = keeping.bench.gallery.models.calibration.threshold(1)
    said = ", ".join(f"{name} {score:.2f}" for name, score in scores.items())
    figure(f"cosine of each face to itself in the redacted picture (threshold {threshold:.2f}): {said}")
    assert scores.pop("second") > 0.9
    assert len(scores) == 5
    assert max(scores.values()) < threshold


def test_faces_that_a_policy_tells_the_platform_nothing_of_are_hidden_too(keeping: Album, client: TestClient) -> None:
    keeping.post()
    before = shown(client)
    with transaction(keeping.bench.pool) as conn:
        conn.execute(
            "UPDATE decision SET audiences = jsonb_set(audiences, '{platform}',"
            " audiences -> 'platform' || '{\"faces\": false, \"matches\": false}')"
        )
    assert client.get("/v1/media/group").json()["faces"] == []
    assert (shown(client) == before).all()


def test_after_withdrawal_or_refusal_the_face_is_hidden_too(keeping: Album, client: TestClient) -> None:
    consent = keeping.opt_in("alice", "second")
    keeping.opt_in("bob", "fifth")
    keeping.post(author="alice", connections=("bob",))
    open_faces = shown(client)
    keeping.withdraw(consent)
    refuse(keeping.bench.pool, keeping.keys, keeping.pid("bob"), media_item("group"), keeping.seen("bob")[0].face)
    hidden = shown(client)
    threshold = keeping.bench.gallery.models.calibration.threshold(1)
    for name in ("second", "fifth"):
        score = embedding(keeping, open_faces, FACES[name]) @ embedding(keeping, hidden, FACES[name])
        assert score < threshold


def test_a_large_picture_is_kept_smaller_and_its_boxes_still_fit() -> None:
    large = Image.effect_noise((3 * KEPT_SIDE, KEPT_SIDE), 60).convert("RGB")
    small = BytesIO()
    large.resize((KEPT_SIDE, KEPT_SIDE // 3)).save(small, "JPEG", quality=95)
    decision = Decision(
        event=None,
        tenant="default",
        revision=1,
        media=DecidedMedia("large", width=large.width, height=large.height),
        tags=(),
        faces=(DecidedFace((1500, 600, 300, 300), 0, 0.9),),
        action="allow",
        rules=(),
        policy=PolicyRef("default", "1", ""),
    )
    before = np.asarray(Image.open(small).convert("L"), np.float32)
    after = np.asarray(Image.open(BytesIO(redact(small.getvalue(), decision))).convert("L"), np.float32)
    inside, outside = np.s_[210:290, 510:590], np.s_[400:600, 1000:1600]
    assert after[inside].std() < before[inside].std() / 5
    assert after[outside].std() > before[outside].std() * 0.9


def test_what_is_not_kept_is_not_found_and_says_how_to_keep_it(album: Album, client: TestClient) -> None:
    album.post()
    for media_id in ("group", "unknown"):
        answer = client.get(f"/v1/media/{media_id}/redacted")
        assert (answer.status_code, answer.json()["code"]) == (404, "picture_not_kept")
        assert "ASSENT_KEEP_FOR_REDACTION" in answer.json()["title"]
    assert rows(album.bench, "SELECT count(*) FROM kept_picture") == [(0,)]


def test_the_copy_lies_sealed_for_its_term_and_goes_with_the_picture(keeping: Album) -> None:
    keeping.post("one")
    keeping.post("two")
    kept = rows(keeping.bench, "SELECT sealed, kept_until - now() FROM kept_picture")
    assert len(kept) == 2
    assert all(b"JFIF" not in sealed and 29.9 < left.total_seconds() / 86400 <= 30 for sealed, left in kept)
    assert "JFIF" not in everything(keeping.bench)
    event = store(keeping.bench, keeping.keys, MediaRef("one", None), type="media.deleted")
    decide_event(keeping.bench, "default", event)
    assert rows(keeping.bench, "SELECT media_id FROM kept_picture") == [("two",)]
    with transaction(keeping.bench.pool) as conn:
        conn.execute("UPDATE kept_picture SET kept_until = now()")
    purge_expired(keeping.bench.settings, keeping.bench.pool, keeping.bench.keystore)
    assert rows(keeping.bench, "SELECT count(*) FROM kept_picture") == [(0,)]


def test_pictures_in_review_are_kept(album: Album, client: TestClient) -> None:
    seen = album.bench.stages

    def perceive(picture: Picture, comparable: bool) -> Perception:
        found = seen.perceive(picture, comparable)
        far = Tag("nudity.explicit.breast", "safety", 0.9, (0, 0, 5, 5), 0, "test")
        return replace(found, tags=(far,), faces=())

    bench = replace(album.bench, stages=replace(seen, perceive=perceive))
    replace(album, bench=bench).post("peach")
    assert rows(album.bench, "SELECT action FROM decision") == [("review",)]
    assert shown(client, "peach").shape == (886, 1280, 3)


def test_a_new_decision_takes_the_older_copy_away(keeping: Album, album: Album) -> None:
    keeping.post()
    assert rows(album.bench, "SELECT count(*) FROM kept_picture") == [(1,)]
    album.post()  # nothing is kept any more: the old copy would not fit the new boxes
    assert rows(album.bench, "SELECT count(*) FROM kept_picture") == [(0,)]


def test_another_tenant_sees_nothing_of_it(keeping: Album, client: TestClient) -> None:
    keeping.post()
    other = init_tenant(keeping.bench.pool, keeping.bench.keystore, "other", "elsewhere", None)
    answer = client.get("/v1/media/group/redacted", headers={"Authorization": f"Bearer {other.api_key}"})
    assert (answer.status_code, answer.json()["code"]) == (404, "picture_not_kept")
