"""`assent.decision/1`: the stored half without identities, and the document as it leaves.

Who was recognised is put in when the document is assembled, after the consent was read again, so that no identity lies
in a decision, a job or an outbox row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from assent.audit import checkpoint
from assent.core.errors import SealBroken
from assent.core.values import (
    Action,
    Audience,
    Band,
    Face,
    Failed,
    Heeded,
    Looked,
    MediaRef,
    PolicyRef,
    Quarantined,
    Tag,
    ToReview,
    Verdict,
)
from assent.db.locks import share
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import load
from assent.db.queue import retraction_waits
from assent.decisions import views as audiences
from assent.keys.keystore import TenantKeys
from assent.keys.seal import unseal
from assent.keys.subject_keys import SubjectKey, match_pid, open_match

SCHEMA = "assent.decision/1"
Lock = Callable[[Conn, str, Iterable[bytes]], None]  # `locks.share` or `locks.hold`
SEVERE = ToReview("severe", 100)  # where a picture of a severe list is decided on, before everything else
_Q = load("record")


def document_of(
    tenant: str,
    event: UUID | None,
    media: MediaRef,
    revision: int,
    outcome: Looked | Quarantined | Failed,
    policy: PolicyRef,
) -> dict[str, Any]:
    """The decision on a picture, whatever came of it."""
    place = tenant, event, media, revision
    if isinstance(outcome, Looked):
        return looked_document(*place, outcome, policy)
    if isinstance(outcome, Quarantined):
        return quarantined_document(*place, outcome, policy)
    return failed_document(*place, outcome, policy)


def looked_document(
    tenant: str, event: UUID | None, media: MediaRef, revision: int, looked: Looked, policy: PolicyRef
) -> dict[str, Any]:
    """The decision on a picture that was looked at; every `match` is null."""
    picture, verdict = looked.picture, looked.verdict
    return {
        **_head(tenant, event, revision),
        "media": {
            "id": media.id,
            "sha256": picture.sha256,
            "pdq": picture.pdq,
            "width": picture.width,
            "height": picture.height,
            "format": picture.format,
        },
        "tags": [tag_document(tag) for tag in verdict.tags],
        "faces": [face_document(face) for face in looked.seen.faces],
        "action": verdict.action.name,
        "rules": [{"id": rule.id, "because": rule.because} for rule in verdict.rules],
        "withheld": _withheld(verdict),
        "redact": [list(box) for box in verdict.redact],
        "review": asdict(verdict.review) if verdict.review else None,
        "notify": list(verdict.notify),
        "statement": None,  # its puid, once it is recorded
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        **({"heeded": heeded_document(looked.heeded)} if looked.heeded else {}),
    }


def heeded_document(heeded: Heeded) -> dict[str, Any]:
    """How a moderator's word on the same file went into a decision. Never who they are, nor of which picture they said
    it: that one may be deleted before this one."""
    judged, alone = heeded.judged, heeded.alone
    decided = judged and {"action": judged.action.name, "at": timestamp(judged.at)}
    return {
        "added": list(heeded.added),
        "removed": list(heeded.removed),
        "decided": decided,
        "holds": heeded.holds,
        "news": heeded.news or None,
        "alone": {"action": alone.action.name, "rules": [rule.id for rule in alone.rules]},
    }


def _withheld(verdict: Verdict) -> list[dict[str, Any]]:
    """How many labels the platform is not told, by what keeps them; which ones they are would tell them."""
    counts = Counter(one.by for one in verdict.withheld if one.audience == "platform")
    return [{"by": by, "labels": count} for by, count in counts.items()]


def failed_document(
    tenant: str, event: UUID | None, media: MediaRef, revision: int, failed: Failed, policy: PolicyRef
) -> dict[str, Any]:
    """The decision on a picture that could not be looked at: review, with the error's code as the reason."""
    error = failed.error
    return {
        **_head(tenant, event, revision),
        "media": _unseen(media),
        "tags": [],
        "faces": [],
        "action": "review",
        "rules": [{"id": "not-looked-at", "because": error.code}],
        "withheld": [],
        "redact": [],
        "review": asdict(ToReview()),
        "notify": [],
        "statement": None,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "error": {"code": error.code, "detail": error.detail},
    }


