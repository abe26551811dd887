"""Limits how often one author's images may be compared with one subject, so that nobody can probe for a face.

An author is told of a match and of nothing else, no score and no "nearly". A patient author can still post variants
of an image and see which are matched. So the gallery counts, for each author and subject, and beyond a day's budget
the subject is not compared with that author's images for a day. The counts are the host's, in memory, and are gone with
the gallery: each worker host, and each start of the gallery, brings a budget of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg

from assent.core.errors import GalleryUnavailable
from assent.core.values import Match
from assent.db.pool import Conn, execute, fetch
from assent.db.queries import named_queries
from assent.gallery.search import Candidates

# A face comes near a person from this much below the threshold. Strangers do so by chance: by the calibration's
# quantiles 3 faces in 100 where one template is searched, 1 in 1,000 where fifty are.
HIT_MARGIN = 0.10
# Faces a day that come near without being matched, of one author, one person. Who posts friends stays far below: by the
# figures above it takes some 1,600 strangers' faces. Who feels for the edge of a match, and yes or no is all that an
# author sees, misses every other time. Faces count, not pictures: a collage of a hundred variants is spent at once.
PROBE_HITS = 50
# Pictures a day in which the person was among the nearest of a face, near or not: for who tries from afar. Attacks that
# see only yes or no need thousands of tries (Brendel et al., ICLR 2018: 10,000 and more).
PROBED_IMAGES = 500
_Q = named_queries("gallery_memory")


def probe_hits(candidates: Candidates, matches: Sequence[Match], threshold: float) -> Mapping[bytes, int]:
    """Counts, for each subject among the nearest of any face, the faces that came near and were not matched."""
    matched = {(match.face, match.pseudonym) for match in matches}
    hits: dict[bytes, int] = {}
    for face, nearest in enumerate(candidates.faces):
        best = {candidate.pseudonym: candidate.score for candidate in reversed(nearest)}  # a subject's best comes last
        for pseudonym, score in best.items():
            is_hit = score >= threshold - HIT_MARGIN and (face, pseudonym) not in matched
            hits[pseudonym] = hits.get(pseudonym, 0) + is_hit
    return hits


def charge_probe_budget(gallery: Conn, tenant: str, author: bytes, hits: Mapping[bytes, int]) -> list[bytes]:
    """Counts one more image of the author (pseudonym) and returns the subjects not compared with the author for a day.

    `hits` is what `probe_hits` counted in the image. Raises GalleryUnavailable when the gallery is gone.
    """
    if not hits:
        return []
    pair = {"tenant": tenant, "author": author, "pids": list(hits)}
    try:
        execute(gallery, _Q["charge_probe_budget"], **pair, near=list(hits.values()))
        rows = fetch(gallery, _Q["throttle_spent_budgets"], **pair, most_pictures=PROBED_IMAGES, most_near=PROBE_HITS)
    except psycopg.OperationalError as error:
        raise GalleryUnavailable from error
    return [row["pid"] for row in rows]
