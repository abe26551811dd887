"""Stage 7: stores decision, matches, review case, outbox messages and audit leaf in the caller's one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

from psycopg.types.json import Json, Jsonb

from assent.audit.log import Part, append
from assent.core.errors import AssentError
from assent.core.values import (
    HASH_SEVERE,
    Analysis,
    Audience,
    Event,
    Match,
    MediaRef,
    PolicyRef,
    Quarantined,
    ToReview,
    Unprocessable,
)
from assent.db.locks import lock_shared
from assent.db.pool import Conn, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.db.queue import enqueue_delivery
from assent.decisions import statement as statements
from assent.decisions import views
from assent.decisions.document import SEVERE, Decision, decision_of, from_json, perceptions_document, to_json
from assent.decisions.replay import circumstances
from assent.decisions.statement import Statement
from assent.keys.keystore import TenantKeys
from assent.keys.pseudonym import derive_pseudonym
from assent.keys.seal import seal, unseal
from assent.keys.subject_keys import SubjectKey, seal_match
from assent.policy.decide import waits
from assent.refusals import is_refused, refusals

RevisionType = Literal["tag.published", "tag.retracted", "media.reviewed"]
_Q = named_queries("record")


@dataclass(frozen=True, slots=True)
class MediaKey:
    """A media item of an event: the tenant, the event and the item's number in it."""

    tenant: str
    event_id: UUID
    n: int
    event: Event
    media: MediaRef

    @property
    def key(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "media": self.media.id}


@dataclass(frozen=True, slots=True)
class RetainedCopy:
    """A copy of an image (JPEG) that is kept, sealed, for `days` days."""

    jpeg: bytes = field(repr=False)
    days: int


@dataclass(frozen=True, slots=True)
class _Confirmed:
    match: Match
    subject: SubjectKey
    suggested: bool  # the person is asked first


def is_recorded(conn: Conn, place: MediaKey) -> bool:
    """Tells whether this media item of this event was decided already: a job may run twice."""
    return fetch_one(conn, _Q["decided"], tenant=place.tenant, event=place.event_id, n=place.n) is not None


def record(
    conn: Conn,
    keys: TenantKeys,
    place: MediaKey,
    outcome: Analysis | Quarantined | Unprocessable,
    policy: PolicyRef,
    kept: RetainedCopy | None = None,
    statement: Statement | None = None,
) -> None:
    """Stores a decision, once: a second call for the same media item of the same event changes nothing.

    Nor does a call for an event that another worker ended meanwhile. A media item's newest decision replaces the one
    before: its matches are deleted, its unsent messages are superseded. An event older than the newest decided one (its
    `revision`) is only noted in the log. Matches whose consent is no longer active, whose template changed or which the
    subject refused before are dropped; the subjects stay locked until the commit. A match that waits for its subject's
    approval is suggested to the endpoints of audience `person`. `kept` is the copy from which faces can be blurred
    later; without one an older copy is deleted. `statement` is the statement of reasons for a restriction; it is stored
    once.
    """
    if not _hold(conn, place) or is_recorded(conn, place):
        return
    newest = fetch_one(conn, _Q["newest"], **place.key)
    if newest and place.event.revision < newest["event_revision"]:
        _log_superseded(conn, keys, place)
        return
    revision = newest["revision"] + 1 if newest else 1
    confirmed = _confirm(conn, keys, place, outcome) if isinstance(outcome, Analysis) else ()
    execute(conn, _Q["drop_matches"], **place.key)
    execute(conn, _Q["supersede"], **place.key)
    _keep(conn, keys, place, kept)
    parts = [_store_match(conn, keys, place, revision, one) for one in confirmed]
    notify = outcome.verdict.notify if isinstance(outcome, Analysis) else ()
    _send(conn, place.key, revision, "media.failed" if isinstance(outcome, Unprocessable) else "media.tagged", notify)
    if any(one.suggested for one in confirmed):
        _send(conn, place.key, revision, "tag.suggested")
    before = from_json(newest["document"]) if newest else None
    _decision(conn, keys, place, revision, outcome, policy, parts, statement, before)


