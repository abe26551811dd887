"""What the database holds about one person, found by a scan that knows only columns: every table with a `pid`, every
table with a sealed locator, enrolments that wait, and who named them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from assent.audit.log import part_pseudonym
from assent.core.values import Action, Analysis, Event, Face, Match, MediaRef, Perception, Picture, Verdict
from assent.db.pool import Pool, transaction
from assent.decisions.media_items import MediaKey
from assent.decisions.store import NewDecision, record
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import match_pseudonym
from assent.keys.tenant_seal import unseal_for_tenant
from assent.policy.load import load_policy
from assent.refusals import Refusal, remember
from assent.subjects import connections, links
from assent.subjects.consent import open_subject
from assent.subjects.enrol import request_enrolment
from tests import people
from tests.events import SOURCE, rows

PHOTO = b"a photo of the person"
_policy = cache(load_policy)
OWNERS = {"match", "audit_payload"}  # tables whose rows say by a sealed locator whose they are


def settle(pool: Pool, keys: TenantKeys, ref: str, friends: tuple[str, ...] = ()) -> None:
    """Somebody of whom everything is held that can be: two consents, two templates, a match, a refusal, connections,
    a link, a session, and an enrolment that waits."""
    people.give(pool, keys, ref, scope="own")
    people.give(pool, keys, ref, evidence={"form": f"signed by {ref}"})
    with transaction(pool) as conn:
        template = people.enrol(conn, keys, ref, 1)
    with transaction(pool) as conn:
        people.enrol(conn, keys, ref, 2)
        connections.state_connections(conn, keys, ref, friends, datetime.now(UTC))
    recognise(pool, keys, ref, template, f"photo with {ref}")
    with transaction(pool) as conn:
        subject = open_subject(conn, keys, derive_pseudonym(keys, ref))
        remember(conn, subject, Refusal(f"photo without {ref}", "ab" * 32, (1, 2, 3, 4)))
    with transaction(pool) as conn:
        links.spend(conn, people.store_of(keys), links.mint(conn, keys, ref))
        request_enrolment(conn, keys, uuid4(), derive_pseudonym(keys, ref), [PHOTO, PHOTO])


def recognise(pool: Pool, keys: TenantKeys, ref: str, template: UUID, media_id: str, version: int = 1) -> None:
    """A picture in which the person was found, as the pipeline records it."""
    media, event_id = MediaRef(media_id, None), uuid4()
    event = Event("media.created", (media,), "public", "post", ref)
    seen = Perception((), (Face((10, 20, 30, 40), 0, 0.9, 0.8),), ("test@0",), people.MODEL)
    match = Match(0, derive_pseudonym(keys, ref), template, version, "strong")
    looked = Analysis(Picture("ab" * 32, "jpeg", 90, 80, 1, ()), seen, (match,), Verdict(Action.allow, (), ()))
    with transaction(pool) as conn:
        store_event(conn, keys, event_id, event, Origin(SOURCE, "live"))
    with transaction(pool) as conn:
        media_key = MediaKey(keys.tenant, event_id, SOURCE, 0, event, media)
        record(conn, keys, media_key, NewDecision(looked, _policy(None).ref))


def held(pool: Pool, keys: TenantKeys, ref: str) -> Counter[str]:
    """How many rows of each table are this person's."""
    pid, found = derive_pseudonym(keys, ref), Counter[str]()
    for table in tables_with(pool, "pid"):
        [(count,)] = rows(pool, f'SELECT count(*) FROM "{table}" WHERE pid = %s', pid)  # noqa: S608 - our own
        found[table] = count
    assert tables_with(pool, "locator") == OWNERS
    found["match"] = sum(_owner(keys, row, True) == pid for row in _rows(pool, "match"))
    found["audit_payload"] = sum(_owner(keys, row, False) == pid for row in _rows(pool, "audit_payload"))
    found["chosen_by"] = rows(
        pool, "SELECT count(*) FROM connection WHERE author_mac = %s", connections.author_mac(keys, ref)
    )[0][0]
    found["waiting"] = sum(_asked(keys, *row) == pid.hex() for row in _waiting(pool))
    return Counter({name: count for name, count in found.items() if count})


def tables_with(pool: Pool, column: str) -> set[str]:
    query = "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = %s"
    return {name for (name,) in rows(pool, query, column)} - {"yoyo_lock"}  # there it is a process


def _waiting(pool: Pool) -> list[Any]:
    return rows(pool, "SELECT id, sealed FROM event WHERE source = 'enrolment'")


def _asked(keys: TenantKeys, job: UUID, sealed: bytes) -> str:
    found: str = json.loads(unseal_for_tenant(keys, "enrolment", sealed, keys.tenant, str(job)))["pid"]
    return found


def _rows(pool: Pool, table: str) -> list[Any]:
    columns = {"match": "media_id, face, epoch, locator, slot", "audit_payload": "seq, part, epoch, locator"}[table]
    return rows(pool, f"SELECT {columns} FROM {table} WHERE locator IS NOT NULL")  # noqa: S608


def _owner(keys: TenantKeys, row: tuple[Any, ...], of_match: bool) -> bytes:
    return match_pseudonym(keys, *row) if of_match else part_pseudonym(keys, *row)
