"""Moderators' work among 1,000 and 100,000 open cases: `python -m tests.bench.console [SIZES]` prints milliseconds.

Cases lie in twenty queues. What the engine does is timed with its transaction; pages are timed as a browser in the same
process gets them, once there are such pages.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from threading import Barrier
from uuid import UUID

from fastapi.testclient import TestClient
from PIL import Image
from pydantic import SecretStr

from assent.app import create_app
from assent.console.access import ROUTES
from assent.core.settings import Settings
from assent.db.migrate import migrate
from assent.db.pool import Pool, open_pool, transaction
from assent.embedded.clusters import embedded
from assent.keys.installation import open_or_create_keys
from assent.keys.keystore import TenantKeys
from assent.policy.load import load_policy
from assent.policy.versions import Policies
from assent.review.cases import open_cases, picture_of
from assent.review.claims import claim_case, claim_next
from assent.review.decide import ReviewInput, decide_case
from assent.staff.accounts import create_staff
from assent.staff.sessions import open_session
from assent.tenants import init_tenant
from examples.server import temporary_data
from tests.bench.rounds import Tick, quantile
from tests.caseload import fill, store_case
from tests.events import SOURCE, rows
from tests.installed import package_file

TENANT, QUEUES, MODERATORS = "bench", 20, 20
SIZES = (1_000, 100_000)
PHOTO_SIDE = 2048  # pixels, as copies are kept
LIST, CLAIM, DECIDE, VEIL, FULL_LOOK = "queue list", "claim, 20 at once", "decide with leaf", "veil", "full picture"
CASE_PAGE, QUEUE_PAGE, VEIL_PAGE = "case page", "queue page", "veil, page"
TARGETS_MS: Mapping[str, float] = {
    LIST: 40, CLAIM: 15, DECIDE: 80, VEIL: 25, FULL_LOOK: 180, CASE_PAGE: 60, QUEUE_PAGE: 40, VEIL_PAGE: 25,
}  # fmt: skip
MOST_RATIO = 1.5  # of the largest size to the smallest
PAGES = {
    CASE_PAGE: "/console/cases/{case_id}",
    QUEUE_PAGE: "/console/queues/{queue}",
    VEIL_PAGE: "/console/cases/{case_id}/veil/{step}",
}


@dataclass(frozen=True, slots=True)
class Moderated:
    """Milliseconds of every time that something was done, by number of open cases; a page that is not there is left
    out."""

    took: dict[int, dict[str, list[float]]]

    def p95(self, size: int, what: str) -> float:
        return quantile(self.took[size][what], 0.95)

    def ratio(self, what: str) -> float:
        """The median among most cases to that among fewest."""
        few, many = min(self.took), max(self.took)
        return quantile(self.took[many][what], 0.5) / quantile(self.took[few][what], 0.5)


@dataclass(frozen=True, slots=True)
class _Desk:
    pool: Pool
    keys: TenantKeys
    browser: TestClient
    photos: Sequence[UUID]  # cases with a picture


def measure(folder: Path, sizes: Sequence[int], times: int, tick: Tick) -> Moderated:
    """In an installation of its own for each size, everything so many times."""
    took: dict[int, dict[str, list[float]]] = {}
    for size in sizes:
        with _desk(folder / str(size), size, times) as desk:
            took[size] = _work(desk, times)
        tick()
    return Moderated(took)


@contextmanager
def _desk(folder: Path, size: int, photos: int) -> Iterator[_Desk]:
    folder.mkdir()
    with embedded(folder) as url:
        migrate(url)
        settings = Settings(data_dir=folder, database_url=SecretStr(url), policy=None)
        with open_pool(url, size=MODERATORS) as pool:
            keystore = open_or_create_keys(settings, pool)
            init_tenant(pool, keystore, TENANT, SOURCE, "http://127.0.0.1:9/hooks")
            keys, policy = keystore.tenant(TENANT), load_policy(None)
            with transaction(pool) as conn:
                Policies(policy).of(conn, TENANT)  # stores the default, for its statements
            fill(pool, keys, policy, size, QUEUES)
            for n in range(photos):
                store_case(pool, keys, policy, f"photo-{n}", _photo(), PHOTO_SIDE)
            shown = [row[0] for row in rows(pool, "SELECT id FROM review_case WHERE media_id LIKE 'photo-%'")]
            with transaction(pool) as conn:
                token = open_session(conn, keys, create_staff(conn, keys, "Robin", ("moderator",), None).id)
            with TestClient(create_app(settings, url), base_url="http://localhost:8400") as browser:
                browser.cookies.set("assent_console", token)
                yield _Desk(pool, keys, browser, shown)


def _photo() -> bytes:
    image = Image.open(package_file("skimage", "data/astronaut.png")).convert("RGB")
    file = BytesIO()
    image.resize((PHOTO_SIDE, PHOTO_SIDE)).save(file, "JPEG", quality=85)
    return file.getvalue()


def _work(desk: _Desk, times: int) -> dict[str, list[float]]:
    queues = [f"queue-{n % QUEUES}" for n in range(times)]
    took = {
        LIST: [_timed(partial(_list, desk, queue)) for queue in queues],
        VEIL: [_timed(partial(_picture, desk, case, 24)) for case in desk.photos],
        FULL_LOOK: [_timed(partial(_picture, desk, case, None)) for case in desk.photos],
    }
    took |= {name: found for name, path in PAGES.items() if (found := _pages(desk, path, times))}
    with ThreadPoolExecutor(MODERATORS) as threads:
        claims = [one for _ in range(times // 5) for one in _burst(desk, threads)]
    took[CLAIM] = claims[MODERATORS:]  # the first have to connect
    took[DECIDE] = [_decide(desk, n) for n in range(times)][1:]  # the first compiles its policy
    return took


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - began)


def _list(desk: _Desk, queue: str) -> None:
    with transaction(desk.pool) as conn:
        assert open_cases(conn, TENANT, 50, queue=queue)


def _picture(desk: _Desk, case: UUID, side: int | None) -> None:
    with transaction(desk.pool) as conn:
        assert picture_of(conn, desk.keys, case, side)


def _pages(desk: _Desk, path: str, times: int) -> list[float]:
    """A page's times; none where there is no such page."""
    if f"GET {path}" not in ROUTES:
        return []
    cases = [*desk.photos]
    places = [{"case_id": cases[n % len(cases)], "queue": f"queue-{n % QUEUES}", "step": 1} for n in range(times)]
    got: list[float] = []
    for place in places:
        began = time.perf_counter()
        answer = desk.browser.get(path.format(**place))
        got.append(1000 * (time.perf_counter() - began))
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return got


