"""The console's system page shows what decides here, and nothing secret."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from assent.audit.log import append
from assent.console.words import WORDS
from assent.db.pool import Pool, transaction
from assent.hashlists.entries import read_entries
from assent.hashlists.lists import ListTerms, import_hashes
from assent.keys.keystore import TenantKeys
from assent.outbox.actions import ActState
from assent.policy.load import load_policy
from assent.policy.versions import activate, start_shadow
from tests.acting import Acting
from tests.authority import move_endpoints
from tests.events import rows
from tests.fixtures.console import SignedIn

SECRET = "https://user:pass@platform.example:8443/hooks/s3cret-path?token=s3cret-query"
MODELS = {
    "packs": ["default"],
    "files": [{"role": "faces", "model": "detector-of-faces", "sha256": "ab" * 32}],
    "heads": [],
}


def test_it_shows_policies_models_lists_endpoints_and_what_was_given_up(
    signed_in: SignedIn, pool: Pool, keys: TenantKeys, tmp_path: Path
) -> None:
    pat = signed_in("admin", name="Pat")
    empty = pat.get("/console/system").text
    assert "No list was imported." in empty
    now = datetime.now(UTC)
    (tmp_path / "known.txt").write_text("ab" * 32 + "\n")
    with transaction(pool) as conn:
        activate(conn, keys, load_policy(Path("policies/newsroom.yaml")), now)
        start_shadow(conn, keys, load_policy(Path("policies/photo-club.yaml")), now)
        import_hashes(conn, keys, "known-worst", read_entries(tmp_path / "known.txt", "sha256"), ListTerms(severe=True))
        append(conn, keys, "models.used", MODELS, [], now)
        move_endpoints(conn, keys, SECRET)
        conn.execute(
            "INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision, state, last_error)"
            " SELECT tenant, gen_random_uuid(), name, 'media.tagged', 'platform', 'p', 1, 'dead', %s FROM endpoint",
            [f"no answer from {SECRET}"],
        )
    page = pat.get("/console/system").text
    for shown in ("newsroom", "photo-club", "detector", "known-worst", "platform.example", "media.tagged"):
        assert shown in page
    for hidden in ("s3cret", "user:pass", keys.seal_key.hex(), keys.epoch_key.hex()):
        assert hidden not in page


def test_it_changes_nothing(signed_in: SignedIn, pool: Pool) -> None:
    pat = signed_in("admin", name="Pat")
    before = rows(pool, "SELECT count(*) FROM audit_leaf")
    page = pat.get("/console/system").text
    assert rows(pool, "SELECT count(*) FROM audit_leaf") == before
    assert page.count("<form") == 1  # the one that signs out
    assert "built-in" not in page


def test_it_lists_what_was_done_at_platforms(acting: Acting, signed_in: SignedIn) -> None:
    pat = signed_in("admin")
    assert WORDS["system"]["no_acts"] in pat.get("/console/system").text
    acting.decide("social", "status/1/1", ["report"])
    acting.settle()
    page = pat.get("/console/system").text
    assert "<code>report</code></td><td>done</td>" in page
    assert acting.api.url not in page


def test_every_state_of_an_act_has_its_words() -> None:
    assert set(WORDS["system"]["act_states"]) == set(get_args(ActState))
