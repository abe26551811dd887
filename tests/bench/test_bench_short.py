"""The short bench runs to its end, measures what it says, and leaves a table, JSON and a plot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.platforms import RATE
from tests.bench.rounds import SHORT
from tests.bench.serving import RATES
from tests.fixtures.figures import Figure

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_short_bench_measures_everything(tmp_path: Path, figure: Figure) -> None:
    environment = os.environ | {"BENCH": "short", "OUT": str(tmp_path)}
    command = [sys.executable, "-m", "tests.bench"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    bench = json.loads((tmp_path / "bench.json").read_text())
    assert (tmp_path / "bench.svg").read_text().rstrip().endswith("</svg>")
    assert done.stdout.count("│") > 4 * len(bench["table"])
    check_models(bench["perceived"])
    for rate in RATES:
        assert len(bench["served"]["acknowledged"][str(rate)]) == rate * SHORT.rate_seconds * SHORT.rate_rounds
    assert bench["served"]["platforms"]["lost"] == 0
    sent = SHORT.platform_seconds * RATE
    assert {len(given) for rounds in bench["served"]["platforms"]["answers"].values() for given in rounds} == {sent}
    assert set(bench["served"]["memory_mb"]) == {
        "serve",
        "worker",
        "decode children",
        "PostgreSQL",
        "gallery's PostgreSQL",
    }
    assert min(bench["served"]["memory_mb"].values()) > 1
    assert len(bench["stored"]["latency_ms"]) == SHORT.decisions
    assert [window["decisions"] for window in bench["stored"]["windows"]] == list(SHORT.windows)
    for searches in bench["searched"]["seconds"].values():
        assert {len(took) for took in searches.values()} == {SHORT.searches}
    assert {len(took) for took in bench["stored"]["indexing"].values()} == {SHORT.indexed}
    assert {len(took) for took in bench["cold_s"].values()} == {SHORT.cold_starts}
    missed = [row["figure"] for row in bench["table"] if row["reached"] is False]
    figure(f"{len(bench['table'])} figures; targets missed on this machine now: {missed or 'none'}")


def check_models(measured: dict[str, Any]) -> None:
    """Every case ran in every round, and what must lie within another lies within it."""
    assert {len(took) for took in measured["seconds"].values()} == {SHORT.rounds}
    assert min(min(took) for took in measured["seconds"].values()) > 0
    for shares in measured["inside"].values():
        assert len(shares) == SHORT.rounds
        assert all(0 < share < 1 for share in shares)
    assert measured["faces"] >= 1 or os.environ.get("PHOTOS")
