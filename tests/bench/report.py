"""What was measured as a table, as JSON and as a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from rich.table import Table

from tests.bench.console import TARGETS_MS, Moderated
from tests.bench.guarding import Guarded
from tests.bench.people import People
from tests.bench.perception import LABELS, ONE_FACE, PLAIN, Perceived
from tests.bench.platforms import platform_rows
from tests.bench.policies import Decided
from tests.bench.rounds import quantile, ratio
from tests.bench.row import Row, at_least, at_most
from tests.bench.searching import Searched
from tests.bench.sender import ACCEPTED
from tests.bench.serving import Served
from tests.bench.storing import WITH_INDEX, WITHOUT_INDEX, Stored

FIRST, AGAIN, FORMER = "first ever", "models converted before", "without labels of the whole and second opinion"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and when it ran; `busy`: how many cores other programs kept busy in the second before each part."""

    at: str
    cpu: str
    cores: int
    versions: dict[str, str]
    busy: dict[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that one run measured; `cold_s`: seconds of `assent tag` on one photo, by FIRST, AGAIN and FORMER."""

    machine: Machine
    perceived: Perceived
    served: Served
    stored: Stored
    people: People
    guarded: Guarded
    fnir: dict[int, float]
    cold_s: dict[str, list[float]]
    decided: Decided
    searched: Searched
    moderated: Moderated


def rows(bench: Bench) -> list[Row]:
    """The table's lines, in order."""
    return [
        *_models(bench.perceived),
        *_service(bench),
        *_store(bench.stored),
        *_search(bench.searched),
        *_console(bench.moderated),
        *_policies(bench.decided),
        *_people(bench.people),
        *_guarded(bench.guarded, bench.perceived),
        *_identification(bench.fnir),
    ]


def _models(perceived: Perceived) -> Iterator[Row]:
    group = f"{perceived.photos} photos, {perceived.threads} threads"
    nudenet = perceived.seconds["nudenet detect"]

    def row(name: str, beside: str = "", least: float | None = None) -> Row:
        took = perceived.seconds[name]
        times = ratio(nudenet, took)
        value = f"{perceived.photos / median(took):.1f} images/s"
        compared = beside or f"{times:.2f}× nudenet's detect"
        return Row(group, name, value, compared, *at_least(times, least, "×"))

    yield row("nudenet detect", "its own call, one by one")
    yield row("nudenet detect_batch")
    if "insightface detection" in perceived.seconds:
        yield row("insightface detection", "SCRFD-500M at 640 × 640: faces only")
    else:
        yield Row(group, "insightface detection", "not measured", perceived.absent)
    yield row("safety + faces", least=1.0)
    yield row("safety + faces, batched", least=1.3)
    for name in ("perceive", "perceive, batched"):
        inside = median(perceived.inside[name])
        took = perceived.photos / median(perceived.seconds[name])
        beside = f"{inside:.3f} of it inside ONNX Runtime"
        yield Row(group, f"{name} (with embeddings)", f"{took:.1f} images/s", beside, *at_least(inside, 0.85))
    plain = ratio(perceived.seconds["perceive"], perceived.seconds[PLAIN])
    value = f"{perceived.photos / median(perceived.seconds[PLAIN]):.1f} images/s"
    yield Row(group, PLAIN, value, f"a plain loop on inputs that are ready; perceive takes {plain:.2f}× as long")
    eights = ratio(perceived.seconds["safety + faces"], perceived.seconds["safety + faces, batched"])
    yield Row(group, "in eights", f"{eights:.2f}×", "one by one, images/s", *at_least(eights, 1.1, "×"))
    over = 1 / median(perceived.inside[ONE_FACE])
    took_ms = f"{1000 * median(perceived.seconds[ONE_FACE]):.1f} ms"
    yield Row(group, ONE_FACE, took_ms, f"{over:.2f}× the sum of its ONNX calls", *at_most(over, 1.15, "×"))
    yield row("pipeline", "decode, perceive, decide; 4 threads")
    yield from _labels(perceived)
    yield from _faces(perceived)


def _labels(perceived: Perceived) -> Iterator[Row]:
    """What labels of the whole picture cost beside the safety network, and what heads cost on top."""
    group = f"{perceived.photos} photos, {perceived.threads} threads"
    took, parts = perceived.seconds[LABELS], perceived.seconds["part detector"]
    value = f"{1000 * median(took) / perceived.photos:.1f} ms a photo"
    share = 1 / ratio(parts, took)
    yield Row(group, LABELS, value, f"{share:.2f}× the part detector's time", *at_most(share, 0.45, "×"))
    heads = [perceived.seconds[name] for name in perceived.seconds if name.startswith("head ")]
    took_ms = 1000 * median(map(sum, zip(*heads, strict=True))) / perceived.photos if heads else 0.0
    beside = f"{len(heads)} heads on its features"
    yield Row(group, "heads", f"{took_ms:.2f} ms a photo", beside, *at_most(took_ms, 0.2, " ms"))


def _faces(perceived: Perceived) -> Iterator[Row]:
    group, dlib = f"{perceived.faces} faces", perceived.seconds["dlib descriptor"]
    yield Row(
        group, "dlib compute_face_descriptor", f"{1000 * median(dlib) / perceived.faces:.1f} ms a face", "one thread"
    )
    for name, least in (("embed, one thread", None), ("embed", 12.0), ("embed, batched", 12.0)):
        took, times = perceived.seconds[name], ratio(dlib, perceived.seconds[name])
        value = f"{1000 * median(took) / perceived.faces:.1f} ms a face"
        yield Row(group, name, value, f"{times:.1f}× dlib's call", *at_least(times, least, "×"))


def _service(bench: Bench) -> Iterator[Row]:
    served, group = bench.served, "assent serve"
    yield Row(group, "decisions end to end", f"{served.decisions_per_s:.1f} /s", "webhook to delivered decision")
    for rate, answers in served.acknowledged.items():
        ms = [answer.ms if answer.status == ACCEPTED else inf for answer in answers]  # a refusal acknowledges nothing
        late = quantile([answer.late_ms for answer in answers], 0.99)
        value = f"p50 {median(ms):.1f} ms, p99 {quantile(ms, 0.99):.1f} ms"
        beside = f"{len(ms)} webhooks, {ms.count(inf)} refused; {served.meanwhile[rate]:.1f} decisions/s meanwhile; "
        beside += f"sender late p99 {late:.1f} ms"
        target = at_most(quantile(ms, 0.99), 50, " ms") if rate == 100 else ("", None)
        yield Row(group, f"acknowledged at {rate}/s, worker busy", value, beside, *target)
    yield from platform_rows(served.platforms)
    for role, mb in served.memory_mb.items():
        yield Row(
            "peak memory", role, f"{mb:.0f} MB", "", *(at_most(mb, 700, " MB") if role == "worker" else ("", None))
        )
    for name, seconds in bench.cold_s.items():
        value = f"{median(seconds):.2f} s"
        yield Row("assent tag, one photo", name, value, f"{len(seconds)} runs", *at_most(median(seconds), 5, " s"))
    times = ratio(bench.cold_s[FIRST], bench.cold_s[FORMER])
    yield Row("assent tag, one photo", "first ever", f"{times:.2f}×", f"“{FORMER}”", *at_most(times, 1.4, "×"))


def _store(stored: Stored) -> Iterator[Row]:
    group, n = "storing", stored.replayed
    queued, called = median(stored.queued), median(stored.called)
    overhead = 1000 * (queued - called) / n
    beside = f"{n / called:.0f} /s without the queue: {overhead:.1f} ms of queue an event"
    yield Row(group, "events, perceptions replayed", f"{n / queued:.0f} /s", beside)
    before = 0
    for window in stored.windows:
        value = f"p50 {window.median_ms:.2f} ms, p99 {window.p99_ms:.2f} ms"
        yield Row(
            group,
            f"decisions {before + 1}–{window.decisions}",
            value,
            f"{window.bytes_each:.0f} bytes each, event and jobs included",
        )
        before = window.decisions
    with_index, without = stored.indexing[WITH_INDEX], stored.indexing[WITHOUT_INDEX]
    beside = f"{ratio(with_index, without):.2f}× without its entry in the search index"
    yield Row(group, "then, of one photo", f"p50 {1000 * median(with_index):.2f} ms", beside)
    yield Row(group, "audit log", f"{stored.leaves_per_s:.0f} leaves/s", "one transaction each")


def _search(searched: Searched) -> Iterator[Row]:
    fewest, most = searched.sizes[0], searched.sizes[-1]
    group = f"search among {most}"
    for name in ("common label", "rare label", "common and rare label", "two common labels", "near"):
        few_ms, many_ms = (1000 * median(searched.seconds[size][name]) for size in (fewest, most))
        times = searched.times(name)
        beside = f"{times:.2f}× among {fewest}, {few_ms:.1f} ms"
        yield Row(group, name, f"{many_ms:.1f} ms", beside, *at_most(times, 3, "×"))
    yield Row(group, "index", f"{searched.bytes_each[most]:.0f} bytes a media item")


def _console(moderated: Moderated) -> Iterator[Row]:
    few, many = min(moderated.took), max(moderated.took)
    for name in moderated.took[many]:
        p95, times = moderated.p95(many, name), moderated.ratio(name)
        beside = f"p95; the median is {times:.2f}× that among {few}"
        yield Row(f"{many} open cases", name, f"{p95:.1f} ms", beside, *at_most(p95, TARGETS_MS[name], " ms"))


def _policies(decided: Decided) -> Iterator[Row]:
    group = f"policy, {decided.rules} rules"
    each = [decided.tags / took for took in decided.decide_s]
    beside = f"{decided.tags} pictures of 10 tags, one core"
    yield Row(group, "decisions", f"{median(each):.0f} /s", beside, *at_least(median(each), 3_000, " /s"))
    ms = 1000 * median(decided.load_s)
    yield Row(group, "loading the default policy", f"{ms:.1f} ms", "read, checked, compiled", *at_most(ms, 100, " ms"))
    target = at_most(decided.simulate_s, 60, " s") if decided.simulated == 100_000 else ("", None)
    beside = f"{decided.simulated / decided.simulate_s:.0f} /s; peak memory grew by {decided.grew_mb:.0f} MB"
    yield Row(group, f"simulate, {decided.simulated} decisions", f"{decided.simulate_s:.1f} s", beside, *target)


def _people(people: People) -> Iterator[Row]:
    group = f"{people.people} people"
    filled = f"{people.filled_per_s:.0f} templates/s"
    yield Row(group, "filling the gallery", filled, "opened, copied, ready", *at_least(people.filled_per_s, 50_000))
    candidates = people.circle
    value = f"{candidates.one_ms:.1f} ms a face"
    yield Row(
        group, f"circle of {candidates.templates}", value, "one round trip", *at_most(candidates.one_ms, 10, " ms")
    )
    eight = candidates.eight_ms / (8 * candidates.one_ms)
    value, beside = f"{candidates.eight_ms:.1f} ms", f"{eight:.2f}× eight single ones"
    yield Row(group, f"eight faces, circle of {candidates.templates}", value, beside, *at_most(eight, 0.35, "×"))
    for exact in people.exact:
        figure, value = f"exact, {exact.templates} × {exact.dimension}", f"{exact.one_ms:.1f} ms a face"
        target = (
            at_most(exact.one_ms, 45, " ms") if (exact.templates, exact.dimension) == (100_000, 128) else ("", None)
        )
        yield Row(group, figure, value, f"eight faces {exact.eight_ms:.0f} ms", *target)
    beside = f"{people.matched_meanwhile} searches meanwhile, {people.failed_meanwhile} failed"
    target = at_most(people.rotated_s, 60, " s") if people.people == 100_000 else ("", None)
    yield Row(group, "moving to a new epoch", f"{people.rotated_s:.1f} s", beside, *target)
    enrolled = median(people.enrolled_per_s)
    yield Row(group, "enrolling", f"{enrolled:.1f} photos/s", "eight at a time", *at_least(enrolled, 8))
    value = f"{people.looked_through_us:.0f} µs a match"
    yield Row(
        group,
        "looking for whom to retract",
        value,
        "a row does not say whose it is",
        *at_most(people.looked_through_us, 500, " µs"),
    )
    known_ms, unknown_ms = people.erased_ms
    yield Row(group, "erasing", f"{known_ms:.1f} ms", f"{unknown_ms:.1f} ms where nobody is known by that name")
    beside = f"{people.gallery_bytes_each:.0f} bytes in the gallery"
    disk = f"{people.disk_bytes_each:.0f} bytes a person with one template"
    yield Row(group, "on disk", disk, beside, *at_most(people.disk_bytes_each, 1500, " B"))


def _guarded(guarded: Guarded, perceived: Perceived) -> Iterator[Row]:
    group = "known pictures, text"
    models = perceived.seconds["safety + faces"]

    def row(name: str, figure: str) -> Row:
        took = guarded.seconds[name]
        beside = f"{median(took) / median(models):.2f} of what safety + faces take"
        return Row(group, figure, f"{1000 * median(took) / guarded.photos:.1f} ms an image", beside)

    yield row("fingerprint", "PDQ, eight ways")
    yield row("look up", f"looked up among {guarded.hashes} PDQ and SHA-256")
    yield row("codes", "ASSENT_READ=codes")
    yield row("text and codes", "ASSENT_READ=text")


def _identification(fnir: dict[int, float]) -> Iterator[Row]:
    group = "recognition, FPIR 1 %"
    for templates in (1, 50, 500):
        if templates in fnir:
            value = f"{100 * fnir[templates]:.0f} % of searches miss the person"
            yield Row(group, f"{templates} templates", value, "known people among drawn strangers")
    if not fnir:
        yield Row(group, "FNIR", "not measured", "no photos of known people in ASSENT_TEST_DATA/faces")


def table(bench: Bench) -> Table:
    """For people."""
    machine = bench.machine
    busy = ", ".join(f"{cores:.2f} before {part}" for part, cores in machine.busy.items())
    during = f"{bench.perceived.other_cores:.2f} during models, {bench.served.other_cores:.2f} during webhooks"
    load = f"cores busy with other programs: {busy}; {during}"
    machine_line = f"{machine.cpu}, {machine.cores} cores; " + ", ".join(
        f"{k} {v}" for k, v in machine.versions.items()
    )
    report_table = Table(title=f"{machine_line}\n{load}", title_justify="left", show_edge=False, pad_edge=False)
    for name in ("", "figure", "value", "beside it", "target"):
        report_table.add_column(name, overflow="fold", justify="left")
    group = ""
    for row in rows(bench):
        if row.group != group and group:
            report_table.add_section()
        mark = {None: "", True: "[green]✓[/] ", False: "[red]✗[/] "}[row.reached]
        report_table.add_row(
            row.group if row.group != group else "", row.figure, row.value, row.beside, mark + row.target
        )
        group = row.group
    return report_table


def write(bench: Bench, folder: Path) -> None:
    """bench.json (every figure of every round, and the table's lines) and bench.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [asdict(row) for row in rows(bench)]
    text = json.dumps({"table": lines, **asdict(bench)}, indent=1, ensure_ascii=False)
    (folder / "bench.json").write_text(text + "\n")
    figure = Figure((11, 12), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(3, 2).ravel()
    _draw_speed(axes[0], bench.perceived)
    _draw_acknowledged(axes[1], bench.served)
    _draw_memory(axes[2], bench.served)
    _draw_growth(axes[3], bench.stored)
    _draw_exact(axes[4], bench.people)
    _draw_fnir(axes[5], bench.fnir)
    figure.savefig(folder / "bench.svg", metadata={"Date": None})


def _draw_speed(axes: Axes, perceived: Perceived) -> None:
    names = [
        name
        for name in perceived.seconds
        if name != "dlib descriptor" and not name.startswith(("embed", "head", "network"))
    ]
    rates = {name: sorted(perceived.photos / took for took in perceived.seconds[name]) for name in names}
    middle = [median(rates[name]) for name in names]
    spread = [[median(r) - r[0] for r in rates.values()], [r[-1] - median(r) for r in rates.values()]]
    colours = ["#0b7a68" if _is_ours(name) else "#9aa5a3" for name in names]
    axes.barh(names, middle, xerr=spread, color=colours, ecolor="#444444")
    axes.invert_yaxis()
    axes.set_title(f"images/s, {perceived.threads} threads (median and spread of the rounds)", fontsize=10)


def _is_ours(name: str) -> bool:
    return not name.startswith(("nudenet", "insightface"))


def _draw_acknowledged(axes: Axes, served: Served) -> None:
    for rate, answers in served.acknowledged.items():
        ms = sorted(answer.ms for answer in answers if answer.status == ACCEPTED)
        axes.step(ms, [(n + 1) / len(answers) for n in range(len(ms))], where="post", label=f"{rate}/s")
    axes.axvline(50, color="#b3541e", linestyle=":", label="50 ms")
    axes.set_xscale("log")
    axes.set_xlabel("ms from when it was due")
    axes.legend()
    axes.set_title("webhooks acknowledged while the worker is busy, share", fontsize=10)


def _draw_memory(axes: Axes, served: Served) -> None:
    bars = axes.barh(list(served.memory_mb), list(served.memory_mb.values()), color="#0b7a68")
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.margins(x=0.1)
    axes.invert_yaxis()
    axes.set_title("peak memory, MB", fontsize=10)


def _draw_growth(axes: Axes, stored: Stored) -> None:
    step = max(1, len(stored.latency_ms) // 50)
    starts = range(0, len(stored.latency_ms) - step + 1, step)
    parts: Sequence[list[float]] = [stored.latency_ms[at : at + step] for at in starts]
    axes.plot(starts, [median(part) for part in parts], color="#0b7a68", label="median")
    axes.plot(starts, [quantile(part, 0.99) for part in parts], color="#b3541e", linewidth=0.8, label="p99")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("decisions stored")
    axes.legend()
    axes.set_title("storing one decision, ms", fontsize=10)


def _draw_exact(axes: Axes, people: People) -> None:
    for dimension in sorted({exact.dimension for exact in people.exact}):
        those = [exact for exact in people.exact if exact.dimension == dimension]
        sizes, ms = [exact.templates for exact in those], [exact.one_ms for exact in those]
        axes.plot(sizes, ms, marker="o", label=f"{dimension} dimensions")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("templates compared with one face, exactly")
    axes.set_title("search, ms", fontsize=10)
    axes.legend(fontsize=9)


def _draw_fnir(axes: Axes, fnir: dict[int, float]) -> None:
    axes.plot(list(fnir), [100 * share for share in fnir.values()], marker="o", color="#0b7a68")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("templates searched")
    axes.set_title("searches that miss the person at FPIR 1 %, %", fontsize=10)
