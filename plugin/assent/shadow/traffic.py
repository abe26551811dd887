"""Compares a head on trial with the live heads on the same images.

It counts the labels that both gave and that only one of them gave, and how often each agreed with a moderator.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from assent.db.pool import Conn, fetch, fetch_one
from assent.db.queries import named_queries

TRIAL_IMAGES = 100_000  # the newest of a trial that are kept
_Q = named_queries("feedback")


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """The numbers of images that got a label from both, or from one alone.

    Of those that a moderator judged for that label, it also says on how many each was right.
    """

    label: str
    both: int = 0
    only_live: int = 0
    only_candidate: int = 0
    corrected: int = 0
    live_right: int = 0
    candidate_right: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The results of a trial so far; labels that nobody gave or judged are left out."""

    pictures: int
    since: datetime | None
    labels: tuple[LabelCounts, ...]

    def document(self) -> dict[str, Any]:
        """Returns the comparison as JSON values, without times."""
        return {"pictures": self.pictures, "labels": [asdict(counts) for counts in self.labels]}


def compare_heads(conn: Conn, tenant: str, head: str) -> Comparison:
    """Returns the results of the trial of the head with that sha256."""
    key = {"tenant": tenant, "head": head}
    images = fetch_one(conn, _Q["count_trial_images"], **key) or {"pictures": 0, "since": None}
    given = {row["label"]: row for row in fetch(conn, _Q["count_trial_labels"], **key)}
    agreement = {row["label"]: row for row in fetch(conn, _Q["count_trial_agreement"], **key)}
    labels = sorted(given.keys() | agreement.keys())
    counts = [LabelCounts(**{"label": label, **given.get(label, {}), **agreement.get(label, {})}) for label in labels]
    return Comparison(images["pictures"], images["since"], tuple(counts))


def write_csv(comparison: Comparison, path: Path) -> None:
    """Writes the comparison as CSV, one row for each label."""
    with path.open("w", newline="", encoding="utf-8") as out:
        rows = csv.DictWriter(out, [field.name for field in fields(LabelCounts)])
        rows.writeheader()
        rows.writerows(asdict(counts) for counts in comparison.labels)


def write_svg(comparison: Comparison, path: Path, title: str) -> None:
    """Draws the comparison as bars: both, only live, only the candidate. Needs matplotlib (extra `learn`)."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    parts = (("both", "#7a8a99"), ("only_live", "#b3541e"), ("only_candidate", "#0b7a68"))
    names = [counts.label for counts in comparison.labels]
    with mpl.rc_context({"svg.hashsalt": "assent", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 1.2 + 0.3 * max(1, len(names))), layout="constrained")
        axes = figure.subplots()
        left = [0] * len(names)
        for part, colour in parts:
            widths = [int(getattr(counts, part)) for counts in comparison.labels]
            axes.barh(names, widths, left=left, color=colour, label=part.replace("_", " "))
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set(title=f"{title}: {comparison.pictures} pictures", xlabel="pictures")
        axes.invert_yaxis()
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})
