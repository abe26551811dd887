"""Photo moderation and consented tagging for social platforms."""

import os

# ONNX Runtime for Linux reports to its vendor and keeps a device id in the home folder unless this is set before it is
# imported, by whomever; nothing about a picture's processing leaves the machine.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# NumPy's own threads, which wait spinning, take the cores from the networks': with them a picture took 37.5 ms of a
# worker, without 26.7. Read when NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
