"""Exports the corrections of moderators as a labelled set for `assent train`, and the counts of refusals ("not me").

Images leave the sealed store only where that was asked for, with every face hidden, and the log records it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from assent.audit.log import append
from assent.core.clock import rfc3339
from assent.core.errors import ExportRefused
from assent.db.pool import Conn, Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.decisions.document import from_json
from assent.decisions.render.redact import redact
from assent.decisions.store import open_retained_copy
from assent.keys.keystore import TenantKeys
from assent.perceive.labels.heads import NONE
from assent.review.cases import SEVERE_LABEL

CORRECTIONS, REFUSED, LABELS, PICTURES = "corrections.csv", "not-me.csv", "labels.csv", "pictures"
_Q, _RECORD = named_queries("feedback"), named_queries("record")


class Exported(NamedTuple):
    """The number of corrections written, of their images, and of those images that still had a kept copy."""

    corrections: int
    pictures: int
    copies: int


def export_corrections(
    pool: Pool,
    keys: TenantKeys,
    folder: Path,
    below: str | None,
    pictures: bool,
    tell: Callable[[int, int], None],
) -> Exported:
    """Writes corrections and counts of refusals into a new or empty folder, readable by its owner alone.

    `corrections.csv` (sha256, label, holds, at) and `not-me.csv` (band, times: counts only). With `pictures` also the
    kept copies, every face hidden, as `pictures/<sha256>.jpg`, and `labels.csv` (path, label) over them.

    `below`: only labels of that group, as a head is for one. An image of which labels were only denied is one of class
    `none`. `tell` is called with images done and all. Raises ExportRefused.
    """
    _prepare(folder)
    with transaction(pool) as conn:  # noted before anything is written
        rows = [row for row in fetch(conn, _Q["corrections"], tenant=keys.tenant) if is_below(row["label"], below)]
        refused = fetch(conn, _Q["refused"], tenant=keys.tenant)
        said = by_picture(rows)
        counts = {"corrections": len(rows), "below": below, "pictures": len(said) if pictures else 0}
        append(conn, keys, "corrections.exported", counts, [], datetime.now(UTC))
    written = [[row["media_sha256"], row["label"], str(row["holds"]).lower(), rfc3339(row["at"])] for row in rows]
    _write(folder / CORRECTIONS, ("sha256", "label", "holds", "at"), written)
    _write(folder / REFUSED, ("band", "times"), ([row["band"], row["times"]] for row in refused))
    copies = _write_pictures(pool, keys, folder, said, tell) if pictures else []
    if pictures:
        classes = [[f"{PICTURES}/{sha256}.jpg", name] for sha256 in copies for name in said[sha256].labels]
        _write(folder / LABELS, ("path", "label"), classes)
    return Exported(len(rows), len(said), len(copies))


class CorrectedImage(NamedTuple):
    """An image's classes, and the media ids under which it was judged."""

    labels: tuple[str, ...]
    media_ids: tuple[str, ...]


def by_picture(rows: Sequence[Row]) -> dict[str, CorrectedImage]:
    """Groups rows, which are in the order of sha256, by image: the labels that hold, `none` where all were denied."""
    found: dict[str, CorrectedImage] = {}
    for sha256, group in groupby(rows, key=itemgetter("media_sha256")):
        here = list(group)
        labels = tuple(row["label"] for row in here if row["holds"])
        found[sha256] = CorrectedImage(labels or (NONE,), tuple(dict.fromkeys(row["media_id"] for row in here)))
    return found


def is_below(label: str, group: str | None) -> bool:
    """Tells whether the label is the group or lies below it; every label does below None."""
    return group is None or label == group or label.startswith(f"{group}.")


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ExportRefused(f"{folder} is not empty")
        folder.chmod(0o700)
    except OSError as error:
        raise ExportRefused(f"{folder} cannot be written: {error.strerror}") from error


def _write(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out)
        lines.writerow(names)
        lines.writerows(rows)


def _write_pictures(
    pool: Pool, keys: TenantKeys, folder: Path, said: Mapping[str, CorrectedImage], tell: Callable[[int, int], None]
) -> list[str]:
    """Writes the kept copies, and returns the sha256 of the images that still had one."""
    (folder / PICTURES).mkdir(mode=0o700)
    written = []
    for done, (sha256, picture) in enumerate(said.items(), 1):
        with transaction(pool) as conn:
            jpegs = (_hidden(conn, keys, media_id, sha256) for media_id in picture.media_ids)
            jpeg = next((jpeg for jpeg in jpegs if jpeg is not None), None)
        if jpeg is not None:
            (folder / PICTURES / f"{sha256}.jpg").write_bytes(jpeg)
            written.append(sha256)
        tell(done, len(said))
    return written


def _hidden(conn: Conn, keys: TenantKeys, media_id: str, sha256: str) -> bytes | None:
    """Returns the kept copy with every face hidden; None where that file has none.

    Faces of subjects who consent to being named are hidden too."""
    execute(conn, _RECORD["share_media"], tenant=keys.tenant, media=media_id)
    row = fetch_one(conn, _RECORD["decision"], tenant=keys.tenant, media=media_id)
    if row is None:
        return None
    decision = from_json(row["document"])
    if decision.media.sha256 != sha256 or any(tag.name == SEVERE_LABEL for tag in decision.tags):
        return None
    kept = open_retained_copy(conn, keys, media_id)
    return redact(kept, decision) if kept is not None else None  # as stored, it names nobody
