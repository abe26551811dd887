"""Locks a subject: shared to store, show or send something about them, exclusive to withdraw their consent.

Locks a media item too: shared to send something of it, exclusive to delete it.

Advisory locks leave nothing on disk. A row lock would write the transaction's number into the subject's row, the same
number that stands in the image's rows: a link between the two for anybody who reads the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from psycopg.errors import LockNotAvailable

from assent.core.errors import SubjectLocked
from assent.db.pool import Conn, execute, fetch_one
from assent.db.queries import named_queries

# Longer than a transaction may idle and than a delivery takes from its claim to its end, so that whoever still has the
# lock then, because it was stopped, can neither commit nor send any more.
LOCK_WAIT_SECONDS = 20
SOON_SECONDS = 2
_Q = named_queries("locks")


def lock_shared(conn: Conn, tenant: str, pseudonyms: Iterable[bytes]) -> None:
    """Locks these subjects, shared, until the transaction ends, so that no consent of theirs is withdrawn meanwhile.

    Call it before their consents are read.
    """
    _lock_each(conn, "lock_subject_shared", tenant, pseudonyms)


def lock_shared_or_busy(conn: Conn, tenant: str, pseudonyms: Iterable[bytes]) -> None:
    """Locks these subjects as `lock_shared` does, but waits SOON_SECONDS at most for each.

    It is for callers who cannot wait long, since a withdrawal may take LOCK_WAIT_SECONDS. Raises SubjectLocked.
    """
    wanted = set(pseudonyms)
    if not wanted:
        return
    try:
        with _limited_wait(conn, SOON_SECONDS):
            lock_shared(conn, tenant, wanted)
    except LockNotAvailable:
        raise SubjectLocked from None


def lock_shared_session(conn: Conn, tenant: str, pseudonyms: Iterable[bytes]) -> None:
    """Locks these subjects, shared, across transactions until `unlock_session`.

    It is for work that goes on after the commit, as sending does.
    """
    _lock_each(conn, "lock_subject_shared_session", tenant, pseudonyms)


def unlock_session(conn: Conn) -> None:
    """Releases all locks that this connection took by `lock_shared_session`."""
    execute(conn, _Q["release_session_locks"])


def lock_media_sending(conn: Conn, key: Mapping[str, str]) -> None:
    """Locks the media item of that key, shared, across transactions until `unlock_session`: something of it is sent."""
    execute(conn, _Q["lock_media_sending"], **key)


def lock_to_delete(conn: Conn, keys: Iterable[Mapping[str, str]]) -> None:
    """Locks the media items of these keys until the transaction ends: nothing of them is stored, told or sent.

    Waits up to LOCK_WAIT_SECONDS for whoever is sending something of one; who was stopped is then too late to send.
    """
    ordered = sorted(keys, key=lambda key: (key["source"], key["media"]))
    for key in ordered:
        with suppress(LockNotAvailable), _limited_wait(conn, LOCK_WAIT_SECONDS):
            execute(conn, _Q["lock_media_not_sending"], **key)
    for key in ordered:
        execute(conn, named_queries("record")["lock_media"], **key)


def try_lock_exclusive(conn: Conn, tenant: str, pseudonym: bytes) -> bool:
    """Locks this subject, exclusively, until the transaction ends.

    Nothing about them is stored, shown or sent meanwhile. Waits up to LOCK_WAIT_SECONDS for holders of shared locks.
    Returns False where one of them was stopped, which is then too late to commit or send.
    """
    try:
        with _limited_wait(conn, LOCK_WAIT_SECONDS):
            execute(conn, _Q["lock_subject_exclusive"], tenant=tenant, pid=pseudonym)
    except LockNotAvailable:
        return False
    return True


@contextmanager
def _limited_wait(conn: Conn, seconds: int) -> Iterator[None]:
    """Limits the wait for each lock to that many seconds. Raises LockNotAvailable."""
    before = fetch_one(conn, _Q["read_lock_timeout"])
    with conn.transaction():  # where the wait was in vain the setting goes back with the savepoint
        execute(conn, _Q["set_lock_timeout"], time=f"{seconds}s")
        yield
    execute(conn, _Q["set_lock_timeout"], time=before["time"] if before else "0")


def _lock_each(conn: Conn, query: str, tenant: str, pseudonyms: Iterable[bytes]) -> None:
    for pseudonym in sorted(set(pseudonyms)):  # always in one order
        execute(conn, _Q[query], tenant=tenant, pid=pseudonym)
