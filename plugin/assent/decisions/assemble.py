"""Builds the newest decision on a media item for an audience; subjects are named while their consents hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from assent.audit import checkpoint
from assent.core.clock import rfc3339
from assent.core.errors import DecisionUnreadable, SealBroken
from assent.core.values import Audience, Match, MediaItem
from assent.db.locks import lock_shared, lock_shared_or_busy
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions import views
from assent.decisions.document import DecidedFace, Decision, LeafRef, NamedMatch, from_json, read_stored
from assent.decisions.messages import DecisionMessage, SuggestedMatches, Suggestion, SuggestionMessage, message_json
from assent.decisions.retraction_jobs import retraction_waits
from assent.decisions.views import AudienceDocument, AuthorView, PublicView
from assent.keys.authority import columns_of, is_authentic
from assent.keys.keystore import TenantKeys
from assent.keys.seal import unseal
from assent.keys.subject_keys import SubjectKey, match_pseudonym, open_match

Lock = Callable[[Conn, str, Iterable[bytes]], None]  # `locks.lock_shared`, or another of that module
_Q = named_queries("record")
_NOTICE = TypeAdapter(dict[str, str])


@dataclass(frozen=True, slots=True)
class Recipient:
    """The reader that a decision is assembled for; `subject`, by the platform's id, goes with audience `person`."""

    audience: Audience
    subject: str | None = None


class Person(NamedTuple):
    """A subject's data key, the platform's id for them, and the series of the consent in force, if there is one.

    `altered`: nobody with the keys has written the consent that is in force, so it permits nothing.
    """

    subject: SubjectKey
    ref: str
    series: UUID | None
    altered: bool

    @property
    def consents(self) -> bool:
        return self.series is not None


def message_body(conn: Conn, keys: TenantKeys, message: Row, lock: Lock) -> dict[str, Any] | None:
    """Returns the body of an outbox message, or None where nothing is left to send.

    The subjects that it names are locked by `lock` first.
    """
    item, recipient = MediaItem(message["source"], message["media_id"]), Recipient(message["audience"])
    timestamp = rfc3339(message["created_at"])
    if message["type"] == "tag.suggested":
        suggested = suggestions(conn, keys, item, lock)
        return message_json(SuggestionMessage("tag.suggested", timestamp, suggested)) if suggested else None
    if recipient.audience == "person":
        return None  # what was meant for the platform, from before the endpoint was another's
    document = assemble_for(conn, keys, item, recipient, message["revision"], lock)
    return message_json(DecisionMessage(message["type"], timestamp, document)) if document else None


def assemble(
    conn: Conn, keys: TenantKeys, item: MediaItem, revision: int | None = None, lock: Lock = lock_shared
) -> Decision | None:
    """Returns the newest decision on a media item as the platform may see it now, or None when there is none.

    With `revision`, None also when a newer decision has replaced that one. A match is filled in only while the
    subject's consent is active, and stays true while `lock` lasts. The newest signed checkpoint of the audit log is
    attached. Raises DecisionUnreadable, and SealBroken.
    """
    row = _newest(conn, keys, item, revision)
    if row is None:
        return None
    view = views.audience_view(row, "platform")
    decision = _decision(row)
    named = dict(_named(conn, keys, item, row["revision"], lock)) if view.matches else {}
    audit = LeafRef(row["leaf"], checkpoint.current_checkpoint(conn, keys))
    faces = _with_names(decision, named) if view.faces else ()
    return replace(decision, source=item.source, faces=faces, audit=audit, decided_at=rfc3339(row["decided_at"]))


