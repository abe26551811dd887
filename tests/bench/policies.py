"""Stage 6 alone: decisions a second, loading a policy, and deciding again what was recorded."""

from __future__ import annotations

import resource as limits
import time
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from psycopg.types.json import Json, Jsonb

from assent.core.values import Analysis, Event, Face, MediaRef, Perception, Picture, Tag
from assent.db.migrate import migrate
from assent.db.pool import Pool, open_pool, transaction
from assent.decisions import views as audiences
from assent.decisions.document import decision_of, perception_json, to_json
from assent.decisions.replay import circumstances
from assent.decisions.simulate import replay
from assent.embedded.clusters import embedded
from assent.policy.decide import decide
from assent.policy.load import load_policy
from tests.bench.rounds import Tick

ROUNDS = 5
STEP = 500  # decisions stored at once
PICTURES = 1_000  # decided in a round
TENANT = "bench"
_LABELS = (
    *("nudity.explicit.breast", "nudity.explicit.buttocks", "nudity.partial.feet", "nudity.partial.belly"),
    *("nudity.partial.armpits", "body.covered.breast", "body.covered.belly", "body.covered.feet"),
    *("text.contact.phone", "text.code"),
)
_EVENT = Event("media.created", (), "public", "post", "somebody", region="DE")
_PICTURE = Picture("ab" * 32, "jpeg", 1280, 886, 1, ())


@dataclass(frozen=True, slots=True)
class Decided:
    """`decide_s`: seconds of `tags` pictures of ten tags by the default policy, in each round."""

    rules: int
    tags: int
    decide_s: list[float]
    load_s: list[float]
    simulated: int
    simulate_s: float
    grew_mb: float


def measure(folder: Path, perception: Perception, simulated: int, tick: Tick) -> Decided:
    """`perception`: what the models saw in a photo; it is what is recorded, with ten more tags."""
    policy = load_policy()
    tags = tuple(Tag(name, "safety", 0.9, (10, 10, 50, 50), 0, "m") for name in _LABELS)
    faces = (Face((10, 10, 50, 50), 0, 0.9, 0.9), Face((600, 10, 50, 50), 0, 0.9, 0.9))
    ten = Perception(tags, faces, ("m",))
    decide_s, load_s = [], []
    for n in range(ROUNDS + 1):
        began = time.perf_counter()
        for _ in range(PICTURES):
            decide(policy, _EVENT, _PICTURE, ten)
        middle = time.perf_counter()
        load_policy()
        if n:  # the first round does not count
            decide_s.append(middle - began)
            load_s.append(time.perf_counter() - middle)
        tick()
    with embedded(folder) as url:
        migrate(url)
        with open_pool(url, size=1) as pool:
            _record(pool, replace(perception, tags=(*perception.tags, *tags)), simulated, tick)
            before = limits.getrusage(limits.RUSAGE_SELF).ru_maxrss
            began = time.perf_counter()
            with transaction(pool) as conn:
                replayed = replay(conn, TENANT, policy)
            took = time.perf_counter() - began
    if (replayed.decided, replayed.changed) != (simulated, 0):
        raise RuntimeError(f"{replayed.decided} of {simulated} were decided again, {replayed.changed} otherwise")
    grew = (limits.getrusage(limits.RUSAGE_SELF).ru_maxrss - before) / 1024
    return Decided(len(policy.rules), PICTURES, decide_s, load_s, simulated, took, grew)


def _record(pool: Pool, perception: Perception, count: int, tick: Tick) -> None:
    """Rows of `decision` as `record` writes them."""
    policy = load_policy()
    analysis = Analysis(_PICTURE, perception, (), decide(policy, _EVENT, _PICTURE, perception))
    document = to_json(decision_of(TENANT, uuid4(), MediaRef("m", None), 1, analysis, policy.ref))
    values = {
        "tenant": TENANT,
        "action": document["action"],
        "document": Json(document),
        "perceptions": Jsonb(perception_json(perception)),
        "given": Jsonb(circumstances(_EVENT, _PICTURE)),
        "audiences": Jsonb(audiences.stored_views(analysis.verdict, perception)),
        "step": STEP,
    }
    with transaction(pool) as conn:
        conn.execute("INSERT INTO tenant (tenant) VALUES (%(tenant)s)", values)
    for start in range(0, count, STEP):
        with transaction(pool) as conn:
            conn.execute(
                "INSERT INTO decision (tenant, source, media_id, revision, event_id, n, event_revision, action,"
                " document, perceptions, given, audiences, leaf, decided_at)"
                " SELECT %(tenant)s, 'platform', 'm-' || n, 1, gen_random_uuid(), 0, 1, %(action)s, %(document)s,"
                " %(perceptions)s, %(given)s, %(audiences)s, 0, now()"
                " FROM generate_series(%(start)s::int, %(start)s::int + %(step)s - 1) AS n",
                {**values, "start": start},
            )
        tick()
