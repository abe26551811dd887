-- name: delete_media
-- Its labels go with it.
DELETE FROM media_search WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: insert_media
-- With its labels, the groups above them, and the empty label of all.
WITH item AS (
    INSERT INTO media_search (tenant, source, media_id, action, decided_at, pdq, bands)
    VALUES (%(tenant)s, %(source)s, %(media)s, %(action)s, %(at)s, %(pdq)s::bit(256), %(bands)s::integer[])
    RETURNING id
)
INSERT INTO media_label (tenant, label, decided_at, id, action)
SELECT %(tenant)s, label, %(at)s, id, %(action)s FROM item, unnest(%(labels)s::text[]) label;

-- name: read_decided_at
-- Of the newest decision, which its revisions in place keep.
SELECT decided_at FROM decision
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s
ORDER BY revision DESC
LIMIT 1;

-- name: is_backlog_left
-- Whether decisions of before search was are still to be added.
SELECT FROM search_backlog WHERE tenant = %(tenant)s;

-- name: read_backlog
-- One tenant's.
SELECT tenant, before FROM search_backlog ORDER BY tenant LIMIT 1;

-- name: list_backlog
-- The newest of those left, with all of the same time.
SELECT DISTINCT source, media_id, decided_at FROM (
    SELECT source, media_id, decided_at FROM decision
    WHERE tenant = %(tenant)s AND decided_at < %(before)s
    ORDER BY decided_at DESC
    FETCH FIRST %(most)s ROWS WITH TIES
) next
ORDER BY source, media_id;

-- name: move_backlog
-- So far it is done.
UPDATE search_backlog SET before = least(before, %(before)s) WHERE tenant = %(tenant)s;

-- name: end_backlog
-- Everything is found now.
DELETE FROM search_backlog WHERE tenant = %(tenant)s;

-- name: is_label_used
-- One of a head or a policy of the operator's own is known by its use.
SELECT FROM media_label WHERE tenant = %(tenant)s AND label = %(label)s LIMIT 1;

-- name: walk_label
-- How many there are behind a place, up to a limit, and the time of the last of those.
SELECT count(*) AS count, min(decided_at) AS last FROM (
    SELECT decided_at FROM media_label
    WHERE tenant = %(tenant)s AND label = %(label)s
      AND decided_at >= %(since)s::timestamptz AND decided_at < %(until)s::timestamptz
      AND (decided_at, id) < (%(after_at)s::timestamptz, %(after_id)s::bigint)
    ORDER BY decided_at DESC, id DESC
    LIMIT %(most)s
) first;

-- name: walk_label_of_action
-- The same, of one action.
SELECT count(*) AS count, min(decided_at) AS last FROM (
    SELECT decided_at FROM media_label
    WHERE tenant = %(tenant)s AND label = %(label)s AND action = %(action)s
      AND decided_at >= %(since)s::timestamptz AND decided_at < %(until)s::timestamptz
      AND (decided_at, id) < (%(after_at)s::timestamptz, %(after_id)s::bigint)
    ORDER BY decided_at DESC, id DESC
    LIMIT %(most)s
) first;

-- name: list_found
-- The newest first, behind a place in that order.
-- The other labels are looked up row by row.
SELECT s.source, s.media_id, l.decided_at, l.id, NULL::integer AS distance
FROM media_label l JOIN media_search s USING (tenant, id)
WHERE l.tenant = %(tenant)s AND l.label = %(label)s
  AND l.decided_at >= %(since)s::timestamptz AND l.decided_at < %(until)s::timestamptz
  AND (l.decided_at, l.id) < (%(after_at)s::timestamptz, %(after_id)s::bigint)
  AND cardinality(%(others)s::text[]) = (
      SELECT count(*) FROM media_label o
      WHERE o.tenant = l.tenant AND o.id = l.id AND o.label = ANY(%(others)s::text[])
  )
ORDER BY l.decided_at DESC, l.id DESC
LIMIT %(most)s;

-- name: list_found_of_action
-- The same, of one action.
SELECT s.source, s.media_id, l.decided_at, l.id, NULL::integer AS distance
FROM media_label l JOIN media_search s USING (tenant, id)
WHERE l.tenant = %(tenant)s AND l.label = %(label)s AND l.action = %(action)s
  AND l.decided_at >= %(since)s::timestamptz AND l.decided_at < %(until)s::timestamptz
  AND (l.decided_at, l.id) < (%(after_at)s::timestamptz, %(after_id)s::bigint)
  AND cardinality(%(others)s::text[]) = (
      SELECT count(*) FROM media_label o
      WHERE o.tenant = l.tenant AND o.id = l.id AND o.label = ANY(%(others)s::text[])
  )
ORDER BY l.decided_at DESC, l.id DESC
LIMIT %(most)s;

-- name: set_planner_by_index
-- The planner takes thousands of parts of a hash for most of the table; they are those of few rows. To compile a plan for
-- a page takes longer than the page.
SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true);

-- name: list_near
-- The nearest first, then by number, behind a place in that order.
-- One scan for each part: the index holds every row that it meets against every key that it is asked for at once.
WITH candidates AS MATERIALIZED (
    SELECT DISTINCT s.*
    FROM (SELECT array_agg(key) AS keys FROM unnest(%(bands)s::integer[]) key GROUP BY key >> %(key_bits)s) part
    CROSS JOIN LATERAL (
        SELECT id, tenant, source, media_id, action, decided_at,
               bit_count(pdq # %(pdq)s::bit(256))::integer AS distance
        FROM media_search
        WHERE bands && part.keys
    ) s
)
SELECT source, media_id, decided_at, id, distance FROM candidates c
WHERE tenant = %(tenant)s AND distance <= %(distance)s AND (action = %(action)s) IS NOT FALSE
  AND decided_at >= %(since)s::timestamptz AND decided_at < %(until)s::timestamptz
  AND (distance, -id) > (%(after_distance)s::integer, -%(after_id)s::bigint)
  AND cardinality(%(labels)s::text[]) = (
      SELECT count(*) FROM media_label o
      WHERE o.tenant = c.tenant AND o.id = c.id AND o.label = ANY(%(labels)s::text[])
  )
ORDER BY distance, -id
LIMIT %(most)s;

-- name: list_newest_decisions
-- Of these media items, in their order.
SELECT d.source, d.media_id, d.revision, d.document, d.decided_at
FROM unnest(%(sources)s::text[], %(ids)s::text[]) WITH ORDINALITY found (source, media_id, place)
CROSS JOIN LATERAL (
    SELECT source, media_id, revision, document, decided_at FROM decision
    WHERE tenant = %(tenant)s AND source = found.source AND media_id = found.media_id
    ORDER BY revision DESC
    LIMIT 1
) d
ORDER BY place;
