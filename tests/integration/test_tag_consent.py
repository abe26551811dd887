"""`assent tag --as` compares pictures ahead: it names nobody by a consent that ended before it prints."""

from __future__ import annotations

import pytest

from assent.db.pool import transaction
from assent.decisions.assemble import name_match
from tests.club import Club


@pytest.mark.parametrize(("change", "named"), [("none", True), ("came again", False), ("narrowed", False)])
def test_a_match_counts_under_its_own_consent(club: Club, change: str, named: bool) -> None:
    club.consent("ana")
    club.run_photo(club.send_photo("ana"))
    (match,) = club.find("ana").matches
    if change == "came again":
        club.withdraw("ana")
    if change != "none":
        club.consent("ana", "own")
    with transaction(club.pool) as conn:
        assert (name_match(conn, club.keys, match) is not None) is named
