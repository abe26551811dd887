"""A face is named when it is near enough to one person and to nobody else, and nobody is named twice."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest

from assent.core.errors import GalleryTooLarge
from assent.gallery.search import MARGIN, Candidate, Candidates, select_matches
from assent.perceive.faces.calibration import Calibration

CALIBRATION = Calibration(
    model="test",
    mean=np.zeros(128, np.float32),
    quantiles=((0.5, 0.1), (0.9, 0.3), (0.99, 0.5), (0.999, 0.6), (0.9999, 0.7), (0.99998, 0.75)),
    impostor_max=0.8,
    impostor_pairs=170_000,
)
ANA, BEA = b"a" * 32, b"b" * 32


def near(*found: tuple[bytes, float]) -> tuple[Candidate, ...]:
    return tuple(Candidate(pid, UUID(int=n), 1, score) for n, (pid, score) in enumerate(found))


def named(searched: int, *faces: tuple[Candidate, ...]) -> list[tuple[int, bytes, str]]:
    matches = select_matches(Candidates(searched, faces), CALIBRATION)
    return [(match.face, match.pseudonym, match.band) for match in matches]


def test_near_enough() -> None:
    assert named(100, near((ANA, 0.9), (BEA, 0.4))) == [(0, ANA, "strong")]


def test_just_below_and_at_the_threshold() -> None:
    threshold = CALIBRATION.threshold(100)
    assert named(100, near((ANA, threshold - 1e-6))) == []
    assert named(100, near((ANA, threshold))) == [(0, ANA, "likely")]


def test_more_templates_ask_for_more() -> None:
    score = CALIBRATION.threshold(10) + 0.01
    assert named(10, near((ANA, score)))
    assert not named(500, near((ANA, score)))


def test_two_people_alike_name_nobody() -> None:
    assert named(100, near((ANA, 0.9), (BEA, 0.9 - MARGIN + 0.001))) == []
    assert named(100, near((ANA, 0.9), (BEA, 0.9 - MARGIN - 0.001))) == [(0, ANA, "strong")]


def test_more_templates_of_the_same_person_are_no_rivals() -> None:
    assert named(100, near(*[(ANA, 0.9 - n / 1000) for n in range(5)])) == [(0, ANA, "strong")]


def test_a_person_is_in_a_picture_once_in_the_best_face() -> None:
    assert named(100, near((ANA, 0.85)), near((ANA, 0.95)), near((BEA, 0.9))) == [
        (1, ANA, "strong"),
        (2, BEA, "strong"),
    ]


def test_nobody_searched_nobody_named() -> None:
    assert named(0, ()) == []
    assert named(5, ()) == []


def test_a_wider_promise_is_kept() -> None:
    score = CALIBRATION.threshold(100, 0.01) + 1e-6
    assert select_matches(Candidates(100, (near((ANA, score)),)), CALIBRATION, fpir=0.003) == ()


def test_more_than_the_calibration_supports_is_refused() -> None:
    with pytest.raises(GalleryTooLarge):
        named(100_000, near((ANA, 0.99)))
