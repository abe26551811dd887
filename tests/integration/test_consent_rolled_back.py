"""A consent that is not recorded after all ends none: the one before it stays as it is, with templates and names."""

from __future__ import annotations

import pytest

from assent.core.errors import AuditBroken
from assent.subjects import consent
from tests.club import Club


def test_a_consent_that_fails_replaces_none(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    club.consent("ana")
    club.run_photo(club.send_photo("ana"))
    club.post("ana", "picture")

    def fail(*_: object) -> None:
        raise AuditBroken("the tree is damaged")

    with monkeypatch.context() as patched:
        patched.setattr(consent, "append", fail)
        with pytest.raises(AuditBroken):
            club.consent("ana", "own")
    assert club.told("picture") == {"ana"}
    club.consent("ana", "own")
    assert club.templates("ana") == 1
    assert club.told("picture") == {"ana"}
