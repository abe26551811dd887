"""Altered copies of the people in the group photo, as somebody would enrol with another photo of themselves."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageEnhance, ImageOps

from assent.core.values import Box

# Where six_people shows faces, left to right; the boxes are those that the default pack finds.
FACES: dict[str, Box] = {
    "far-left": (58, 286, 119, 115),
    "second": (275, 169, 107, 104),
    "third": (452, 307, 119, 107),
    "fourth": (740, 379, 108, 95),
    "fifth": (901, 80, 127, 120),
    "far-right": (1122, 297, 109, 101),
}


def saved_at(photo: bytes, quality: int) -> bytes:
    """Another file of the photo: a JPEG of that quality."""
    out = BytesIO()
    Image.open(BytesIO(photo)).convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


def altered(photo: bytes, box: Box, *, brightness: float = 1.15) -> bytes:
    """The face with a margin, mirrored, brightened and compressed again (JPEG)."""
    image = Image.open(BytesIO(photo)).convert("RGB")
    x, y, width, height = box
    crop = image.crop((x - width // 4, y - height // 4, x + width + width // 4, y + height + height // 4))
    out = BytesIO()
    ImageEnhance.Brightness(ImageOps.mirror(crop)).enhance(brightness).save(out, "JPEG", quality=80)
    return out.getvalue()
