"""Adds a decision's outbox messages in the transaction that stores it; those of a held decision wait in their rows.

While a moderator's decision is held back, what happens to the matches is told at once, on the document that the
decision replaced. So a held decision is never sent early, and a name is never said longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

from assent.core.values import Analysis, Audience, Quarantined, Unprocessable
from assent.db.pool import Conn, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import enqueue_delivery
from assent.decisions.media_items import MediaKey

RevisionType = Literal["tag.published", "tag.retracted", "media.reviewed", "review.undone"]
_OF_WHAT_WAS_TOLD = ("tag.published", "tag.retracted", "review.undone")  # whoever was told nothing hears all of it
_MESSAGES = {"review.undone": "media.reviewed", "held": "media.reviewed"}
_Q, _UNDO = named_queries("record"), named_queries("undo")


def queue_new_messages(
    conn: Conn, media_key: MediaKey, revision: int, outcome: Analysis | Quarantined | Unprocessable
) -> None:
    """Adds the messages of a new decision."""
    kind = "media.failed" if isinstance(outcome, Unprocessable) else "media.tagged"
    notify = outcome.verdict.notify if isinstance(outcome, Analysis) else ()
    queue_messages(conn, media_key.key, revision, kind, notify)


def queue_messages(
    conn: Conn,
    key: Mapping[str, Any],
    revision: int,
    kind: str,
    notify: Sequence[Audience] = (),
    hold: timedelta = timedelta(),
) -> None:
    """Adds an outbox message of that kind for every endpoint that is to get it; `key` is the media item's.

    Endpoints of audience `person` get suggestions. Everything else goes to the platform's, to those of the audiences
    that a rule notifies, and to those that were sent something about the media item before.
    """
    audiences = ["person"] if kind == "tag.suggested" else ["platform", *notify]
    for endpoint in fetch(conn, _Q["list_receiving_endpoints"], **key, audiences=audiences, kind=kind):
        message = uuid4()
        first = kind in _OF_WHAT_WAS_TOLD and not endpoint["told"]
        values = {"type": "media.tagged" if first else _MESSAGES.get(kind, kind), "revision": revision, "hold": hold}
        execute(conn, _Q["insert_message"], **key, **values, id=message, endpoint=endpoint["name"])
        if not hold:
            enqueue_delivery(conn, key["tenant"], endpoint["name"], message)


def held_for(conn: Conn, key: Mapping[str, Any]) -> timedelta | None:
    """Returns for how long the newest decision on the media item `key` is still held back; None where it is not."""
    row = fetch_one(conn, _UNDO["read_held"], **key)
    return row["remaining"] if row else None


def queue_beside_held(conn: Conn, key: Mapping[str, Any], told: int, kind: RevisionType, remaining: timedelta) -> None:
    """Adds the messages of changed matches at once, as revision `told`, and after them the held decision anew."""
    execute(conn, _UNDO["tell_before_held"], **key, told=told)
    queue_messages(conn, key, told, kind)
    queue_messages(conn, key, told + 1, "held", hold=remaining)
