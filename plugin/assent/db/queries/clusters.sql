-- name: count_alike
-- Other open cases of the same queue whose image differs in at most so many bits from this case's.
SELECT count(*) AS count FROM (
    SELECT FROM review_case leader
    JOIN review_case c ON c.tenant = leader.tenant AND c.queue = leader.queue AND c.id <> leader.id
    WHERE leader.tenant = %(tenant)s AND leader.id = %(case)s
      AND c.closed_at IS NULL AND c.pdq_chunks && leader.pdq_chunks
      AND bit_count(c.pdq # leader.pdq) <= %(distance)s
    LIMIT %(most)s
) alike;

-- name: list_alike
-- The case itself, and the other open cases of its queue within that many bits of it, the nearest first: each is measured
-- to this case, never to another. With who works on each now.
SELECT c.id, c.source, c.media_id, c.revision, c.reason, c.queue, c.priority, c.opened_at, c.closed_at, c.closed_by,
       c.outcome,
       CASE WHEN c.claimed_until > now() THEN c.claimed_by END AS claimed_by,
       CASE WHEN c.claimed_until > now() THEN c.claimed_until END AS claimed_until,
       coalesce(bit_count(c.pdq # leader.pdq)::integer, 0) AS distance
FROM review_case leader
JOIN review_case c ON c.tenant = leader.tenant AND c.queue = leader.queue
WHERE leader.tenant = %(tenant)s AND leader.id = %(case)s AND c.closed_at IS NULL
  AND (c.id = leader.id OR c.pdq_chunks && leader.pdq_chunks AND bit_count(c.pdq # leader.pdq) <= %(distance)s)
ORDER BY c.id <> leader.id, distance, c.opened_at, c.id
LIMIT %(most)s;

-- name: claim_cases
-- Those of them that are free, lapsed or one's own, in one queue; each as `claim_case` claims one.
UPDATE review_case c SET
    claim = gen_random_uuid(), claimed_by = %(by)s,
    claimed_at = CASE WHEN c.claimed_until > now() THEN c.claimed_at ELSE now() END,
    claimed_until = least(
        now() + %(lease)s, CASE WHEN c.claimed_until > now() THEN c.claimed_at ELSE now() END + %(most)s
    )
FROM (
    SELECT tenant, id FROM review_case
    WHERE tenant = %(tenant)s AND id = ANY(%(cases)s::uuid[]) AND queue = %(queue)s AND closed_at IS NULL
      AND (claim IS NULL OR claimed_until <= now() OR claimed_by = %(by)s)
    ORDER BY id
    FOR UPDATE SKIP LOCKED
) free
WHERE c.tenant = free.tenant AND c.id = free.id
RETURNING c.id, c.claim, c.claimed_until;
