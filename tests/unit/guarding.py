"""What a test of this folder may not do, since it would no longer be fast: start a process, use a database, open a
real model."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# What starts a process, by the names of CPython's audit events.
CHILDREN = frozenset(
    {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn", "os.system", "pty.spawn"}
)
# Whatever needs a database, the default pack or the decode child asks for one of these fixtures in the end.
SHARED = frozenset({"server_url", "gallery_server", "models", "decoder"})
MODEL_FILES = frozenset({".onnx", ".dat"})


class Guard:
    """Fails the test that starts a process or opens a model, but for networks in `own`, the tests' own folder."""

    def __init__(self) -> None:
        self.own: Path | None = None
        self._on = False
        sys.addaudithook(self._audit)  # for the life of the process, hence the switch

    @contextmanager
    def on(self) -> Iterator[None]:
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def _audit(self, event: str, given: tuple[object, ...]) -> None:
        if not self._on:
            return
        if event in CHILDREN:
            pytest.fail(f"a test in tests/unit starts no process ({event}): it belongs into another folder of tests")
        if event == "open" and isinstance(given[0], str) and self._is_model(Path(given[0])):
            pytest.fail(f"a test in tests/unit opens no real model ({given[0]}): it belongs into tests/perception")

    def _is_model(self, path: Path) -> bool:
        return path.suffix in MODEL_FILES and not (self.own and path.is_relative_to(self.own))


GUARD = Guard()


def refuse_shared(fixtures: Iterable[str]) -> None:
    """Fails the test that asks for a fixture which is not for this folder."""
    asked = sorted(SHARED.intersection(fixtures))
    if asked:
        pytest.fail(f"a test in tests/unit asks for no {' and no '.join(asked)}: it belongs into another folder")