def quarantined_document(
    tenant: str, event: UUID | None, media: MediaRef, revision: int, quarantined: Quarantined, policy: PolicyRef
) -> dict[str, Any]:
    """The decision on a picture of a severe list: the action, the tag and the rule, nothing of the picture."""
    return {
        **_head(tenant, event, revision),
        "media": _unseen(media),
        "tags": [tag_document(tag) for tag in quarantined.tags],
        "faces": [],
        "action": Action.block.name,
        "rules": [{"id": rule.id, "because": rule.because} for rule in quarantined.rules],
        "withheld": [],
        "redact": [],
        "review": asdict(SEVERE),
        "notify": [],
        "statement": None,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
    }


def _unseen(media: MediaRef) -> dict[str, Any]:
    return {"id": media.id, "sha256": None, "pdq": None, "width": None, "height": None, "format": None}


def _head(tenant: str, event: UUID | None, revision: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "event": str(event) if event else None,
        "tenant": tenant,
        "revision": revision,
        "audience": "platform",
    }


def tag_document(tag: Tag) -> dict[str, Any]:
    return {
        "name": tag.name,
        "category": tag.category,
        "score": round(tag.score, 4),
        "box": list(tag.box) if tag.box else None,
        "frame": tag.frame,
        "model": tag.model,
    }


def face_document(face: Face) -> dict[str, Any]:
    return {"box": list(face.box), "frame": face.frame, "quality": round(face.quality, 2), "match": None}


def perceptions_document(looked: Looked) -> dict[str, Any]:
    """What the models saw from score 0.05 up, so that another policy can be tried on it; no embedding. Nothing is
    rounded: a score next to a threshold has to fall on the same side again."""
    return {
        "models": list(looked.seen.models),
        "tags": [{**tag_document(tag), "score": tag.score} for tag in looked.seen.tags],
        "faces": [{**face_document(face), "score": face.score, "quality": face.quality} for face in looked.seen.faces],
    }


class Person(NamedTuple):
    """Their data key, what the platform calls them, and whether they consent to being recognised now."""

    subject: SubjectKey
    ref: str
    consents: bool


def body(conn: Conn, keys: TenantKeys, message: Row, lock: Lock) -> dict[str, Any] | None:
    """What an outbox row says now, or None where nothing is left to say. Whoever it names is locked by `lock` first."""
    if message["type"] == "tag.suggested":
        data = suggestions(conn, keys, message["media_id"], lock)
    elif message["audience"] == "person":
        return None  # what was meant for the platform, from before the endpoint was another's
    else:
        data = assemble(conn, keys, message["media_id"], message["revision"], lock, message["audience"])
    return data and {"type": message["type"], "timestamp": timestamp(message["created_at"]), "data": data}


def assemble(
    conn: Conn,
    keys: TenantKeys,
    media_id: str,
    revision: int | None = None,
    lock: Lock = share,
    audience: Audience = "platform",
    subject: str | None = None,
) -> dict[str, Any] | None:
    """The newest decision on a picture as an audience may see it now, or None when there is none; for `person`, as
    `subject` may, and None when they are not tagged in it.

    With `revision`, None also when a newer decision has replaced that one. A match is filled in only while the
    person's consent is active, and stays true while `lock` lasts; for the platform the newest signed checkpoint of the
    audit log is attached.
    """
    row = _newest(conn, keys, media_id)
    if row is None or (revision is not None and row["revision"] != revision):
        return None
    document: dict[str, Any] = row["document"]
    document["revision"] = row["revision"]  # a revision in place leaves the stored text alone
    said = audiences.told(row, audience)
    own: list[int] = []
    if said.matches:
        for match, person, found in _named(conn, keys, media_id, row["revision"], "published", lock):
            own += [match["face"]] if person.ref == subject else []
            named = {"subject": person.ref, "band": found["band"], "state": match["state"]}
            document["faces"][match["face"]]["match"] = named
    if audience == "person" and not own:
        return None
    document["audit"] = {"leaf": row["leaf"]}
    document["decided_at"] = timestamp(row["decided_at"])
    if audience == "platform":
        document["audit"]["checkpoint"] = checkpoint.current(conn, keys)
    notice = _notice(conn, keys, document) if audience == "author" else {}
    return audiences.view(document, row["perceptions"], audience, said, own, notice)


