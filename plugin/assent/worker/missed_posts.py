"""Reads from a Discourse what its webhooks did not bring: posts whose one try was lost, first posts told without text.

What a webhook brought is known by its text, or by the time of the post's last change, and is not decided twice.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from assent.core.settings import Settings
from assent.core.telemetry import POSTS_MISSED, log
from assent.db.pool import Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.db.queue import database_time
from assent.intake.accept import Origin
from assent.intake.posts import store_read_post
from assent.intake.sources import open_source_settings
from assent.keys.keystore import Keystore, TenantKeys
from assent.outbox.asking import Asker, PlatformSilent, ask_platforms
from assent.outbox.schedule import next_attempt
from assent.platforms.delivery import Parsed, ParsedDelivery
from assent.platforms.discourse import parse_fetched_post
from assent.platforms.discourse_posts import read_first_post, read_latest_posts

READING_SECONDS = 60.0  # between two looks at the newest posts of a source
# Discourse allows a key 60 calls a minute, which acts need too.
MOST_PAGES = 5  # of fifty posts, in a turn
TOPIC_SECONDS, MOST_TOPICS = 5.0, 3  # between two turns, and in one
TOPIC_LEASE = timedelta(minutes=5)  # longer than a turn can take
_Q = named_queries("post_reading")
_SPREAD = random.SystemRandom()


class _Position(NamedTuple):
    """Marks how far the posts were read, by their ids; the table `post_reading` says what each field is."""

    since: int | None
    reached: int | None
    target: int | None = None
    before: int | None = None


def read_missed_posts(settings: Settings, pool: Pool, keystore: Keystore) -> None:
    """Looks at the newest posts of each connected Discourse, and takes in what no webhook brought."""
    ask_platforms(pool, keystore, settings.allow_private, "discourse", partial(_read_source, pool))


def read_edited_topics(settings: Settings, pool: Pool, keystore: Keystore) -> None:
    """Reads the first posts that were edited along with their topics."""
    ask_platforms(pool, keystore, settings.allow_private, "discourse", partial(_read_topics, pool))


def _read_source(pool: Pool, keys: TenantKeys, row: Row, ask: Asker) -> None:
    key, pause = {"tenant": keys.tenant, "source": row["source"]}, timedelta(seconds=READING_SECONDS - 1)
    with transaction(pool) as conn:
        claimed = fetch_one(conn, _Q["claim_reading"], **key, pause=pause)
    if claimed is None:
        return
    position, settings = _Position(**claimed), open_source_settings(keys, row)
    for _ in range(MOST_PAGES):
        page = ask(read_latest_posts(position.before))
        for post in page:
            if position.since is not None and post["id"] > position.since:
                _take_in(pool, keys, Origin(row["source"], "backfill"), parse_fetched_post(post, "regular", settings))
        position = _after(position, page)
        with transaction(pool) as conn:
            execute(conn, _Q["record_reading"], **key, **position._asdict())
        if position.before is None:
            return


def _after(position: _Position, page: Sequence[Mapping[str, Any]]) -> _Position:
    """Returns where reading goes on after a page.

    What is older than the first reading stays unread. A forum whose newest post is older than what was reached lost
    posts, or is another one.
    """
    ids = [post["id"] for post in page]
    if position.since is None or position.reached is None:
        newest = max(ids, default=None)  # an empty answer is no beginning: all would be new after it
        return _Position(newest, newest)
    target = max(ids, default=position.reached) if position.target is None else position.target
    if not ids or min(ids) <= position.reached or min(ids) == position.before:
        return _Position(min(position.since, target), target)
    return _Position(position.since, position.reached, target, min(ids))


def _read_topics(pool: Pool, keys: TenantKeys, row: Row, ask: Asker) -> None:
    key = {"tenant": keys.tenant, "source": row["source"]}
    with transaction(pool) as conn:
        topics = fetch(conn, _Q["claim_topics"], **key, lease=TOPIC_LEASE, most=MOST_TOPICS)
    for topic in topics:
        claim = {**key, "topic": topic["topic"], "lease": topic["next_at"]}
        try:
            found = ask(read_first_post(topic["topic"]))
        except PlatformSilent as silence:
            _postpone(pool, claim, topic["attempts"], silence)
            if silence.final:
                continue
            raise  # the others are read once their lease is over
        if found is not None:
            parsed = parse_fetched_post(*found, open_source_settings(keys, row))
            _take_in(pool, keys, Origin(row["source"], "live"), parsed)
        with transaction(pool) as conn:
            execute(conn, _Q["end_topic"], **claim)


def _postpone(pool: Pool, claim: Mapping[str, Any], attempts: int, silence: PlatformSilent) -> None:
    with transaction(pool) as conn:
        again = None if silence.final else next_attempt(attempts, database_time(conn), None, _SPREAD)
        if again is None:
            log.warning("a topic's first post was not read", source=claim["source"], because=str(silence))
            execute(conn, _Q["end_topic"], **claim)
        else:
            execute(conn, _Q["postpone_topic"], **claim, until=again)


def _take_in(pool: Pool, keys: TenantKeys, origin: Origin, parsed: Parsed) -> None:
    if isinstance(parsed, ParsedDelivery):
        with transaction(pool) as conn:
            new = store_read_post(conn, keys, origin, parsed)
        if new:
            POSTS_MISSED.labels(origin.source).inc()
