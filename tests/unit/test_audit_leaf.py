"""What a leaf's bytes are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from assent.audit.log import Part, leaf_bytes
from assent.core.clock import rfc3339

AT = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))


def test_a_leaf_is_canonical_json_in_utc() -> None:
    leaf = leaf_bytes("media.decided", {"policy": "ab", "models": ["z", "é"], "faces": 2}, [b"\x01" * 32], AT)
    assert leaf.decode() == (
        '{"action":"media.decided","at":"2026-01-31T11:00:00.000005Z","commitments":["' + "01" * 32 + '"],"faces":2,'
        '"models":["z","é"],"policy":"ab","v":1}'
    )


def test_whole_seconds_keep_their_microseconds() -> None:
    assert rfc3339(datetime(2026, 1, 31, tzinfo=UTC)) == "2026-01-31T00:00:00.000000Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        rfc3339(datetime(2026, 1, 31))


@pytest.mark.parametrize("name", ["v", "at", "action", "commitments"])
def test_the_body_cannot_replace_the_leafs_own_fields(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        leaf_bytes("x", {name: 1}, [], AT)


def test_a_persons_part_needs_both_pseudonym_and_key() -> None:
    for half in ({"pseudonym": bytes(32)}, {"subject_key": bytes(32)}):
        with pytest.raises(ValueError, match="both"):
            Part({}, **half)


def test_no_repr_shows_payload_or_key() -> None:
    shown = repr(Part({"media": "secret-name"}, bytes(32), b"k" * 32))
    assert "secret-name" not in shown
    assert "kkk" not in shown
