-- name: list_corrections
-- Those of a media item's file that concern any of these labels.
SELECT label, holds, by, was_said, at::text AS at FROM correction
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND media_sha256 = %(sha256)s
  AND label = ANY(%(labels)s);

-- name: insert_undo
-- Once for each closing of a case: one that was undone left none.
INSERT INTO moderator_undo (tenant, case_id, source, media_id, by, undo_until, before, after)
VALUES (%(tenant)s, %(case)s, %(source)s, %(media)s, %(by)s, now() + %(hold)s, %(before)s, %(after)s);

-- name: take_undo
-- Once, by whoever decided, in time: by the clock, as the transaction may have waited for the sending.
DELETE FROM moderator_undo
WHERE tenant = %(tenant)s AND case_id = %(case)s AND by = %(by)s AND undo_until > clock_timestamp()
RETURNING source, media_id, before, after;

-- name: delete_corrections
-- Those that the undone decision made.
DELETE FROM correction
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND media_sha256 = %(sha256)s
  AND label = ANY(%(labels)s);

-- name: restore_correction
-- As it was before the undone decision.
INSERT INTO correction (tenant, source, media_id, media_sha256, label, holds, by, was_said, at)
VALUES (
    %(tenant)s, %(source)s, %(media)s, %(sha256)s, %(label)s, %(holds)s, %(corrected_by)s, %(was_said)s,
    %(at)s::timestamptz
);

-- name: purge_undo
-- What can no longer be undone.
DELETE FROM moderator_undo WHERE undo_until < now();

-- name: read_held
-- For how long the newest decision on a media item is held back.
SELECT undo_until - clock_timestamp() AS remaining FROM moderator_undo
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND after IS NOT NULL
  AND undo_until > clock_timestamp();

-- name: tell_before_held
-- The revision by which what a held decision replaced was told of with other matches.
UPDATE moderator_undo SET before = before || jsonb_build_object('told', %(told)s::integer)
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND after IS NOT NULL;

-- name: read_before_held
-- What a held decision replaced, by the revision that it was told of as.
SELECT before -> 'document' AS document, before -> 'audiences' AS audiences, (before ->> 'told')::integer AS told
FROM moderator_undo
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND undo_until > clock_timestamp()
  AND (before ->> 'told')::integer = %(told)s;
