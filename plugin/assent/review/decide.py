"""Stores a moderator decision as the next revision of a decision, and its corrections for the same file.

One transaction closes the case, notes each label as confirmed or denied, revises and sends the decision
(`media.reviewed`), and appends a leaf that commits to who did it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Literal
from uuid import UUID

from assent.audit.log import Part, append
from assent.core.clock import rfc3339
from assent.core.errors import BadRequest, CaseOpen, DecisionChanged, LabelUnknown, NotFound
from assent.core.taxonomy import BY_NAME
from assent.core.values import Rule, Tag
from assent.db.pool import Conn, Row, execute, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import Automated, Decision, Reviewed, from_json
from assent.decisions.store import revise
from assent.decisions.views import without
from assent.keys.keystore import TenantKeys
from assent.policy.moderated import MODERATOR
from assent.review.cases import Case, case_closed, read_case

Final = Literal["allow", "label", "limit", "block"]  # a person decides: nothing waits any more
_Q, _RECORD = named_queries("review"), named_queries("record")


@dataclass(frozen=True, slots=True)
class ReviewInput:
    """A moderator's input: labels that hold, labels that do not, the action (None leaves it), a note for the log."""

    action: Final | None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    note: str | None = None

    def __post_init__(self) -> None:
        if both := set(self.add) & set(self.remove):
            raise BadRequest(f"{min(both)} is both in add and in remove")


def check_labels(labels: Iterable[str], said: Iterable[str]) -> None:
    """Raises LabelUnknown, with the nearest right name, for a label that no tag may have.

    `said`: labels of the image's tags; a head may give one of the operator's own.
    """
    known = [name for name, label in BY_NAME.items() if label.category != "face"] + sorted(said)
    for label in labels:
        if label not in known:
            near = get_close_matches(label, known, n=1, cutoff=0.5)
            raise LabelUnknown(f"{label!r} is no label" + (f"; did you mean {near[0]}?" if near else ""))


def decide_case(conn: Conn, keys: TenantKeys, by: str, case_id: UUID, said: ReviewInput) -> dict[str, Any]:
    """Closes an open case with a moderator decision; `by` is who did it: an API key's id, or `cli`.

    Of two at once the second gets CaseClosed. Raises NotFound, CaseClosed, BadRequest for labels where no image could
    be read.
    """
    case = read_case(conn, keys.tenant, case_id)
    row = _newest(conn, keys, case.media_id)
    case = read_case(conn, keys.tenant, case_id)  # again, now that nobody else changes it
    if case.closed_at is not None:
        raise case_closed(case)
    if row is None and (said.add or said.remove):
        raise BadRequest("no picture could be read here: there is nothing to correct")
    execute(conn, _Q["close"], tenant=keys.tenant, case=case_id, by=by, outcome=said.action)
    if row is None:
        return _close_only(conn, keys, by, case, said)
    return _change(conn, keys, by, case.media_id, row, said, case_id)


def correct(
    conn: Conn, keys: TenantKeys, by: str, media_id: str, said: ReviewInput, revision: int | None = None
) -> dict[str, Any]:
    """Stores a moderator decision on a media item without an open case.

    `revision`: the decision that the moderator saw. Raises NotFound, CaseOpen, DecisionChanged where the newest is
    another one, BadRequest where nothing is to be changed.
    """
    row = _newest(conn, keys, media_id)
    if row is None:
        raise NotFound("no decision on a picture of that id")
    if not (said.add or said.remove or said.action):
        raise BadRequest("say which labels hold, which do not, or what is to be done")
    waiting = fetch_one(conn, _Q["open_case_of"], tenant=keys.tenant, media=media_id)
    if waiting is not None:
        raise CaseOpen(f"case {waiting['id']} waits for a moderator")
    if revision not in (None, row["revision"]):
        raise DecisionChanged(f"the newest is revision {row['revision']}")
    return _change(conn, keys, by, media_id, row, said, None)


def reviewed(decision: Decision, said: ReviewInput, at: datetime) -> Decision:
    """Returns the decision after a moderator's; its `reviewed` says what changed, never who changed it.

    A statement of reasons holds for the action that it was made for.
    """
    before = decision.reviewed or decision.heeded
    kept = tuple(tag for tag in decision.tags if tag.name not in said.remove)
    there = {tag.name for tag in kept}
    added = tuple(
        Tag(name, BY_NAME[name].category, 1.0, None, 0, MODERATOR)
        for name in dict.fromkeys(said.add)
        if name not in there
    )
    changed = Reviewed(
        at=rfc3339(at),
        was=decision.action,
        action=said.action or (decision.reviewed.action if decision.reviewed else None),
        alone=before.alone if before else Automated(decision.action, tuple(rule.id for rule in decision.rules)),
        added=tuple(tag.name for tag in added),
        removed=tuple(sorted({tag.name for tag in decision.tags} & set(said.remove))),
    )
    decision = replace(decision, tags=kept + added, reviewed=changed)
    if said.action is None:
        return decision
    return replace(
        decision,
        action=said.action,
        rules=(Rule(MODERATOR, "a moderator decided it"),),
        review=None,
        statement=decision.statement if said.action == decision.action else None,
    )


def _newest(conn: Conn, keys: TenantKeys, media_id: str) -> Row | None:
    execute(conn, _RECORD["lock_media"], tenant=keys.tenant, media=media_id)
    return fetch_one(conn, _RECORD["decision"], tenant=keys.tenant, media=media_id)


def _change(
    conn: Conn, keys: TenantKeys, by: str, media_id: str, row: Row, said: ReviewInput, case_id: UUID | None
) -> dict[str, Any]:
    before = from_json(row["document"])
    check_labels((*said.add, *said.remove), {tag.name for tag in before.tags})
    decision = reviewed(before, said, datetime.now(UTC))
    sha256 = decision.media.sha256
    for holds, labels in ((True, said.add), (False, said.remove)):
        for label in sorted(set(labels) if sha256 else ()):  # what could not be looked at teaches nothing
            values = {"media": media_id, "sha256": sha256, "label": label, "holds": holds, "by": by}
            execute(conn, _Q["correct"], tenant=keys.tenant, **values)
    told = without(row, said.remove)
    revised = revise(conn, keys, media_id, "media.reviewed", decision, told, _leaf(by, said, case_id))
    if revised is None:
        raise NotFound("no decision on a picture of that id")
    return {
        "case": case_id and str(case_id),
        "media": media_id,
        "action": decision.action,
        "revision": revised.revision,
        "leaf": revised.leaf,
    }


def _close_only(conn: Conn, keys: TenantKeys, by: str, case: Case, said: ReviewInput) -> dict[str, Any]:
    payload = {"media": case.media_id, **_leaf(by, said, case.id)}
    leaf = append(conn, keys, "media.reviewed", {}, [Part(payload)], datetime.now(UTC))
    return {"case": str(case.id), "media": case.media_id, "action": said.action, "revision": None, "leaf": leaf.seq}


def _leaf(by: str, said: ReviewInput, case_id: UUID | None) -> dict[str, Any]:
    return {
        "by": by,
        "case": case_id and str(case_id),
        "action": said.action,
        "add": sorted(set(said.add)),
        "remove": sorted(set(said.remove)),
        "note": said.note,
    }
