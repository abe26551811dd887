"""Reads the moderator decisions on a file when the same file comes again; `policy.moderated` applies them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from assent.core.values import Action, Analysis, ModerationHistory, ModeratorDecision
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions.store import MediaKey
from assent.policy.model import Policy
from assent.policy.moderated import apply_moderation

_Q, _RECORD = named_queries("review"), named_queries("record")


def with_history(conn: Conn, place: MediaKey, policy: Policy, looked: Analysis) -> Analysis:
    """Returns the analysis decided with moderators' decisions on the same file; unchanged where there are none.

    Locks the media item, so that no moderator decides on it before the transaction ends.
    """
    execute(conn, _RECORD["lock_media"], **place.key)
    word = read_history(conn, place.tenant, looked.picture.sha256)
    matched = {match.face for match in looked.matches}
    heeded = apply_moderation(policy, place.event, looked.picture, looked.seen, matched, looked.verdict, word)
    return replace(looked, verdict=heeded.verdict, heeded=heeded) if heeded else looked


def read_history(conn: Conn, tenant: str, sha256: str) -> ModerationHistory:
    """Returns moderators' newest correction of each label of that file, and their newest action.

    What they decided on a media item that the platform deleted is gone with it.
    """
    labels = {row["label"]: row["holds"] for row in fetch(conn, _Q["labels_of_file"], tenant=tenant, sha256=sha256)}
    row = fetch_one(conn, _Q["judged"], tenant=tenant, sha256=sha256)
    return ModerationHistory(labels, _judged(row) if row else None)


def _judged(row: Row) -> ModeratorDecision:
    said, alone = row["reviewed"], row["reviewed"]["alone"]
    return ModeratorDecision(
        Action[said["action"]],
        datetime.fromisoformat(said["at"]),
        Action[alone["action"]],
        frozenset(alone["rules"]),
        _strongest(row["perceptions"].get("tags", ())),
    )


def _strongest(tags: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {tag["name"]: tag["score"] for tag in sorted(tags, key=lambda tag: float(tag["score"]))}
