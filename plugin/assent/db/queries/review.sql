-- name: list_open_cases
-- The next after that case in the order of review: media items on a list marked severe, then by priority, then by age.
-- A case that was closed meanwhile keeps its place, so a list that is read page by page misses none.
SELECT id, source, media_id, revision, reason, queue, priority, opened_at, closed_at, closed_by, outcome,
       CASE WHEN claimed_until > now() THEN claimed_by END AS claimed_by,
       CASE WHEN claimed_until > now() THEN claimed_until END AS claimed_until
FROM review_case
WHERE tenant = %(tenant)s AND closed_at IS NULL AND (%(queue)s::text IS NULL OR queue = %(queue)s)
  AND (%(after)s::uuid IS NULL OR (reason <> 'hash-severe', -priority, opened_at, id) > (
      SELECT last.reason <> 'hash-severe', -last.priority, last.opened_at, last.id
      FROM review_case last WHERE last.tenant = %(tenant)s AND last.id = %(after)s::uuid
  ))
ORDER BY (reason <> 'hash-severe'), (-priority), opened_at, id
LIMIT %(most)s;

-- name: read_case
-- Open or closed.
SELECT id, source, media_id, revision, reason, queue, priority, opened_at, closed_at, closed_by, outcome,
       CASE WHEN claimed_until > now() THEN claimed_by END AS claimed_by,
       CASE WHEN claimed_until > now() THEN claimed_until END AS claimed_until
FROM review_case
WHERE tenant = %(tenant)s AND id = %(case)s;

-- name: read_open_case_of_media
-- At most one of a media item is open.
SELECT id FROM review_case
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND closed_at IS NULL;

-- name: close_case
-- Once: a closed case keeps its outcome. By whoever holds the claim, also where it has lapsed; without a claim in hand,
-- where nobody else works on it.
UPDATE review_case SET closed_at = now(), closed_by = %(by)s, outcome = %(outcome)s
WHERE tenant = %(tenant)s AND id = %(case)s AND closed_at IS NULL
  AND CASE WHEN %(claim)s::uuid IS NULL THEN claim IS NULL OR claimed_until <= now() OR claimed_by = %(by)s
           ELSE claim = %(claim)s AND claimed_by = %(by)s END;

-- name: record_correction
-- The newest correction of a label of that file counts; the one before stands in the audit log.
INSERT INTO correction AS c (tenant, source, media_id, media_sha256, label, holds, by, was_said)
VALUES (%(tenant)s, %(source)s, %(media)s, %(sha256)s, %(label)s, %(holds)s, %(by)s, %(was_said)s)
ON CONFLICT (tenant, source, media_id, media_sha256, label)
DO UPDATE SET holds = EXCLUDED.holds, by = EXCLUDED.by, at = now(), was_said = c.was_said OR EXCLUDED.was_said;

-- name: list_corrections_of_file
-- The newest correction of each label, whatever ids the file was posted under. Of another media item whose decision may
-- be undone still, those that undoing would restore.
WITH held AS (
    SELECT source, media_id, before FROM moderator_undo
    WHERE tenant = %(tenant)s AND undo_until > now() AND before -> 'document' -> 'media' ->> 'sha256' = %(sha256)s
      AND (source, media_id) IS DISTINCT FROM (%(source)s::text, %(media)s::text)
)
SELECT DISTINCT ON (label) label, holds FROM (
    SELECT label, holds, at FROM correction c
    WHERE tenant = %(tenant)s AND media_sha256 = %(sha256)s AND NOT EXISTS (
        SELECT FROM held
        WHERE held.source = c.source AND held.media_id = c.media_id AND held.before -> 'labels' ? c.label
    )
    UNION ALL
    SELECT earlier.label, earlier.holds, earlier.at
    FROM held, jsonb_to_recordset(held.before -> 'corrections') AS earlier (label text, holds boolean, at timestamptz)
) AS corrections
ORDER BY label, at DESC;

-- name: read_newest_moderator_decision
-- The newest action that a moderator decided on for that file, with the perception that they were shown. Of another
-- media item whose decision may be undone still, what undoing would restore.
SELECT reviewed, perceptions FROM (
    SELECT coalesce(held.before -> 'document', d.document::jsonb) -> 'reviewed' AS reviewed, d.perceptions
    FROM decision d
    LEFT JOIN moderator_undo held
        ON held.tenant = d.tenant AND held.source = d.source AND held.media_id = d.media_id AND held.undo_until > now()
        AND held.after::jsonb = d.document::jsonb
        AND (held.source, held.media_id) IS DISTINCT FROM (%(source)s::text, %(media)s::text)
    WHERE d.tenant = %(tenant)s AND d.document -> 'media' ->> 'sha256' = %(sha256)s
      AND d.document -> 'reviewed' ->> 'action' IS NOT NULL
) AS reviewed_decisions
WHERE reviewed ->> 'action' IS NOT NULL
ORDER BY (reviewed ->> 'at')::timestamptz DESC
LIMIT 1;

-- name: list_queues
-- All that have open cases, and all that an administrator set up. Cases are counted up to 1,001 a queue. Names are
-- found one by one in the index, however many cases lie between two.
WITH RECURSIVE waiting AS (
    (SELECT queue FROM review_case WHERE tenant = %(tenant)s AND closed_at IS NULL ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT next.queue FROM review_case next
            WHERE next.tenant = %(tenant)s AND next.closed_at IS NULL AND next.queue > waiting.queue
            ORDER BY next.queue LIMIT 1)
    FROM waiting WHERE waiting.queue IS NOT NULL
), named AS (
    SELECT queue AS name FROM waiting WHERE queue IS NOT NULL
    UNION SELECT name FROM review_queue WHERE tenant = %(tenant)s
)
SELECT named.name, q.due_minutes, coalesce(q.grave, false) AS grave, now() AS now,
       (SELECT count(*) FROM (
           SELECT FROM review_case c WHERE c.tenant = %(tenant)s AND c.queue = named.name AND c.closed_at IS NULL
           LIMIT 1001
       ) counted) AS open,
       (SELECT min(c.opened_at) FROM review_case c
        WHERE c.tenant = %(tenant)s AND c.queue = named.name AND c.closed_at IS NULL) AS oldest
