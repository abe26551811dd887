"""Beyond a day's budget of one author, or of all, pictures are not held against a person, and the log says so once."""

from __future__ import annotations

import json

import pytest

from assent.audit.log import open_part, part_pseudonym
from assent.db.pool import transaction
from assent.decisions.assemble import person_of
from assent.gallery import throttle
from assent.keys.keystore import TenantKeys
from tests.events import everything, rows
from tests.integration.album import Album
from tests.photos import saved_at


def authors(album: Album, nth: int) -> list[object]:
    """The authors in that leaf's two parts: one under the tenant's key, one under alice's."""
    seq, leaf = rows(album.bench, "SELECT seq, leaf FROM audit_leaf WHERE leaf LIKE '%throttled%'::bytea ORDER BY 1")[
        nth
    ]
    said = json.loads(leaf)
    assert set(said) == {"v", "at", "action", "commitments"}
    commitments = [bytes.fromhex(one) for one in said["commitments"]]
    parts = rows(album.bench, f"SELECT part, epoch, locator, sealed FROM audit_payload WHERE seq = {seq} ORDER BY part")  # noqa: S608 - a number
    with transaction(album.bench.pool) as conn:
        person = person_of(conn, album.keys, album.pid("alice"))
    assert person is not None
    assert part_pseudonym(album.keys, seq, 1, parts[1][1], parts[1][2]) == album.pid("alice")
    opened_by: tuple[bytes | TenantKeys, ...] = (album.keys, person.subject.key)
    opened = [
        json.loads(open_part(key, "default", seq, part, sealed, commitments[part]))
        for key, (part, _, _, sealed) in zip(opened_by, parts, strict=True)
    ]
    assert [set(payload) for payload in opened] == [{"author"}] * 2
    return [payload["author"] for payload in opened]


def test_one_leaf_for_each_budget_and_sealed_parts(album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "PROBED_IMAGES", 3)
    monkeypatch.setattr(throttle, "PERSON_IMAGES", 4)
    album.opt_in("alice", "second")
    posted = [
        album.post(f"photo-{n}", saved_at(album.photo, 95 - n), author="prober", connections=("alice",))
        for n in range(5)
    ]
    assert posted == [{"alice": "second"}] * 3 + [{}] * 2
    assert album.leaves("match.throttled") == 1
    assert authors(album, 0) == ["prober"] * 2
    posted = [album.post(f"of {author}", author=author, connections=("alice",)) for author in ("another", "a third")]
    assert posted == [{"alice": "second"}, {}]
    assert album.leaves("match.throttled") == 2
    assert authors(album, 1) == [None] * 2
    assert "prober" not in everything(album.bench)
    assert album.post(author="alice") == {"alice": "second"}  # her own posts count for neither
