"""Draws a decision onto its image; every face without a published match is made unrecognisable first."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from assent.core.boxes import scaled_box
from assent.core.display import visible
from assent.core.values import Box, Frame
from assent.decisions.document import Decision

LONGEST_SIDE = 1600  # pixels of the drawing
CELLS = 5  # a hidden face keeps this many blocks a side, then these are blurred
GROWTH = 1.6  # the hidden ellipse against the box: an ellipse through the box's corners needs √2
MATCHED, TAGGED = "#0b7a68", "#b3541e"


def annotate(frame: Frame, decision: Decision) -> Image.Image:
    """Returns a frame (RGB) with the boxes and names of a decision that belong to it, at most 1,600 pixels a side.

    Tags without a box and those of other frames are left out.
    """
    image = Image.fromarray(frame.pixels)
    faces = [face for face in decision.faces if face.frame == frame.index]
    for face in faces:
        if not face.match:
            hide(image, scaled_box(face.box, frame.scale))
    shrink = min(1.0, LONGEST_SIDE / max(image.size))
    image = image.resize((max(1, round(image.width * shrink)), max(1, round(image.height * shrink))))
    scale = frame.scale * shrink
    for tag in decision.tags:
        if tag.box and tag.frame == frame.index:
            _outline(image, scaled_box(tag.box, scale), f"{tag.name} {tag.score:.2f}", TAGGED)
    for face in faces:
        if face.match:
            _outline(image, scaled_box(face.box, scale), visible(face.match.subject), MATCHED)
    return image


def hide(image: Image.Image, box: Box) -> None:
    """Replaces an ellipse around the whole box by five blocks a side, blurred, in place."""
    x, y, width, height = box
    half_w, half_h = width * GROWTH / 2, height * GROWTH / 2
    ellipse = (x + width / 2 - half_w, y + height / 2 - half_h, x + width / 2 + half_w, y + height / 2 + half_h)
    left, top = max(0, int(ellipse[0])), max(0, int(ellipse[1]))
    right, bottom = min(image.width, int(ellipse[2]) + 1), min(image.height, int(ellipse[3]) + 1)
    if right <= left or bottom <= top:
        return
    size = (right - left, bottom - top)
    blocks = image.crop((left, top, right, bottom)).resize((CELLS, CELLS), Image.Resampling.BOX)
    veil = blocks.resize(size, Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(max(size) / CELLS / 3))
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse((ellipse[0] - left, ellipse[1] - top, ellipse[2] - left, ellipse[3] - top), fill=255)
    image.paste(veil, (left, top), mask)


def _outline(image: Image.Image, box: Box, label: str, colour: str) -> None:
    """Draws a box with its label above it, or inside where there is no room above."""
    draw = ImageDraw.Draw(image)
    x, y, width, height = box
    line = max(2, min(image.size) // 220)
    font = ImageFont.load_default(size=max(12, min(image.size) // 26))
    draw.rectangle((x, y, x + width, y + height), outline=colour, width=line)
    _, _, text_w, text_h = (int(edge) for edge in draw.textbbox((0, 0), label, font=font))
    pad = line + 2
    left = max(0, min(x, image.width - text_w - 2 * pad))
    top = y - text_h - 2 * pad if y >= text_h + 2 * pad else y
    draw.rectangle((left, top, left + text_w + 2 * pad, top + text_h + 2 * pad), fill=colour)
    draw.text((left + pad, top + pad), label, fill="white", font=font)
