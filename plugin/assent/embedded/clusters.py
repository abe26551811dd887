"""Runs the two embedded PostgreSQL servers: the primary database on disk, and the gallery in memory.

Several processes share a server. Each has a shared lock on its `held` file, and the last to end stops it; starting
and stopping happen under the `start` lock. A supervisor process beside the server does the same for holders that
were killed, so that opened templates do not outlive them, and restarts the primary database if it dies while in use.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import psutil

from assent.core.errors import AssentError, DatabaseUnavailable, GalleryUnavailable
from assent.core.host_errors import MatchingUnavailable
from assent.embedded import server
from assent.embedded.install import gallery_account, own_folder
from assent.embedded.namespace import Order, why_not
from assent.embedded.server import Cluster

LOCK_SECONDS = server.START_SECONDS + 10
SUPERVISOR_SECONDS = 1.0
SUPERVISOR_LONGEST_SECONDS = 10.0  # between two attempts to start a server that does not come up
GALLERY_FREE_BYTES = 256 << 20
MEMORY_FILESYSTEMS = ("tmpfs", "ramfs")

# No TCP, and no log line with a statement, a parameter or a row's value.
_COMMON_SETTINGS = (
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("max_connections", "100"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_min_messages", "log"),  # errors of statements go to their client only
    ("log_error_verbosity", "terse"),
    ("log_min_error_statement", "panic"),
    ("log_parameter_max_length", "0"),
    ("log_parameter_max_length_on_error", "0"),
    ("log_checkpoints", "off"),
    ("log_autovacuum_min_duration", "-1"),
    ("jit", "off"),
)
PRIMARY_SETTINGS = (*_COMMON_SETTINGS, ("shared_buffers", "128MB"), ("max_wal_size", "512MB"))
GALLERY_SETTINGS = (
    *_COMMON_SETTINGS,
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("min_wal_size", "32MB"),
    ("max_wal_size", "64MB"),
    ("shared_buffers", "64MB"),
    ("work_mem", "64MB"),  # the templates of a search stay in memory of its own
    ("io_method", "sync"),
    ("dynamic_shared_memory_type", "mmap"),  # in the data folder, so that it goes with it
    ("autovacuum_max_workers", "1"),
    ("autovacuum_naptime", "5min"),
    ("restart_after_crash", "off"),  # a crash empties unlogged tables: start anew instead, and fill again
)


@contextmanager
def embedded(data_dir: Path) -> Iterator[str]:
    """Starts or joins the embedded primary database and yields its `postgresql://` URL (socket, password, no TCP).

    The URL's role owns the database and is no superuser.

    Raises StoreUnsafe where the folder cannot be used safely, DatabaseUnavailable where the server does not start.
    """
    home = own_folder(data_dir)
    with _hold_server(Cluster("postgres", home, home, PRIMARY_SETTINGS, lasting=True)) as url:
        yield url


@contextmanager
def in_memory(gallery_dir: Path, data_dir: Path, *, unsafe_on_disk: bool) -> Iterator[str]:
    """Starts or joins the gallery's server below `gallery_dir`, one per host and data folder, and yields its URL.

    The server is empty when it starts. Entering it again, also in the same process, starts a server that died; the URL
    stays the same meanwhile.

    Raises MatchingUnavailable as `find_room` does, GalleryUnavailable where the server does not start; StoreUnsafe as
    above.
    """
    cluster = find_room(gallery_dir, own_folder(data_dir), unsafe_on_disk=unsafe_on_disk)
    with ExitStack() as stack:
        try:
            url = stack.enter_context(_hold_server(cluster))
        except DatabaseUnavailable as error:
            raise GalleryUnavailable(error.detail) from error
        yield url


def find_room(gallery_dir: Path, data_dir: Path, *, unsafe_on_disk: bool) -> Cluster:
    """Returns the gallery's server: in memory that it alone sees where this host allows it, else in `gallery_dir`.

    Raises MatchingUnavailable, saying what to set, where there is no room for one and none runs: `gallery_dir` is no
    folder, less than 256 MB are free, or without a namespace it is not in memory (unless `unsafe_on_disk`).
    """
    if not gallery_dir.is_dir():
        raise MatchingUnavailable(f"{gallery_dir} is no folder: set ASSENT_GALLERY_DIR to a tmpfs")
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
    home = gallery_dir.resolve() / f"assent-{os.geteuid()}-{digest}"
    private = not why_not_private(gallery_dir.resolve())
    free = psutil.virtual_memory().available
    memory = max(free // 2, GALLERY_FREE_BYTES) if private else 0
    cluster = Cluster("gallery", home, data_dir.resolve(), GALLERY_SETTINGS, lasting=False, memory=memory)
    if server.is_alive(cluster):
        return cluster
    if not private:
        _check_folder(gallery_dir, unsafe_on_disk)
    elif free < GALLERY_FREE_BYTES:
        raise MatchingUnavailable(
            f"{free >> 20} MB of memory are free and the gallery needs {GALLERY_FREE_BYTES >> 20}"
        )
    return cluster


@cache
def why_not_private(gallery_dir: Path) -> str:
    """Tries whether a gallery can have memory that it alone sees; returns what is missing, empty where it can."""
    account = gallery_account(gallery_dir, private=True)
    uid, gid = (account.uid, account.gid) if account else (os.geteuid(), os.getegid())
    return why_not(Order(uid, gid, str(gallery_dir), GALLERY_FREE_BYTES, "/etc/passwd"))


def _check_folder(folder: Path, unsafe_on_disk: bool) -> None:
    """Raises MatchingUnavailable where a gallery without a namespace must not or cannot lie in that folder."""
    gallery_account(folder, private=False)
    mounts = {mount.mountpoint: mount.fstype for mount in psutil.disk_partitions(all=True)}
    resolved = folder.resolve()
    kind = next(
        (mounts[str(path)] for path in (resolved, *resolved.parents) if str(path) in mounts), "an unknown file system"
    )
    if kind not in MEMORY_FILESYSTEMS and not unsafe_on_disk:
        raise MatchingUnavailable(
            f"{folder} lies on {kind}, so opened templates would reach a disk: set ASSENT_GALLERY_DIR to a tmpfs, or "
            "accept the disk with ASSENT_UNSAFE_GALLERY_ON_DISK=true"
        )
    free = shutil.disk_usage(folder).free
    if free < GALLERY_FREE_BYTES:
        raise MatchingUnavailable(
            f"{folder} has {free >> 20} MB free and the gallery needs {GALLERY_FREE_BYTES >> 20}: enlarge that tmpfs "
            "(a container's --shm-size) or set ASSENT_GALLERY_DIR to a larger one"
        )


@contextmanager
def _hold_server(cluster: Cluster) -> Iterator[str]:
    with _start_lock(cluster):
        held = _open_lock(cluster.lock("held"))
        try:
            fcntl.flock(held, fcntl.LOCK_SH)  # whoever takes it exclusively has the start lock
            url = server.join_or_start(cluster)
            if not server.is_locked(cluster.lock("supervisor")):
                _spawn_supervisor(cluster)
            if cluster.lasting:
                url = _give_application(url)
        except BaseException:
            _release_lock(held)
            raise
    try:
        yield url
    finally:
        with _start_lock(cluster):
            _release_server(cluster, held)


def _give_application(url: str) -> str:
    from assent.embedded.roles import give_application  # here: the supervisor does without psycopg

    return give_application(url)


def _release_server(cluster: Cluster, held: int) -> bool:
    """Releases `held`, and stops the server if no other process has it. Call under the start lock."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        server.stop_server(cluster)
        if not cluster.lasting:
            server.remove_files(cluster)
    except BlockingIOError:
        return False
    finally:
        _release_lock(held)
    return True


