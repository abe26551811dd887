"""Stores refusals: media item and box are sealed under the subject's key, and never matched to them again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from uuid import uuid4

from assent.core.values import Box
from assent.db.pool import Conn, execute, fetch
from assent.db.queries import named_queries
from assent.keys.seal import seal, unseal
from assent.keys.subject_keys import SubjectKey

SAME_FACE = 0.5  # of the union of two boxes that both cover: the same face found once more, not its neighbour
_Q = named_queries("refusals")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal ("not me"): the media item by its id and by its file's sha256, and the face's box."""

    media_id: str
    sha256: str
    box: Box


def refusals(conn: Conn, subject: SubjectKey) -> list[Refusal]:
    """Returns all refusals of the subject. Raises SealBroken."""
    rows = fetch(conn, _Q["refusals"], tenant=subject.tenant, pid=subject.pseudonym)
    return [_open(subject, row["id"].bytes, row["sealed"]) for row in rows]


def remember(conn: Conn, subject: SubjectKey, refusal: Refusal) -> bool:
    """Stores a refusal once and raises this subject's threshold. Returns False where it was stored before.

    The caller has the subject's lock exclusively, and touches no row of a media item in this transaction.
    """
    if is_refused(refusals(conn, subject), refusal.media_id, refusal.sha256, refusal.box):
        return False
    place, row = {"tenant": subject.tenant, "pid": subject.pseudonym}, uuid4()
    sealed = seal(
        subject.key, json.dumps(asdict(refusal)).encode(), "refusal", subject.tenant, subject.pseudonym, row.bytes
    )
    execute(conn, _Q["insert_refusal"], **place, id=row, sealed=sealed)
    execute(conn, _Q["count_refusal"], **place)
    return True


def is_refused(known: Iterable[Refusal], media_id: str, sha256: str, box: Box) -> bool:
    """Tells whether that face of that media item was refused, under the same id or as the same file under another."""
    return any(
        (one.media_id == media_id or one.sha256 == sha256) and overlap(one.box, box) >= SAME_FACE for one in known
    )


def overlap(a: Box, b: Box) -> float:
    """Returns the intersection over union of two boxes, 0 to 1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0, width) * max(0, height)
    return shared / max(1, a[2] * a[3] + b[2] * b[3] - shared)


def _open(subject: SubjectKey, row: bytes, sealed: bytes) -> Refusal:
    said = json.loads(unseal(subject.key, sealed, "refusal", subject.tenant, subject.pseudonym, row))
    x, y, width, height = said["box"]
    return Refusal(said["media_id"], said["sha256"], (x, y, width, height))
