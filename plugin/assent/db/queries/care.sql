-- name: claim_next_unmuted_case
-- As `claim_next_case`, in the queues that are named; of those none that is marked grave where an ordinary one is asked
-- for; and none of whose labels, as search knows them, is muted.
UPDATE review_case SET
    claim = gen_random_uuid(), claimed_by = %(by)s, claimed_at = now(), claimed_until = now() + %(lease)s
WHERE tenant = %(tenant)s AND id = (
    SELECT c.id FROM review_case c
    WHERE c.tenant = %(tenant)s AND c.closed_at IS NULL
      AND (%(queue)s::text IS NULL OR c.queue = %(queue)s)
      AND (%(queues)s::text[] IS NULL OR c.queue = ANY(%(queues)s::text[]))
      AND c.queue <> ALL(%(but)s::text[])
      AND (NOT %(ordinary)s OR NOT EXISTS (
          SELECT FROM review_queue q WHERE q.tenant = c.tenant AND q.name = c.queue AND q.grave
      ))
      AND (c.claim IS NULL OR c.claimed_until <= now())
      AND NOT EXISTS (
          SELECT FROM review_skip skip WHERE skip.tenant = c.tenant AND skip.case_id = c.id AND skip.by = %(by)s
      )
      AND (cardinality(%(muted)s::text[]) = 0 OR NOT EXISTS (
          SELECT FROM media_search s JOIN media_label l ON l.tenant = s.tenant AND l.id = s.id
          WHERE s.tenant = c.tenant AND s.media_id = c.media_id AND s.source = c.source
            AND l.label = ANY(%(muted)s::text[])
      ))
    ORDER BY (c.reason <> 'hash-severe'), (-c.priority), c.opened_at, c.id
    LIMIT 1 FOR UPDATE OF c SKIP LOCKED
)
RETURNING id, claim, claimed_until;

-- name: is_ordinary_case_due
-- Whether this queue is grave, and so were those of the last so many cases that the account closed today.
SELECT count(*) = %(most)s AND coalesce(bool_and(last.grave), false) AS due FROM (
    SELECT EXISTS (
        SELECT FROM review_queue q WHERE q.tenant = c.tenant AND q.name = c.queue AND q.grave
    ) AS grave
    FROM review_case c
    WHERE c.tenant = %(tenant)s AND c.closed_by = %(by)s AND c.closed_at > now() - interval '24 hours'
    ORDER BY c.closed_at DESC
    LIMIT %(most)s
) last
WHERE EXISTS (SELECT FROM review_queue q WHERE q.tenant = %(tenant)s AND q.name = %(queue)s AND q.grave);

-- name: list_exposure
-- Of one account: today and in seven days, by category.
SELECT category, grave,
       coalesce(sum(looks) FILTER (WHERE day = current_date), 0)::integer AS looks_today,
       coalesce(sum(seconds) FILTER (WHERE day = current_date), 0)::integer AS seconds_today,
       sum(looks)::integer AS looks_week, sum(seconds)::integer AS seconds_week
FROM exposure
WHERE tenant = %(tenant)s AND by = %(by)s AND day > current_date - 7
GROUP BY category, grave
ORDER BY grave DESC, category;

-- name: list_work
-- When the account closed cases lately, the newest first, with the time now; and its looks at pictures of grave queues
-- within the last hour.
SELECT now() AS now, (
    SELECT coalesce(sum(looks), 0)::integer FROM grave_look
    WHERE tenant = %(tenant)s AND by = %(by)s AND minute > now() - interval '1 hour'
) AS grave_looks, ARRAY(
    SELECT closed_at FROM review_case
    WHERE tenant = %(tenant)s AND closed_by = %(by)s AND closed_at > now() - interval '12 hours'
    ORDER BY closed_at DESC
    LIMIT %(most)s
) AS closings;

-- name: purge_exposure
-- Of all tenants.
DELETE FROM exposure WHERE day < current_date - 30;

-- name: purge_grave_looks
-- Of all tenants.
DELETE FROM grave_look WHERE minute < now() - interval '1 day';
