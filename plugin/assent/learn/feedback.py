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
from assent.core.values import MediaItem
from assent.db.pool import Conn, Pool, Row, execute, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.decisions.document import from_json
from assent.decisions.render.redact import redact
from assent.decisions.store import open_retained_copy
from assent.hashlists.search import SEVERE_LABEL
from assent.keys.keystore import TenantKeys
from assent.perceive.labels.heads import NONE

CORRECTIONS_FILE, REFUSALS_FILE, LABELS_FILE = "corrections.csv", "not-me.csv", "labels.csv"
IMAGES_FOLDER = "pictures"
_Q, _RECORD = named_queries("feedback"), named_queries("record")


class Exported(NamedTuple):
    """The number of corrections written, of their images, and of those images that still had a kept copy."""

    corrections: int
    images: int
    copies: int


def export_corrections(
    pool: Pool,
    keys: TenantKeys,
    folder: Path,
    below: str | None,
    with_images: bool,
    progress: Callable[[int, int], None],
) -> Exported:
    """Writes corrections and counts of refusals into a new or empty folder, readable by its owner alone.

    `corrections.csv` (sha256, label, holds, at) and `not-me.csv` (band, times: counts only). With `with_images` also
    the kept copies, every face hidden, as `pictures/<sha256>.jpg`, and `labels.csv` (path, label) over them.

    `below`: only labels of that group, as a head is for one. An image of which labels were only denied is one of class
    `none`. `progress` is called with the number of images done and of all. Raises ExportRefused.
    """
    _prepare(folder)
    with transaction(pool) as conn:  # noted before anything is written
        rows = [row for row in fetch(conn, _Q["list_corrections"], tenant=keys.tenant) if is_below(row["label"], below)]
        refused = fetch(conn, _Q["list_refused_bands"], tenant=keys.tenant)
        images = corrected_images(rows)
        counts = {"corrections": len(rows), "below": below, "pictures": len(images) if with_images else 0}
        append(conn, keys, "corrections.exported", counts, [], datetime.now(UTC))
    lines = [[row["media_sha256"], row["label"], str(row["holds"]).lower(), rfc3339(row["at"])] for row in rows]
    _write_csv(folder / CORRECTIONS_FILE, ("sha256", "label", "holds", "at"), lines)
    _write_csv(folder / REFUSALS_FILE, ("band", "times"), ([row["band"], row["times"]] for row in refused))
    copies = _write_images(pool, keys, folder, images, progress) if with_images else []
    if with_images:
        classes = [[f"{IMAGES_FOLDER}/{sha256}.jpg", name] for sha256 in copies for name in images[sha256].labels]
        _write_csv(folder / LABELS_FILE, ("path", "label"), classes)
    return Exported(len(rows), len(images), len(copies))


class CorrectedImage(NamedTuple):
    """An image's classes, and the media items under which moderators corrected it."""

    labels: tuple[str, ...]
    items: tuple[MediaItem, ...]


def corrected_images(rows: Sequence[Row]) -> dict[str, CorrectedImage]:
    """Groups rows, which are in the order of sha256, by image: the labels that hold, `none` where all were denied."""
    images: dict[str, CorrectedImage] = {}
    for sha256, group in groupby(rows, key=itemgetter("media_sha256")):
        of_image = list(group)
        labels = tuple(row["label"] for row in of_image if row["holds"])
        items = dict.fromkeys(MediaItem(row["source"], row["media_id"]) for row in of_image)
        images[sha256] = CorrectedImage(labels or (NONE,), tuple(items))
    return images


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


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(columns)
        lines.writerows(rows)


def _write_images(
    pool: Pool,
    keys: TenantKeys,
    folder: Path,
    images: Mapping[str, CorrectedImage],
    progress: Callable[[int, int], None],
) -> list[str]:
    """Writes the kept copies, and returns the sha256 of the images that still had one."""
    (folder / IMAGES_FOLDER).mkdir(mode=0o700)
    written = []
    for done, (sha256, image) in enumerate(images.items(), 1):
        with transaction(pool) as conn:
            copies = (_redacted_copy(conn, keys, item, sha256) for item in image.items)
            jpeg = next((copy for copy in copies if copy is not None), None)
        if jpeg is not None:
            (folder / IMAGES_FOLDER / f"{sha256}.jpg").write_bytes(jpeg)
            written.append(sha256)
        progress(done, len(images))
    return written


def _redacted_copy(conn: Conn, keys: TenantKeys, item: MediaItem, sha256: str) -> bytes | None:
    """Returns the kept copy with every face hidden; None where that file has none.

    Faces of subjects who consent to being named are hidden too."""
    execute(conn, _RECORD["lock_media_shared"], **item.key(keys.tenant))
    row = fetch_one(conn, _RECORD["read_newest_decision"], **item.key(keys.tenant))
    if row is None:
        return None
    decision = from_json(row["document"])
    if decision.media.sha256 != sha256 or any(tag.name == SEVERE_LABEL for tag in decision.tags):
        return None
    copy = open_retained_copy(conn, keys, item)
    return redact(copy, decision) if copy is not None else None  # as stored, it names nobody
