"""Codes in pictures become tags without any network; what is read is a setting."""

from __future__ import annotations

from collections import Counter

import pytest

from assent.core.errors import ModelMissing
from assent.core.settings import Settings
from assent.core.values import Perception
from assent.media.codes import CODES_ID
from assent.perceive.text import ocr
from assent.perceive.text.tags import Reader, open_reader
from tests.unit.perceive_photos import photo, picture, with_code


def labels(seen: Perception) -> Counter[str]:
    return Counter(tag.name for tag in seen.tags)


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


def test_what_is_read_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    assert open_reader(settings) is None
    codes = open_reader(settings.model_copy(update={"read": "codes"}))
    assert codes is not None
    assert codes.ocr is None
    monkeypatch.setattr(ocr, "PACKAGE", "assent_nowhere")
    with pytest.raises(ModelMissing, match="rapidocr"):
        open_reader(settings.model_copy(update={"read": "text"}))
