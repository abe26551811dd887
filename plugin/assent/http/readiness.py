"""Checks whether this process can do its work: disks with room, a database, clocks that agree, its own worker.

All of it takes a few milliseconds, so that it may be asked every second.
"""

from __future__ import annotations

import shutil

from assent.core.errors import KeyMissing
from assent.core.host_errors import MatchingUnavailable
from assent.core.http_errors import ClocksDiffer, DiskFull, WorkerNotRunning
from assent.core.settings import Settings
from assent.db.health import check_room, clock_difference
from assent.db.pool import transaction
from assent.embedded.clusters import find_room
from assent.http.state import AppState

# A minute of the five that a signature is good for: the rest is the sender's clock and the way.
CLOCK_SECONDS = 60.0
KEYS_FREE_BYTES = 1 << 20
# The embedded server's log grows by 16 MB at a time, and the server ends where it cannot.
DATABASE_FREE_BYTES = 64 << 20


def check_ready(state: AppState) -> bool:
    """Raises what keeps this process from its work; returns whether its worker, where it has one, can match faces.

    That is DiskFull, KeyMissing, DatabaseUnavailable, ClocksDiffer or WorkerNotRunning.
    """
    _check_folders(state.settings)
    with transaction(state.pool) as conn:
        seconds = clock_difference(conn).total_seconds()
        check_room(conn)
    if abs(seconds) > CLOCK_SECONDS:
        raise ClocksDiffer(f"the database's clock is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}")
    if state.worker_runs is not None and not state.worker_runs():
        raise WorkerNotRunning("the worker of this process is not running")
    return state.worker_runs is None or _has_gallery(state.settings)


def _has_gallery(settings: Settings) -> bool:
    try:
        find_room(settings.gallery_dir, settings.data_dir, unsafe_on_disk=settings.unsafe_gallery_on_disk)
    except MatchingUnavailable:
        return False
    return True


def _check_folders(settings: Settings) -> None:
    # By name, not by path: whoever asks is a stranger.
    floors = [("keys", settings.keys_dir, KEYS_FREE_BYTES)]
    if settings.database_url is None:
        floors.append(("data", settings.data_dir, DATABASE_FREE_BYTES))
    for name, folder, floor in floors:
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise KeyMissing(f"the {name} folder cannot be reached") from error
        if free < floor:
            raise DiskFull(f"the disk of the {name} folder has {free >> 20} MB free; {floor >> 20} MB are needed")
