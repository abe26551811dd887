"""Drops the weaker of two detections of one thing (non-maximum suppression)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from assent.core.boxes import SUPPRESSION_IOU, with_sizes


def suppress(
    corners: NDArray[Any], scores: NDArray[Any], least: float, classes: NDArray[Any] | None = None
) -> NDArray[np.intp]:
    """Returns the indexes of the boxes that stay, best score first; none of a score of `least` or below.

    With `classes` a box gives way to a stronger one of its own class only, without to any."""
    boxes = with_sizes(corners).tolist()
    if classes is None:
        indexes = cv2.dnn.NMSBoxes(boxes, scores.tolist(), least, SUPPRESSION_IOU)
    else:
        indexes = cv2.dnn.NMSBoxesBatched(boxes, scores.tolist(), classes.tolist(), least, SUPPRESSION_IOU)
    return np.ravel(indexes).astype(np.intp)
