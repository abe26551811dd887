"""Keeps the opened templates of active consents in memory, and nothing else, in step with the primary database.

Every process that follows the primary database reconciles the host's gallery. A lock in the gallery lets one write at
a time, and each reads the primary database only after it has that lock, so the last write never has older data.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hmac import compare_digest
from itertools import islice
from typing import Any, cast
from uuid import UUID

import psycopg
import structlog
from cryptography.hazmat.primitives.hmac import HMAC
from pgvector.psycopg import register_vector
from psycopg import sql

from assent.audit.broken import record_broken_seal
from assent.core.errors import AssentError, KeyMissing, NotInitialised, SealBroken
from assent.core.host_errors import MatchingUnavailable
from assent.db.channels import GALLERY_CHANNEL
from assent.db.pool import IDLE_LIMIT, Conn, execute, fetch_one
from assent.db.queries import named_queries
from assent.gallery.search import STRICTER, STRICTEST
from assent.keys.authority import authority_key, begin_macs, mac_of_raw
from assent.keys.ended import digest_of
from assent.keys.keystore import Keystore
from assent.keys.subject_keys import Half, SubjectKey, open_template

CHUNK = 2000  # missing templates asked for at a time
READ_AHEAD = 250  # rows taken from a stream at a time: few, so that its sender goes on while they are opened
FULL_SECONDS = 60.0  # everything is compared this often, whatever was heard
MANY_CHANGES = 500  # from here on one full comparison is cheaper than one a person
GALLERY_RETRY_SECONDS = (0.2, 10.0)  # first and longest pause after a database went away

_log = structlog.get_logger(__name__)
_STRICTNESS = {"stricter": STRICTER, "strictest": STRICTEST}


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The changes of one reconciliation; `broken` counts the templates that did not open or whose row, or whose
    consent's, was altered: they are left out."""

    inserted: int = 0
    deleted: int = 0
    broken: int = 0
    broken_of: frozenset[str] = field(default=frozenset(), compare=False)  # the tenants that they are of


