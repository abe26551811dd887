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
INSERT INTO correction (tenant, source, media_id, media_sha256, label, holds, by)
VALUES (%(tenant)s, %(source)s, %(media)s, %(sha256)s, %(label)s, %(holds)s, %(by)s)
ON CONFLICT (tenant, source, media_id, media_sha256, label)
DO UPDATE SET holds = EXCLUDED.holds, by = EXCLUDED.by, at = now();

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
