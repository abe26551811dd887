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
_DRAFT = 4


def retained_jpeg(picture: Picture) -> bytes:
    """Returns the first frame as JPEG, at most 2,048 pixels a side."""
    image = Image.fromarray(picture.frames[0].pixels)
    image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    return _jpeg(image)


def redact(copy: bytes, decision: Decision, side: int | None = None) -> bytes:
    """Hides in a kept copy every face without a match in this decision, and what its policy or a moderator hides.

    `side`: pixels of the longer side that the result has at most, for a look at what a picture is like and no closer.
    JPEG in and out.
    """
    file = Image.open(BytesIO(copy))
    if side is not None:
        file.draft("RGB", (_DRAFT * side, _DRAFT * side))  # the decoder's own scaling, a few times as large
    image = _hidden(file.convert("RGB"), decision)
    if side is not None:
        image.thumbnail((side, side), Image.Resampling.BOX)
    return _jpeg(image)


def _hidden(image: Image.Image, decision: Decision) -> Image.Image:
    scale = image.width / (decision.media.width or image.width)
    for face in decision.faces:
        if face.frame == 0 and not face.match:
            hide(image, scaled_box(face.box, scale))
    for box in decision.redact:
        hide(image, scaled_box(box, scale))
    return image


def _jpeg(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
