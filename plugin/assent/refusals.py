"""Stores refusals: media item and box are sealed under the subject's key, and never matched to them again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from uuid import uuid4

from assent.core.boxes import SAME_FACE_IOU, iou, read_box
from assent.core.values import Box
from assent.db.pool import Conn, Row, execute, fetch
from assent.db.queries import named_queries
from assent.keys.seal import seal, unseal
from assent.keys.subject_keys import SubjectKey

PADDED = 512  # bytes: the length of a sealed refusal does not tell the length of the media item's id
_Q = named_queries("refusals")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal ("not me"): the media item by its id and by its file's sha256, and the face's box."""

    media_id: str
    sha256: str
    box: Box


def refusals(conn: Conn, subject: SubjectKey) -> list[Refusal]:
    """Returns all refusals of the subject. Raises SealBroken."""
    rows = sealed_refusals(conn, subject.tenant, subject.pseudonym)
    return [open_refusal(subject, row) for row in rows]


def sealed_refusals(conn: Conn, tenant: str, pseudonym: bytes) -> list[Row]:
    """Returns the rows of a subject's refusals, as they are stored."""
    return fetch(conn, _Q["list_refusals"], tenant=tenant, pid=pseudonym)


def open_refusal(subject: SubjectKey, row: Row) -> Refusal:
    """Opens a row of `sealed_refusals`. Raises SealBroken."""
    fields = json.loads(
        unseal(subject.key, row["sealed"], "refusal", subject.tenant, subject.pseudonym, row["id"].bytes)
    )
    return Refusal(fields["media_id"], fields["sha256"], read_box(fields["box"]))


def remember(conn: Conn, subject: SubjectKey, refusal: Refusal) -> bool:
    """Stores a refusal once and raises this subject's threshold. Returns False where it was stored before.

    The caller has the subject's lock exclusively, and touches no row of a media item in this transaction.
    """
    if is_refused(refusals(conn, subject), refusal.media_id, refusal.sha256, refusal.box):
        return False
    key, refusal_id = {"tenant": subject.tenant, "pid": subject.pseudonym}, uuid4()
    plain = json.dumps(asdict(refusal)).encode()
    plain += b" " * (-len(plain) % PADDED)
    sealed = seal(subject.key, plain, "refusal", subject.tenant, subject.pseudonym, refusal_id.bytes)
    execute(conn, _Q["insert_refusal"], **key, id=refusal_id, sealed=sealed)
    execute(conn, _Q["raise_refusal_count"], **key)
    return True


def is_refused(stored: Iterable[Refusal], media_id: str, sha256: str, box: Box) -> bool:
    """Tells whether that face of that media item was refused, under the same id or as the same file under another."""
    return any(
        (one.media_id == media_id or one.sha256 == sha256) and iou(one.box, box) >= SAME_FACE_IOU for one in stored
    )