def connect_gallery(url: str) -> Conn:
    """Opens a prepared connection to the gallery in autocommit mode.

    Raises psycopg.OperationalError when the server is not there.
    """
    conn: Conn = psycopg.connect(url, autocommit=True, connect_timeout=5)
    try:
        prepare_gallery(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def prepare_gallery(conn: Conn) -> None:
    """Makes the gallery's tables where they are missing, and registers its types on a connection in autocommit mode."""
    conn.execute(IDLE_LIMIT)  # a process stopped while it writes would keep all others of this host from writing
    statements = named_queries("gallery_memory")
    schema = fetch_one(conn, statements["is_schema_created"])
    if schema is None or not schema["made"]:  # else there is no need to wait for who writes
        with conn.transaction():
            conn.execute(statements["lock_gallery_writes"])
            conn.execute(statements["create_schema"])
    conn.execute(statements["set_planner_parallel"])
    register_vector(conn)


def reconcile(
    primary_database: Conn,
    gallery: Conn,
    keystore: Keystore,
    *,
    tenant: str | None = None,
    pseudonym: bytes | None = None,
) -> Reconciled:
    """Brings the gallery, in one transaction, to exactly the templates of active consents in the primary database.

    Both connections are in autocommit mode. With `tenant` and `pseudonym` only that subject's rows are
    compared; without, all are, and afterwards the gallery counts as ready. Id and version identify a template.
    Raises KeyMissing when the keystore is gone or of another database; psycopg.Error when a database fails.
    """
    keystore.tenants()  # without a keystore nothing opens: that is no reason to call the gallery ready
    only = {"tenant": tenant, "pid": pseudonym}
    statements = named_queries("gallery_memory")
    with gallery.transaction():
        gallery.execute(statements["lock_gallery_writes"])
        with primary_database.transaction():
            primary_database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            instance = _instance(primary_database, keystore)
            if pseudonym is None:
                primary_database.execute(named_queries("gallery")["set_planner_whole_joins"])
            row = fetch_one(gallery, statements["has_any_template"])
            step = _compare if row is None or row["holds"] else _fill
            reconciled = step(primary_database, gallery, keystore, only)
        if tenant is None:
            execute(gallery, statements["unmark_other_instances"], instance=instance)
            execute(gallery, statements["mark_ready"], instance=instance)
            execute(gallery, statements["purge_expired_probes"])
        if reconciled.inserted > CHUNK:
            gallery.execute("ANALYZE template")
    return reconciled


def is_ready(gallery: Conn, instance: UUID) -> bool:
    """Tells whether the gallery was filled from the primary database with that id (table `instance`)."""
    row = fetch_one(gallery, named_queries("gallery_memory")["is_ready"], instance=instance)
    return row is not None and bool(row["ready"])


def _instance(primary_database: Conn, keystore: Keystore) -> UUID:
    row = fetch_one(primary_database, named_queries("gallery")["read_instance"])
    if row is None:
        raise NotInitialised
    instance: UUID = row["id"]
    if instance != keystore.database:
        raise KeyMissing("the keystore belongs to another database")
    return instance


def _fill(primary_database: Conn, gallery: Conn, keystore: Keystore, only: dict[str, Any]) -> Reconciled:
    """Copies all templates into an empty gallery. One server sends and the other stores while this process opens."""
    statements = named_queries("gallery")
    active = statements["list_active_templates"].format(sealed=statements["add_sealed_columns"])
    with primary_database.cursor() as reader:
        stream = reader.stream(active, only | _STRICTNESS, binary=True, size=READ_AHEAD)
        with closing(cast(Generator[tuple[Any, ...]], stream)) as rows:  # an error leaves the connection usable
            inserted, broken = _insert(gallery, rows, keystore)
    return Reconciled(inserted, broken=broken.total(), broken_of=frozenset(broken))


def _compare(primary_database: Conn, gallery: Conn, keystore: Keystore, only: dict[str, Any]) -> Reconciled:
    """Deletes surplus templates from the gallery, and inserts missing and changed ones."""
    statements = named_queries("gallery_memory")
    gallery.execute(statements["create_wanted"])
    _copy_wanted(primary_database, gallery, only)
    deleted = execute(gallery, statements["delete_surplus_templates"], **only)
    deleted += execute(gallery, statements["delete_changed_templates"])
    inserted, broken = 0, Counter[str]()
    with gallery.cursor(name="missing") as missing:
        missing.execute(statements["list_missing_templates"], binary=True)
        while chunk := missing.fetchmany(CHUNK):
            more, more_broken = _insert(gallery, _with_sealed(primary_database, chunk), keystore)
            inserted, broken = inserted + more, broken + more_broken
    return Reconciled(inserted, deleted, broken.total(), frozenset(broken))


def _copy_wanted(primary_database: Conn, gallery: Conn, only: dict[str, Any]) -> None:
    """Streams the wanted templates, without embeddings, from the primary database to the gallery."""
    active = named_queries("gallery")["list_active_templates"].format(sealed=sql.SQL(""))
    wanted = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(active)
    with (
        primary_database.cursor() as reader,
        reader.copy(wanted, only | _STRICTNESS) as rows,
        gallery.cursor() as writer,
        writer.copy(named_queries("gallery_memory")["copy_wanted"]) as copy,
    ):
        for row in rows:
            copy.write(row)


def _with_sealed(primary_database: Conn, chunk: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Adds the sealed columns to rows of `list_missing_templates`.

    None is absent: the primary database is still read in the snapshot of `wanted`.
    """
    with primary_database.cursor(binary=True) as reader:
        named = {"tenants": [row[0] for row in chunk], "ids": [row[3].hex() for row in chunk]}
        sealed = reader.execute(named_queries("gallery")["read_sealed_templates"], named).fetchall()
    return ((*row, *rest) for row, rest in zip(chunk, sealed, strict=True))


def _insert(gallery: Conn, rows: Iterator[tuple[Any, ...]], keystore: Keystore) -> tuple[int, Counter[str]]:
    """Opens and inserts rows of `list_active_templates` with their sealed columns.

    Returns how many were inserted, and by tenant how many did not open.
    """
    inserted, broken = 0, Counter[str]()
    with gallery.cursor() as cursor, cursor.copy(named_queries("gallery_memory")["copy_opened_templates"]) as copy:
        copy.write(_COPY_BEGINS)
        while sealed := list(islice(rows, READ_AHEAD)):
            templates = list(_open_all(sealed, keystore, broken))
            copy.write(_copy_rows(templates))
            inserted += len(templates)
        copy.write(_COPY_ENDS)
    return inserted, broken


def _open_all(rows: list[tuple[Any, ...]], keystore: Keystore, broken: Counter[str]) -> Iterator[tuple[bytes, ...]]:
    """Yields the rows that open and are authentic, as COPY takes them; counts the others by tenant.

    Consecutive rows of one subject share the opened key and the check of their consent.
    """
    tenants = {row[0] for row in rows} & set(keystore.tenants())
    # As they are now, and not looked up for each row: these are read after the rows' snapshot was taken.
    keys = {tenant: replace(keystore.tenant(tenant), store=None) for tenant in tenants}
    authority = {tenant: (begin_macs(authority_key(keys[tenant])), keystore.ended(tenant)) for tenant in tenants}
    subject: SubjectKey | None = None
    checked: tuple[Any, ...] = ()
    for tenant, pid, model, id_, version, scope, expires, strictness, sealed, epoch, wrapped, mac, *consent in rows:
        try:
            if subject is None or (subject.tenant, subject.pseudonym) != (tenant, pid):
                subject = SubjectKey.unwrap(keys[tenant], pid, epoch, wrapped)
            macs, ended = authority[tenant]
            raw_tenant, raw_model = tenant.encode(), model.encode()
            if checked != (terms := (raw_tenant, pid, scope, expires, *consent)):
                _check_consent(macs, ended, terms)
                checked = terms
            _check_template(macs, (raw_tenant, id_, pid, raw_model, consent[0], bytes(4) + version), mac)
            embedding = _halfvec(open_template(subject, id_, model, sealed))
        except (SealBroken, KeyError):  # KeyError: of a tenant whose keys are gone
            broken[tenant] += 1
        else:
            yield raw_tenant, pid, raw_model, id_, version, scope, expires, strictness, embedding


def _check_consent(macs: HMAC, ended: frozenset[bytes], terms: tuple[Any, ...]) -> None:
    """Raises SealBroken for an active consent that nobody with the keys has written, or that has ended."""
    tenant, pid, scope, expires, id_, series, n, given, mac = terms
    columns = (tenant, id_, pid, b"face-match", scope, series, n, given, expires, b"", b"")
    if None in terms or not compare_digest(mac, mac_of_raw(macs, "consent", columns)):
        raise SealBroken("a consent was altered")
    if digest_of("consent", id_) in ended:
        raise SealBroken("a consent was put back after its end")


def _check_template(macs: HMAC, columns: tuple[bytes, ...], mac: bytes | None) -> None:
    """Raises SealBroken for a template that nobody with the keys has put under its consent."""
    if mac is None or not compare_digest(mac, mac_of_raw(macs, "template", columns)):
        raise SealBroken("a template was altered")


# PostgreSQL's format of COPY (FORMAT BINARY), written in pieces: several times as fast as a value at a time.
_COPY_BEGINS, _COPY_ENDS = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_int2, _int4, _int8 = struct.Struct(">h").pack, struct.Struct(">i").pack, struct.Struct(">q").pack


def _copy_rows(rows: Iterable[Sequence[bytes]]) -> bytes:
    """Encodes rows for COPY from values that are in their types' binary form already."""
    pieces: list[bytes] = []
    for row in rows:
        pieces.append(_int2(len(row)))
        for value in row:
            pieces += _int4(len(value)), value
    return b"".join(pieces)


def _halfvec(vector: Half) -> bytes:
    """Encodes a vector in pgvector's binary form: the dimension, an unused word, the values; big-endian."""
    return _int2(vector.size) + _int2(0) + vector.byteswap().tobytes()


# Following the primary database

GalleryServer = Callable[[], AbstractContextManager[str]]  # enters a server that holds a gallery; yields its URL


@dataclass(slots=True)
class Room:
    """Tells whether the host has room for a gallery, as its follower found it last; threads share it."""

    missing: str | None = None  # what is missing; None: there is room


class Stop:
    """Asks a thread to end that may be waiting for a connection; its descriptors are closed with its context."""

    def __init__(self) -> None:
        self._asked, self._asking = socket.socketpair()

    def __enter__(self) -> Stop:
        return self

    def __exit__(self, *_: object) -> None:
        self._asked.close()
        self._asking.close()

    def set(self) -> None:
        """Asks the thread to end; this cannot be undone."""
        self._asking.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float, *others: int) -> bool:
        """Waits until `set` was called, `seconds` passed or one of `others` can be read; True in the first case."""
        poll = select.poll()
        for descriptor in (self._asked.fileno(), *others):
            poll.register(descriptor, select.POLLIN)
        return any(descriptor == self._asked.fileno() for descriptor, _ in poll.poll(seconds * 1000))


def follow(primary_url: str, gallery: GalleryServer, keystore: Keystore, stop: Stop, room: Room | None = None) -> None:
    """Keeps the gallery in step until `stop` is set, and notes in `room` whether there is any; for a thread of its own.

    `gallery` enters the in-memory server and yields its URL; it is entered again after every interruption, which
    starts a server that died. The caller enters it too, or an interruption would stop it. Listening begins before the
    first full comparison, so that no change falls between.
    """
    pause, room = GALLERY_RETRY_SECONDS[0], room or Room()
    while not stop.wait(0):
        try:
            with (
                gallery() as gallery_url,
                psycopg.connect(primary_url, autocommit=True, connect_timeout=5) as listener,
                psycopg.connect(primary_url, autocommit=True, connect_timeout=5) as primary_database,
                connect_gallery(gallery_url) as memory,
            ):
                listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(GALLERY_CHANNEL)))
                _report(reconcile(primary_database, memory, keystore), "all", primary_database, keystore)
                pause, room.missing = GALLERY_RETRY_SECONDS[0], None
                while not stop.wait(0):
                    _follow_a_while(listener, primary_database, memory, keystore, stop)
        except (psycopg.Error, AssentError) as error:
            if isinstance(error, MatchingUnavailable | psycopg.errors.DiskFull):
                room.missing = error.detail if isinstance(error, AssentError) else "the templates need more memory"
            _log.warning("gallery.interrupted", error=type(error).__name__, again_in=pause)
            stop.wait(pause)
            pause = min(2 * pause, GALLERY_RETRY_SECONDS[1])


