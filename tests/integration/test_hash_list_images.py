"""Pictures on a list are found before any model runs, without a restart; of a severe one nothing is kept or said."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from assent.app import create_app
from assent.audit.log import leaves, open_part
from assent.core.enrolment_errors import PhotoRefused
from assent.core.errors import DatabaseUnavailable, NotFound
from assent.core.values import MediaRef, Perception, Picture
from assent.db.locks import lock_shared
from assent.db.pool import fetch, open_pool, transaction
from assent.db.queries import named_queries
from assent.decisions.assemble import message_body
from assent.hashlists import follow, lists
from assent.hashlists.entries import Entries
from assent.hashlists.follow import TenantHashLists
from assent.keys.keystore import Keystore, TenantKeys
from assent.media.fingerprint import pdqs
from assent.subjects.enrol import _analyse_photos
from assent.tenants import CreatedTenant, init_tenant
from assent.worker.jobs import WorkerContext, decide_event
from tests.command import assent, failing, invoke
from tests.events import decision, everything, rows, store


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes count for the next picture: what is tested is that they do, not the second until they do."""
    monkeypatch.setattr(follow, "FRESH_SECONDS", 0.0)


def copy_of(photo: bytes) -> bytes:
    """The photo as another platform would have it: smaller, compressed again, mirrored."""
    image = Image.open(BytesIO(photo)).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image.thumbnail((image.width * 2 // 3, image.height))
    out = BytesIO()
    image.save(out, "JPEG", quality=60)
    return out.getvalue()


def entries(*photos: bytes, by: str = "pdq") -> Entries:
    if by == "sha256":
        return Entries(sha256=bytearray().join(sha256(photo).digest() for photo in photos))
    found = (pdqs(np.asarray(Image.open(BytesIO(photo)).convert("RGB")))[0] for photo in photos)
    return Entries(pdq=bytearray().join(found))


def put(
    bench: WorkerContext, keys: TenantKeys, name: str, found: Entries, *, replace: bool = False, **terms: Any
) -> lists.ImportResult:
    with transaction(bench.pool) as conn:
        return lists.import_hashes(conn, keys, name, found, lists.ListTerms(**terms), replace=replace)


def remove(bench: WorkerContext, keys: TenantKeys, name: str) -> None:
    with transaction(bench.pool) as conn:
        lists.remove_hash_list(conn, keys, name)


def post(bench: WorkerContext, keys: TenantKeys, photo: bytes, media_id: str = "photo", **said: Any) -> dict[str, Any]:
    decide_event(bench, keys.tenant, store(bench, keys, MediaRef(media_id, None), photo, **said))
    return decision(bench, keys, media_id)


def never(_picture: Picture, _compare: bool) -> Perception:
    raise AssertionError("a model looked at a picture of a severe list")


def test_a_copy_of_a_listed_photo_goes_to_review_and_names_the_list(
    bench: WorkerContext, keys: TenantKeys, cat: bytes
) -> None:
    said = post(bench, keys, cat)
    assert (said["action"], [tag["name"] for tag in said["tags"]]) == ("allow", ["animal.cat"])
    put(bench, keys, "swap-shop", entries(cat))
    said = post(bench, keys, copy_of(cat), "copy")
    assert said["action"] == "review"
    (tag,) = (tag for tag in said["tags"] if tag["category"] == "hash")
    assert (tag["name"], tag["category"], tag["model"].split("@")[0]) == ("hash.known.listed", "hash", "swap-shop")
    assert 0.87 < tag["score"] <= 1
    assert [rule["id"] for rule in said["rules"]] == ["known-picture"]
    assert rows(bench, "SELECT media_id, reason FROM review_case") == [("copy", "known-picture")]


def test_the_decision_holds_the_pdq_of_the_picture(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    assert post(bench, keys, cat)["media"]["pdq"] == bytes(entries(cat).pdq).hex()


def test_a_list_is_no_list_any_more_once_it_is_removed(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    put(bench, keys, "one", entries(cat, by="sha256"))
    assert post(bench, keys, cat, "a")["action"] == "review"
    remove(bench, keys, "one")
    assert post(bench, keys, cat, "b")["action"] == "allow"
    with pytest.raises(NotFound):
        remove(bench, keys, "one")


@pytest.mark.parametrize("by", ["pdq", "sha256"])
def test_no_model_sees_a_severe_picture_and_nothing_of_it_is_kept_or_said(
    bench: WorkerContext, keys: TenantKeys, made: CreatedTenant, database_url: str, cat: bytes, by: str
) -> None:
    settings = bench.settings.model_copy(update={"keep_for_redaction": True})
    bench = replace(bench, settings=settings)
    assert post(bench, keys, cat)["action"] == "allow"  # and a copy is kept
    assert rows(bench, "SELECT media_id FROM kept_picture") == [("photo",)]
    put(bench, keys, "hotline", entries(cat, by=by), severe=True)
    bench = replace(bench, stages=replace(bench.stages, perceive=never))
    photo = cat if by == "sha256" else copy_of(cat)
    said = post(bench, keys, photo, type="media.updated", author="alice")

    assert said["action"] == "block"
    assert [(tag["name"], tag["category"], tag["box"]) for tag in said["tags"]] == [("hash.known.severe", "hash", None)]
    assert said["rules"] == [{"id": "hash-severe", "because": "on the list hotline, which is marked severe"}]
    assert said["media"] == {"id": "photo", "sha256": None, "pdq": None, "width": None, "height": None, "format": None}
    assert said["faces"] == []
    assert rows(bench, "SELECT reason FROM review_case WHERE closed_at IS NULL") == [("hash-severe",)]
    assert rows(bench, "SELECT * FROM kept_picture") == []
    assert rows(bench, "SELECT * FROM upload") == []
    with TestClient(create_app(settings, database_url), headers={"Authorization": f"Bearer {made.api_key}"}) as client:
        assert client.get("/v1/media/photo/redacted").status_code == 404


def test_no_hash_of_a_severe_picture_is_stored_with_it(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    put(bench, keys, "hotline", entries(cat), severe=True)
    post(bench, keys, copy_of(cat))
    text = everything(bench)
    assert sha256(copy_of(cat)).hexdigest() not in text
    assert bytes(entries(copy_of(cat)).pdq).hex() not in text


def test_what_leaves_says_the_action_and_the_tag(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    put(bench, keys, "hotline", entries(cat), severe=True)
    post(bench, keys, cat)
    ((waiting,),) = rows(bench, "SELECT id FROM outbox WHERE state = 'waiting'")
    with transaction(bench.pool) as conn:
        (message,) = fetch(conn, named_queries("outbox")["select_message"], tenant="default", id=waiting)
        sent = message_body(conn, keys, message, lock_shared)
    assert sent is not None
    assert sent["type"] == "media.tagged"
    assert sent["data"]["action"] == "block"
    assert sent["data"]["media"]["sha256"] is None


def test_the_log_knows_the_file_under_seal(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    put(bench, keys, "hotline", entries(cat), severe=True)
    post(bench, keys, cat)
    payloads = opened(bench, keys)
    assert payloads[-1]["sha256"] == sha256(cat).hexdigest()
    assert (payloads[-1]["action"], payloads[-1]["rules"]) == ("block", ["hash-severe"])


def test_every_change_of_a_list_is_a_leaf(
    bench: WorkerContext, keys: TenantKeys, cat: bytes, six_people: bytes
) -> None:
    put(bench, keys, "one", entries(cat), distance=20)
    put(bench, keys, "one", entries(cat, six_people), severe=True)
    remove(bench, keys, "one")
    with transaction(bench.pool) as conn:
        actions = [json.loads(leaf)["action"] for _, leaf in leaves(conn, "default", 0, 99)]
    assert actions[-3:] == ["hashes.imported", "hashes.imported", "hashes.removed"]
    first, second, third = opened(bench, keys)[-3:]
    assert (first["list"], first["new"], first["pdq"], first["severe"], first["distance"]) == ("one", 1, 1, False, 20)
    assert (second["new"], second["pdq"], second["severe"], second["distance"]) == (1, 2, True, 20)
    assert third == {"list": "one"}


def test_a_severe_list_stays_severe_and_nothing_on_it_is_lost_by_an_update(
    bench: WorkerContext, keys: TenantKeys, cat: bytes, six_people: bytes
) -> None:
    put(bench, keys, "one", entries(cat), severe=True)
    done = put(bench, keys, "one", entries(six_people))
    assert (done.severe, done.pdq, done.new, done.distance) == (True, 2, 1, 31)
    done = put(bench, keys, "one", entries(six_people, by="sha256"), replace=True, distance=0)
    assert (done.severe, done.pdq, done.sha256, done.distance) == (True, 0, 1, 0)


def test_many_hashes_come_back_as_they_were(bench: WorkerContext, keys: TenantKeys) -> None:
    many = np.random.default_rng(3).bytes(32 * (2 * lists.BLOCK + 5))
    put(bench, keys, "many", Entries(pdq=bytearray(many + many[:640]), sha256=bytearray(many)))
    with transaction(bench.pool) as conn:
        (held,) = lists.read_hash_lists(conn, "default", lists.list_versions(conn, "default"))
        (row,) = lists.list_hash_lists(conn, "default")
    wanted = sorted(many[at : at + 32] for at in range(0, len(many), 32))
    assert sorted(column.tobytes() for column in held.pdq.T) == wanted
    assert [one.tobytes() for one in held.sha256.view("V32")] == wanted
    assert (row["pdq"], row["sha256"]) == (len(wanted), len(wanted))


def test_lists_belong_to_one_tenant(bench: WorkerContext, keys: TenantKeys, keystore: Keystore, cat: bytes) -> None:
    init_tenant(bench.pool, keystore, "other", "elsewhere", None)
    put(bench, keys, "mine", entries(cat))
    picture = bench.stages.decoder.decode(cat)
    assert (
        bench.stages.find_listed("default", Picture(picture.sha256, "png", 1, 1, 1, picture.frames)) == ()
    )  # no pdq yet
    put(bench, keys, "mine", entries(cat, by="sha256"))
    assert [hit.list for hit in bench.stages.find_listed("default", picture)] == ["mine"]
    assert bench.stages.find_listed("other", picture) == ()


def test_without_the_database_nothing_is_called_unlisted(bench: WorkerContext, keys: TenantKeys, cat: bytes) -> None:
    assert bench.settings.database_url is not None
    lost = open_pool(bench.settings.database_url.get_secret_value(), size=1)
    known = TenantHashLists(lost)
    picture = bench.stages.decoder.decode(cat)
    assert known("default", picture) == ()
    lost.close()
    with pytest.raises(DatabaseUnavailable):
        known("default", picture)


def test_versions_are_asked_for_once_a_second(
    bench: WorkerContext, keys: TenantKeys, cat: bytes, monkeypatch: Any
) -> None:
    monkeypatch.setattr(follow, "FRESH_SECONDS", 3600.0)
    known, picture = TenantHashLists(bench.pool), bench.stages.decoder.decode(cat)
    assert known("default", picture) == ()
    put(bench, keys, "one", entries(cat, by="sha256"))
    assert known("default", picture) == ()
    monkeypatch.setattr(follow, "FRESH_SECONDS", 0.0)
    assert len(known("default", picture)) == 1


def test_nobody_is_enrolled_with_a_listed_photo(bench: WorkerContext, keys: TenantKeys, six_people: bytes) -> None:
    put(bench, keys, "one", entries(six_people), severe=True)
    with pytest.raises(PhotoRefused):
        _analyse_photos(replace(bench.stages, perceive=never), "default", [six_people])


def opened(bench: WorkerContext, keys: TenantKeys) -> list[dict[str, Any]]:
    """The tenant's part of every leaf, in order."""
    found = rows(bench, "SELECT seq, sealed FROM audit_payload WHERE part = 0 ORDER BY seq")
    with transaction(bench.pool) as conn:
        leaf = dict(leaves(conn, "default", 0, 999))
    said = [(n, sealed, bytes.fromhex(json.loads(leaf[n])["commitments"][0])) for n, sealed in found]
    return [json.loads(open_part(keys, "default", n, 0, sealed, stated)) for n, sealed, stated in said]


def test_the_commands(
    bench: WorkerContext, keys: TenantKeys, environment: dict[str, str], tmp_path: Path, cat: bytes
) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"hash,type\n{bytes(entries(cat).pdq).hex()},pdq\nnot a hash,pdq\n{'0' * 64},md5\n")
    done = invoke(environment, "hash-lists", "import", file, "--name", "hotline", "--severe")
    assert done.status == 0
    assert done.stdout == "hotline: 1 new; it holds 1 PDQ within 31 bits, 0 SHA-256, severe\n2 lines were skipped\n"
    assert "line 3: 10 characters instead of 64 hex digits" in done.stderr
    assert "line 4: its type is neither pdq nor sha256" in done.stderr
    assert post(bench, keys, copy_of(cat))["action"] == "block"
    assert "hotline" in assent(environment, "hash-lists", "list")
    assert assent(environment, "hash-lists", "remove", "hotline") == "hotline is removed\n"
    assert assent(environment, "hash-lists", "list") == "No lists.\n"
    assert post(bench, keys, copy_of(cat), "again")["action"] == "allow"


def test_a_file_without_hashes_changes_nothing(
    environment: dict[str, str], tmp_path: Path, bench: WorkerContext
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("prose\n")
    assert "hash_list_invalid" in failing(environment, "hash-lists", "import", file, "--name", "one")
    assert rows(bench, "SELECT * FROM hash_list") == []
