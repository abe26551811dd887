"""Removes a match that a moderator sees to be wrong, for good: nobody learns whom it named."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from pydantic import TypeAdapter

from assent.audit.log import Part, append
from assent.core.errors import DecisionUnreadable, NotFound
from assent.core.values import Box
from assent.db.pool import Conn, execute, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import read_stored
from assent.decisions.store import revise
from assent.keys.keystore import TenantKeys
from assent.review.cases import read_case
from assent.review.claims import refused

_BOX = TypeAdapter(Box)
_Q, _RECORD = named_queries("claims"), named_queries("record")


def veto_match(conn: Conn, keys: TenantKeys, by: str, case_id: UUID, face: int, claim: UUID | None = None) -> None:
    """Removes the match of a face in an open case's image; whoever was told of it is told so (`tag.retracted`).

    In that place of the file nobody is recognised again. `face` counts from 0, as in the decision. It cannot be undone.
    Raises NotFound where nobody is recognised in that face, CaseClosed, CaseClaimed, DecisionUnreadable.
    """
    item = read_case(conn, keys.tenant, case_id).item
    key = item.key(keys.tenant)
    execute(conn, _RECORD["lock_media"], **key)
    in_hand = {"tenant": keys.tenant, "case": case_id, "by": by, "claim": claim}
    if fetch_one(conn, _Q["lock_case_in_hand"], **in_hand) is None:
        raise refused(conn, keys.tenant, case_id)
    row = fetch_one(conn, _RECORD["read_match"], **key, face=face)
    if row is None:
        raise NotFound("nobody is recognised in that face")
    if row["sha256"] is None:
        raise DecisionUnreadable("media.sha256 is missing")
    box = read_stored(_BOX, row["box"])
    execute(conn, _Q["insert_face_veto"], **key, sha256=row["sha256"], box=list(box), by=by)
    execute(conn, _RECORD["delete_match"], **key, face=face)
    if row["state"] == "published":
        revise(conn, keys, item, "tag.retracted")
    payload = {"by": by, "case": str(case_id), "media": item.id, "face": face}
    append(conn, keys, "match.vetoed", {}, [Part(payload)], datetime.now(UTC))