def _follow_a_while(listener: Conn, primary_database: Conn, memory: Conn, keystore: Keystore, stop: Stop) -> None:
    """Follows the changes heard for FULL_SECONDS, then compares everything.

    Checks once a second whether the gallery is still there; an error ends it if not.
    """
    until = time.monotonic() + FULL_SECONDS
    while time.monotonic() < until:
        if stop.wait(1.0, listener.fileno()):
            return
        payloads = {notice.payload for notice in listener.notifies(timeout=0)}
        subjects = [_changed_subject(payload) for payload in payloads]
        if len(subjects) > MANY_CHANGES or None in subjects or not is_ready(memory, keystore.database):
            break
        for tenant, pseudonym in filter(None, subjects):
            reconciled = reconcile(primary_database, memory, keystore, tenant=tenant, pseudonym=pseudonym)
            _report(reconciled, "one", primary_database, keystore)
    _report(reconcile(primary_database, memory, keystore), "all", primary_database, keystore)


def _changed_subject(payload: str) -> tuple[str, bytes] | None:
    """Parses tenant and pseudonym of a notification; None for one that the triggers did not send."""
    tenant, _, pseudonym = payload.partition(" ")
    try:
        return tenant, bytes.fromhex(pseudonym)
    except ValueError:
        return None


def _report(reconciled: Reconciled, looked_at: str, primary_database: Conn, keystore: Keystore) -> None:
    """Logs what a reconciliation changed, and notes templates that did not open in the tenant's audit log."""
    for tenant in reconciled.broken_of:
        try:
            with primary_database.transaction():
                # The tree is locked meanwhile.
                primary_database.execute("SET LOCAL idle_in_transaction_session_timeout = '10s'")
                record_broken_seal(primary_database, keystore.tenant(tenant), "template", datetime.now(UTC))
        except AssentError as error:
            _log.error("gallery.broken_not_noted", tenant=tenant, code=error.code)
    if reconciled != Reconciled():
        log = _log.warning if reconciled.broken else _log.info
        log(
            "gallery.reconciled",
            looked_at=looked_at,
            inserted=reconciled.inserted,
            deleted=reconciled.deleted,
            broken=reconciled.broken,
        )