def assemble_to_draw(
    conn: Conn, keys: TenantKeys, item: MediaItem, lock: Lock = lock_shared_or_busy
) -> Decision | None:
    """Returns the newest decision as `assemble` does, but with every face, and without the log's checkpoint.

    A policy may tell the platform of no face: whoever redacts the image has to know of each all the same.
    """
    row = _newest(conn, keys, item)
    if row is None:
        return None
    decision = _decision(row)
    view = views.audience_view(row, "platform")
    named = dict(_named(conn, keys, item, row["revision"], lock)) if view.matches else {}
    faces = _with_names(decision, named)
    return replace(decision, source=item.source, faces=faces, decided_at=rfc3339(row["decided_at"]))


def assemble_view(
    conn: Conn,
    keys: TenantKeys,
    item: MediaItem,
    recipient: Recipient,
    revision: int | None = None,
    lock: Lock = lock_shared,
) -> AuthorView | PublicView | None:
    """Returns the newest decision on a media item as another audience than the platform may see it now, or None.

    A subject gets None when they have no match in it. `revision`, `lock` and the errors are those of `assemble`.
    """
    row = _newest(conn, keys, item, revision)
    if row is None:
        return None
    view = views.audience_view(row, recipient.audience)
    decision = _decision(row)
    named = dict(_named(conn, keys, item, row["revision"], lock)) if view.matches else {}
    faces = _with_names(decision, named)
    if recipient.audience == "person":
        faces = tuple(face for face in faces if face.match and face.match.subject == recipient.subject)
        if not faces:
            return None
    elif not view.faces:
        faces = ()
    decision = replace(decision, faces=faces, decided_at=rfc3339(row["decided_at"]))
    if recipient.audience == "author":
        return views.author_view(decision, row["perceptions"], view, _notice(conn, keys, decision))
    return views.public_view(decision, row["perceptions"], recipient.audience, view)


def assemble_for(
    conn: Conn,
    keys: TenantKeys,
    item: MediaItem,
    recipient: Recipient,
    revision: int | None = None,
    lock: Lock = lock_shared,
) -> AudienceDocument | None:
    """Returns the result of `assemble` or `assemble_view` for that recipient."""
    if recipient.audience == "platform":
        return assemble(conn, keys, item, revision, lock)
    return assemble_view(conn, keys, item, recipient, revision, lock)


def _decision(row: Row) -> Decision:
    # A revision in place leaves the stored text alone.
    return replace(from_json(row["document"]), revision=row["told"] if "told" in row else row["revision"])


def _with_names(decision: Decision, named: Mapping[int, NamedMatch]) -> tuple[DecidedFace, ...]:
    """Returns the faces with their matches. Raises DecisionUnreadable where a match's face is not there."""
    if any(n >= len(decision.faces) for n in named):
        raise DecisionUnreadable("a face that was recognised is not there")
    return tuple(replace(face, match=named.get(n)) for n, face in enumerate(decision.faces))


def _notice(conn: Conn, keys: TenantKeys, decision: Decision) -> dict[str, str]:
    """Returns the notice of a restriction for the author, by language; empty where no statement was made."""
    row = fetch_one(conn, named_queries("policy")["read_notice"], tenant=keys.tenant, puid=decision.statement)
    return read_stored(_NOTICE, row["notice"]) if row else {}


def suggestions(conn: Conn, keys: TenantKeys, item: MediaItem, lock: Lock = lock_shared) -> SuggestedMatches | None:
    """Returns the suggested matches that subjects are to be asked about, or None when there are none.

    The platform never gets them. Raises DecisionUnreadable, and SealBroken.
    """
    row = _newest(conn, keys, item)
    if row is None:
        return None
    decision = _decision(row)
    named = dict(_named(conn, keys, item, row["revision"], lock, "suggested"))
    suggested = tuple(
        Suggestion(face.match.subject, n, face.box, face.match.band)
        for n, face in enumerate(_with_names(decision, named))
        if face.match
    )
    return SuggestedMatches(item.source, decision.media, suggested) if suggested else None


