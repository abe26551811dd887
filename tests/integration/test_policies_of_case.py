"""Each stored policy says what it would have done with a case, and which threshold is nearest to changing that."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from assent.db.pool import transaction
from assent.policy.load import load_policy
from assent.policy.versions import activate, start_shadow
from assent.review.cases import read_case
from assent.review.verdicts import CaseVerdicts, NearestThreshold, verdicts_of
from tests.fixtures.console import SignedIn
from tests.integration.album import Album
from tests.looked_at import BREAST, POLICY, looking, policy_file, post_case

STRICT = POLICY.replace("name: careful", "name: strict").replace(
    "action: limit, review: {queue: nudes}", "action: block"
)
LAX = POLICY.replace("careful", "lax").replace("{threshold: 0.6}", "{threshold: 0.95}")


@pytest.fixture
def case(album: Album, tmp_path: Path, cat: bytes) -> UUID:
    """Decided by the policy `careful`; `strict` is active by now, `lax` on trial."""
    case = post_case(looking(album, tmp_path, BREAST), "a", cat)
    now = datetime.now(UTC)
    with transaction(album.bench.pool) as conn:
        activate(conn, album.keys, load_policy(policy_file(tmp_path, STRICT)), now)
        start_shadow(conn, album.keys, load_policy(policy_file(tmp_path, LAX)), now)
    return case


def verdicts(album: Album, case_id: UUID) -> CaseVerdicts:
    with transaction(album.bench.pool) as conn:
        found = verdicts_of(conn, "default", read_case(conn, "default", case_id))
    assert found is not None
    return found


def test_the_own_policy_comes_first_then_the_active_one_and_the_one_on_trial(album: Album, case: UUID) -> None:
    found = verdicts(album, case).verdicts
    told = [(one.ref and one.ref.name, one.action, one.is_own, one.is_active, one.is_shadow) for one in found]
    assert told[:3] == [
        ("careful", "limit", True, False, False),
        ("strict", "block", False, True, False),
        ("lax", "allow", False, False, True),
    ]
    assert [one.differs for one in found[:3]] == [False, True, True]


def test_the_nearest_threshold_is_the_one_that_moves_least(album: Album, case: UUID) -> None:
    found = verdicts(album, case).verdicts
    assert found[0].nearest == NearestThreshold("nudity.explicit", 0.6, 0.8, "allow")
    assert found[2].nearest == NearestThreshold("nudity.explicit", 0.95, 0.8, "limit")


def test_a_stored_policy_that_was_altered_is_not_asked(album: Album, case: UUID, signed_in: SignedIn) -> None:
    with transaction(album.bench.pool) as conn:
        conn.execute("UPDATE policy SET canonical = replace(canonical, '0.6', '0.7') WHERE name = 'careful'")
        conn.execute("UPDATE policy SET canonical = '{}' WHERE name = 'lax'")
    found = verdicts(album, case).verdicts
    assert [one.ref and one.ref.name for one in found[:3]] == [None, "strict", None]
    page = signed_in("viewer").get(f"/console/cases/{case}/policies")
    assert page.text.count("does not read any more") == 2


def test_a_viewer_may_see_it_and_who_may_not_see_the_queue_may_not(case: UUID, signed_in: SignedIn) -> None:
    page = signed_in("viewer").get(f"/console/cases/{case}/policies")
    assert page.status_code == 200
    assert "nudity.explicit above 0.80 instead of 0.60 would make it “allowed”" in page.text
    assert "<nav" not in signed_in("viewer").get(f"/console/cases/{case}/policies?bare=1").text
    assert signed_in("viewer", queues=["blood"]).get(f"/console/cases/{case}/policies").status_code == 403
    assert signed_in("privacy").get(f"/console/cases/{case}/policies").status_code == 403


def test_of_a_picture_that_could_not_be_read_there_is_nothing_to_say(album: Album, signed_in: SignedIn) -> None:
    case = post_case(album, "bad", b"no picture")
    for page in ("policies", "similar", "statement"):
        assert signed_in().get(f"/console/cases/{case}/{page}").status_code == 200
    assert "policies have nothing to decide on" in signed_in().get(f"/console/cases/{case}/policies").text
