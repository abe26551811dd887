"""Converts colours to sRGB, as the networks were trained on, at the end of stage 2. Runs in the decode child.

Telephones save images in Display P3, cameras in Adobe RGB; read as sRGB such colours are paler than they were.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from assent.core.values import Frame
from assent.media.decode import Decoded

# A profile that moves no colour of a 5 × 5 × 5 grid by more grey levels than this is left alone: most are sRGB itself.
SAME = 2
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_GRID = np.stack(np.meshgrid(*[np.linspace(0, 255, 5, dtype=np.uint8)] * 3), axis=-1).reshape(25, 5, 3)


def to_srgb(decoded: Decoded) -> Decoded:
    """Applies the file's colour profile to its frames. They stay unchanged where there is none, where it is sRGB within
    SAME levels and where it is broken, as viewers do it."""
    transform = _transform(decoded.profile) if decoded.profile else None
    if transform is None:
        return decoded
    return replace(decoded, frames=tuple(_applied(frame, transform) for frame in decoded.frames), profile=None)


def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform from that profile to sRGB, None for no change. None is kept: 16 strangers' took 390 MB."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(source, _SRGB, "RGB", "RGB")
        moved = np.asarray(ImageCms.applyTransform(Image.fromarray(_GRID), transform), np.int16)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if np.abs(moved - _GRID).max() > SAME else None


def _applied(frame: Frame, transform: ImageCms.ImageCmsTransform) -> Frame:
    converted = ImageCms.applyTransform(Image.fromarray(frame.pixels), transform)
    return replace(frame, pixels=np.asarray(converted))
