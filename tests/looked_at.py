"""Decisions on made-up perceptions, and cases whose images lie a known number of bits apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from assent.core.values import Face, MediaRef, Perception, Tag
from assent.db.pool import transaction
from assent.decisions.search_index import KEY_BITS, near_parts, pdq_bits
from assent.policy.load import load_policy
from assent.policy.versions import Policies
from assent.worker.jobs import WorkerContext, decide_event
from tests.events import rows, store
from tests.integration.album import Album

POLICY = """
schema: assent.policy/1
name: careful
version: "1"
labels:
  nudity.explicit: {threshold: 0.6}
  violence: {threshold: 0.7}
  body: {threshold: 0.3}
rules:
  - id: nude
    when: score["nudity.explicit"] > 0.0
    then: {action: limit, review: {queue: nudes}}
    reason: {en: Nudity is hidden behind a warning.}
  - id: blood
    when: score["violence"] > 0.0
    then: {action: review, review: {queue: blood}}
    reason: {en: Violence is looked at first.}
statements: {for_actions: [limit, block], terms: https://club.example/terms}
cases:
  - {name: nobody, given: {}, expect: {action: allow, tags: []}}
"""
BREAST = Tag("nudity.explicit.breast", "safety", 0.8, (10, 10, 20, 20), 0, "nudenet-320n@aa")
BELLY = Tag("body.covered.belly", "safety", 0.5, (10, 40, 20, 20), 0, "nudenet-320n@aa")
BLOOD = Tag("violence.graphic", "safety", 0.75, None, 0, "open-nsfw@bb")


def policy_file(folder: Path, text: str = POLICY) -> Path:
    path = folder / "careful.yaml"
    path.write_text(text)
    return path


def looking(album: Album, folder: Path, *tags: Tag, policy: str = POLICY) -> Album:
    """An album in whose pictures exactly that is found, besides one face."""

    def perceive(*_: object) -> Perception:
        return Perception(tags, (Face((10, 10, 30, 30), 0, 0.9, 0.9),), tuple(sorted({tag.model for tag in tags})))

    stages = replace(album.bench.stages, perceive=perceive)
    loaded = Policies(load_policy(policy_file(folder, policy)))
    return replace(album, bench=replace(album.bench, stages=stages, policies=loaded))


def post_case(album: Album, media_id: str, photo: bytes) -> UUID:
    """Posts a picture that a moderator has to look at; its case."""
    decide_event(album.bench, "default", store(album.bench, album.keys, MediaRef(media_id, None), photo))
    return case_of(album.bench, media_id)


def case_of(bench: WorkerContext, media_id: str) -> UUID:
    ((case,),) = rows(bench, "SELECT id FROM review_case WHERE media_id = %s AND closed_at IS NULL", media_id)
    found: UUID = case
    return found


def set_hash(bench: WorkerContext, media_id: str, flipped: Sequence[int] = ()) -> None:
    """Makes the picture's hash all zeros but for these bits: in its decision, in search and in its case."""
    pdq = f"{sum(1 << (255 - bit) for bit in flipped):064x}"
    values = {"media": media_id, "pdq": pdq, "bits": pdq_bits(pdq), "bands": own_parts(pdq)}
    with transaction(bench.pool) as conn:
        conn.execute(
            "UPDATE decision SET document = jsonb_set(document::jsonb, '{media,pdq}', to_jsonb(%(pdq)s::text))::json"
            " WHERE media_id = %(media)s",
            values,
        )
        conn.execute(
            "UPDATE media_search SET pdq = %(bits)s::bit(256), bands = %(bands)s WHERE media_id = %(media)s", values
        )
        conn.execute(
            "UPDATE review_case SET pdq = %(bits)s::bit(256), pdq_chunks = ARRAY(SELECT n << 16 |"
            " (substring(%(bits)s::bit(256) FROM 16 * n + 1 FOR 16))::bit(16)::integer FROM generate_series(0, 15) n)"
            " WHERE media_id = %(media)s",
            values,
        )


def own_parts(pdq: str) -> list[int]:
    """The parts of a hash as search indexes them: those that it shares with itself."""
    shared = near_parts(pdq)
    by_place = {part >> KEY_BITS: part for part in reversed(shared)}  # of each place the first, which is its own
    return [by_place[place] for place in sorted(by_place)]
