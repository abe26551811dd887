"""Photos that waited when consents were not yet kept with them count only where no consent of theirs has ended."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from assent.db.pool import transaction
from assent.keys.seal import seal
from tests.authority import reseal
from tests.club import Club


def as_of_before(club: Club, job: UUID, ref: str) -> None:
    """Has the request of that job as it was stored before the upgrade."""
    body = json.dumps({"pid": club.pid(ref).hex(), "photos": 1}).encode()
    sealed = seal(club.keys.seal_key, body, "enrolment", "default", str(job))
    with transaction(club.pool) as conn:
        conn.execute("UPDATE event SET sealed = %s WHERE id = %s", [sealed, job])


@pytest.mark.parametrize(("left", "templates"), [(False, 1), (True, 0)])
def test_they_are_enrolled_only_where_no_consent_has_ended(club: Club, left: bool, templates: int) -> None:
    club.consent("ana")
    job = club.send_photo("ana")
    as_of_before(club, job, "ana")
    if left:  # before the upgrade, when a withdrawal neither renewed the key nor dropped what waited
        with transaction(club.pool) as conn:
            conn.execute("UPDATE consent SET withdrawn_at = now()")
            reseal(conn, club.keys, "consent")
    club.consent("ana", "own")
    club.run_photo(job)
    assert club.templates("ana") == templates
