"""The default pack tells known people apart about as well as its calibration says."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from assent.perceive import Models, perceive
from tests.unit.perceive_photos import known_people, picture, read


def test_photos_of_one_person_score_above_photos_of_two(models: Models) -> None:
    people = known_people()
    paths = [(name, path) for name, photos in people.items() for path in photos]
    seen = perceive(models, [picture(read(path)) for _, path in paths])
    assert [len(p.faces) for p in seen] == [1] * len(paths)
    known = [(name, p.faces[0].embedding) for (name, _), p in zip(paths, seen, strict=True)]
    scores = [(a == b, float(np.vdot(u, v))) for (a, u), (b, v) in combinations(known, 2) if u is not None is not v]
    genuine = np.array([score for same, score in scores if same])
    impostor = np.array([score for same, score in scores if not same])
    assert len(genuine) == 80
    assert np.median(genuine) > 0.70
    assert np.quantile(genuine, 0.1) > 0.55
    assert np.quantile(impostor, 0.99) < 0.60
    assert (genuine >= models.calibration.threshold(1)).mean() > 0.95
    assert impostor.max() < models.calibration.impostor_max
