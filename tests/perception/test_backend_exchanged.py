"""A real network in another's place is refused when it is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from assent.core.errors import ModelUnknown
from tests.unit.real_models import ENTRIES, models_folder, opened_from


@pytest.mark.parametrize(
    ("real", "as_if"),
    [
        ("yolox_nano/yolox_nano.onnx", "yunet/face_detection_yunet_2023mar.onnx"),
        ("mobilefacenet/MobileFaceNet.onnx", "face-reid-0095/face-reidentification-retail-0095.onnx"),
        ("scrfd_500m/det_500m.onnx", "yunet/yunet_s_dynamic.onnx"),
        ("yunet/yunet_s_dynamic.onnx", "scrfd_500m/det_500m.onnx"),
    ],
)
def test_two_real_networks_exchanged(tmp_path: Path, real: str, as_if: str) -> None:
    with pytest.raises(ModelUnknown):
        opened_from(models_folder() / real, ENTRIES[as_if], tmp_path)
