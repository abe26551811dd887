"""Lists the maintenance tasks that a worker repeats beside its jobs. Each is safe beside another worker's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from assent.core.audit_errors import HeadNotRemembered
from assent.core.errors import KeyMissing
from assent.core.settings import Settings
from assent.core.telemetry import log
from assent.db.pool import Pool, execute, fetch, transaction
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.decisions.match_list import START, list_matches
from assent.decisions.search_index import add_backlog
from assent.keys.keystore import Keystore
from assent.outbox import deliver
from assent.outbox.actions import queue_due_actions
from assent.review.care import purge_exposure
from assent.shadow.traffic import TRIAL_IMAGES
from assent.staff.sessions import purge_tokens
from assent.subjects import links, retention, rotation
from assent.subjects.consent import declare
from assent.subjects.rewrite import rewrite_people
from assent.worker.missed_posts import READING_SECONDS, TOPIC_SECONDS, read_edited_topics, read_missed_posts
from assent.worker.post_checks import TURN_SECONDS, check_posts

BACKLOG_STEPS = 20  # of a round, so that other tasks have their turn
MaintenanceTask = Callable[[Settings, Pool, Keystore], None]
HOUR = 3600.0
BATCH, MOST_BATCHES = 2_000, 500  # rows deleted in a transaction, transactions of one kind in a round


def maintenance_tasks(settings: Settings) -> Sequence[tuple[float, MaintenanceTask]]:
    """Returns every task with the seconds between its end and its next begin."""
    return (
        (1.0, queue_due_deliveries),
        (1.0, queue_due_acts),
        (settings.lease_seconds / 3, rescue_jobs),
        (TURN_SECONDS, check_posts),
        (READING_SECONDS, read_missed_posts),
        (TOPIC_SECONDS, read_edited_topics),
        (5.0, rewrite_rows_of_people),
        (10.0, rotate_due_tenants),
        (5.0, add_search_backlog),
        (HOUR, check_match_lists),
        (HOUR, end_expired),
        (HOUR, purge_expired),
    )


def queue_due_deliveries(_settings: Settings, pool: Pool, _keystore: Keystore) -> None:
    """Puts deliveries that are due back into the queue."""
    with transaction(pool) as conn:
        deliver.queue_due(conn)


def queue_due_acts(_settings: Settings, pool: Pool, _keystore: Keystore) -> None:
    """Puts acts at platforms that are due, to be done or undone, into the queue."""
    with transaction(pool) as conn:
        queue_due_actions(conn)


def rescue_jobs(settings: Settings, pool: Pool, _keystore: Keystore) -> None:
    """Makes the jobs of workers that have been silent for a lease wait again, for any free worker.

    The queue itself leaves them where they are.
    """
    queue = named_queries("queue")
    with transaction(pool) as conn:
        execute(conn, queue["correct_future_heartbeats"])
        rescued = fetch(conn, queue["requeue_jobs_of_lost_workers"], lease=settings.lease_seconds)
    for job in rescued:
        log.warning("job rescued", job=job["id"], task=job["task_name"])


def rotate_due_tenants(_settings: Settings, pool: Pool, keystore: Keystore) -> None:
    """Ends each epoch whose end an erasure waits for."""
    rotation.rotate_due(pool, keystore)


def rewrite_rows_of_people(_settings: Settings, pool: Pool, _keystore: Keystore) -> None:
    """Mixes, soon after each full hour, the rows of people that changed within it."""
    with transaction(pool) as conn:
        rewrite_people(conn)


def add_search_backlog(_settings: Settings, pool: Pool, _keystore: Keystore) -> None:
    """Makes decisions from before an upgrade findable: a part of them in a round."""
    for _ in range(BACKLOG_STEPS):
        if not add_backlog(pool):
            return


def check_match_lists(_settings: Settings, pool: Pool, keystore: Keystore) -> None:
    """Lists the matches of before there were lists, and takes from lists those that were altered, page by page."""
    try:
        for keys in map(keystore.tenant, keystore.tenants()):
            last: Mapping[str, str | int] | None = START
            while last is not None:
                with transaction(pool) as conn:
                    last = list_matches(conn, keys, last).last
    except KeyMissing as error:
        log.error("no list of matches was checked", code=error.code)


def end_expired(settings: Settings, pool: Pool, keystore: Keystore) -> None:
    """Logs the deployer's declaration for every tenant when it is new, and ends what is over now."""
    with transaction(pool) as conn:
        now = database_time(conn)
    end_due_by(settings, pool, keystore, now)


def end_due_by(settings: Settings, pool: Pool, keystore: Keystore, now: datetime) -> None:
    """Does what `end_expired` does, as of the time `now`."""
    try:
        for keys in map(keystore.tenant, keystore.tenants()):
            if settings.anyone_declaration is not None:
                with transaction(pool) as conn:
                    declare(conn, keys, settings.anyone_declaration)
            retention.end_due(pool, keys, now)
    except (HeadNotRemembered, KeyMissing) as error:
        log.error("nothing that is due was ended", code=error.code)


def _batched_purges(settings: Settings) -> Sequence[tuple[str, str, Mapping[str, int]]]:
    """Returns the statements that delete what may be much: file, name and values of each."""
    decisions = {"days": settings.decision_retention_days}
    return (
        ("intake", "purge_finished_events", {"days": settings.event_retention_days}),
        ("intake", "purge_missed_events", {"days": settings.event_retention_days}),
        ("intake", "purge_left_uploads", {}),
        ("posts", "purge_media_of_posts", {"days": settings.event_retention_days}),
        ("post_checks", "purge_post_checks", {}),
        ("record", "purge_expired_copies", {}),
        ("record", "purge_replaced_decisions", decisions),
        ("outbox", "purge_replaced_messages", decisions),
        ("actions", "purge_undone_actions", decisions),
        ("audit", "expire_payloads", {}),
        ("queue", "purge_finished_jobs", {}),
    )


def purge_expired(settings: Settings, pool: Pool, _keystore: Keystore) -> None:
    """Deletes what has passed its retention: in batches, and what is left of a backlog in the next hour."""
    for file, name, values in _batched_purges(settings):
        for _ in range(MOST_BATCHES):
            with transaction(pool) as conn:
                if not execute(conn, named_queries(file)[name], **values, most=BATCH):
                    break
    with transaction(pool) as conn:
        execute(conn, named_queries("intake")["purge_old_deliveries"])
        execute(conn, named_queries("instance")["purge_ended_secrets"])
        execute(conn, named_queries("media_items")["purge_order"])
        execute(conn, named_queries("record")["shorten_copies"], days=settings.keep_days)
        execute(conn, named_queries("idempotency")["purge_old_answers"])
        execute(conn, named_queries("undo")["purge_undo"])
        execute(conn, named_queries("looks")["purge_looks"])
        execute(conn, named_queries("looks")["purge_case_looks"])
        execute(conn, named_queries("feedback")["trim_trial_labels"], most=TRIAL_IMAGES)
        purge_exposure(conn)
        links.purge(conn)
        purge_tokens(conn)