def _newest(conn: Conn, keys: TenantKeys, item: MediaItem, revision: int | None = None) -> Row | None:
    """Returns the newest decision, of that revision where one is given; or, by the revision `told` of it, what a
    moderator's decision replaced that is held back still.

    Until the transaction ends neither it nor its matches change.
    """
    execute(conn, _Q["lock_media_shared"], **item.key(keys.tenant))
    row = fetch_one(conn, _Q["read_newest_decision"], **item.key(keys.tenant))
    if row is None or revision in (None, row["revision"]):
        return row
    before = fetch_one(conn, named_queries("undo")["read_before_held"], **item.key(keys.tenant), told=revision)
    return {**row, **before} if before else None


def _named(
    conn: Conn, keys: TenantKeys, item: MediaItem, revision: int, lock: Lock, state: str = "published"
) -> Iterator[tuple[int, NamedMatch]]:
    """Yields the matches in that state that stand on a consent in force, each with its face's number.

    Raises SealBroken where a match, its subject, their key or their consent was altered.
    """
    rows = fetch(conn, _Q["list_matches_in_state"], **item.key(keys.tenant), revision=revision, state=state)
    pseudonyms = [
        match_pseudonym(keys, item.id, row["face"], row["epoch"], row["locator"], row["slot"]) for row in rows
    ]
    lock(conn, keys.tenant, pseudonyms)
    for row, pseudonym in zip(rows, pseudonyms, strict=True):
        person = person_of(conn, keys, pseudonym)
        match = standing_match(conn, keys, person, item.id, row["face"], row["sealed"]) if person else None
        if person and match:
            yield row["face"], NamedMatch(person.ref, match["band"], row["state"])


def standing_match(
    conn: Conn, keys: TenantKeys, person: Person, media_id: str, face: int, sealed: bytes
) -> dict[str, Any] | None:
    """Opens a match that stands on the person's consent in force; None for one that arose under another, or under none.

    One of another consent lies under a key that went with it: it does not open, and is taken back soon. One from before
    matches carried their consent opens only if no consent has ended since. Raises SealBroken where it was altered, or
    the consent in force was.
    """
    if person.altered:
        raise SealBroken("the consent of somebody recognised was altered")
    if person.series is None:
        return None
    pseudonym = person.subject.pseudonym
    try:
        match = open_match(person.subject, media_id, face, sealed)
    except SealBroken:
        if retraction_waits(conn, keys, pseudonym):
            return None
        raise
    if "series" not in match:
        return None if retraction_waits(conn, keys, pseudonym) else match
    return match if match["series"] == str(person.series) else None


def name_match(conn: Conn, keys: TenantKeys, match: Match) -> NamedMatch | None:
    """Returns a match that was not recorded as a decision names it; the caller shares the subject's lock.

    None where the template that was found is no longer there as it was, under a consent in force.
    """
    rows = fetch(conn, _Q["list_confirmed_templates"], tenant=keys.tenant, templates=[match.template])
    found = [row for row in rows if (row["pid"], row["version"]) == (match.pseudonym, match.version)]
    person = person_of(conn, keys, match.pseudonym) if found and is_authentic(keys, "template", found[0]) else None
    return NamedMatch(person.ref, match.band, "published") if person and person.consents else None


def person_of(conn: Conn, keys: TenantKeys, pseudonym: bytes) -> Person | None:
    """Returns the subject, or None for one unknown or erased. To rely on their consent, share their lock first."""
    row = fetch_one(conn, _Q["read_subject_with_consent"], tenant=keys.tenant, pid=pseudonym)
    if row is None:
        return None
    subject = SubjectKey.unwrap(keys, pseudonym, row["epoch"], row["wrapped"])
    ref = unseal(subject.key, row["ref_sealed"], "ref", keys.tenant, pseudonym).decode()
    consent = columns_of(row, "c_")
    authentic = is_authentic(keys, "consent", consent)
    series = consent["series"] if authentic else None
    return Person(subject, ref, series, consent["id"] is not None and not authentic)
