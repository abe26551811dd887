"""What is written in a picture reaches its decision as tags; what it says is stored nowhere."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from assent.core.values import MediaRef
from assent.keys.keystore import TenantKeys
from assent.perceive.text import ocr
from assent.perceive.text.tags import Reader
from assent.perceive.text.words import parse_words
from assent.worker.jobs import WorkerContext, decide_event
from tests.command import assent
from tests.events import decision, everything, rows, store
from tests.installed import package_file


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(ocr.load_ocr(threads=2), parse_words("bloody"))


@pytest.fixture
def reading(bench: WorkerContext, reader: Reader) -> WorkerContext:
    return replace(bench, stages=replace(bench.stages, read=reader))


@pytest.fixture(scope="module")
def photo() -> bytes:
    image = Image.open(package_file("skimage", "data/coffee.png")).convert("RGB")
    draw = ImageDraw.Draw(image)
    for n, line in enumerate(("write to quentin@example.org", "Tel. 030 901820", "bloody good coffee")):
        draw.text((20, 20 + 60 * n), line, "white", font_size=30, stroke_width=2, stroke_fill="black")
    out = BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def test_the_decision_says_kinds_and_the_database_no_words(
    reading: WorkerContext, keys: TenantKeys, photo: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    decide_event(reading, "default", store(reading, keys, MediaRef("flyer", None), photo, region="DE"))
    said = decision(reading, keys, "flyer")
    read = [tag for tag in said["tags"] if tag["category"] == "text"]
    assert {tag["name"] for tag in read} == {"text.contact.email", "text.contact.phone", "text.blocked"}
    assert all(tag["model"] == ocr.MODEL_ID for tag in read)
    assert said["action"] == "review"
    assert [rule["id"] for rule in said["rules"]] == ["blocked-words"]
    assert rows(reading, "SELECT reason FROM review_case") == [("blocked-words",)]
    stored = everything(reading) + "".join(capfd.readouterr())
    for word in ("quentin", "901820", "bloody"):
        assert word not in stored


def test_the_region_of_the_event_counts(reading: WorkerContext, keys: TenantKeys, photo: bytes) -> None:
    decide_event(reading, "default", store(reading, keys, MediaRef("flyer", None), photo))
    assert "text.contact.phone" not in {tag["name"] for tag in decision(reading, keys, "flyer")["tags"]}


def test_nothing_is_read_unless_it_is_asked_for(bench: WorkerContext, keys: TenantKeys, photo: bytes) -> None:
    decide_event(bench, "default", store(bench, keys, MediaRef("flyer", None), photo))
    assert [tag for tag in decision(bench, keys, "flyer")["tags"] if tag["category"] == "text"] == []


def test_assent_tag_reads_a_code(environment_with_models: dict[str, str], tmp_path: Path) -> None:
    code = np.asarray(cv2.QRCodeEncoder.create().encode("https://example.org/hello"))
    Image.fromarray(code).resize((300, 300), Image.Resampling.NEAREST).save(tmp_path / "code.png")
    said = assent(environment_with_models | {"ASSENT_READ": "codes"}, "tag", tmp_path / "code.png", "--json")
    assert '"text.code"' in said
    assert '"text.contact.link"' in said
    assert "example.org" not in said
