"""A process of its own that holds an embedded server: `holder.py postgres|gallery DATA_DIR GALLERY_DIR`.

It prints the server's URL, holds it until its input ends, lets go and prints `done`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from assent.embedded.clusters import embedded, in_memory


@contextmanager
def holder(
    kind: str, data_dir: Path, gallery_dir: Path | None = None, *, python: str = sys.executable, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """The process, its URL not yet read; killed at the end if it still runs. `options` go to Popen."""
    options.setdefault("env", os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    process: subprocess.Popen[str] = subprocess.Popen(
        [python, __file__, kind, str(data_dir), str(gallery_dir or "")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def postmaster_of(data: Path) -> psutil.Process:
    """Of the server with that data folder, which may be seen by the server alone."""
    file = data / "postmaster.pid" if (data / "postmaster.pid").exists() else data.with_name("pg.pid")
    return psutil.Process(int(file.read_text().split()[0]))


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def main(kind: str, data_dir: str, gallery_dir: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
    server = (
        embedded(Path(data_dir))
        if kind == "postgres"
        else in_memory(Path(gallery_dir), Path(data_dir), unsafe_on_disk=True)
    )
    with server as url:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
