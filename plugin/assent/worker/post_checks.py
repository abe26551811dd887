"""Asks a platform that names no deletions whether posts still exist, and deletes what is held of those that are gone.

A wrong answer must not empty an installation. So a post counts as gone only after all of these:

1. it was missing from two lists, PAUSE apart, and the platform sent nothing of it in between,
2. the platform knew our account a moment ago,
3. the post's own address answered 404 in the platform's form, and its author's account tells of no other reason.

Any other answer ends the turn and changes nothing. A turn asks about few posts, and deletes fewer.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from assent.core.settings import Settings
from assent.core.telemetry import POSTS_GONE
from assent.db.pool import Pool, Row, execute, fetch, transaction
from assent.db.queries import named_queries
from assent.intake.accept import Origin
from assent.intake.posts import delete_missing_post, open_watched_account
from assent.keys.keystore import Keystore, TenantKeys
from assent.outbox.asking import Asker, ask_platforms
from assent.platforms.mastodon_posts import MOST_STATUSES, confirm_token, is_status_gone, list_missing_statuses

PAUSE = timedelta(hours=1)  # before a post is asked about again
TURN_SECONDS = 15.0  # between two turns of a source
# 11 calls a turn at most, 220 in five minutes; Mastodon allows a token 300, which acts need too.
MOST_CONFIRMED = 3
_KIND = "status/"  # begins the names of posts; what follows is the platform's id
_Q = named_queries("post_checks")


def check_posts(settings: Settings, pool: Pool, keystore: Keystore) -> None:
    """Asks each connected Mastodon about the posts that were not asked about for longest."""
    ask_platforms(pool, keystore, settings.allow_private, "mastodon", partial(_check_source, pool))


def _check_source(pool: Pool, keys: TenantKeys, row: Row, ask: Asker) -> None:
    key = {"tenant": keys.tenant, "source": row["source"]}
    with transaction(pool) as conn:
        claimed = fetch(conn, _Q["claim_posts_to_check"], **key, pause=PAUSE, most=MOST_STATUSES)
    posts = {row["post"].removeprefix(_KIND): row for row in claimed}
    if not posts:
        return
    missing = ask(list_missing_statuses(sorted(posts)))
    with transaction(pool) as conn:
        names = {"missing": [_KIND + post for post in missing], "posts": [_KIND + post for post in posts]}
        execute(conn, _Q["record_missing_posts"], **key, **names)
    again = [post for post in sorted(missing) if posts[post]["missing_since"] is not None][:MOST_CONFIRMED]
    if again:
        ask(confirm_token())
    for post in again:
        account = open_watched_account(keys, row["source"], _KIND + post, posts[post]["account"])
        if ask(is_status_gone(post, account)):
            _delete(pool, keys, row["source"], posts[post])


def _delete(pool: Pool, keys: TenantKeys, source: str, check: Row) -> None:
    with transaction(pool) as conn:
        gone = delete_missing_post(conn, keys, Origin(source, "live"), check["post"], check["missing_since"])
    if gone:
        POSTS_GONE.labels(source).inc()
