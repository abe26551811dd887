"""Altered copies of a picture have features of their own in the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assent.learn.cache import Cache
from assent.learn.dataset import Example
from assent.learn.features import FeatureExtractor, extract_features
from assent.learn.views import LETTERED
from assent.media.sandbox import Decoder
from assent.perceive import open_backbone
from tests.installed import package_file


def test_a_copy_has_features_of_its_own_in_the_cache(tmp_path: Path, decoder: Decoder) -> None:
    base, model = open_backbone(threads=1)
    cache = Cache(tmp_path, base.id, base.width)
    extractor = FeatureExtractor(model, base.width, cache, decoder)
    examples = [Example(package_file("skimage", "data/coffee.png"), "cup")]
    plain, copy, again = (
        extract_features(extractor, examples, lambda: None, view) for view in (None, LETTERED, LETTERED)
    )
    assert plain.sha256 == copy.sha256
    assert not np.allclose(plain.features, copy.features, atol=0.05)
    assert np.array_equal(copy.features, again.features)
    assert len(list(tmp_path.glob("*/*/*"))) == 2
