"""Undoes a moderator decision within seconds: it is stored at once, and nothing of it is sent until then.

What it replaced lies beside it for that long. Undoing restores the document but for its revision, the corrections and
the case, which the moderator has in hand again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Json, Jsonb

from assent.audit.log import Part, append
from assent.core.review_errors import UndoOver
from assent.core.values import MediaItem
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import Decision, from_json, to_json
from assent.decisions.store import ModeratorChange, revise
from assent.keys.keystore import TenantKeys
from assent.review.cases import read_case
from assent.review.claims import LEASE, Claim, claim_of

MOST_SECONDS = 60  # that a decision may be held back
_Q, _CLAIMS = named_queries("undo"), named_queries("claims")
_POLICY, _RECORD = named_queries("policy"), named_queries("record")


@dataclass(frozen=True, slots=True)
class Undoable:
    """A moderator decision that may be undone for `hold`: who made it on which case, and the labels it corrected."""

    by: str
    case_id: UUID
    hold: timedelta
    labels: tuple[str, ...] = ()


def remember_replaced(
    conn: Conn, keys: TenantKeys, item: MediaItem, undoable: Undoable, row: Row | None, after: Decision | None
) -> None:
    """Stores what the decision is about to replace: the row of `decision`, and corrections of the same labels.

    Both `row` and `after` are None for a case about nothing that could be read.
    """
    before: dict[str, Any] = {}
    if row is not None:
        before = {"document": row["document"], "audiences": row["audiences"], "labels": undoable.labels}
        file = {"sha256": row["document"]["media"]["sha256"], "labels": list(undoable.labels)}
        before["corrections"] = fetch(conn, _Q["list_corrections"], **item.key(keys.tenant), **file)
    values = {"case": undoable.case_id, "by": undoable.by, "hold": undoable.hold}
    stored = {"before": Jsonb(before), "after": Json(to_json(after)) if after else None}
    execute(conn, _Q["insert_undo"], **item.key(keys.tenant), **values, **stored)


def undo(conn: Conn, keys: TenantKeys, by: str, case_id: UUID) -> Claim:
    """Undoes the decision that `by` made on this case; returns their new claim of it.

    Raises NotFound, UndoOver where its time is over, somebody else made it, or the media item was decided anew.
    """
    item = read_case(conn, keys.tenant, case_id).item
    execute(conn, _RECORD["lock_media"], **item.key(keys.tenant))
    undone = fetch_one(conn, _Q["take_undo"], tenant=keys.tenant, case=case_id, by=by)
    if undone is None:
        raise UndoOver("it was sent, undone, or made by somebody else")
    key = {"tenant": keys.tenant, "case": case_id, "by": by}
    reopened = fetch_one(conn, _CLAIMS["reopen_case"], **key, lease=LEASE)
    if reopened is None:
        raise UndoOver("the case is not as it was left")
    if undone["after"] is None:
        payload = {"media": item.id, "by": by, "case": str(case_id)}
        append(conn, keys, "review.undone", {}, [Part(payload)], datetime.now(UTC))
        return claim_of(reopened)
    newest = fetch_one(conn, _RECORD["read_newest_decision"], **item.key(keys.tenant))
    if newest is None or newest["document"] != undone["after"]:
        raise UndoOver("the picture was decided anew meanwhile")
    _restore(conn, keys, item, undone, {"by": by, "case": str(case_id)})
    return claim_of(reopened)


def _restore(conn: Conn, keys: TenantKeys, item: MediaItem, undone: Row, payload: Mapping[str, Any]) -> None:
    before, statement = undone["before"], undone["after"]["statement"]
    document = before["document"]
    if statement != document["statement"]:
        execute(conn, _POLICY["delete_statement"], tenant=keys.tenant, puid=statement)
    _restore_corrections(conn, item.key(keys.tenant), document["media"]["sha256"], before)
    revise(conn, keys, item, "review.undone", ModeratorChange(from_json(document), before["audiences"], payload))


def _restore_corrections(conn: Conn, key: Mapping[str, Any], sha256: str | None, before: Mapping[str, Any]) -> None:
    labels: Collection[str] = before["labels"]
    if sha256 is None or not labels:
        return
    execute(conn, _Q["delete_corrections"], **key, sha256=sha256, labels=list(labels))
    for one in before["corrections"]:
        values = {"label": one["label"], "holds": one["holds"], "corrected_by": one["by"], "at": one["at"]}
        values["was_said"] = one.get("was_said")  # not in what was stored before this was noted
        execute(conn, _Q["restore_correction"], **key, sha256=sha256, **values)
