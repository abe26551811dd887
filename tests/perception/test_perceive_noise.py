"""Faces in small, noisy pictures are found because these are smoothed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from assent.perceive import Models, perceive
from assent.values import Pixels
from tests.photos import FACES
from tests.unit.perceive_photos import photo, picture


def head(name: str) -> Pixels:
    """One of the six people, 150 pixels wide."""
    x, y, width, height = FACES[name]
    part = photo("t1.jpg")[max(0, y - height // 3) : y + height * 4 // 3, max(0, x - width // 3) : x + width * 4 // 3]
    return np.asarray(cv2.resize(part, (150, 150)), np.uint8)


def noisy(pixels: Pixels) -> Pixels:
    added = np.random.default_rng(3).normal(0, 25, pixels.shape)
    return np.asarray(np.clip(pixels + added, 0, 255), np.uint8)


def test_faces_in_noise_are_found_once_it_is_smoothed(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = [picture(noisy(head(name))) for name in FACES]
    found = sum(bool(seen.faces) for seen in perceive(models, heads, embed=False))
    monkeypatch.setattr("assent.perceive.cleaned", lambda pixels: pixels)
    before = sum(bool(seen.faces) for seen in perceive(models, heads, embed=False))
    assert found >= 5 > before
