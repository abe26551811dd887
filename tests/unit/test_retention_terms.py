"""How long somebody is kept who is not heard of any more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from assent.subjects.retention import term

YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("jurisdictions", "expected"),
    [
        (["DE"], 3 * YEAR),
        (["US-IL"], 3 * YEAR),
        (["US-TX"], YEAR),
        (["US-CA"], 3 * YEAR),
        (["US"], 3 * YEAR),
        (["DE", "US-TX"], YEAR),  # who moved is kept as the stricter law says
        ([], 3 * YEAR),
    ],
)
def test_the_strictest_law_that_applies_counts(jurisdictions: list[str], expected: timedelta) -> None:
    assert term(jurisdictions) == expected
