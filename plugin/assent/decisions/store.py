"""Stage 7: stores decision, matches, review case, outbox messages and audit leaf in the caller's one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Json, Jsonb

from assent.audit.broken import record_broken_seal
from assent.audit.log import Part, append
from assent.core.boxes import SAME_FACE_IOU, iou, read_box
from assent.core.errors import AssentError, DecisionUnreadable, SealBroken
from assent.core.telemetry import log
from assent.core.values import (
    Action,
    Analysis,
    Leaf,
    Match,
    MediaItem,
    PolicyRef,
    Quarantined,
    ReviewQueue,
    Unprocessable,
)
from assent.db.channels import DONE_CHANNEL
from assent.db.locks import lock_shared
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions import statement as statements
from assent.decisions import views
from assent.decisions.acts import follow_acts, intend_acts
from assent.decisions.document import Decision, decision_of, from_json, perception_json, to_json
from assent.decisions.match_list import free_number, lock_lists
from assent.decisions.media_items import (
    MediaKey,
    highest_revision,
    is_overtaken,
    lock_item,
    lock_open_event,
    log_superseded,
    record_applied,
)
from assent.decisions.outgoing import RevisionType, held_for, queue_beside_held, queue_messages, queue_new_messages
from assent.decisions.replay import circumstances
from assent.decisions.review_cases import update_cases
from assent.decisions.search_index import index_decision, index_revision
from assent.decisions.statement import Statement
from assent.keys.authority import columns_of, is_authentic
from assent.keys.keystore import TenantKeys
from assent.keys.match_slots import match_slots
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.subject_keys import SubjectKey, seal_match
from assent.keys.tenant_seal import seal_for_tenant, unseal_for_tenant
from assent.policy.decide import waits
from assent.refusals import is_refused, refusals

_Q = named_queries("record")


@dataclass(frozen=True, slots=True)
class RetainedCopy:
    """A copy of an image (JPEG) that is kept, sealed, for `days` days."""

    jpeg: bytes = field(repr=False)
    days: int


@dataclass(frozen=True, slots=True)
class NewDecision:
    """The values that a decision is made of.

    `retained` is the copy from which faces can be blurred later; without one an older copy is deleted. `statement` is
    the statement of reasons for a restriction; it is stored once.
    """

    outcome: Analysis | Quarantined | Unprocessable
    policy: PolicyRef
    retained: RetainedCopy | None = None
    statement: Statement | None = None


@dataclass(frozen=True, slots=True)
class ModeratorChange:
    """A decision as a moderator changed it, its audience views as they are stored, and what its leaf adds.

    `hold`: how long nothing of it is sent.
    """

    decision: Decision
    audience_views: Mapping[str, Any] | None
    payload: Mapping[str, Any]
    hold: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class _Confirmed:
    match: Match
    subject: SubjectKey
    series: UUID  # of the consent that the match stands on
    suggested: bool  # the subject is asked first


class _Checked(NamedTuple):
    """The matches that may be stored; `altered` where others were dropped for a row that does not open."""

    confirmed: tuple[_Confirmed, ...]
    altered: bool


def _read_before(newest: Row | None) -> Decision | None:
    """Reads the decision before this one; None where there is none, or where its row was altered."""
    try:
        return from_json(newest["document"]) if newest else None
    except DecisionUnreadable as error:
        log.warning("decision before this one is unreadable", detail=error.detail)
        return None


def is_recorded(conn: Conn, media_key: MediaKey) -> bool:
    """Tells whether this media item of this event was decided already: a job may run twice."""
    values = {"tenant": media_key.tenant, "event": media_key.event_id, "n": media_key.n}
    return fetch_one(conn, _Q["read_recorded_decision"], **values) is not None


def record(conn: Conn, keys: TenantKeys, media_key: MediaKey, new: NewDecision) -> bool:
    """Stores a decision, once, and tells whether it did: a second call for the same media item of the same event
    changes nothing.

    Nor does a call for an event that another worker ended meanwhile. A media item's newest decision replaces the one
    before: its matches are deleted, its unsent messages are superseded. An event that a later one has overtaken
    (`media_items`) is only noted in the log. Matches whose consent is no longer active, whose template changed or which
    the subject refused before are dropped; the subjects stay locked until the commit. So are matches of faces that a
    moderator vetoed, and of a subject whose key or refusals were altered, which is noted in the log. A match that waits
    for its subject's approval is suggested to the endpoints of audience `person`.
    """
    if not lock_open_event(conn, media_key) or is_recorded(conn, media_key):
        return False
    newest = fetch_one(conn, _Q["read_newest_revision"], **media_key.key)
    state = lock_item(conn, keys, media_key.item)
    if is_overtaken(state, newest, media_key):
        log_superseded(conn, keys, media_key)
        return False
    event_revision = max(media_key.event.revision or 1, newest["event_revision"] if newest else 1)
    revision = 1 + max(state["revision"], highest_revision(conn, media_key, newest))
    checked = _confirm(conn, keys, media_key, new.outcome) if isinstance(new.outcome, Analysis) else _Checked((), False)
    confirmed = checked.confirmed
    execute(conn, _Q["delete_undo"], **media_key.key)  # what a moderator decided before stays so
    execute(conn, _Q["delete_matches"], **media_key.key)
    execute(conn, _Q["supersede_waiting_messages"], **media_key.key)
    _replace_retained_copy(conn, keys, media_key, new.retained)
    lock_lists(conn, keys.tenant, [match.subject.pseudonym for match in confirmed])
    parts = [_store_match(conn, keys, media_key, revision, match) for match in confirmed]
    queue_new_messages(conn, media_key, revision, new.outcome)
    if any(match.suggested for match in confirmed):
        queue_messages(conn, media_key.key, revision, "tag.suggested")
    now = datetime.now(UTC)
    puid = store_statement(conn, keys, media_key.item, revision, new.statement, now)
    decision = decision_of(media_key.tenant, media_key.event_id, media_key.media, revision, new.outcome, new.policy)
    decision = replace(decision, statement=puid)
    update_cases(conn, media_key.key, new.outcome, decision, _read_before(newest))
    intend_acts(conn, keys, media_key.item, media_key.event.author, new.outcome, revision)
    if checked.altered:
        record_broken_seal(conn, keys, "decide", now)
    # The tree's lock is the last one taken; inserting our own new row afterwards waits for nobody.
    payload = _leaf_payload(media_key, new.outcome, decision)
    leaf = append(conn, keys, "media.decided", _leaf_body(new), [Part(payload), *parts], now)
    _insert_decision(conn, media_key, new.outcome, decision, event_revision, leaf)
    index_decision(conn, media_key.tenant, media_key.item, decision, leaf.at)
    record_applied(conn, keys, media_key)
    return True


class Revised(NamedTuple):
    """The new revision of a decision, and its leaf."""

    revision: int
    leaf: int


def revise(
    conn: Conn, keys: TenantKeys, item: MediaItem, kind: RevisionType, change: ModeratorChange | None = None
) -> Revised | None:
    """Makes a media item's decision the next revision in place, and sends it anew to every endpoint of the platform.

    Either its matches changed, or a moderator made or undid `change`. It goes as `kind` to the endpoints that may have
    had it; a change of matches, and what an undo restores, goes as `media.tagged` to the others. Appends one leaf.

    While a moderator's decision is held back, a change of matches is told on what it replaced, one revision before it.

    Locks the media item. Returns None, and nothing happens, where there is no decision on it.
    """
    key = item.key(keys.tenant)
    execute(conn, _Q["lock_media"], **key)
    remaining = held_for(conn, key) if change is None else None
    steps = 1 if remaining is None else 2
    row = fetch_one(conn, _Q["revise_newest_decision"], **key, **_changed_columns(change), steps=steps)
    if row is None:
        return None
    if change is not None:  # other changes are of matches, which nobody searches by
        index_revision(conn, keys.tenant, item, change.decision)
        follow_acts(conn, keys, item, Action[change.decision.action], change.hold)
    revision = row["revision"]
    execute(conn, _Q["revise_matches"], **key, revision=revision)
    execute(conn, _Q["revise_open_cases"], **key, revision=revision)
    execute(conn, _Q["supersede_waiting_decisions"], **key)
    if remaining is None:
        queue_messages(conn, key, revision, kind, hold=change.hold if change else timedelta())
    else:
        queue_beside_held(conn, key, revision - 1, kind, remaining)
    payload = {"event": str(row["event_id"]), "media": item.id, "revision": revision, "decided": row["leaf"]}
    payload |= change.payload if change else {}
    leaf = append(conn, keys, kind, {}, [Part(payload)], datetime.now(UTC))
    execute(conn, _Q["set_decision_leaf"], **key, revision=revision, leaf=leaf.seq)
    return Revised(revision, leaf.seq)


def _changed_columns(change: ModeratorChange | None) -> dict[str, object]:
    """Returns the columns that a moderator's change replaces; NULL leaves a column as it is."""
    if change is None:
        return {"document": None, "action": None, "audiences": None}
    audiences = Jsonb(change.audience_views) if change.audience_views else None
    return {"document": Json(to_json(change.decision)), "action": change.decision.action, "audiences": audiences}