def forget(conn: Conn, keys: TenantKeys, place: MediaKey) -> None:
    """Deletes all data about a media item that the platform deleted.

    These are decisions, matches, cases, unsent messages, a kept copy and moderators' corrections of its labels.
    """
    if not _hold(conn, place):
        return
    execute(conn, _Q["drop_matches"], **place.key)
    execute(conn, _Q["supersede"], **place.key)
    execute(conn, _Q["close_cases"], **place.key)
    execute(conn, _Q["drop_kept"], **place.key)
    execute(conn, _Q["forget_corrections"], **place.key)
    execute(conn, _Q["forget_shadows"], **place.key)
    if execute(conn, _Q["forget_media"], **place.key):
        payload = {"event": str(place.event_id), "media": place.media.id}
        append(conn, keys, "media.deleted", {}, [Part(payload)], datetime.now(UTC))


class Revised(NamedTuple):
    """The new revision of a decision, and its leaf."""

    revision: int
    leaf: int


def revise(
    conn: Conn,
    keys: TenantKeys,
    media_id: str,
    kind: RevisionType,
    decision: Decision | None = None,
    told: Mapping[str, Any] | None = None,
    said: Mapping[str, Any] | None = None,
) -> Revised | None:
    """Makes a media item's decision the next revision in place, and sends it anew to every endpoint of the platform.

    Either its matches changed, or a moderator changed it to `decision` and its audience views to `told`. It goes as
    `kind` to the endpoints that may have had it; a change of matches goes as `media.tagged` to the others. Appends one
    leaf, which commits to `said` too.

    Locks the media item. Returns None, and nothing happens, where there is no decision on it.
    """
    place = {"tenant": keys.tenant, "media": media_id}
    execute(conn, _Q["lock_media"], **place)
    changed = {"document": decision and Json(to_json(decision)), "action": decision and decision.action}
    row = fetch_one(conn, _Q["revise"], **place, **changed, audiences=told and Jsonb(told))
    if row is None:
        return None
    revision = row["revision"]
    execute(conn, _Q["revise_matches"], **place, revision=revision)
    execute(conn, _Q["revise_cases"], **place, revision=revision)
    execute(conn, _Q["supersede_said"], **place)
    _send(conn, place, revision, kind)
    payload = {"event": str(row["event_id"]), "media": media_id, "revision": revision, "decided": row["leaf"]}
    leaf = append(conn, keys, kind, {}, [Part({**payload, **(said or {})})], datetime.now(UTC))
    execute(conn, _Q["set_leaf"], **place, revision=revision, leaf=leaf.seq)
    return Revised(revision, leaf.seq)


def open_retained_copy(conn: Conn, keys: TenantKeys, media_id: str) -> bytes | None:
    """Returns the kept copy of an image (JPEG), or None where there is none any more."""
    row = fetch_one(conn, _Q["kept"], tenant=keys.tenant, media=media_id)
    return unseal(keys.seal_key, row["sealed"], "kept", keys.tenant, media_id) if row else None


def note_unreadable(conn: Conn, keys: TenantKeys, event_id: UUID, error: AssentError) -> None:
    """Opens a case and appends a leaf for an event whose row was altered; its media items are no longer known."""
    case = {"tenant": keys.tenant, "media": f"event {event_id}", "revision": 0, "reason": error.code}
    execute(conn, _Q["open_case"], **case, **asdict(ToReview()))
    append(conn, keys, "event.unreadable", {}, [Part({"event": str(event_id)})], datetime.now(UTC))


def announce(conn: Conn, payload: str) -> None:
    """Wakes the clients that wait for this event's decision, at the commit."""
    execute(conn, _Q["announce"], payload=payload)


