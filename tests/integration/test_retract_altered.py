"""A match that nobody can tell whose it is goes with the next withdrawal or erasure: it may be that person's."""

from __future__ import annotations

import pytest

from assent.db.pool import Pool, transaction
from assent.decisions.retract import retract
from assent.keys.keystore import Keystore, TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.subjects.consent import withdraw_all
from assent.subjects.erase import erase
from assent.subjects.rotate import rotate_epoch
from tests.events import leaves, rows
from tests.integration.held import recognise, settle

CHANGES = (
    "locator = 'x'",
    "locator = set_byte(locator, 20, get_byte(locator, 20) # 1)",
    "epoch = 77",
    "epoch = 0",
    "sealed = 'x'",
    "locator = 'x', state = 'suggested'",
    "locator = (SELECT locator FROM match WHERE media_id = 'photo with bob')",
)


@pytest.fixture
def people(pool: Pool, keys: TenantKeys) -> None:
    """Alice and Bob, each recognised in a picture."""
    settle(pool, keys, "alice")
    settle(pool, keys, "bob")


def alter(pool: Pool, change: str, media_id: str) -> None:
    with transaction(pool) as conn:
        conn.execute(f"UPDATE match SET {change} WHERE media_id = %s".encode(), [media_id])  # noqa: S608 - ours


def withdraw(pool: Pool, keys: TenantKeys, name: str) -> None:
    with transaction(pool) as conn:
        withdraw_all(conn, keys, derive_pseudonym(keys, name))


def left(pool: Pool) -> list[str]:
    return [media_id for (media_id,) in rows(pool, "SELECT media_id FROM match ORDER BY media_id")]


def retracted(pool: Pool) -> list[str]:
    return [media for (media,) in rows(pool, "SELECT media_id FROM outbox WHERE revision = 2 ORDER BY media_id")]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("way", ["withdrawal", "erasure"])
def test_it_goes_with_a_withdrawal_or_an_erasure(
    pool: Pool, keys: TenantKeys, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("assent.decisions.retract.KEYS_SHOWN_SECONDS", 0.0)
    pseudonym = derive_pseudonym(keys, "alice")
    [(template,)] = rows(pool, "SELECT id FROM template WHERE pid = %s ORDER BY enrolled_at LIMIT 1", pseudonym)
    for n, change in enumerate(CHANGES):
        recognise(pool, keys, "alice", template, f"altered {n}")
        alter(pool, change, f"altered {n}")
    with transaction(pool) as conn:
        if way == "withdrawal":
            withdraw_all(conn, keys, pseudonym)
        else:
            erase(conn, keys, "alice")
    assert retract(pool, keys, pseudonym) == 1 + len(CHANGES)
    assert left(pool) == ["photo with bob"]
    assert retracted(pool) == [*(f"altered {n}" for n in range(len(CHANGES))), "photo with alice"]
    assert {leaf["kind"] for leaf in leaves(pool, "seal.broken")} == {"match"}
    assert retract(pool, keys, pseudonym) == 0


@pytest.mark.usefixtures("people")
def test_another_persons_altered_match_goes_too_and_the_others_stay(pool: Pool, keys: TenantKeys) -> None:
    settle(pool, keys, "carol")
    alter(pool, "locator = 'x'", "photo with bob")
    withdraw(pool, keys, "alice")
    assert retract(pool, keys, derive_pseudonym(keys, "alice")) == 2
    assert (left(pool), retracted(pool)) == (["photo with carol"], ["photo with alice", "photo with bob"])


@pytest.mark.usefixtures("people")
def test_neither_a_rotation_nor_a_seal_alone_makes_it_anybodys(
    pool: Pool, keystore: Keystore, keys: TenantKeys
) -> None:
    """Keys that were read before a rotation, as a job holds them, still tell whose each match is."""
    alter(pool, "sealed = 'x'", "photo with bob")
    withdraw(pool, keys, "alice")
    rotate_epoch(pool, keystore, "default")
    assert retract(pool, keys, derive_pseudonym(keys, "alice")) == 1
    assert (left(pool), leaves(pool, "seal.broken")) == (["photo with bob"], [])
