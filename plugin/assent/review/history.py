"""Reads the moderator decisions on a file when the same file comes again; `policy.moderated` applies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter

from assent.core.clock import parse_rfc3339
from assent.core.errors import DecisionUnreadable
from assent.core.values import Action, Analysis, Box, MediaItem, ModerationHistory, ModeratorDecision, Tag
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import Reviewed, read_stored
from assent.decisions.media_items import MediaKey
from assent.decisions.views import stored_tags
from assent.policy.model import Policy
from assent.policy.moderated import apply_moderation

_REVIEWED, _BOX = TypeAdapter(Reviewed), TypeAdapter(Box)
_Q, _RECORD = named_queries("review"), named_queries("record")


def with_history(conn: Conn, media_key: MediaKey, policy: Policy, analysis: Analysis) -> Analysis:
    """Returns the analysis decided with moderators' decisions on the same file; unchanged where there are none.

    Locks the media item, so that no moderator decides on it before the transaction ends.
    """
    execute(conn, _RECORD["lock_media"], **media_key.key)
    history = read_history(conn, media_key.tenant, analysis.picture.sha256, media_key.item)
    moderated = apply_moderation(policy, media_key.event, analysis, history)
    return replace(analysis, verdict=moderated.verdict, moderated=moderated) if moderated else analysis


def read_history(conn: Conn, tenant: str, sha256: str, item: MediaItem | None = None) -> ModerationHistory:
    """Returns moderators' newest correction of each label of that file, their newest action, and all areas they hid.

    What they decided on a media item that the platform deleted is gone with it. What may be undone still counts for
    that media item alone, where `item` names it: decided anew, it can no longer be undone. Raises DecisionUnreadable.
    """
    key = {"tenant": tenant, "sha256": sha256, "source": item and item.source, "media": item and item.id}
    labels = {row["label"]: row["holds"] for row in fetch(conn, _Q["list_corrections_of_file"], **key)}
    row = fetch_one(conn, _Q["read_newest_moderator_decision"], **key)
    hidden = {read_stored(_BOX, row["box"]): None for row in fetch(conn, _Q["list_hidden_areas_of_file"], **key)}
    return ModerationHistory(labels, _moderator_decision(row) if row else None, tuple(hidden))


def _moderator_decision(row: Row) -> ModeratorDecision:
    reviewed = read_stored(_REVIEWED, row["reviewed"])
    if reviewed.action is None:
        raise DecisionUnreadable("a moderator's decision without an action")
    return ModeratorDecision(
        Action[reviewed.action],
        parse_rfc3339(reviewed.at),
        Action[reviewed.automated.action],
        frozenset(reviewed.automated.rules),
        _strongest(stored_tags(row["perceptions"])),
    )


def _strongest(tags: Sequence[Tag]) -> dict[str, float]:
    return {tag.name: tag.score for tag in sorted(tags, key=lambda tag: tag.score)}
