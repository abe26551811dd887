"""What the database holds of people who are matched, and what of it opens."""

from __future__ import annotations

from datetime import UTC, datetime

from assent.audit.log import Part, append, part_pseudonym
from assent.core.errors import SealBroken
from assent.db.pool import Pool, transaction
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import unseal
from assent.keys.subject_keys import SubjectKey, match_pseudonym, open_match, open_template, seal_match
from tests.events import SOURCE


def recognise(pool: Pool, keys: TenantKeys, subject: SubjectKey, media_id: str, face: int = 0) -> None:
    """A match, and a part of the audit log that speaks of the person."""
    with transaction(pool) as conn:
        row = seal_match(keys, subject, media_id, face, {"band": "strong"})
        conn.execute(
            "INSERT INTO match (tenant, source, media_id, face, revision, epoch, locator, sealed)"
            " VALUES (%s, %s, %s, %s, 1, %s, %s, %s)",
            [keys.tenant, SOURCE, media_id, face, row.epoch, row.locator, row.sealed],
        )
        append(conn, keys, "test", {}, [Part({"media": media_id}, subject.pseudonym, subject.key)], datetime.now(UTC))


def erase(pool: Pool, keys: TenantKeys, name: str) -> None:
    """The rows go; whose they were stays in old copies only."""
    with transaction(pool) as conn:
        conn.execute("DELETE FROM subject WHERE tenant = %s AND pid = %s", [keys.tenant, derive_pseudonym(keys, name)])


def templates(pool: Pool, keys: TenantKeys) -> set[str]:
    """The names of those whose templates open with today's keys."""
    with transaction(pool) as conn:
        rows = conn.execute(
            "SELECT k.pid, k.epoch, k.wrapped, s.sealed, t.id, t.model, t.sealed"
            " FROM subject_key k JOIN subject s USING (tenant, pid) JOIN template t USING (tenant, pid)"
            " WHERE tenant = %s",
            [keys.tenant],
        ).fetchall()
    found = set()
    for who, epoch, wrapped, ref, row, model, sealed in rows:
        try:
            subject = SubjectKey.unwrap(keys, who, epoch, wrapped)
            open_template(subject, row, model, sealed)
            found.add(unseal(subject.key, ref, "ref", keys.tenant, who).decode())
        except SealBroken:
            continue
    return found


def matches(pool: Pool, keys: TenantKeys, people: list[SubjectKey]) -> dict[str, str]:
    """Picture → band, of every match that opens for one of these people."""
    known = {subject.pseudonym: subject for subject in people}
    with transaction(pool) as conn:
        rows = conn.execute("SELECT media_id, face, epoch, locator, sealed FROM match").fetchall()
    found = {}
    for media_id, face, epoch, locator, sealed in rows:
        try:
            subject = known[match_pseudonym(keys, media_id, face, epoch, locator)]
            found[media_id] = open_match(subject, media_id, face, sealed)["band"]
        except (SealBroken, KeyError):
            continue
    return found


def spoken_of(pool: Pool, keys: TenantKeys) -> list[bytes]:
    """Whom the audit log's parts are about, as far as their locators open."""
    with transaction(pool) as conn:
        rows = conn.execute(
            "SELECT seq, part, epoch, locator FROM audit_payload WHERE epoch IS NOT NULL ORDER BY seq"
        ).fetchall()
    found = []
    for seq, part, epoch, locator in rows:
        try:
            found.append(part_pseudonym(keys, seq, part, epoch, locator))
        except SealBroken:
            continue
    return found
