"""A thief has old copies of the database, its write-ahead log, and every key that there is after one rotation: nothing
that somebody left behind under a consent that has ended opens any more."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import psycopg

from assent.core.values import Band
from assent.db.pool import transaction
from assent.subjects.rotation import rotate
from tests.club import DAY, Club, face_of, photo_of
from tests.fixtures.figures import Figure
from tests.thief import (
    files_since,
    log_position,
    opened,
    raw_keys,
    steal,
    unwrapped,
    wrapped_in,
    wrapped_in_files,
)

TABLES = {"template", "match", "upload"}
# Who leaves in which way; each is told apart in what was stolen by their face, their photo and a match's band.
LEAVING = ("withdrawn during a rotation", "withdrawn", "given again", "expired", "erased")
SERVER = "server/pg"  # of the fixture `server_url`
STAYING = "somebody who stays"


def secrets(ref: str) -> list[bytes]:
    """What is planted of a person: their face, a photo that waits, a match."""
    return [face_of(ref).astype("<f2").tobytes(), photo_of(ref), f'"band": "{ref}"'.encode()]


def settle(club: Club, ref: str) -> None:
    """Somebody with a template, a match and a photo that waits."""
    club.consent(ref, valid_for=DAY if ref == "expired" else 365 * DAY)
    club.run_photo(club.send_photo(ref))
    club.post(ref, f"picture of {ref}", band=cast(Band, ref))
    club.send_photo(ref)


def end_all(club: Club) -> None:
    """Everybody leaves in their way. Who does it during a rotation does so once the keys have moved."""

    def meanwhile(table: str, _moved: int) -> None:
        if table == "match":
            club.withdraw("withdrawn during a rotation")

    rotate(club.pool, club.keystore, "default", meanwhile)
    club.withdraw("withdrawn")
    club.withdraw("given again")
    club.consent("given again", "own")
    club.lapse()
    club.erase("erased")
    assert [ref for ref in LEAVING if club.in_force(ref)] == ["given again"]
    club.work()


def test_one_rotation_after_its_end_nothing_of_a_consent_opens(club: Club, open_folder: Path, figure: Figure) -> None:
    with transaction(club.pool) as conn:
        begun = log_position(conn)
    for ref in (*LEAVING, STAYING):
        settle(club, ref)
    copy = club.back_up()
    with psycopg.connect(club.address(copy)) as conn:
        stolen = steal(conn, club.keys)
    end_all(club)
    club.rotate()
    club.back_up()
    with transaction(club.pool) as conn:
        now = steal(conn, club.keys)
        lying = wrapped_in(now) | wrapped_in_files(files_since(conn, open_folder / SERVER, begun, club.databases))
    assert lying >= wrapped_in(stolen), "the scan of files reads what was stored"
    keys = raw_keys(club.keystore)
    keys |= unwrapped(keys, lying)
    values = {value for value in stolen | now if value.table in TABLES}
    everybody = {secret: ref for ref in (*LEAVING, STAYING) for secret in secrets(ref)}
    found = opened(values, keys, list(everybody))
    assert {secret for _, secret in found} >= set(secrets(STAYING)), "the thief opens what still stands"
    assert {(everybody[secret], table) for table, secret in found if everybody[secret] != STAYING} == set()
    figure(f"{len(values)} values of {len(LEAVING)} people who left, {len(keys)} keys: 0 opened")
