"""A person's lock: shared by who says something about them, taken alone by who takes their consent back.

Advisory locks leave nothing on disk. A row lock would write the transaction's number into the person's row, the same
number that stands in the picture's rows: a link between the two for whoever reads the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from psycopg.errors import LockNotAvailable

from assent.core.errors import SubjectLocked
from assent.db.pool import Conn, execute, fetch_one
from assent.db.queries import named_queries

# Longer than a transaction may idle and than a delivery takes from its claim to its end, so that whoever still has the
# lock then, because it was stopped, can neither commit nor send any more.
WAIT_SECONDS = 20
SOON_SECONDS = 2
_Q = named_queries("locks")


def lock_shared(conn: Conn, tenant: str, pids: Iterable[bytes]) -> None:
    """Until the transaction ends nobody's consent among these is taken back. Call before their consents are read."""
    _take(conn, "share_person", tenant, pids)


def lock_shared_or_busy(conn: Conn, tenant: str, pids: Iterable[bytes]) -> None:
    """The same for who cannot wait long: a withdrawal may take WAIT_SECONDS. Raises SubjectLocked."""
    wanted = set(pids)
    if not wanted:
        return
    try:
        with _waiting(conn, SOON_SECONDS):
            lock_shared(conn, tenant, wanted)
    except LockNotAvailable:
        raise SubjectLocked from None


def lock_shared_session(conn: Conn, tenant: str, pids: Iterable[bytes]) -> None:
    """The same until `unlock_session`, across transactions: for what goes on after the commit, as sending does."""
    _take(conn, "hold_person", tenant, pids)


def unlock_session(conn: Conn) -> None:
    """Gives up all that this connection took by `lock_shared_session`."""
    execute(conn, _Q["release_people"])


def try_lock_exclusive(conn: Conn, tenant: str, pid: bytes) -> bool:
    """Until the transaction ends nothing is said about this person. Waits up to WAIT_SECONDS for those who do; False
    where one of them had been stopped, who then comes too late to say it."""
    try:
        with _waiting(conn, WAIT_SECONDS):
            execute(conn, _Q["lock_person"], tenant=tenant, pid=pid)
    except LockNotAvailable:
        return False
    return True


@contextmanager
def _waiting(conn: Conn, seconds: int) -> Iterator[None]:
    """Waits for each lock that long at most; raises LockNotAvailable."""
    before = fetch_one(conn, _Q["lock_timeout"])
    with conn.transaction():  # where the wait was in vain the setting goes back with the savepoint
        execute(conn, _Q["set_lock_timeout"], time=f"{seconds}s")
        yield
    execute(conn, _Q["set_lock_timeout"], time=before["time"] if before else "0")


def _take(conn: Conn, how: str, tenant: str, pids: Iterable[bytes]) -> None:
    for pid in sorted(set(pids)):  # always in one order
        execute(conn, _Q[how], tenant=tenant, pid=pid)
