"""From scores to a calibration: what few people support, and that a promise holds for people who were not measured."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from assent.core.errors import DatasetUnusable
from assent.learn.calibrate import calibration_of, calibration_table, write_calibration
from assent.learn.dataset import Example
from assent.learn.faces import FaceScores, LabelledFaces, all_pairs, score_faces
from assent.perceive.faces.calibration import read_calibration

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
DIMENSION = 48
_AWAY = np.random.default_rng(1).normal(size=DIMENSION).astype(np.float32)  # where all faces lie, as real ones do


def known(people: int, photos: int = 2, seed: int = 2) -> LabelledFaces:
    """Faces of people scattered around one place; a person's photos lie closer together."""
    random = np.random.default_rng(seed)
    whose = np.repeat(np.arange(people), photos)
    centres = _AWAY + 0.7 * random.normal(size=(people, DIMENSION))
    raw = centres[whose] + 0.3 * random.normal(size=(len(whose), DIMENSION))
    return LabelledFaces(tuple(f"p{n:03}" for n in range(people)), raw.astype(np.float32), whose)


def strangers(faces: FaceScores) -> np.ndarray:
    pairs = all_pairs(faces)
    return pairs.scores[~pairs.same]


def test_each_pair_is_centred_by_all_others() -> None:
    faces = known(5, 3)
    found = score_faces(faces, None)
    for one in range(15):
        for other in range(15):
            left, right = faces.person_of[one], faces.person_of[other]
            rest = [n for n in range(5) if n not in (left, right)]
            mean = np.mean([faces.raw[faces.person_of == n].mean(axis=0) for n in rest], axis=0)
            u, v = faces.raw[one] - mean, faces.raw[other] - mean
            assert found.scores[one, other] == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v), abs=1e-5)


def test_few_people_are_not_made_less_alike_by_their_own_mean() -> None:
    few = known(8, 5)
    mean = few.means.mean(axis=0)
    assert strangers(score_faces(few, mean)).mean() == pytest.approx(-1 / 7, abs=0.03)
    later = strangers(score_faces(known(300, seed=3), mean)).mean()  # those who will be compared by that mean
    assert strangers(score_faces(few, None)).mean() == pytest.approx(later, abs=0.04)


def test_the_share_of_strangers_that_is_promised_holds_for_people_who_were_not_measured() -> None:
    faces = known(80)
    made = calibration_of(score_faces(faces, None), faces.means.mean(axis=0), "m", "d")
    others = strangers(score_faces(known(300, seed=3), made.mean))
    for below, score in made.quantiles:
        assert (others >= score).mean() == pytest.approx(1 - below, rel=0.25)
    assert (others >= made.threshold(1)).mean() < 0.013
    assert (others >= made.threshold(made.templates_supported())).mean() < 0.002


def test_twenty_four_people_support_nothing_and_twenty_five_one_template() -> None:
    mean = np.zeros(DIMENSION, np.float32)
    with pytest.raises(DatasetUnusable, match="24 people make 276 pairs of different people"):
        calibration_of(score_faces(known(24, 40), mean), mean, "m", "d")  # however many photos
    few = calibration_of(score_faces(known(25), mean), mean, "m", "d")
    assert few.templates_supported() == 1
    assert few.threshold(1) == few.impostor_max
    assert calibration_of(score_faces(known(547), mean), mean, "m", "d").templates_supported() == 500


def test_who_has_many_photos_is_one_person_all_the_same() -> None:
    faces = known(40, 1)
    often = np.concatenate([np.arange(40), np.repeat([0, 1], 60)])
    # The two are look-alikes, in each of their photos.
    raw = faces.raw.copy()
    raw[1] = raw[0] + 0.1
    mean = faces.means.mean(axis=0)
    repeated = LabelledFaces(faces.people, raw[often], faces.person_of[often])
    once = np.concatenate([np.arange(40), [2]])  # somebody needs a second photo
    single = LabelledFaces(faces.people, raw[once], faces.person_of[once])
    plain, heavy = (calibration_of(score_faces(one, mean), mean, "m", "d") for one in (single, repeated))
    assert [score for _, score in heavy.quantiles] == pytest.approx([score for _, score in plain.quantiles], abs=0.02)
    assert heavy.impostor_pairs == plain.impostor_pairs == 780


def test_the_file_reads_back_and_carries_what_justifies_it(tmp_path: Path) -> None:
    faces = known(30)
    found = score_faces(faces, None)
    made = calibration_of(found, faces.means.mean(axis=0), "m@1", "d@2")
    examples = []
    for n, person in enumerate(faces.person_of):
        (tmp_path / f"{n}.png").write_bytes(bytes([n]))
        examples.append(Example(tmp_path / f"{n}.png", faces.people[person]))
    path = tmp_path / "new" / "m-1.json"
    write_calibration(path, made, found, examples, "assent eval faces X --calibrate", AT)
    back = read_calibration(path)
    assert (back.model, back.detector, back.impostor_pairs, back.impostor_max) == ("m@1", "d@2", 435, made.impostor_max)
    assert back.quantiles == made.quantiles
    assert np.array_equal(back.mean, made.mean)
    said = json.loads(path.read_text())
    assert (said["people"], said["faces"], said["genuine_pairs"], said["templates_supported"]) == (30, 60, 30, 1)
    assert said["measured_at"] == "2026-01-31T12:00:00+00:00"
    assert said["equal_error_rate"] < 0.05
    assert "p001" not in path.read_text()
    before = said["photos_sha256"]
    renamed = [Example(one.path, f"other {one.label}") for one in reversed(examples)]
    write_calibration(path, made, found, renamed, "", AT)
    assert json.loads(path.read_text())["photos_sha256"] == before
    swapped = [*examples[:-1], Example(examples[-1].path, examples[0].label)]
    write_calibration(path, made, found, swapped, "", AT)
    assert json.loads(path.read_text())["photos_sha256"] != before
    assert [path.name for path in path.parent.iterdir()] == ["m-1.json"]


def test_the_table_says_what_is_supported() -> None:
    mean = np.zeros(DIMENSION, np.float32)
    rows = calibration_table(calibration_of(score_faces(known(100), mean), mean, "m", "d")).rows
    assert rows[0] == ("templates supported", 16, 1)
    assert [row[0] for row in rows[1:]] == ["threshold among 1", "threshold among 10", "threshold among 16"]
    assert rows[1][1] <= rows[2][1] <= rows[3][1]  # type: ignore[operator]  # figures all