def _hold(conn: Conn, place: MediaKey) -> bool:
    """Locks the event and its media item; returns False when the event is over.

    A worker that was stopped past its lease comes back here after another one ended the event. By then the media item
    may have been decided anew or deleted: its old analysis must change neither.
    """
    if fetch_one(conn, _Q["hold_event"], tenant=place.tenant, event=place.event_id) is None:
        return False
    execute(conn, _Q["lock_media"], **place.key)
    return True


def _confirm(conn: Conn, keys: TenantKeys, place: MediaKey, looked: Analysis) -> tuple[_Confirmed, ...]:
    matches = looked.matches
    if not matches:
        return ()
    lock_shared(conn, keys.tenant, [match.pseudonym for match in matches])
    rows = fetch(conn, _Q["confirm"], tenant=keys.tenant, templates=[match.template for match in matches])
    active = {(row["template"], row["version"], row["pid"]): row for row in rows}
    author = derive_pseudonym(keys, place.event.author or "")
    confirmed = []
    for match in matches:
        row = active.get((match.template, match.version, match.pseudonym))
        if row is None:
            continue
        subject = SubjectKey.unwrap(keys, match.pseudonym, row["epoch"], row["wrapped"])
        box = looked.seen.faces[match.face].box
        if not is_refused(refusals(conn, subject), place.media.id, looked.picture.sha256, box):
            suggested = waits(looked.verdict.approval, match.pseudonym == author)
            confirmed.append(_Confirmed(match, subject, suggested))
    return tuple(confirmed)


def _store_match(conn: Conn, keys: TenantKeys, place: MediaKey, revision: int, one: _Confirmed) -> Part:
    match, subject, said = one.match, one.subject, {"band": one.match.band}
    state = "suggested" if one.suggested else "published"
    row = seal_match(keys, subject, place.media.id, match.face, said)
    execute(conn, _Q["insert_match"], **place.key, face=match.face, revision=revision, state=state, **row._asdict())
    payload = {"event": str(place.event_id), "media": place.media.id, "face": match.face, "state": state, **said}
    return Part(payload, subject.pseudonym, subject.key)


def _keep(conn: Conn, keys: TenantKeys, place: MediaKey, kept: RetainedCopy | None) -> None:
    if kept is None:
        execute(conn, _Q["drop_kept"], **place.key)
        return
    sealed = seal(keys.seal_key, kept.jpeg, "kept", keys.tenant, place.media.id)
    execute(conn, _Q["keep_picture"], **place.key, sealed=sealed, days=kept.days)


def _send(conn: Conn, place: Mapping[str, Any], revision: int, kind: str, notify: Sequence[Audience] = ()) -> None:
    """Adds an outbox message of that kind for every endpoint that is to get it.

    Endpoints of audience `person` get suggestions. Everything else goes to the platform's, to those of the audiences
    that a rule notifies, and to those that were sent something about the media item before.
    """
    heard = ["person"] if kind == "tag.suggested" else ["platform", *notify]
    for endpoint in fetch(conn, _Q["endpoints"], **place, audiences=heard, kind=kind):
        message = uuid4()
        first = kind in ("tag.published", "tag.retracted") and not endpoint["told"]
        said = {"type": "media.tagged" if first else kind, "revision": revision}
        execute(conn, _Q["insert_message"], **place, **said, id=message, endpoint=endpoint["name"])
        enqueue_delivery(conn, place["tenant"], endpoint["name"], message)