@contextmanager
def _start_lock(cluster: Cluster) -> Iterator[None]:
    """Takes the start lock. Raises DatabaseUnavailable when another process keeps it for too long."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        own_folder(cluster.home)
        if (descriptor := _try_start_lock(cluster)) is not None:
            break
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(f"another process has been starting the server in {cluster.home} for too long")
        time.sleep(server.SERVER_POLL_SECONDS)
    try:
        yield
    finally:
        _release_lock(descriptor)


def _try_start_lock(cluster: Cluster, *, make: bool = True) -> int | None:
    path = cluster.lock("start")
    try:
        descriptor = _open_lock(path, make=make)
    except FileNotFoundError:
        return None  # the gallery's last process is just removing the folder
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    _release_lock(descriptor)
    return None


def _open_lock(path: Path, *, make: bool = True) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0), 0o600)


def _release_lock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may hold a copy: closing alone would not release it
    os.close(descriptor)


def _spawn_supervisor(cluster: Cluster) -> None:
    command = [sys.executable, "-m", "assent.embedded.clusters", cluster.name, str(cluster.home), str(cluster.data_dir)]
    imports = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)  # its working folder is another
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": imports, "TMPDIR": str(server.temporary_folder())}
    log = server.open_log(cluster)
    # Made here, since the folder may be about to be removed when the supervisor is up.
    os.close(_open_lock(cluster.lock("supervisor")))
    try:
        server.spawn(command, log, env)
    finally:
        os.close(log)


def _supervise(cluster: Cluster, own_lock: int) -> None:
    """Checks the server once a second: stops an unused one and returns, restarts one that died while in use.

    `own_lock` is the supervisor's. It is released under the start lock: the next start needs a new supervisor.
    """
    pause = SUPERVISOR_SECONDS
    while True:
        time.sleep(pause)
        if not cluster.lock("start").exists():
            return
        if (descriptor := _try_start_lock(cluster, make=False)) is None:
            continue
        try:
            if _release_server(cluster, _open_lock(cluster.lock("held"), make=False)):
                _release_lock(own_lock)
                return
            pause = SUPERVISOR_SECONDS if _ensure_runs(cluster) else min(2 * pause, SUPERVISOR_LONGEST_SECONDS)
        finally:
            _release_lock(descriptor)


def _ensure_runs(cluster: Cluster) -> bool:
    """Restarts a primary database that died and tells whether it runs. A gallery is restarted, empty, by its filler."""
    if not cluster.lasting or server.postmaster(cluster) is not None:
        return True
    try:
        server.join_or_start(cluster)
    except DatabaseUnavailable:  # its log says why; a full disk may have room later
        return False
    return True


def _run_supervisor(arguments: list[str]) -> None:
    name, home, data_dir = arguments
    if name == "gallery":
        cluster = Cluster("gallery", Path(home), Path(data_dir), GALLERY_SETTINGS, lasting=False)
    else:
        cluster = Cluster("postgres", Path(home), Path(data_dir), PRIMARY_SETTINGS, lasting=True)
    try:
        own_lock = _open_lock(cluster.lock("supervisor"), make=False)
        fcntl.flock(own_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _supervise(cluster, own_lock)
    except (BlockingIOError, FileNotFoundError):
        return  # there is a supervisor already, or the folder was removed
    except AssentError as error:
        sys.exit(f"supervisor: {error.detail}")


if __name__ == "__main__":
    _run_supervisor(sys.argv[1:])