def open_retained_copy(conn: Conn, keys: TenantKeys, item: MediaItem) -> bytes | None:
    """Returns the kept copy of an image (JPEG), or None where there is none any more."""
    row = fetch_one(conn, _Q["read_retained_copy"], **item.key(keys.tenant))
    return unseal_for_tenant(keys, "kept", row["sealed"], keys.tenant, item.id) if row else None


def note_unreadable(conn: Conn, keys: TenantKeys, source: str, event_id: UUID, error: AssentError) -> None:
    """Opens a case and appends a leaf for an event on whose media items nothing can be decided."""
    item = MediaItem(source, f"event {event_id}")
    case = {**item.key(keys.tenant), "revision": 0, "reason": error.code, "pdq": None}
    execute(conn, _Q["insert_case"], **case, **asdict(ReviewQueue()))
    append(conn, keys, "event.unreadable", {}, [Part({"event": str(event_id)})], datetime.now(UTC))


def announce(conn: Conn, payload: str) -> None:
    """Wakes the clients that wait for this event's decision, at the commit."""
    execute(conn, _Q["notify_done"], channel=DONE_CHANNEL, payload=payload)


def _confirm(conn: Conn, keys: TenantKeys, media_key: MediaKey, analysis: Analysis) -> _Checked:
    """Returns the matches that may be stored, and keeps their subjects locked until the commit."""
    matches = analysis.matches
    if not matches:
        return _Checked((), False)
    lock_shared(conn, keys.tenant, [match.pseudonym for match in matches])
    templates = [match.template for match in matches]
    rows = fetch(conn, _Q["list_confirmed_templates"], tenant=keys.tenant, templates=templates)
    active = {(row["id"], row["version"], row["pid"]): row for row in rows}
    author = derive_pseudonym(keys, media_key.event.author or "")
    vetoed = [
        read_box(row["box"])
        for row in fetch(conn, _Q["list_face_vetoes"], **media_key.key, sha256=analysis.picture.sha256)
    ]
    confirmed, altered = [], False
    for match in matches:
        row = active.get((match.template, match.version, match.pseudonym))
        if row is None:
            continue
        if not (is_authentic(keys, "template", row) and is_authentic(keys, "consent", columns_of(row, "c_"))):
            altered = True
            continue
        box = analysis.perception.faces[match.face].box
        if any(iou(one, box) >= SAME_FACE_IOU for one in vetoed):
            continue
        try:
            subject = SubjectKey.unwrap(keys, match.pseudonym, row["epoch"], row["wrapped"])
            stored = refusals(conn, subject)
        except SealBroken:
            altered = True  # the one that does not open may be about this face
            continue
        if not is_refused(stored, media_key.media.id, analysis.picture.sha256, box):
            suggested = waits(analysis.verdict.approval, match.pseudonym == author)
            confirmed.append(_Confirmed(match, subject, row["c_series"], suggested))
    return _Checked(tuple(confirmed), altered)


