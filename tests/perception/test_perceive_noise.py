"""Faces in small, noisy pictures are found because these are smoothed."""

from __future__ import annotations

import pytest

from assent.perceive import Models, perceive
from tests.photos import FACES
from tests.unit.perceive_photos import head, noisy, picture


def test_faces_in_noise_are_found_once_it_is_smoothed(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = [picture(noisy(head(name))) for name in FACES]
    found = sum(bool(seen.faces) for seen in perceive(models, heads, embed=False))
    monkeypatch.setattr("assent.perceive.cleaned", lambda pixels: pixels)
    before = sum(bool(seen.faces) for seen in perceive(models, heads, embed=False))
    assert found >= 5 > before
