"""Text and codes in real photos become tags with a label and a box, and nothing else."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from assent.core.values import Perception, Pixels
from assent.media.codes import CODES_ID
from assent.perceive.text import ocr
from assent.perceive.text.tags import Reader
from assent.perceive.text.words import parse_words
from tests.installed import package_file
from tests.unit.perceive_photos import photo, picture, with_code

WORDS = parse_words("segmentation\nregion-based grey values\nassess")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(ocr.load_ocr(threads=2), WORDS)


def written(*lines: str, size: int = 26, angle: float = 0, over: Pixels | None = None) -> Pixels:
    """A photo with lines written over it, as people do, with an outline."""
    image = Image.fromarray(photo("coffee.png") if over is None else over)
    font = ImageFont.truetype(str(package_file("matplotlib", "mpl-data/fonts/ttf/DejaVuSans.ttf")), size)
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    for n, line in enumerate(lines):
        draw.text((20, 20 + 60 * n), line, "white", font, stroke_width=2, stroke_fill="black")
    turned = layer.rotate(angle, Image.Resampling.BICUBIC)
    image.paste(turned, mask=turned)
    return np.asarray(image)


def labels(seen: Perception) -> Counter[str]:
    return Counter(tag.name for tag in seen.tags)


def test_the_page_is_read(reader: Reader) -> None:
    assert reader.ocr is not None
    said = " ".join(line.text for line in ocr.lines(reader.ocr, photo("page.png")))
    for words in ("Region-based segmentation", "determine markers of the coins", "histogram of grey values"):
        assert words in said


def test_contact_details_over_a_photo(reader: Reader) -> None:
    image = written("anna.b@example.org", "call +49 30 901820", "DE89 3704 0044 0532 0130 00", "www.example.com/shop")
    seen = reader(picture(image), None)
    assert labels(seen) == {
        "text.contact.email": 1,
        "text.contact.phone": 1,
        "text.payment": 1,
        "text.contact.link": 1,
    }
    boxes = {tag.name: tag.box for tag in seen.tags}
    for n, name in enumerate(("text.contact.email", "text.contact.phone", "text.payment", "text.contact.link")):
        box = boxes[name]
        assert box is not None
        x, y, width, height = box
        assert 0 <= x <= 22
        assert abs(y + height / 2 - (35 + 60 * n)) < 15
        assert 100 < width < 500
    assert all(tag.category == "text" and 0.5 < tag.score <= 1 and tag.model == ocr.MODEL_ID for tag in seen.tags)


@pytest.mark.parametrize("angle", [-12, 8])
def test_a_slanted_line_is_read(reader: Reader, angle: float) -> None:
    assert "text.contact.email" in labels(reader(picture(written("", "", "anna.b@example.org", angle=angle)), None))


def test_boxes_are_of_the_whole_picture(reader: Reader) -> None:
    image = written("anna.b@example.org")
    (whole,) = reader(picture(image), None).tags
    (half,) = reader(picture(image, scale=0.5), None).tags
    assert whole.box is not None
    assert half.box is not None
    assert all(abs(b - 2 * a) <= 2 for a, b in zip(whole.box, half.box, strict=True))


def test_national_numbers_go_by_the_region(reader: Reader) -> None:
    one = picture(written("Tel. 030 901820"))
    assert labels(reader(one, "DE")) == {"text.contact.phone": 1}
    assert labels(reader(one, None)) == {}


def test_blocked_words_and_phrases_over_two_lines(reader: Reader) -> None:
    assert labels(reader(picture(photo("page.png")), None)) == {"text.blocked": 1}
    seen = reader(picture(written("this is region-based", "grey values")), None)
    assert labels(seen) == {"text.blocked": 1}
    assert seen.tags[0].box is not None
    assert seen.tags[0].box[3] > 70
    assert labels(reader(picture(written("an assessment")), None)) == {}


def test_nothing_of_the_text_stands_in_what_is_said(reader: Reader) -> None:
    seen = reader(picture(written("anna.b@example.org", "region-based grey values")), None)
    assert seen.tags
    for word in ("anna", "example", "grey", "region"):
        assert word not in repr(seen)
    assert reader.ocr is not None
    assert "anna" not in repr(ocr.lines(reader.ocr, written("anna.b@example.org")))


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "brick.png", "text.png"])
def test_photos_without_contact_details_say_nothing(reader: Reader, name: str) -> None:
    assert reader(picture(photo(name)), "US").tags == ()


def test_each_frame_is_read(reader: Reader) -> None:
    seen = reader(picture(photo("coffee.png"), written("anna.b@example.org"), with_code("hello")), None)
    assert [(tag.name, tag.frame) for tag in seen.tags] == [("text.contact.email", 1), ("text.code", 2)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 4096), (3000, 2), (22, 4096), (33, 33)])
def test_nothing_is_read_from_noise_of_odd_shapes(reader: Reader, shape: tuple[int, int]) -> None:
    noise: Pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    seen = reader(picture(noise), None)
    assert seen.tags == ()
    assert seen.models == (CODES_ID, ocr.MODEL_ID)


@pytest.mark.parametrize(("shape", "left"), [((70, 900), 300), ((1600, 400), 20), ((64, 420), 20)])
def test_an_address_on_a_picture_of_odd_shape_is_read_where_it_stands(
    reader: Reader, shape: tuple[int, int], left: int
) -> None:
    grey: Pixels = np.full((*shape, 3), 120, np.uint8)
    indent = " " * ((left - 20) // 8)  # a space of the font is 8 pixels wide
    seen = reader(picture(written(f"{indent}anna.b@example.org", over=grey)), None)
    assert labels(seen) == {"text.contact.email": 1}
    box = seen.tags[0].box
    assert box is not None
    x, y, width, height = box
    assert abs(x - left) < 20
    assert abs(y + height / 2 - 35) < 12
    assert 220 < width < 320
    assert height < 50


def test_the_words_are_kept_nowhere(reader: Reader) -> None:
    lines = ("anna.b@example.org", "DE89 3704 0044 0532 0130 00", "www.example.com/shop", "region-based grey values")
    seen = reader(picture(written(*lines), with_code("https://quentin.example/")), None)
    assert labels(seen) == {
        "text.contact.email": 1,
        "text.payment": 1,
        "text.contact.link": 2,
        "text.blocked": 1,
        "text.code": 1,
    }
    kept = pickle.dumps(asdict(seen)).lower()
    for word in (b"anna", b"example", b"3704", b"shop", b"grey", b"region", b"quentin", b"https"):
        assert word not in kept


def test_a_wall_of_text_is_read_up_to_a_limit(reader: Reader) -> None:
    image = Image.new("RGB", (960, 1900), "white")
    draw = ImageDraw.Draw(image)
    for n in range(90):
        draw.text((10, 10 + 21 * n), f"line {n} of a very long page", "black", font_size=16)
    assert reader.ocr is not None
    assert 20 < len(ocr.lines(reader.ocr, np.asarray(image))) <= ocr.MOST_LINES


def test_another_file_than_the_known_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from assent.core.errors import ModelUnknown

    monkeypatch.setattr(ocr, "_READER", replace_hash(ocr._READER))
    with pytest.raises(ModelUnknown, match="another file"):
        ocr.load_ocr(threads=1)


def replace_hash(file: ocr._File) -> ocr._File:
    return file._replace(sha256="0" * 64)