def _store_match(conn: Conn, keys: TenantKeys, media_key: MediaKey, revision: int, confirmed: _Confirmed) -> Part:
    """Stores a confirmed match and returns its part of the decision's leaf."""
    match, subject, band = confirmed.match, confirmed.subject, {"band": confirmed.match.band}
    state = "suggested" if confirmed.suggested else "published"
    [slot] = match_slots(subject, [free_number(conn, subject)])
    row = seal_match(keys, subject, media_key.media.id, match.face, {**band, "series": str(confirmed.series)}, slot)
    values = {**media_key.key, "face": match.face, "revision": revision, "state": state, "slot": slot}
    execute(conn, _Q["insert_match"], **values, **row._asdict())
    payload = {
        "event": str(media_key.event_id),
        "media": media_key.media.id,
        "face": match.face,
        "state": state,
        **band,
    }
    return Part(payload, subject.pseudonym, subject.key)


def _replace_retained_copy(conn: Conn, keys: TenantKeys, media_key: MediaKey, copy: RetainedCopy | None) -> None:
    if copy is None:
        execute(conn, _Q["delete_retained_copy"], **media_key.key)
        return
    sealed = seal_for_tenant(keys, "kept", copy.jpeg, keys.tenant, media_key.media.id)
    execute(conn, _Q["store_retained_copy"], **media_key.key, sealed=sealed, days=copy.days)


