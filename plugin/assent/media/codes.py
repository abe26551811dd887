"""Finds QR codes in a frame and says what each is for. Runs in the decode child; the text of a code stays there."""

from __future__ import annotations

import cv2
import numpy as np

from assent.core.values import Code, Pixels

CODES_ID = f"opencv-qr@{cv2.__version__}"
MAX_CODES = 32  # of one frame
_SIDE = 1024  # pixels of the longer side in which codes are looked for
_LEAST = 21  # modules of the smallest QR code, and so pixels
# How the text of a code begins → what the code is for. `bcd` and a line's end: a transfer as banks' apps read it.
_PURPOSES = {
    ("http://", "https://", "www."): "text.contact.link",
    ("mailto:", "matmsg:"): "text.contact.email",
    ("tel:", "sms:", "smsto:"): "text.contact.phone",
    ("bcd\n", "bcd\r\n", "bitcoin:", "litecoin:", "ethereum:", "upi:"): "text.payment",
}
PURPOSES = frozenset(_PURPOSES.values())


def find_codes(pixels: Pixels) -> tuple[Code, ...]:
    """Returns the QR codes of a frame (h, w, 3), with their corners inside of it; at most MAX_CODES."""
    height, width = pixels.shape[:2]
    if min(height, width) < _LEAST:
        return ()
    scale = min(1.0, _SIDE / max(height, width))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    try:
        any_found, texts, outlines, _ = cv2.QRCodeDetector().detectAndDecodeMulti(grey)
    except cv2.error:
        return ()  # some patterns that are no code bring the decoder to an error of its own
    if not any_found:
        return ()
    points = np.clip(np.nan_to_num(np.asarray(outlines, np.float64) / scale), 0, (width, height))
    codes = zip(texts, points.min(axis=1).tolist(), points.max(axis=1).tolist(), strict=True)
    return tuple(Code(bool(text), _purpose(text), (*first, *last)) for text, first, last in codes)[:MAX_CODES]


def _purpose(text: str) -> str | None:
    return next((label for begins, label in _PURPOSES.items() if text.lower().startswith(begins)), None)
