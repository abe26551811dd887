"""Only people with an active consent are recognised, only where it reaches, and only while it lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from assent.gallery.keys import TenantKeys
from assent.gallery.keys import pid as pid_of
from assent.outbox.record import Place, record
from assent.pipeline import Looked, look
from assent.store.pool import transaction
from assent.subjects import consent
from assent.subjects.consent import Given, Scope
from assent.subjects.enrol import enrol, request_enrolment
from assent.values import Event, MediaRef
from assent.worker import Bench, decide_event
from tests.integration.test_event_decided import decision, everything, rows, store
from tests.photos import FACES, altered
from tests.waiting import until


@dataclass(frozen=True)
class Enrolled:
    """How a test opts somebody in."""

    bench: Bench
    keys: TenantKeys
    photo: bytes

    def __call__(self, subject: str, face: str, scope: Scope = "connections") -> UUID:
        """Consent and one template from an altered copy of that face; returns the consent once the gallery has it."""
        given = Given(subject, scope, "We recognise you in photos.", "DE", "test", timedelta(days=365), "1", "adult")
        pid = pid_of(self.keys, subject)
        job = uuid4()
        with transaction(self.bench.pool) as conn:
            consent_id = consent.give(conn, self.keys, given, declared="Searching all uploads is lawful here.")
            request_enrolment(conn, self.keys, job, pid, [altered(self.photo, FACES[face])])
        enrol(self.bench.pool, self.keys, self.bench.tools, self.bench.gallery.wait_for, job)
        return consent_id

    def wait(self, subject: str, templates: int) -> None:
        event = Event("media.created", (), "public", "post", subject)
        until(lambda: self.bench.gallery.circle("default", event) == templates, "the gallery follows", 5)


@pytest.fixture
def opt_in(bench: Bench, keys: TenantKeys, six_people: bytes) -> Enrolled:
    return Enrolled(bench, keys, six_people)


@pytest.fixture
def matched(bench: Bench, keys: TenantKeys, six_people: bytes) -> Callable[..., dict[str, str]]:
    """Posts the group photo and says who was matched at which face."""

    def post(media_id: str = "group", **said: Any) -> dict[str, str]:
        decide_event(bench, "default", store(bench, keys, MediaRef(media_id, None), six_people, **said))
        names = {box: name for name, box in FACES.items()}
        faces = decision(bench, keys, media_id)["faces"]
        assert len(faces) == 6
        return {face["match"]["subject"]: names[tuple(face["box"])] for face in faces if face["match"]}

    return post


def test_two_of_six_are_recognised_and_four_left_alone(
    opt_in: Enrolled, matched: Callable[..., dict[str, str]], bench: Bench, keys: TenantKeys
) -> None:
    opt_in("alice", "second")
    opt_in("bob", "fifth")
    assert matched(author="alice", connections=("bob",)) == {"alice": "second", "bob": "fifth"}
    match = next(face["match"] for face in decision(bench, keys, "group")["faces"] if face["match"])
    assert set(match) == {"subject", "band", "state"}
    assert match["band"] in ("strong", "likely")


@pytest.mark.parametrize(
    ("scope", "said", "expected"),
    [
        ("own", {"author": "alice"}, {"alice": "second"}),
        ("own", {"author": "bob", "connections": ("alice",)}, {}),
        ("connections", {"author": "bob", "connections": ("alice",)}, {"alice": "second"}),
        ("connections", {"author": "bob"}, {}),
        ("connections", {}, {}),
        ("anyone", {"author": "bob"}, {}),  # the deployer has declared nothing
        ("anyone", {"author": "bob", "connections": ("alice",)}, {"alice": "second"}),
    ],
)
def test_a_consents_scope_says_where_it_reaches(
    opt_in: Enrolled,
    matched: Callable[..., dict[str, str]],
    scope: Scope,
    said: dict[str, Any],
    expected: dict[str, str],
) -> None:
    opt_in("alice", "second", scope)
    assert matched(**said) == expected


def test_after_withdrawal_nobody_is_named_any_more(
    opt_in: Enrolled, matched: Callable[..., dict[str, str]], bench: Bench, keys: TenantKeys
) -> None:
    consent_id = opt_in("alice", "second")
    assert matched(author="alice") == {"alice": "second"}
    with transaction(bench.pool) as conn:
        consent.withdraw(conn, keys, consent_id)
    assert all(face["match"] is None for face in decision(bench, keys, "group")["faces"])  # what was said before, too
    assert rows(bench, "SELECT count(*) FROM template") == [(0,)]
    opt_in.wait("alice", 0)
    assert matched("again", author="alice") == {}


def test_a_withdrawal_between_match_and_record_wins(
    opt_in: Enrolled, bench: Bench, keys: TenantKeys, six_people: bytes
) -> None:
    consent_id = opt_in("alice", "second")
    media = MediaRef("group", None)
    event = Event("media.created", (media,), "public", "post", "alice")
    looked = look(bench.tools, "default", event, media, six_people)
    assert isinstance(looked, Looked)
    assert [match.pid for match in looked.matches] == [pid_of(keys, "alice")]
    event_id = store(bench, keys, media, six_people, author="alice")
    with transaction(bench.pool) as conn:
        consent.withdraw(conn, keys, consent_id)
    with transaction(bench.pool) as conn:
        record(conn, keys, Place("default", event_id, 0, event, media), looked, bench.tools.policy.ref)
    assert rows(bench, "SELECT count(*) FROM match") == [(0,)]
    assert all(face["match"] is None for face in decision(bench, keys, "group")["faces"])


def test_an_expired_consent_names_nobody(
    opt_in: Enrolled, matched: Callable[..., dict[str, str]], bench: Bench
) -> None:
    opt_in("alice", "second")
    with transaction(bench.pool) as conn:
        conn.execute("ALTER TABLE consent DISABLE TRIGGER consent_is_a_record")  # in place of a year's wait
        conn.execute("ALTER TABLE consent DISABLE TRIGGER consent_is_a_record")  # as if the time had passed
        conn.execute("UPDATE consent SET expires_at = now() - interval '1 second'")
        conn.execute("ALTER TABLE consent ENABLE TRIGGER consent_is_a_record")
    assert matched(author="alice") == {}


def test_nobody_is_compared_where_nobody_may_be_found(bench: Bench, six_people: bytes) -> None:
    media = MediaRef("group", None)
    looked = look(bench.tools, "default", Event("media.created", (media,), "public", "post", "zoe"), media, six_people)
    assert isinstance(looked, Looked)
    assert all(face.embedding is None for face in looked.seen.faces)


def test_neither_template_nor_link_lies_in_the_clear(
    opt_in: Enrolled, bench: Bench, keys: TenantKeys, six_people: bytes
) -> None:
    opt_in("subject-alice", "second")
    media = MediaRef("group", None)
    event = Event("media.created", (media,), "public", "post", "subject-alice")
    looked = look(bench.tools, "default", event, media, six_people)
    assert isinstance(looked, Looked)
    event_id = store(bench, keys, media, six_people, author="subject-alice")
    with transaction(bench.pool) as conn:
        record(conn, keys, Place("default", event_id, 0, event, media), looked, bench.tools.policy.ref)
    stored = everything_bytes(bench)
    assert looked.matches
    text = everything(bench)
    assert "subject-alice" not in text
    assert "group" in text
    pid = pid_of(keys, "subject-alice")
    links = rows(bench, "SELECT locator, sealed FROM match")
    assert links
    assert all(pid not in bytes(part) for link in links for part in link)
    for face in looked.seen.faces:
        assert face.embedding is not None
        for kind in (np.float16, np.float32, np.float64):
            raw = face.embedding.astype(kind).tobytes()
            assert raw[:16] not in stored
            assert raw[:16].hex().encode() not in stored


def everything_bytes(bench: Bench) -> bytes:
    """All values of all tables, one after the other."""
    tables = rows(bench, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    values = (value for (name,) in tables for row in rows(bench, f'SELECT * FROM "{name}"') for value in row)  # noqa: S608
    return b"\n".join(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in values)


def test_another_tenants_people_are_not_found(
    opt_in: Enrolled, bench: Bench, keys: TenantKeys, six_people: bytes
) -> None:
    from assent.setup import init_tenant

    opt_in("alice", "second", "anyone")
    init_tenant(bench.pool, bench.keystore, "other", "elsewhere", None)
    event = Event("media.created", (), "public", "post", "alice", ("alice",))
    assert bench.gallery.circle("other", event) == 0
    assert bench.gallery.circle("default", event) == 1


@pytest.mark.parametrize(("photo", "code"), [("cat", "face_none"), ("six", "face_many"), ("text", "media_unsupported")])
def test_a_photo_that_does_not_show_one_face_enrols_nobody(
    bench: Bench, keys: TenantKeys, six_people: bytes, cat: bytes, photo: str, code: str
) -> None:
    from assent.waiting import CHANNEL

    given = Given("alice", "own", "notice", "DE", "test", timedelta(days=1), "1", "adult")
    job = uuid4()
    with transaction(bench.pool) as conn:
        consent.give(conn, keys, given)
        request_enrolment(
            conn, keys, job, pid_of(keys, "alice"), [{"cat": cat, "six": six_people, "text": b"x"}[photo]]
        )
    with bench.pool.connection() as listener:
        listener.autocommit = True
        listener.execute(f"LISTEN {CHANNEL}")
        enrol(bench.pool, keys, bench.tools, bench.gallery.wait_for, job)
        note = next(listener.notifies(timeout=5, stop_after=1))
        listener.execute("UNLISTEN *")
        listener.autocommit = False
    assert code in note.payload
    assert rows(bench, "SELECT count(*) FROM template") == [(0,)]
    assert rows(bench, "SELECT count(*) FROM upload") == [(0,)]


def test_without_consent_no_photo_is_even_stored(bench: Bench, keys: TenantKeys, six_people: bytes) -> None:
    from assent.errors import ConsentMissing

    with pytest.raises(ConsentMissing), transaction(bench.pool) as conn:
        request_enrolment(conn, keys, uuid4(), pid_of(keys, "alice"), [six_people])
    assert rows(bench, "SELECT count(*) FROM upload") == [(0,)]