def _decision(
    conn: Conn,
    keys: TenantKeys,
    place: MediaKey,
    revision: int,
    outcome: Analysis | Quarantined | Unprocessable,
    policy: PolicyRef,
    parts: Sequence[Part],
    statement: Statement | None,
    before: Decision | None,
) -> None:
    at = datetime.now(UTC)
    decision = decision_of(place.tenant, place.event_id, place.media, revision, outcome, policy)
    perceptions, models, told, given = {}, [], None, None
    if isinstance(outcome, Analysis):
        perceptions, models = perceptions_document(outcome), list(outcome.seen.models)
        told, given = views.stored(outcome.verdict, outcome.seen), circumstances(place.event, outcome.picture)
    decision = replace(decision, statement=_state(conn, keys, place, revision, statement, at))
    _ask(conn, place, revision, outcome, decision, before)
    document = to_json(decision)
    payload = {
        "event": str(place.event_id),
        "media": place.media.id,
        "sha256": outcome.sha256 if isinstance(outcome, Quarantined) else decision.media.sha256,
        "revision": revision,
        "action": decision.action,
        "tags": sorted({tag.name for tag in decision.tags}),
        "faces": len(decision.faces),
        "rules": [rule.id for rule in decision.rules],
        **({"heeded": document["heeded"]} if decision.heeded else {}),
    }
    body = {"policy": policy.sha256, "models": models}
    # The tree's lock is the last one taken; inserting our own new row afterwards waits for nobody.
    leaf = append(conn, keys, "media.decided", body, [Part(payload), *parts], at)
    execute(
        conn,
        _Q["insert_decision"],
        **place.key,
        revision=revision,
        event=place.event_id,
        n=place.n,
        event_revision=place.event.revision,
        action=decision.action,
        document=Json(document),
        perceptions=Jsonb(perceptions),
        given=Jsonb(given) if given else None,
        audiences=Jsonb(told) if told else None,
        leaf=leaf.seq,
        at=at,
    )


def _ask(
    conn: Conn,
    place: MediaKey,
    revision: int,
    outcome: Analysis | Quarantined | Unprocessable,
    decision: Decision,
    before: Decision | None,
) -> None:
    """Closes the media item's case and opens one where a rule or the action asks for it or the analysis failed.

    A case that waits already keeps its place where the newest decision said the same of the same file.
    """
    asked, reason = _asked(outcome)
    known = decision.media.sha256 is not None
    stays = asked is not None and before is not None and known and _shown(before) == _shown(decision)
    if stays and execute(conn, _Q["revise_cases"], **place.key, revision=revision):
        return
    execute(conn, _Q["close_cases"], **place.key)
    if asked is not None:
        case = {**place.key, "revision": revision, "reason": reason or decision.rules[0].id}
        execute(conn, _Q["open_case"], **case, **asdict(asked))


def _shown(decision: Decision) -> tuple[object, ...]:
    """Returns the parts of a decision that a moderator is shown: file, action, queue, rules and labels."""
    rules, labels = {rule.id for rule in decision.rules}, {tag.name for tag in decision.tags}
    return decision.media.sha256, decision.action, decision.review, rules, labels


def _asked(outcome: Analysis | Quarantined | Unprocessable) -> tuple[ToReview | None, str]:
    """Returns the review queue, if there is one, and the reason where no rule of the policy gives it."""
    if isinstance(outcome, Quarantined):
        return SEVERE, HASH_SEVERE
    if isinstance(outcome, Unprocessable):
        return ToReview(), outcome.error.code
    return outcome.verdict.review, ""


def _state(
    conn: Conn, keys: TenantKeys, place: MediaKey, revision: int, statement: Statement | None, at: datetime
) -> str | None:
    """Stores the statement of reasons and returns its puid; None without a statement."""
    if statement is None:
        return None
    puid = statements.puid(keys, place.media.id, revision)
    body = Jsonb(statements.statement_body(statement, puid, at))
    values = {"tenant": keys.tenant, "puid": puid, "body": body, "notice": Jsonb(statement.notice), "at": at}
    execute(conn, named_queries("policy")["insert_statement"], **values)
    return puid


def _log_superseded(conn: Conn, keys: TenantKeys, place: MediaKey) -> None:
    payload = {"event": str(place.event_id), "media": place.media.id, "event_revision": place.event.revision}
    append(conn, keys, "media.superseded", {}, [Part(payload)], datetime.now(UTC))
