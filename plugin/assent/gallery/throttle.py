"""Limits how often one author's images may be compared with one subject, so that nobody can probe for a face.

An author is told of a match and of nothing else, no score and no "nearly". A patient author can still post variants
of an image and see which are matched. So the gallery counts, for each author and subject, and beyond a day's budget
the subject is not compared with that author's images for a day. Since an attacker may have many accounts, or invent
authors, a subject has a budget over all authors too: beyond it only their own images are compared with them for a day.
The counts are the host's, in memory, and are gone with the gallery: each worker host, and each start of the gallery,
brings budgets of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psycopg

from assent.core.errors import GalleryUnavailable
from assent.core.values import Match
from assent.db.pool import Conn, execute, fetch
from assent.db.queries import named_queries
from assent.gallery.search import Candidates, SearchSpace

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
# Both once more, over all authors but the person. They are ten authors' budgets: no single author ends it for the
# others, and 10,000 tries take days, each with a leaf in the log. Whom many post stays below. By the quantiles of
# models/calibration a stranger's face comes near in 2 (dlib) to 5 of 100 cases (face-reid-0095) where one template is
# searched, in 1 to 3 of 1,000 where fifty are: it takes 10,000 faces a day. A face of the person comes near unmatched
# in 2 of 100 cases where one is searched, in 19 at most where fifty are: it takes 2,600 pictures of them. And 5,000
# pictures are one a day of each account that a list may hold.
PERSON_HITS = 500
PERSON_IMAGES = 5_000
# Who agreed to be looked for in all posts is compared with every picture of the installation, so that their number says
# nothing of an attack; chance brings 5,000 near misses in 100,000 strangers' faces at least.
ANYONE_HITS = 5_000
_Q = named_queries("gallery_memory")


class Throttled(NamedTuple):
    """A subject whose budget is spent: that of one author's images, or that `of_everybody` but the subject."""

    pseudonym: bytes
    of_everybody: bool


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


def charge_probe_budget(gallery: Conn, space: SearchSpace, hits: Mapping[bytes, int]) -> list[Throttled]:
    """Counts one more image of the space's author and returns the budgets that it spent, each for a day.

    `hits` is what `probe_hits` counted in the image. Raises GalleryUnavailable when the gallery is gone.
    """
    if not hits:
        return []
    counted = {"tenant": space.tenant, "author": space.author, "pids": list(hits), "most_near": PROBE_HITS}
    limits = {
        "most_pictures": PROBED_IMAGES,
        "total_near": PERSON_HITS,
        "total_pictures": PERSON_IMAGES,
        "anyone_near": ANYONE_HITS,
    }
    try:
        execute(gallery, _Q["charge_probe_budget"], **counted, near=list(hits.values()))
        rows = fetch(gallery, _Q["throttle_spent_budgets"], **counted, **limits, anyone=space.anyone)
    except psycopg.OperationalError as error:
        raise GalleryUnavailable from error
    return [Throttled(row["pid"], row["of_everybody"]) for row in rows]
