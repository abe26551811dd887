"""Text and codes in real photos become tags with a label and a box, and nothing else."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from assent.errors import ModelMissing
from assent.perceive import ocr
from assent.perceive.text import CODES_ID, Reader, open_reader
from assent.perceive.words import parse
from assent.settings import Settings
from assent.values import Frame, Perception, Picture, Pixels
from tests.installed import package_file

WORDS = parse("segmentation\nregion-based grey values\nassess")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(ocr.load(threads=2), WORDS)


def photo(name: str) -> Image.Image:
    return Image.open(package_file("skimage", f"data/{name}")).convert("RGB")


def written(*lines: str, size: int = 26, angle: float = 0) -> Image.Image:
    """A photo with lines written over it, as people do, with an outline."""
    image = photo("coffee.png")
    font = ImageFont.truetype(str(package_file("matplotlib", "mpl-data/fonts/ttf/DejaVuSans.ttf")), size)
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    for n, line in enumerate(lines):
        draw.text((20, 20 + 60 * n), line, "white", font, stroke_width=2, stroke_fill="black")
    turned = layer.rotate(angle, Image.Resampling.BICUBIC)
    image.paste(turned, mask=turned)
    return image


def with_code(text: str, side: int = 200) -> Image.Image:
    code = cv2.QRCodeEncoder.create().encode(text)
    image = photo("coffee.png")
    image.paste(Image.fromarray(np.asarray(code)).resize((side, side), Image.Resampling.NEAREST), (300, 100))
    return image


def picture(*images: Image.Image, scale: float = 1.0) -> Picture:
    frames = tuple(Frame(n, np.asarray(one), scale) for n, one in enumerate(images))
    width, height = (round(side / scale) for side in images[0].size)
    return Picture("ab" * 32, "png", width, height, len(frames), frames)


def labels(seen: Perception) -> Counter[str]:
    return Counter(tag.name for tag in seen.tags)


def test_the_page_is_read(reader: Reader) -> None:
    assert reader.ocr is not None
    said = " ".join(line.text for line in ocr.lines(reader.ocr, np.asarray(photo("page.png"))))
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
    assert "anna" not in repr(ocr.lines(reader.ocr, np.asarray(written("anna.b@example.org"))))


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "brick.png", "text.png"])
def test_photos_without_contact_details_say_nothing(reader: Reader, name: str) -> None:
    assert reader(picture(photo(name)), "US").tags == ()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("https://example.org/hello", "text.contact.link"),
        ("tel:+4930901820", "text.contact.phone"),
        ("mailto:anna@example.org", "text.contact.email"),
        ("bitcoin:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "text.payment"),
    ],
)
def test_a_code_and_what_it_is_for_without_the_extra(text: str, label: str) -> None:
    seen = Reader()(picture(with_code(text)), None)
    assert labels(seen) == {"text.code": 1, label: 1}
    assert seen.models == (CODES_ID,)
    for tag in seen.tags:
        assert tag.box is not None
        x, y, width, _ = tag.box
        assert 290 < x < 330
        assert 90 < y < 130
        assert 150 < width < 210
    assert "example" not in repr(seen)


def test_a_code_with_words_is_a_code_and_no_link() -> None:
    assert labels(Reader()(picture(with_code("just words")), None)) == {"text.code": 1}
    assert Reader()(picture(photo("coffee.png")), None).tags == ()


def test_each_frame_is_read(reader: Reader) -> None:
    seen = reader(picture(photo("coffee.png"), written("anna.b@example.org"), with_code("hello")), None)
    assert [(tag.name, tag.frame) for tag in seen.tags] == [("text.contact.email", 1), ("text.code", 2)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 4096), (3000, 2), (22, 4096), (33, 33)])
def test_odd_shapes_are_read_without_an_error(reader: Reader, shape: tuple[int, int]) -> None:
    noise: Pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    reader(picture(Image.fromarray(noise)), None)


def test_a_wall_of_text_is_read_up_to_a_limit(reader: Reader) -> None:
    image = Image.new("RGB", (960, 1900), "white")
    draw = ImageDraw.Draw(image)
    for n in range(90):
        draw.text((10, 10 + 21 * n), f"line {n} of a very long page", "black", font_size=16)
    assert reader.ocr is not None
    assert 20 < len(ocr.lines(reader.ocr, np.asarray(image))) <= ocr.MOST_LINES


def test_what_is_read_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    assert open_reader(settings) is None
    codes = open_reader(settings.model_copy(update={"read": "codes"}))
    assert codes is not None
    assert codes.ocr is None
    monkeypatch.setattr(ocr, "PACKAGE", "assent_nowhere")
    with pytest.raises(ModelMissing, match="rapidocr"):
        open_reader(settings.model_copy(update={"read": "text"}))


def test_another_file_than_the_known_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from assent.errors import ModelUnknown

    monkeypatch.setattr(ocr, "_READER", replace_hash(ocr._READER))
    with pytest.raises(ModelUnknown, match="another file"):
        ocr.load(threads=1)


def replace_hash(file: ocr._File) -> ocr._File:
    return file._replace(sha256="0" * 64)
