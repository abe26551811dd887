"""Letters drawn over a photo make no clothes and no groceries of it; heads learned from other letters than these."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from assent.core.values import Pixels
from assent.perceive import Models
from assent.perceive.labels.heads import predict_tags
from assent.perceive.networks.backend import classify_with_features
from tests.installed import package_file

PHOTOS = (
    *(("skimage", f"data/{name}") for name in ("coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")),
    *(("skimage", f"data/{name}") for name in ("page.png", "text.png", "brick.png", "horse.png", "camera.png")),
    *(("sklearn", f"datasets/images/{name}") for name in ("china.jpg", "flower.jpg")),
)
LINES = ("write to quentin@example.org", "Tel. 030 901820", "bloody good coffee")


def drawn_on(image: Image.Image, part: int, ink: str, rim: str, font: str) -> Pixels:
    """The photo with three lines, one a `part` of its height."""
    size = max(10, image.height // part)
    face = ImageFont.truetype(str(package_file("matplotlib", f"mpl-data/fonts/ttf/{font}.ttf")), size)
    made, top = image.copy(), image.height // 12
    for number, line in enumerate(LINES):
        place = (image.width // 20, top + number * size * 3 // 2)
        ImageDraw.Draw(made).text(place, line, ink, face, stroke_width=size // 12, stroke_fill=rim)
    return np.asarray(made)


@pytest.mark.parametrize(("package", "name"), PHOTOS, ids=lambda value: str(value).split("/")[-1])
def test_nothing_is_worn_or_sold_where_only_letters_are(models: Models, package: str, name: str) -> None:
    assert [head.file.name for head in models.heads] == ["clothing", "grocery"]
    image = Image.open(package_file(package, name)).convert("RGB")
    ways = [
        drawn_on(image, part, *inks, font)
        for part in (16, 10, 7)
        for inks in (("white", "black"), ("black", "white"), ("red", "yellow"))
        for font in ("DejaVuSans", "DejaVuSerif-Bold")
    ]
    seen = classify_with_features(models.backbone, [np.asarray(image), *ways])
    features = np.stack([one.features for one in seen if one.features is not None])
    assert predict_tags(models.heads, features, list(range(len(ways) + 1))) == ()
