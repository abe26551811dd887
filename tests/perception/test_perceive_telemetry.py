"""Opening and running the models leaves nothing in the home folder: ONNX Runtime's own telemetry is off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from pathlib import Path
import numpy as np
from assent.core.values import Frame, Picture
from assent.perceive import load_models, perceive
models = load_models(Path(sys.argv[1]), threads=1)
pixels = np.zeros((64, 64, 3), np.uint8)
assert perceive(models, [Picture("0" * 64, "png", 64, 64, 1, (Frame(0, pixels, 1.0),))])[0].faces == ()
"""


def test_no_device_id_and_no_event_store_comes_to_be(tmp_path: Path) -> None:
    """Without the switch, onnxruntime 1.32 was seen to write Microsoft/DeveloperTools/.onnxruntime/deviceid and
    onnxruntime.db there, and to hold a thread that uploads it. CI variables, which switch it off too, are removed."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = [sys.executable, "-c", CODE, str(tmp_path / "models")]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [str(path) for path in home.rglob("*")] == []
