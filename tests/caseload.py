"""An installation with many open review cases: one decision as workers store it, and copies of its rows."""

from __future__ import annotations

from hashlib import sha256
from uuid import uuid4

from assent.core.values import (
    Action,
    Analysis,
    Event,
    Face,
    MediaRef,
    Perception,
    Picture,
    ReviewQueue,
    Rule,
    Tag,
    Verdict,
)
from assent.db.pool import Pool, transaction
from assent.decisions.media_items import MediaKey
from assent.decisions.store import NewDecision, RetainedCopy, record
from assent.intake.accept import Origin, store_event
from assent.keys.keystore import TenantKeys
from assent.policy.model import Policy
from tests.events import SOURCE

FIRST = "case-0"
LABELS = ("nudity.partial.belly", "body.covered.breast", "object.chair")
_COPIES = (
    """
    INSERT INTO decision (tenant, media_id, revision, event_id, n, event_revision, action, document, perceptions, leaf,
                          decided_at, given, audiences, source)
    SELECT tenant, 'case-' || n.n, revision, gen_random_uuid(), 0, event_revision, action,
           jsonb_set(jsonb_set(document::jsonb, '{media,id}', to_jsonb('case-' || n.n)), '{media,sha256}',
                     to_jsonb(encode(sha256(n.n::text::bytea), 'hex')))::json,
           perceptions, leaf, decided_at - n.n * interval '1 second', given, audiences, source
    FROM decision, generate_series(1, %(count)s - 1) AS n (n) WHERE media_id = 'case-0'
    """,
    """
    INSERT INTO review_case (tenant, id, source, media_id, revision, reason, queue, priority, opened_at)
    SELECT tenant, gen_random_uuid(), source, 'case-' || n.n, revision, reason, 'queue-' || n.n %% %(queues)s,
           n.n %% 3, opened_at - n.n * interval '1 second'
    FROM review_case, generate_series(1, %(count)s - 1) AS n (n) WHERE media_id = 'case-0'
    """,
    """
    INSERT INTO media_search (tenant, source, media_id, action, decided_at)
    SELECT tenant, source, media_id, action, decided_at FROM decision WHERE media_id <> 'case-0'
    """,
    """
    INSERT INTO media_label (tenant, label, decided_at, id, action)
    SELECT s.tenant, l.label, s.decided_at, s.id, s.action FROM media_search s, unnest(%(labels)s::text[]) AS l (label)
    WHERE s.media_id <> 'case-0'
    """,
)


def fill(pool: Pool, keys: TenantKeys, policy: Policy, count: int, queues: int = 1) -> None:
    """Opens that many cases, of media items `case-0` and so on, in queues `queue-0` and so on; none has a picture."""
    store_case(pool, keys, policy, FIRST)
    with transaction(pool) as conn:
        for statement in _COPIES:
            conn.execute(statement, {"count": count, "queues": queues, "labels": ["", *LABELS]})
    with pool.connection() as conn:
        conn.autocommit = True
        conn.execute("VACUUM ANALYZE decision, review_case, media_search, media_label")
        conn.autocommit = False


def store_case(
    pool: Pool, keys: TenantKeys, policy: Policy, media_id: str, jpeg: bytes | None = None, width: int = 1600
) -> None:
    """Stores a decision that sends a media item to review, with its copy (JPEG) where one is given."""
    media, event_id = MediaRef(media_id, None), uuid4()
    event = Event("media.created", (media,), "public", "post", "somebody")
    picture = Picture(sha256(media_id.encode()).hexdigest(), "jpeg", width, width, 1, ())
    tags = tuple(Tag(name, "safety", 0.9 - n / 10, (10, 10, 200, 200), 0, "m@1") for n, name in enumerate(LABELS))
    seen = Perception(tags, (Face((300, 300, 200, 240), 0, 0.9, 0.8),), ("m@1",))
    rules = (Rule("doubtful", "a picture of which a rule is not sure"),)
    verdict = Verdict(Action.review, tags, rules, review=ReviewQueue("queue-0"))
    analysis = Analysis(picture, seen, (), verdict)
    retained = RetainedCopy(jpeg, 30) if jpeg else None
    key = MediaKey(keys.tenant, event_id, SOURCE, 0, event, media)
    with transaction(pool) as conn:
        store_event(conn, keys, event_id, event, Origin(SOURCE, "live"))
        record(conn, keys, key, NewDecision(analysis, policy.ref, retained))
