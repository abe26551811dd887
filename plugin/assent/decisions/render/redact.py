"""Hides everybody in an image who did not agree to be recognised.

The redacted image is made from the copy that was kept when the image was decided. Only faces that the models found are
hidden: one that they missed stays as it is.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from assent.core.boxes import scaled_box
from assent.core.values import Picture
from assent.decisions.document import Decision
from assent.decisions.render.annotate import hide

KEPT_SIDE = 2048  # pixels of the longer side
_QUALITY = 88


def retained_jpeg(picture: Picture) -> bytes:
    """Returns the first frame as JPEG, at most 2,048 pixels a side."""
    image = Image.fromarray(picture.frames[0].pixels)
    image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    return _jpeg(image)


def redact(copy: bytes, decision: Decision) -> bytes:
    """Hides in a kept copy every face without a match in this decision, and what its policy hides. JPEG in and out."""
    image = Image.open(BytesIO(copy)).convert("RGB")
    scale = image.width / (decision.media.width or image.width)
    for face in decision.faces:
        if face.frame == 0 and not face.match:
            hide(image, scaled_box(face.box, scale))
    for box in decision.redact:
        hide(image, scaled_box(box, scale))
    return _jpeg(image)


def _jpeg(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