def _leaf_body(new: NewDecision) -> dict[str, Any]:
    models = list(new.outcome.perception.models) if isinstance(new.outcome, Analysis) else []
    return {"policy": new.policy.sha256, "models": models}


def _leaf_payload(
    media_key: MediaKey, outcome: Analysis | Quarantined | Unprocessable, decision: Decision
) -> dict[str, Any]:
    """Returns the sealed part of the decision's leaf."""
    return {
        "event": str(media_key.event_id),
        "media": media_key.media.id,
        "sha256": outcome.sha256 if isinstance(outcome, Quarantined) else decision.media.sha256,
        "revision": decision.revision,
        "action": decision.action,
        "tags": sorted({tag.name for tag in decision.tags}),
        "faces": len(decision.faces),
        "rules": [rule.id for rule in decision.rules],
        **({"matching": decision.matching} if decision.matching else {}),
        **({"heeded": to_json(decision)["heeded"]} if decision.moderation else {}),
    }


def _insert_decision(
    conn: Conn,
    media_key: MediaKey,
    outcome: Analysis | Quarantined | Unprocessable,
    decision: Decision,
    event_revision: int,
    leaf: Leaf,
) -> None:
    values: dict[str, Any] = {"perceptions": Jsonb({}), "given": None, "audiences": None}
    if isinstance(outcome, Analysis):
        audiences = views.stored_views(outcome.verdict, outcome.perception)
        values = {
            "perceptions": Jsonb(perception_json(outcome.perception)),
            "given": Jsonb(circumstances(media_key.event, outcome.picture)),
            "audiences": Jsonb(audiences) if audiences else None,
        }
    execute(
        conn,
        _Q["insert_decision"],
        **media_key.key,
        revision=decision.revision,
        event=media_key.event_id,
        n=media_key.n,
        event_revision=event_revision,
        action=decision.action,
        document=Json(to_json(decision)),
        **values,
        leaf=leaf.seq,
        at=leaf.at,
    )


def store_statement(
    conn: Conn, keys: TenantKeys, item: MediaItem, revision: int, statement: Statement | None, at: datetime
) -> str | None:
    """Stores the statement of reasons, exported from `at` on, and returns its puid; None without a statement."""
    if statement is None:
        return None
    puid = statements.derive_puid(keys, item, revision)
    body = Jsonb(statements.statement_body(statement, puid, at))
    values = {"tenant": keys.tenant, "puid": puid, "body": body, "notice": Jsonb(statement.notice), "at": at}
    execute(conn, named_queries("policy")["insert_statement"], **values)
    return puid
