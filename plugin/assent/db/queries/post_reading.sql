-- name: claim_reading
-- Where reading the posts of a platform goes on; nothing where another worker reads, or it is too early.
INSERT INTO post_reading (tenant, source, next_at) VALUES (%(tenant)s, %(source)s, now() + %(pause)s)
ON CONFLICT (tenant, source) DO UPDATE SET next_at = excluded.next_at WHERE post_reading.next_at <= now()
RETURNING since, reached, target, before;

-- name: record_reading
-- Notes where reading goes on.
UPDATE post_reading SET since = %(since)s, reached = %(reached)s, target = %(target)s, before = %(before)s
WHERE tenant = %(tenant)s AND source = %(source)s;

-- name: want_topic
-- Has the first post of a topic read, where the source is connected to its platform.
INSERT INTO topic_reading (tenant, source, topic)
SELECT tenant, source, %(topic)s FROM platform_connection WHERE tenant = %(tenant)s AND source = %(source)s
ON CONFLICT (tenant, source, topic) DO UPDATE SET attempts = 0, next_at = now();

-- name: claim_topics
-- Topics that are due, for one attempt each.
UPDATE topic_reading SET attempts = attempts + 1, next_at = now() + %(lease)s
WHERE (tenant, source, topic) IN (
    SELECT tenant, source, topic FROM topic_reading
    WHERE tenant = %(tenant)s AND source = %(source)s AND next_at <= now()
    ORDER BY next_at
    LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
)
RETURNING topic, attempts, next_at;

-- name: end_topic
-- Ends the reading of a topic, unless it was edited once more meanwhile.
DELETE FROM topic_reading
WHERE tenant = %(tenant)s AND source = %(source)s AND topic = %(topic)s AND next_at = %(lease)s;

-- name: postpone_topic
-- Has a topic read later, unless it was edited once more meanwhile.
UPDATE topic_reading SET next_at = %(until)s
WHERE tenant = %(tenant)s AND source = %(source)s AND topic = %(topic)s AND next_at = %(lease)s;
