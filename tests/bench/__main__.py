"""The benchmark: `make bench`, about fifteen minutes; BENCH=short takes two, PHOTOS=folder looks at your own photos.

Prints a table and writes bench.json and bench.svg to OUT (default: out/bench). What is compared are ratios within one
run; absolute figures are this machine's at this time.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from assent.perceive import load_models, perceive
from examples.server import temporary_data
from tests.bench import (
    console,
    guarding,
    identification,
    people,
    perception,
    policies,
    report,
    searching,
    serving,
    storing,
)
from tests.bench.photos import Photo, photos
from tests.bench.rounds import FULL, SHORT, Size, Tick, busy_cores
from tests.installed import package_file

FORMER = "tests.bench.without_labels"
PACKAGES = ("onnxruntime", "nudenet", "dlib-bin", "insightface")


def main() -> None:
    size = SHORT if os.environ.get("BENCH") == "short" else FULL
    folder = Path(os.environ.get("OUT") or "out/bench").absolute()
    bars = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    errors = Console(stderr=True)
    with Progress(*bars, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        bench = run(size, progress)
    Console(width=None if sys.stdout.isatty() else 160).print(report.table(bench))
    report.write(bench, folder)
    sys.stdout.write(f"\nEvery figure of every round: {folder / 'bench.json'}; the plot: {folder / 'bench.svg'}\n")


def run(size: Size, progress: Progress) -> report.Bench:
    """Measures everything, one part after the other."""
    cores, samples = os.cpu_count() or 1, photos()
    busy: dict[str, float] = {}

    def part(name: str, steps: int) -> Tick:
        task = progress.add_task(name, total=steps)
        busy[name] = busy_cores()
        return lambda: progress.advance(task)

    with temporary_data() as folder:
        cold = _cold_starts(folder, samples, size.cold_starts, part("assent tag", 3 * size.cold_starts))
        tick = part("models", (size.rounds + 1) * perception.CASES)
        perceived = perception.measure(folder, samples, cores, size.rounds, tick)
        models = load_models(folder / "models", cores)
        perceptions = perceive(models, [photo.picture for photo in samples])
        fnir = identification.measure(models)
    tick = part("known pictures, text", (size.rounds + 1) * guarding.CASES)
    guarded = guarding.measure(samples, cores, size.hashes, size.rounds, tick)
    with temporary_data() as folder:
        tick = part("storing", 2 + size.decisions // storing.STEP + storing.REPLAY_ROUNDS + 1)
        stored = storing.measure(folder, samples, perceptions, size, tick)
    with temporary_data() as folder:
        tick = part("search", len(size.searched) * (1 + len(searching.SEARCHES) * (size.searches + 1)))
        searched = searching.measure(folder, size.searched, size.searches, tick)
    with temporary_data() as folder:
        moderated = console.measure(folder, size.cases, size.moderations, part("console", len(size.cases)))
    with temporary_data() as folder:
        tick = part("policies", policies.ROUNDS + 1 + size.simulated // policies.STEP)
        decided = policies.measure(folder, perceptions[0], size.simulated, tick)
    with temporary_data() as folder:
        tick = part("people", 4 + len(size.exact))
        opted_in = people.measure(folder, package_file("skimage", "data/astronaut.png").read_bytes(), size, tick)
    with temporary_data() as folder:
        tick = part("assent serve", 3 + len(serving.RATES) * size.rate_rounds + 2 * size.platform_rounds)
        served = serving.measure(folder, samples, size, tick)
    machine = _machine(cores, busy)
    return report.Bench(machine, perceived, served, stored, opted_in, guarded, fnir, cold, decided, searched, moderated)


def _cold_starts(folder: Path, samples: Sequence[Photo], count: int, tick: Tick) -> dict[str, list[float]]:
    """Seconds of `assent tag` on one photo: with an empty data folder, with and without labels and second opinion, and
    once the models are converted."""
    runs = {report.FIRST: ("assent", "first"), report.AGAIN: ("assent", "first"), report.FORMER: (FORMER, "former")}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    file = folder / "photo"
    file.write_bytes(samples[0].data)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSENT_")}
    for _ in range(count):
        with tempfile.TemporaryDirectory(dir=folder) as data:
            for name, (module, place) in runs.items():
                began = time.perf_counter()
                command = [sys.executable, "-m", module, "tag", str(file), "--json"]
                home = {"ASSENT_DATA_DIR": str(Path(data) / place)}
                subprocess.run(command, env=environment | home, capture_output=True, check=True)
                seconds[name].append(time.perf_counter() - began)
                tick()
    return seconds


def _machine(cores: int, busy: dict[str, float]) -> report.Machine:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    versions = {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return report.Machine(at, cpu, cores, versions, busy)


if __name__ == "__main__":
    main()