def _burst(desk: _Desk, threads: ThreadPoolExecutor) -> list[float]:
    """All moderators press at the same moment; how long each waited."""
    together = Barrier(MODERATORS)

    def press(n: int) -> float:
        together.wait()
        return _timed(lambda: _claim(desk, n))

    return list(threads.map(press, range(MODERATORS)))


def _claim(desk: _Desk, n: int) -> None:
    with transaction(desk.pool) as conn:
        assert claim_next(conn, TENANT, f"moderator-{n % MODERATORS}", f"queue-{n % QUEUES}")


def _decide(desk: _Desk, n: int) -> float:
    case = desk.photos[n]
    with transaction(desk.pool) as conn:
        claim = claim_case(conn, TENANT, "robin", case)
    given = ReviewInput("limit", remove=("object.chair",), claim=claim.token)

    def decide() -> None:
        with transaction(desk.pool) as conn:
            decide_case(conn, desk.keys, "robin", case, given)

    return _timed(decide)


def lines(moderated: Moderated) -> Iterator[str]:
    """Yields what was measured, one line each: p50 and p95 at the most cases, the target, the ratio to the fewest."""
    few, many = min(moderated.took), max(moderated.took)
    yield f"{'':20}{'p50':>9}{'p95':>9}{'target':>9}   {many} against {few} open cases"
    for what in moderated.took[many]:
        p50 = quantile(moderated.took[many][what], 0.5)
        p95, target = moderated.p95(many, what), TARGETS_MS[what]
        yield f"{what:20}{p50:9.1f}{p95:9.1f}{target:9.0f}   {moderated.ratio(what):.2f}×"


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    with temporary_data() as data:
        found = measure(data, sizes, 60, lambda: None)
    sys.stdout.write("\n".join(lines(found)) + "\n")