def _notice(conn: Conn, keys: TenantKeys, document: dict[str, Any]) -> dict[str, str]:
    """What the author is told of a restriction, by language; empty where no statement was made."""
    values = {"tenant": keys.tenant, "puid": document.get("statement")}
    row = fetch_one(conn, load("policy")["notice"], **values)
    return dict(row["notice"]) if row else {}


def suggestions(conn: Conn, keys: TenantKeys, media_id: str, lock: Lock = share) -> dict[str, Any] | None:
    """What the people recognised in a picture are to be asked, or None when nobody is. Never for the platform."""
    row = _newest(conn, keys, media_id)
    if row is None:
        return None
    faces = row["document"]["faces"]
    said = [
        {"subject": person.ref, "face": match["face"], "box": faces[match["face"]]["box"], "band": found["band"]}
        for match, person, found in _named(conn, keys, media_id, row["revision"], "suggested", lock)
    ]
    return {"media": row["document"]["media"], "suggestions": said} if said else None


def _newest(conn: Conn, keys: TenantKeys, media_id: str) -> Row | None:
    """The newest decision. Until the transaction ends neither it nor its matches change."""
    execute(conn, _Q["share_media"], tenant=keys.tenant, media=media_id)
    return fetch_one(conn, _Q["decision"], tenant=keys.tenant, media=media_id)


def _named(
    conn: Conn, keys: TenantKeys, media_id: str, revision: int, state: str, lock: Lock
) -> Iterator[tuple[Row, Person, dict[str, Any]]]:
    """The matches in that state whose people consent, each with the person and what was found.

    Raises SealBroken where a match, its person or their key was altered."""
    values = {"tenant": keys.tenant, "media": media_id, "revision": revision, "state": state}
    rows = fetch(conn, _Q["matches"], **values)
    pids = [match_pid(keys, media_id, row["face"], row["epoch"], row["locator"]) for row in rows]
    lock(conn, keys.tenant, pids)
    for row, pid in zip(rows, pids, strict=True):
        person = person_of(conn, keys, pid)
        if person is None or not person.consents:
            continue
        try:
            found = open_match(person.subject, media_id, row["face"], row["sealed"])
        except SealBroken:
            if retraction_waits(conn, keys.tenant, pid):
                continue  # they left and came back; the match lies under the key that went, and is taken back soon
            raise
        yield row, person, found


def name_match(conn: Conn, keys: TenantKeys, pid: bytes, band: Band) -> dict[str, str] | None:
    """A match that was not recorded, as a document says it; None when the person's consent is no longer active."""
    person = person_of(conn, keys, pid)
    return {"subject": person.ref, "band": band, "state": "published"} if person and person.consents else None


def person_of(conn: Conn, keys: TenantKeys, pid: bytes) -> Person | None:
    """The person, or None for somebody unknown or erased. To rely on their consent, share their lock first."""
    row = fetch_one(conn, _Q["person"], tenant=keys.tenant, pid=pid)
    if row is None:
        return None
    subject = SubjectKey.unwrap(keys, pid, row["epoch"], row["wrapped"])
    ref = unseal(subject.key, row["ref_sealed"], "ref", keys.tenant, pid).decode()
    return Person(subject, ref, row["consenting"])


def timestamp(at: datetime) -> str:
    """RFC 3339, UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
