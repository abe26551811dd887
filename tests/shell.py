"""A shell in which a reader types what a page says."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path


def typed(script: str, place: Path) -> str:
    """What a shell says in which somebody types these lines."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")}
    shell = subprocess.Popen(
        ["/bin/bash", "-em"],
        cwd=place,
        env=environment | {"COLUMNS": "160"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(script, timeout=160)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        raise
    assert shell.returncode == 0, said + (place / "out/serve.log").read_text()
    return said
