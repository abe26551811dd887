"""Decides again what was decided without its faces being compared, once there is a gallery."""

from __future__ import annotations

from uuid import UUID

from assent.db.pool import transaction
from assent.db.queue import SLOW, release_matches
from assent.worker.jobs import WorkerContext, decide_event

MISSED_SECONDS = 5.0  # between two looks whether something waits for a gallery


def match_missed(context: WorkerContext, tenant: str, event_id: UUID, queue: str = SLOW) -> None:
    """Decides again what `intake.accept.store_missed` stored; what cannot be analysed any more stays as it was decided.

    Raises MatchingUnavailable without a gallery, else as `decide_event` does.
    """
    context.gallery.check_room()
    decide_event(context, tenant, event_id, queue, again=True)


def release_missed(context: WorkerContext) -> None:
    """Makes the jobs of `match_missed` due, where this worker has a gallery."""
    if context.gallery.has_room():
        with transaction(context.pool) as conn:
            release_matches(conn)
