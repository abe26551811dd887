"""Stores a moderator decision as the next revision of a decision, and its corrections for the same file.

One transaction closes the case, notes each label as confirmed or denied, revises and sends the decision
(`media.reviewed`), and appends a leaf that commits to who did it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from assent.audit.log import Part, append
from assent.core.clock import rfc3339
from assent.core.errors import BadRequest, CaseOpen, DecisionChanged, LabelUnknown, NotFound
from assent.core.taxonomy import BY_NAME, above, label_hint
from assent.core.values import Box, MediaItem, Rule, Tag
from assent.db.pool import Conn, Row, execute, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import Automated, Decision, Reviewed, from_json
from assent.decisions.store import ModeratorChange, revise, store_statement
from assent.decisions.views import without_labels
from assent.keys.keystore import TenantKeys
from assent.policy.moderated import MODERATOR
from assent.review import ground
from assent.review.cases import read_case
from assent.review.claims import refused
from assent.review.looks import CaseLooks, take_case_looks
from assent.review.undo import Undoable, remember_replaced

Final = Literal["allow", "label", "limit", "block"]  # a person decides: nothing waits any more
_Q, _RECORD = named_queries("review"), named_queries("record")


@dataclass(frozen=True, slots=True)
class ReviewInput:
    """A moderator's input: labels that hold, labels that do not, the action (None leaves it), a note for the log.

    `claim` is the token of the claim under which a case was looked at, if there was one; `hold` is for how long the
    decision on a case may be undone, and is not sent. `ground` is the rule of the policy that a restriction rests on.
    `hide` are boxes of the image that redacted copies hide beside those that the policy hides. `with_looks`: the leaf
    tells how often and how long the moderator looked, whom the console counted.
    """

    action: Final | None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    note: str | None = None
    claim: UUID | None = None
    hold: timedelta = timedelta()
    ground: str | None = None
    hide: tuple[Box, ...] = ()
    with_looks: bool = False

    def __post_init__(self) -> None:
        if both := set(self.add) & set(self.remove):
            raise BadRequest(f"{min(both)} is both in add and in remove")


@dataclass(frozen=True, slots=True)
class _Review:
    """A moderator's input, with who gave it (an API key's id, or `cli`) and the case that it closes."""

    by: str
    input: ReviewInput
    case_id: UUID | None = None
    looked: CaseLooks | None = None

    @property
    def undoable(self) -> Undoable | None:
        if not self.input.hold or self.case_id is None:
            return None
        return Undoable(self.by, self.case_id, self.input.hold, tuple(sorted({*self.input.add, *self.input.remove})))

    def payload(self) -> dict[str, Any]:
        """Returns what the leaf commits to."""
        return {
            "by": self.by,
            "case": self.case_id and str(self.case_id),
            "action": self.input.action,
            "add": sorted(set(self.input.add)),
            "remove": sorted(set(self.input.remove)),
            "note": self.input.note,
            **({"hide": [list(box) for box in self.input.hide]} if self.input.hide else {}),
            **(self.looked._asdict() if self.looked else {}),
        }


def check_labels(labels: Iterable[str], present: Iterable[str]) -> None:
    """Raises LabelUnknown, with the nearest right names, for a label that no tag may have.

    `present`: labels of the image's tags; a head may give one of the operator's own.
    """
    allowed = [name for name, label in BY_NAME.items() if label.category != "face"] + sorted(present)
    for label in labels:
        if label not in allowed:
            raise LabelUnknown(f"{label!r} is no label{label_hint(label, allowed)}")


def decide_case(conn: Conn, keys: TenantKeys, by: str, case_id: UUID, given: ReviewInput) -> dict[str, Any]:
    """Closes an open case with a moderator decision; `by` is who did it: an API key's id, or `cli`.

    With the token of a claim it must be the case's last one; without, nobody else may work on the case. Of two at once
    the second gets CaseClosed.

    Raises NotFound, CaseClosed, CaseClaimed, BadRequest for labels where no image could be read.
    """
    case = read_case(conn, keys.tenant, case_id)
    row = _newest(conn, keys, case.item)
    closed = {"tenant": keys.tenant, "case": case_id, "by": by, "outcome": given.action, "claim": given.claim}
    if not execute(conn, _Q["close_case"], **closed):
        raise refused(conn, keys.tenant, case_id)
    if row is None and (given.add or given.remove or given.hide):
        raise BadRequest("no picture could be read here: there is nothing to correct")
    looked = take_case_looks(conn, keys.tenant, by, case_id) if given.with_looks else None
    review = _Review(by, given, case_id, looked)
    return _change(conn, keys, case.item, row, review) if row else _close_only(conn, keys, case.item, review)


def correct(
    conn: Conn, keys: TenantKeys, by: str, item: MediaItem, given: ReviewInput, revision: int | None = None
) -> dict[str, Any]:
    """Stores a moderator decision on a media item without an open case.

    `revision`: the decision that the moderator saw. Raises NotFound, CaseOpen, DecisionChanged where the newest is
    another one, BadRequest where nothing is to be changed.
    """
    row = _newest(conn, keys, item)
    if row is None:
        raise NotFound("no decision on a picture of that id")
    if not (given.add or given.remove or given.action or given.hide):
        raise BadRequest("say which labels hold, which do not, what is to be hidden, or what is to be done")
    waiting = fetch_one(conn, _Q["read_open_case_of_media"], **item.key(keys.tenant))
    if waiting is not None:
        raise CaseOpen(f"case {waiting['id']} waits for a moderator")
    if revision not in (None, row["revision"]):
        raise DecisionChanged(f"the newest is revision {row['revision']}")
    return _change(conn, keys, item, row, _Review(by, given))


def reviewed(decision: Decision, given: ReviewInput, now: datetime) -> Decision:
    """Returns the decision after a moderator's; its `reviewed` says what changed, never who changed it.

    A statement of reasons holds for the action that it was made for.
    """
    before = decision.reviewed or decision.moderation
    denied = set(given.remove)
    stay = tuple(tag for tag in decision.tags if denied.isdisjoint(above(tag.name)))
    names = {tag.name for tag in stay}
    added = tuple(
        Tag(name, BY_NAME[name].category, 1.0, None, 0, MODERATOR)
        for name in dict.fromkeys(given.add)
        if name not in names
    )
    changed = Reviewed(
        at=rfc3339(now),
        was=decision.action,
        action=given.action or (decision.reviewed.action if decision.reviewed else None),
        automated=before.automated if before else Automated(decision.action, tuple(rule.id for rule in decision.rules)),
        added=tuple(tag.name for tag in added),
        removed=tuple(sorted({tag.name for tag in decision.tags} - {tag.name for tag in stay})),
        hidden=tuple(dict.fromkeys((*(decision.reviewed.hidden if decision.reviewed else ()), *given.hide))),
    )
    hidden = tuple(box for box in dict.fromkeys(given.hide) if box not in decision.redact)
    decision = replace(decision, tags=stay + added, reviewed=changed, redact=decision.redact + hidden)
    if given.action is None:
        return decision
    return replace(
        decision,
        action=given.action,
        rules=(Rule(MODERATOR, "a moderator decided it"),),
        review=None,
        statement=decision.statement if given.action == decision.action else None,
    )


def _newest(conn: Conn, keys: TenantKeys, item: MediaItem) -> Row | None:
    """Returns the row of the newest decision, which nobody else changes before the transaction ends."""
    execute(conn, _RECORD["lock_media"], **item.key(keys.tenant))
    return fetch_one(conn, _RECORD["read_newest_decision"], **item.key(keys.tenant))


def _change(conn: Conn, keys: TenantKeys, item: MediaItem, row: Row, review: _Review) -> dict[str, Any]:
    """Stores the corrections, makes the next revision and returns the answer."""
    before, given = from_json(row["document"]), review.input
    _check_boxes(given.hide, before)
    check_labels((*given.add, *given.remove), {tag.name for tag in before.tags})
    decision = _stated(conn, keys, item, row, reviewed(before, given, datetime.now(UTC)), given)
    execute(conn, _RECORD["delete_undo"], **item.key(keys.tenant))  # whoever decided before decided for good
    if review.undoable:
        remember_replaced(conn, keys, item, review.undoable, row, decision)
    sha256, modelled = decision.media.sha256, labels_of_models(before)
    for holds, labels in ((True, given.add), (False, given.remove)):
        for label in sorted(set(labels) if sha256 else ()):  # what could not be looked at teaches nothing
            values = {"sha256": sha256, "label": label, "holds": holds, "by": review.by, "was_said": label in modelled}
            execute(conn, _Q["record_correction"], **item.key(keys.tenant), **values)
    change = ModeratorChange(decision, without_labels(row, given.remove), review.payload(), given.hold)
    revised = revise(conn, keys, item, "media.reviewed", change)
    if revised is None:
        raise NotFound("no decision on a picture of that id")
    return {
        "case": review.case_id and str(review.case_id),
        "source": item.source,
        "media": item.id,
        "action": decision.action,
        "revision": revised.revision,
        "leaf": revised.leaf,
    }


def labels_of_models(decision: Decision) -> frozenset[str]:
    """Returns the labels that a model said of the image, and the groups above them."""
    return frozenset(group for tag in decision.tags if tag.model != MODERATOR for group in above(tag.name))


def _check_boxes(boxes: Iterable[Box], decision: Decision) -> None:
    """Raises BadRequest for a box that does not lie inside the image."""
    width, height = decision.media.width or 0, decision.media.height or 0
    for x, y, wide, high in boxes:
        if min(x, y) < 0 or min(wide, high) < 1 or x + wide > width or y + high > height:
            raise BadRequest(
                f"the box {[x, y, wide, high]} does not lie inside the picture of {width} × {height} pixels"
            )


def _stated(
    conn: Conn, keys: TenantKeys, item: MediaItem, row: Row, decision: Decision, given: ReviewInput
) -> Decision:
    """Returns the decision with its statement of reasons, where a moderator's action calls for a new one."""
    if given.action is None or decision.statement is not None:
        return decision
    statement = ground.state(conn, keys.tenant, decision, given.ground)
    at = datetime.now(UTC) + given.hold
    return replace(decision, statement=store_statement(conn, keys, item, row["revision"] + 1, statement, at))


def _close_only(conn: Conn, keys: TenantKeys, item: MediaItem, review: _Review) -> dict[str, Any]:
    """Appends the leaf of a case whose image could not be read, and returns the answer."""
    if review.undoable:
        remember_replaced(conn, keys, item, review.undoable, None, None)
    payload = {"media": item.id, **review.payload()}
    leaf = append(conn, keys, "media.reviewed", {}, [Part(payload)], datetime.now(UTC))
    return {
        "case": str(review.case_id),
        "source": item.source,
        "media": item.id,
        "action": review.input.action,
        "revision": None,
        "leaf": leaf.seq,
    }
