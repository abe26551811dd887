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
-- The newest correction of each label, whatever ids the file was posted under.
SELECT DISTINCT ON (label) label, holds FROM correction
WHERE tenant = %(tenant)s AND media_sha256 = %(sha256)s
ORDER BY label, at DESC;

-- name: read_newest_moderator_decision
-- The newest action that a moderator decided on for that file, with the perception that they were shown.
SELECT document -> 'reviewed' AS reviewed, perceptions FROM decision
WHERE tenant = %(tenant)s AND document -> 'media' ->> 'sha256' = %(sha256)s
  AND document -> 'reviewed' ->> 'action' IS NOT NULL
ORDER BY (document -> 'reviewed' ->> 'at')::timestamptz DESC
LIMIT 1;