FROM named LEFT JOIN review_queue q ON q.tenant = %(tenant)s AND q.name = named.name
ORDER BY named.name;

-- name: count_queue
-- Open cases of a queue by what its page filters them by.
SELECT reason, source, priority > 0 OR reason = 'hash-severe' AS urgent, count(*) AS open,
       count(*) FILTER (WHERE opened_at < %(late)s::timestamptz) AS late
FROM review_case
WHERE tenant = %(tenant)s AND queue = %(queue)s AND closed_at IS NULL
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: read_queue
-- One that nobody set up is ordinary.
SELECT q.due_minutes, coalesce(q.grave, false) AS grave, now() AS now
FROM (SELECT) one LEFT JOIN review_queue q ON q.tenant = %(tenant)s AND q.name = %(queue)s;

-- name: list_queue_cases
-- As `list_open_cases`, of one queue, only those that the filters let through, and whether the image is kept.
SELECT id, source, media_id, revision, reason, queue, priority, opened_at, closed_at, closed_by, outcome,
       CASE WHEN claimed_until > now() THEN claimed_by END AS claimed_by,
       CASE WHEN claimed_until > now() THEN claimed_until END AS claimed_until,
       EXISTS (
           SELECT FROM kept_picture k WHERE k.tenant = c.tenant AND k.source = c.source AND k.media_id = c.media_id
             AND k.kept_until > now()
       ) AS kept
FROM review_case c
WHERE tenant = %(tenant)s AND closed_at IS NULL AND queue = %(queue)s
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(of_source)s::text IS NULL OR source = %(of_source)s)
  AND (NOT %(urgent)s OR priority > 0 OR reason = 'hash-severe')
  AND (%(late)s::timestamptz IS NULL OR opened_at < %(late)s)
  AND (%(after)s::uuid IS NULL OR (reason <> 'hash-severe', -priority, opened_at, id) > (
      SELECT last.reason <> 'hash-severe', -last.priority, last.opened_at, last.id
      FROM review_case last WHERE last.tenant = %(tenant)s AND last.id = %(after)s::uuid
  ))
ORDER BY (reason <> 'hash-severe'), (-priority), opened_at, id
LIMIT %(most)s;

-- name: read_case_of_staff
-- With one's own claim of it, how its queue is treated, whether its image is kept, the notes on it, and the case that
-- the same media item waits in now.
SELECT c.id, c.source, c.media_id, c.revision, c.reason, c.queue, c.priority, c.opened_at, c.closed_at, c.closed_by,
       c.outcome,
       CASE WHEN c.claimed_until > now() THEN c.claimed_by END AS claimed_by,
       CASE WHEN c.claimed_until > now() THEN c.claimed_until END AS claimed_until,
       CASE WHEN c.claimed_by = %(by)s AND c.closed_at IS NULL THEN c.claim END AS own_claim,
       q.due_minutes, coalesce(q.grave, false) AS grave, now() AS now,
       EXISTS (
           SELECT FROM kept_picture k WHERE k.tenant = c.tenant AND k.source = c.source AND k.media_id = c.media_id
             AND k.kept_until > now()
       ) AS kept,
       (SELECT o.id FROM review_case o WHERE o.tenant = c.tenant AND o.source = c.source AND o.media_id = c.media_id
          AND o.closed_at IS NULL AND o.id <> c.id LIMIT 1) AS newer,
       (SELECT coalesce(jsonb_agg(
                jsonb_build_object('id', n.id, 'by', n.by, 'at', n.at, 'sealed', encode(n.sealed, 'base64'))
                ORDER BY n.at, n.id
            ), '[]') FROM case_note n WHERE n.tenant = c.tenant AND n.case_id = c.id) AS notes
FROM review_case c LEFT JOIN review_queue q ON q.tenant = c.tenant AND q.name = c.queue
WHERE c.tenant = %(tenant)s AND c.id = %(case)s;

-- name: insert_note
-- At the end of the case's.
INSERT INTO case_note (tenant, case_id, id, by, sealed) VALUES (%(tenant)s, %(case)s, %(id)s, %(by)s, %(sealed)s);

-- name: list_hidden_areas_of_file
-- Those that moderators hid, but for what may be undone still of another media item.
SELECT area.value AS box FROM (
    SELECT coalesce(held.before -> 'document', d.document::jsonb) -> 'reviewed' -> 'hidden' AS hidden
    FROM decision d
    LEFT JOIN moderator_undo held
        ON held.tenant = d.tenant AND held.source = d.source AND held.media_id = d.media_id AND held.undo_until > now()
        AND held.after::jsonb = d.document::jsonb
        AND (held.source, held.media_id) IS DISTINCT FROM (%(source)s::text, %(media)s::text)
    WHERE d.tenant = %(tenant)s AND d.document -> 'media' ->> 'sha256' = %(sha256)s
      AND d.document -> 'reviewed' -> 'hidden' IS NOT NULL
) AS areas, jsonb_array_elements(CASE WHEN jsonb_typeof(hidden) = 'array' THEN hidden ELSE '[]' END) AS area
ORDER BY area.value;
