"""A whole installation under load: decisions end to end, acknowledgements while the worker is busy, memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.bench import platforms
from tests.bench.photos import Photo
from tests.bench.processes import Peaks
from tests.bench.rounds import OtherLoad, Size, Tick
from tests.bench.sender import ACCEPTED, Answer, Order, send_apart
from tests.house import House, running
from tests.installed import package_file
from tests.photos import FACES, altered
from tests.waiting import until
from tests.web import Web, serving

RATES = (50, 100, 200)  # webhooks a second
BACKLOG = 200  # events waiting before the first rate begins
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the gallery's folder has to be in memory


@dataclass(frozen=True, slots=True)
class Served:
    """`acknowledged`: by rate, every answer of all rounds; `meanwhile`: decisions delivered a second during that.

    `memory_mb`: by process. `decisions_per_s`: from the first tenth to the last of a burst, delivered."""

    decisions_per_s: float
    acknowledged: dict[int, list[Answer]]
    meanwhile: dict[int, float]
    memory_mb: dict[str, float]
    platforms: platforms.PlatformLoad
    other_cores: float  # busy with something else while webhooks were acknowledged


def measure(data: Path, photos: Sequence[Photo], size: Size, tick: Tick) -> Served:
    """Starts an installation in `data`, where one person has opted in, and posts to it."""
    with ExitStack() as stack:
        web = stack.enter_context(serving())
        web.files.update({f"/{n}/{photo.name}": photo.data for n, photo in enumerate(photos)})
        gallery = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assent-bench-", dir=SHARED_MEMORY)))
        gallery.chmod(0o711)
        house = stack.enter_context(running(data, web, ASSENT_GALLERY_DIR=str(gallery)))
        _opt_in(house)
        peaks = stack.enter_context(Peaks(house, data, gallery))
        tick()
        per_second = _burst(house, web, size.burst)
        tick()
        with OtherLoad(peaks.servers) as other:
            mixed = platforms.measure(house, data, web, size, tick)
            acknowledged, meanwhile = _acknowledge(house, web, size, tick)
    return Served(per_second, acknowledged, meanwhile, peaks.mb, mixed, other.cores)


def _opt_in(house: House) -> None:
    """Somebody enrols, so that the faces of every picture are embedded and compared."""
    photo = altered(package_file("insightface", "data/images/t1.jpg").read_bytes(), FACES["far-left"])
    consent = {"subject": "alice", "purpose": "face-match", "scope": "connections", "notice": "The bench's notice."}
    consent |= {"notice_version": "1", "jurisdiction": "DE", "method": "settings-page", "age": "adult"}
    with httpx2.Client(base_url=house.url, headers=house.headers, timeout=60) as client:
        assert client.post("/v1/consents", json=consent).status_code == 201
        files = [("photos", ("alice.jpg", photo, "image/jpeg"))]
        until(lambda: client.post("/v1/subjects/alice/templates", files=files).status_code == 201, "enrolment", 90)


def _burst(house: House, web: Web, count: int) -> float:
    """Decisions delivered a second while more wait, once the first tenth is through."""
    before = len(web.received)
    count = sum(answer.status == ACCEPTED for answer in _send(house, web, "burst", 100, count))
    first = count // 10
    until(lambda: len(web.received) >= before + first, "the first deliveries", 120)
    began, have = time.perf_counter(), len(web.received)
    until(lambda: len(web.received) >= before + count, "all deliveries", 240)
    return (before + count - have) / (time.perf_counter() - began)


def _acknowledge(house: House, web: Web, size: Size, tick: Tick) -> tuple[dict[int, list[Answer]], dict[int, float]]:
    answers: dict[int, list[Answer]] = {rate: [] for rate in RATES}
    delivered = dict.fromkeys(RATES, 0.0)
    _send(house, web, "backlog", 100, BACKLOG)
    for n in range(size.rate_rounds):
        for rate in RATES:
            before, began = len(web.received), time.perf_counter()
            answers[rate] += _send(house, web, f"at-{rate}-{n}", rate, rate * size.rate_seconds)
            delivered[rate] += (len(web.received) - before) / (time.perf_counter() - began) / size.rate_rounds
            tick()
    return answers, delivered


def _send(house: House, web: Web, prefix: str, rate: float, count: int) -> list[Answer]:
    pictures = [f"{web.url}{path}" for path in web.files]
    return send_apart(Order([platforms.standard_stream(house)], prefix, pictures, ["alice"], rate, count))
