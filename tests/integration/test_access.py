"""Reading is an act: who reads what is held about a person leaves a leaf, and the person sees it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from assent.audit import log
from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.http.api_keys import SCOPES, create_key
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects import links
from assent.subjects.consent import withdraw_all
from assent.tenants import init_tenant
from tests import people
from tests.command import assent, failing
from tests.events import leaves, rows
from tests.integration.album import Album
from tests.integration.held import settle
from tests.integration.me_page import submit

OPERATOR = f"uid {os.getuid()}"


def of_the_tenant(pool: Pool, keys: TenantKeys, action: str) -> list[Any]:
    """What the tenant reads in the leaves of one action."""
    query = (
        "SELECT l.seq, l.leaf, p.sealed FROM audit_leaf l JOIN audit_payload p USING (tenant, seq)"
        " WHERE tenant = %s AND p.part = 0 AND p.locator IS NULL ORDER BY seq"
    )
    found = []
    for seq, leaf, sealed in rows(pool, query, keys.tenant):
        said = json.loads(leaf)
        if said["action"] == action:
            commitment = bytes.fromhex(said["commitments"][0])
            found.append(json.loads(log.open_part(keys, keys.tenant, seq, 0, sealed, commitment)))
    return found


def key_with(client: TestClient, pool: Pool, keys: TenantKeys, *scopes: str) -> str:
    """Makes the client use a key with these scopes; returns its id as leaves have it."""
    with transaction(pool) as conn:
        key = create_key(conn, keys, scopes)
    client.headers["Authorization"] = f"Bearer {key}"
    return f"key {key.split('_')[2]}"


def test_vectors_are_exported_to_a_key_that_may_have_them_and_to_the_person(
    client: TestClient, pool: Pool, keys: TenantKeys, visitor: TestClient, link: Callable[..., str]
) -> None:
    settle(pool, keys, "alice")
    daily = client.get("/v1/subjects/alice/export").json()  # by the key that `init` made
    assert [(one["dimension"], one["vector"]) for one in daily["templates"]] == [(128, None)] * 2
    assert "subjects:export" in daily["notes"][-1]
    key_with(client, pool, keys, "subjects:export")
    assert client.get("/v1/subjects/alice/export").status_code == 403
    key_with(client, pool, keys, "subjects:write", "subjects:export")
    whole = client.get("/v1/subjects/alice/export").json()
    visitor.post(link())
    own = visitor.get("/me/export").json()
    assert whole["templates"] == own["templates"] != daily["templates"]
    assert all(one["vector"] for one in whole["templates"])
    assert whole["notes"] == daily["notes"][:-1]


def test_whoever_reads_leaves_a_leaf_that_the_person_sees(
    client: TestClient, pool: Pool, keys: TenantKeys, visitor: TestClient, figure: Callable[[str], None]
) -> None:
    people.give(pool, keys, "alice")
    people.give(pool, keys, "bob")
    key = key_with(client, pool, keys, *SCOPES)
    url = client.post("/v1/subjects/alice/links").json()["url"]
    client.get("/v1/subject/export", params={"ref": "alice"})
    visitor.post(url)
    assert visitor.get("/me/export").status_code == 200
    assert of_the_tenant(pool, keys, "link.made") == [{"by": key}]
    assert of_the_tenant(pool, keys, "subject.exported") == [
        {"by": key, "vectors": True},
        {"by": "person", "vectors": True},
    ]
    shown = visitor.get("/me/data").text
    acts = [
        "This page gave out the file with all your data.",
        "This page was opened with a link.",
        "The platform fetched what is kept about you, with the numbers made from your photos.",
        "The platform made a link to this page.",
    ]
    assert [shown.index(act) for act in acts] == sorted(shown.index(act) for act in acts)
    told = [(leaf["action"], leaf["said"]["by"]) for leaf in visitor.get("/me/export").json()["audit"][1:]]
    assert told == [
        ("link.made", key),
        ("subject.exported", key),
        ("link.visited", "person"),
        ("subject.exported", "person"),
    ]
    assert client.get("/v1/subjects/bob/export").json()["audit"][1:] == []  # hers are hers
    clear = json.dumps([leaves(pool, action) for action in ("link.made", "link.visited", "subject.exported")])
    assert key not in clear
    assert "alice" not in clear


def test_what_cannot_be_logged_is_not_read(client: TestClient, pool: Pool, keys: TenantKeys) -> None:
    people.give(pool, keys, "alice")
    with transaction(pool) as conn:
        conn.execute("DELETE FROM audit_node")
    answers = [client.get("/v1/subjects/alice/export"), client.post("/v1/subjects/alice/links")]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(500, "audit_broken")}
    assert rows(pool, "SELECT count(*) FROM person_link") == [(0,)]


def test_a_link_of_who_never_consented_is_logged_without_naming_them(
    client: TestClient, pool: Pool, keys: TenantKeys
) -> None:
    client.post("/v1/subjects/dora/links")
    client.get("/v1/subjects/dora/export")
    assert len(of_the_tenant(pool, keys, "link.made") + of_the_tenant(pool, keys, "subject.exported")) == 2
    assert rows(pool, "SELECT count(*) FROM audit_payload WHERE locator IS NOT NULL") == [(0,)]


def test_an_export_of_keys_leaves_a_leaf_with_each_tenant(
    pool: Pool, keystore: Keystore, keys: TenantKeys, environment: dict[str, str], tmp_path: Path
) -> None:
    other = init_tenant(pool, keystore, "other", "elsewhere", None)
    assent(environment, "keys", "export", str(tmp_path / "keys"))
    for tenant in (keys.tenant, other.tenant):
        assert of_the_tenant(pool, keystore.tenant(tenant), "keys.exported") == [{"by": OPERATOR}]
    with transaction(pool) as conn:
        conn.execute("DELETE FROM audit_node")
    assert "audit_broken" in failing(environment, "keys", "export", str(tmp_path / "more"))
    assert not (tmp_path / "more").exists()


@pytest.mark.slow
def test_looking_as_somebody_leaves_a_leaf_with_them_and_with_whom_it_names(
    album: Album,
    pool: Pool,
    keys: TenantKeys,
    settings: Settings,
    models_dir: Path,
    environment: dict[str, str],
    visitor: TestClient,
    link: Callable[..., str],
    tmp_path: Path,
) -> None:
    album.opt_in("alice", "second")
    album.opt_in("bob", "fifth")
    (settings.data_dir / "models").symlink_to(models_dir)
    (tmp_path / "group.jpg").write_bytes(album.photo)
    said = json.loads(assent(environment, "tag", "--as", "alice", "--json", str(tmp_path / "group.jpg")))
    assert [face["match"]["subject"] for face in said["faces"] if face["match"]] == ["alice"]
    assert of_the_tenant(pool, keys, "subject.searched") == [{"by": OPERATOR, "images": 1}]
    assert of_the_tenant(pool, keys, "subject.found") == [{"by": OPERATOR}]
    shown = {}
    for ref in ("alice", "bob"):
        visitor.post(link(ref))
        text = visitor.get("/me/data").text
        shown[ref] = "as if you had posted" in text, "found yours" in text
    assert shown == {"alice": (True, True), "bob": (False, False)}


# Ending links and visits


def test_all_links_and_visits_of_a_person_end_at_once(
    client: TestClient, pool: Pool, keys: TenantKeys, visitor: TestClient, link: Callable[..., str]
) -> None:
    people.give(pool, keys, "alice")
    unspent, bobs = link(), link("bob")
    visitor.post(link())
    assert client.delete("/v1/subjects/alice/links").status_code == 204
    assert client.delete("/v1/subjects/nobody/links").status_code == 204
    assert visitor.get("/me").status_code == 401
    assert visitor.post(unspent).status_code == 410
    assert visitor.post(bobs).status_code == 303
    with transaction(pool) as conn:
        withdraw_all(conn, keys, derive_pseudonym(keys, "alice"))  # what was done stays on record
    visitor.post(link())
    assert "The platform ended all links to this page." in visitor.get("/me/data").text


def test_the_person_ends_every_visit_but_this_one(
    alice: TestClient, pool: Pool, keystore: Keystore, keys: TenantKeys, link: Callable[..., str]
) -> None:
    people.give(pool, keys, "alice")
    unspent = link()
    with transaction(pool) as conn:
        theirs = links.spend(conn, keystore, link().removeprefix("/me/"))
    ended = submit(alice, "/me/others", {})
    assert "Nobody else has your page open" in alice.get(ended.headers["location"]).text
    assert rows(pool, "SELECT kind FROM person_link") == [("session",)]
    mine = alice.cookies["__Host-assent_me"]
    assert alice.post(unspent).status_code == 410
    alice.cookies.set("__Host-assent_me", theirs, domain="assent.example", path="/")
    assert alice.get("/me").status_code == 401
    assert mine != theirs
