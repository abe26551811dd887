"""Searches the gallery for candidates near each probe, and decides which candidates are matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector import HalfVector
from psycopg import sql
from psycopg.rows import dict_row

from assent.core.errors import GalleryUnavailable
from assent.core.values import Match
from assent.db.pool import Conn, Row
from assent.db.queries import named_queries
from assent.perceive.faces.calibration import Calibration

_Q = named_queries("gallery_memory")
NEAREST = 5  # templates proposed for each face
# Each refusal ("not me") raises that person's threshold by the first, all of theirs together by at most the second. It
# is a choice. In the 80 genuine pairs of models/calibration/dlib.json five refusals raise the share that is
# missed from 2 % to 4 % where one template is searched, from 25 % to 59 % where fifty are.
STRICTER, STRICTEST = 0.02, 0.10
# A second person this close to the best one leaves it open who is meant. Measured with the default pack on 40 stills of
# eight people, each against the other 39: the right person led everybody else by 0.23 or more (median 0.42); where the
# person was left out, the nearest stranger led the next one by less than 0.05 in a quarter of the cases (median 0.10).
MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The templates that may be compared with the faces of one author's images; nobody else is ever compared.

    They are those of the author (any scope); of `connections` all who consented to `connections` or `anyone`; and,
    only if `anyone`, all who consented to that.
    """

    tenant: str
    model: str
    author: bytes  # pseudonym
    connections: Sequence[bytes] = ()  # pseudonyms of those who chose the author
    anyone: bool = False

    def values(self) -> dict[str, object]:
        """Returns the parameters of the queries."""
        return {**asdict(self), "connections": list(self.connections)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One template near a face; `score` is the cosine, −1 to 1. The score stays inside: only a band is returned."""

    pseudonym: bytes
    template: UUID
    version: int
    score: float
    strictness: float = 0.0  # how much more than others the person asks for

    @property
    def merit(self) -> float:
        """Returns the score less the subject's own strictness, to compare with the common threshold."""
        return self.score - self.strictness


@dataclass(frozen=True, slots=True)
class Candidates:
    """The number of templates compared with each face, and for each face the nearest candidates, best first."""

    searched: int
    faces: tuple[tuple[Candidate, ...], ...]


def search(gallery: Conn, space: SearchSpace, probes: NDArray[np.float32]) -> Candidates:
    """Compares all faces of an image, `probes` (n, d), with the templates of the search space, in one round trip.

    `gallery` went through `memory.prepare_gallery`. Raises GalleryUnavailable when the gallery is gone or has not been
    filled yet.
    """
    if len(probes) == 0:
        return Candidates(0, ())
    values = {**space.values(), "nearest": NEAREST}
    vectors = [HalfVector(probe) for probe in probes]
    if space.anyone:
        named = {f"probe{n}": vector for n, vector in enumerate(vectors)}
        rows = _ask(gallery, _tenant_search(len(vectors)), values | named | {"count": len(vectors)})
    else:
        rows = _ask(gallery, _Q["search_candidates"], values | {"probes": vectors})
    faces: list[list[Candidate]] = [[] for _ in vectors]
    for row in rows:
        if row["pid"] is not None:
            candidate = Candidate(row["pid"], row["template_id"], row["version"], row["score"], row["strictness"])
            faces[row["face"]].append(candidate)
    return Candidates(rows[0]["searched"], tuple(tuple(nearest) for nearest in faces))


def count_candidates(gallery: Conn, space: SearchSpace) -> int:
    """Counts the templates that `search` would compare each face with. Raises GalleryUnavailable as it does."""
    count: int = _ask(gallery, _Q["count_candidates"], space.values())[0]["size"]
    return count


def _tenant_search(faces: int) -> sql.Composed:
    """Composes the search of a whole tenant.

    A large table is scanned once a face, not copied as a smaller search space is: 43 ms against 97 for one face and
    100,000 templates of 128 numbers, 220 against 242 for eight.
    """
    branch = _Q["search_one_face"]
    branches = [branch.format(face=sql.Literal(n), probe=sql.Placeholder(f"probe{n}")) for n in range(faces)]
    return _Q["search_whole_tenant"].format(faces=sql.SQL(" UNION ALL ").join(branches))


def _ask(gallery: Conn, question: sql.SQL | sql.Composed, values: dict[str, object]) -> list[Row]:
    try:
        with gallery.cursor(row_factory=dict_row) as cursor:
            # Not prepared: a generic plan would not know how large this search space is.
            rows = cursor.execute(question, values, prepare=False).fetchall()
    except psycopg.OperationalError as error:
        raise GalleryUnavailable from error
    if not rows[0]["ready"]:
        raise GalleryUnavailable("the in-memory gallery is still being filled")
    return rows


def select_matches(candidates: Candidates, calibration: Calibration, fpir: float = 0.01) -> tuple[Match, ...]:
    """Returns the matches that hold at that FPIR, by face; `Match.face` is the row of `probes`.

    A face goes to its nearest person if the score reaches the threshold for as many templates as were searched, higher
    by what that person refused, and no other person comes within MARGIN of it. Where all the nearest templates are one
    person's, nobody else is close enough to ask about. A person is found at most once in a picture: in the face that
    resembles them best.
    Raises GalleryTooLarge when the calibration supports no search of that size.
    """
    if candidates.searched == 0:
        return ()
    threshold = calibration.threshold(candidates.searched, fpir)
    clear = [
        (nearest[0], face) for face, nearest in enumerate(candidates.faces) if nearest and _clear(nearest, threshold)
    ]
    matches: dict[bytes, Match] = {}
    for best, face in sorted(clear, key=lambda pair: pair[0].score, reverse=True):
        band = calibration.band(best.merit, candidates.searched)
        if band is not None and best.pseudonym not in matches:
            matches[best.pseudonym] = Match(face, best.pseudonym, best.template, best.version, band)
    return tuple(sorted(matches.values(), key=lambda match: match.face))


def _clear(nearest: tuple[Candidate, ...], threshold: float) -> bool:
    """Tells whether the best candidate reaches the threshold and leads every other subject by MARGIN."""
    best = nearest[0]
    rival = max((other.score for other in nearest if other.pseudonym != best.pseudonym), default=-1.0)
    return best.merit >= threshold and best.score - rival >= MARGIN
