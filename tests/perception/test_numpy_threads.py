"""Numpy leaves the cores to the networks."""

from __future__ import annotations

import os
import subprocess
import sys


def test_numpy_leaves_the_cores_to_the_networks() -> None:
    """A matrix product's helpers spin for tens of milliseconds after it, on the cores that the networks want."""
    code = (
        "import assent.worker.loop; from threadpoolctl import threadpool_info\n"
        "print({pool['num_threads'] for pool in threadpool_info() if pool['internal_api'] == 'openblas'})"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "{1}\n"
