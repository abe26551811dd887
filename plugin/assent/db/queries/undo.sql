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
-- Once, by whoever decided, in time.
DELETE FROM moderator_undo WHERE tenant = %(tenant)s AND case_id = %(case)s AND by = %(by)s AND undo_until > now()
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
