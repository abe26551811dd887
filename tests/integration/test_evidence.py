"""Beside a case stands why it waits: rules, how far each label can be trusted, list entries, people without names."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from assent.core.values import Tag
from assent.db.pool import transaction
from assent.decisions.assemble import assemble
from assent.keys.tenant_seal import seal_for_tenant
from assent.review.cases import read_case
from assent.review.decide import ReviewInput, decide_case
from assent.review.evidence import PeopleLine, Why, why_of
from assent.review.precision import MeasuredHere, ShippedFigure
from assent.review.undo import undo
from tests.events import rows
from tests.integration.album import Album
from tests.looked_at import BELLY, BREAST, POLICY, looking, post_case


@pytest.fixture
def seen(album: Album, tmp_path: Path) -> Album:
    return looking(album, tmp_path, BREAST, BELLY)


def why(album: Album, case_id: UUID) -> Why:
    with transaction(album.bench.pool) as conn:
        case = read_case(conn, album.keys.tenant, case_id)
        return why_of(conn, album.keys, case, assemble(conn, album.keys, case.item))


def correct(album: Album, case_id: UUID, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> None:
    with transaction(album.bench.pool) as conn:
        decide_case(conn, album.keys, "robin", case_id, ReviewInput("allow", add, remove))


def test_a_rule_comes_with_its_words_its_score_and_its_threshold(seen: Album, cat: bytes) -> None:
    shown = why(seen, post_case(seen, "a", cat))
    (rule,) = shown.rules
    assert (rule.id, rule.words) == ("nude", "Nudity is hidden behind a warning.")
    assert (rule.label, rule.score, rule.threshold) == ("nudity.explicit.breast", 0.8, 0.6)
    assert shown.people == PeopleLine(faces=1)


def test_a_label_comes_with_the_figures_it_was_shipped_with(seen: Album, cat: bytes) -> None:
    breast, belly = why(seen, post_case(seen, "a", cat)).labels
    assert breast.shipped == ShippedFigure("false-alarms", 6, 1719, 0.6)
    assert (belly.name, belly.threshold, belly.shipped) == ("body.covered.belly", 0.3, None)
    assert not breast.measured.is_enough


def test_what_moderators_kept_is_counted_of_labels_that_a_model_said(seen: Album, cat: bytes) -> None:
    name = BREAST.name
    correct(seen, post_case(seen, "a", cat), add=(name,))
    correct(seen, post_case(seen, "b", cat + b"other"), remove=(name,), add=("violence.weapon",))
    assert why(seen, post_case(seen, "c", cat + b"third")).labels[0].measured == MeasuredHere(1, 2)
    said = dict(rows(seen.bench, "SELECT label, bool_or(was_said) FROM correction GROUP BY label"))
    assert said == {name: True, "violence.weapon": False}


def test_corrections_older_than_90_days_do_not_count(seen: Album, cat: bytes) -> None:
    correct(seen, post_case(seen, "a", cat), add=(BREAST.name,))
    with transaction(seen.bench.pool) as conn:
        conn.execute("UPDATE correction SET at = now() - interval '91 days'")
    assert why(seen, post_case(seen, "b", cat + b"other")).labels[0].measured == MeasuredHere()


def test_an_undone_correction_counts_no_more(seen: Album, cat: bytes) -> None:
    case = post_case(seen, "a", cat)
    with transaction(seen.bench.pool) as conn:
        given = ReviewInput("allow", remove=(BREAST.name,), hold=timedelta(seconds=30))
        decide_case(conn, seen.keys, "robin", case, given)
    with transaction(seen.bench.pool) as conn:
        undo(conn, seen.keys, "robin", case)
    assert why(seen, case).labels[0].measured == MeasuredHere()


def test_a_head_of_the_operators_own_comes_with_what_its_manifest_says(
    album: Album, tmp_path: Path, cat: bytes
) -> None:
    keys, sha256 = album.keys, "ab" * 32
    manifest = f'name = "ours"\nsha256 = "{sha256}"\n[[label]]\nname = "violence.weapon"\nprecision = 0.91\nsaid = 77\n'
    with transaction(album.bench.pool) as conn:
        sealed = seal_for_tenant(keys, "head", manifest.encode(), keys.tenant, "manifest", "manifest-hash")
        conn.execute(
            "INSERT INTO head (tenant, sha256, name, state, manifest, network)"
            " VALUES ('default', 'manifest-hash', 'ours', 'live', %s, ''), ('default', 'b', 'altered', 'live', '', '')",
            (sealed,),
        )
    weapon = Tag("violence.weapon", "safety", 0.9, None, 0, f"ours@{sha256[:12]}")
    other = Tag("body.covered.belly", "safety", 0.9, None, 0, "altered@1")
    seen = looking(album, tmp_path, weapon, other)
    shown = {label.name: label.shipped for label in why(seen, post_case(seen, "a", cat)).labels}
    assert shown == {"violence.weapon": ShippedFigure("precision", 0.91, 77), "body.covered.belly": None}


def test_a_list_entry_comes_with_its_distance(album: Album, tmp_path: Path, cat: bytes) -> None:
    hit = Tag("hash.known.listed", "hash", round(1 - 12 / 256, 4), None, 0, "banned@v1")
    policy_labels = looking(album, tmp_path, BREAST, hit, policy=_with_hashes())
    (shown,) = why(policy_labels, post_case(policy_labels, "a", cat)).hits
    assert (shown.list, shown.severe, shown.distance) == ("banned", False, 12)


def test_it_takes_three_statements(seen: Album, cat: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    case_id, asked = post_case(seen, "a", cat), []
    execute = psycopg.Cursor.execute

    def counted(self: psycopg.Cursor[Any], query: Any, *values: Any, **options: Any) -> psycopg.Cursor[Any]:
        asked.append(query)
        return execute(self, query, *values, **options)

    with transaction(seen.bench.pool) as conn:
        case = read_case(conn, seen.keys.tenant, case_id)
        decision = assemble(conn, seen.keys, case.item)
        monkeypatch.setattr(psycopg.Cursor, "execute", counted)
        why_of(conn, seen.keys, case, decision)
        monkeypatch.undo()
    assert len(asked) == 3


def _with_hashes() -> str:
    return POLICY.replace("  body: {threshold: 0.3}", "  body: {threshold: 0.3}\n  hash: {threshold: 0.5}")
