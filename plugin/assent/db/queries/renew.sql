-- name: list_rows_under_key
-- What of a subject stays when a consent ends: the platform's id (without an id of its own), evidence and refusals.
SELECT 'ref' AS kind, NULL::uuid AS id, sealed FROM subject WHERE tenant = %(tenant)s AND pid = %(pid)s
UNION ALL
SELECT 'evidence', id, evidence FROM consent
WHERE tenant = %(tenant)s AND pid = %(pid)s AND evidence IS NOT NULL
UNION ALL
SELECT 'refusal', id, sealed FROM refusal WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: replace_subject_key
-- With what lies under it; the old one is kept among the ended ones.
WITH ended AS (
    INSERT INTO ended_key (tenant, pid, id, epoch, wrapped)
    VALUES (%(tenant)s, %(pid)s, gen_random_uuid(), %(epoch)s, %(ended)s)
), fresh AS (
    UPDATE subject_key SET epoch = %(epoch)s, wrapped = %(wrapped)s WHERE tenant = %(tenant)s AND pid = %(pid)s
), moved AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(sealed)s::bytea[]) AS m (id, sealed)
), evidence AS (
    UPDATE consent c SET evidence = m.sealed FROM moved m WHERE c.tenant = %(tenant)s AND c.id = m.id
), refused AS (
    UPDATE refusal r SET sealed = m.sealed FROM moved m WHERE r.tenant = %(tenant)s AND r.id = m.id
)
UPDATE subject SET sealed = coalesce(%(ref)s::bytea, sealed) WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: list_keys_of_parts
-- The current key of each of these subjects before the ended ones.
SELECT pid, epoch, wrapped, false AS ended FROM subject_key WHERE tenant = %(tenant)s AND pid = ANY(%(pids)s)
UNION ALL
SELECT pid, epoch, wrapped, true FROM ended_key WHERE tenant = %(tenant)s AND pid = ANY(%(pids)s)
ORDER BY pid, ended;

-- name: list_ended_keys
-- Those that a rotation which begins now covers.
SELECT id FROM ended_key WHERE tenant = %(tenant)s;

-- name: lock_late_ended_keys
-- Of an epoch that a rotation leaves, and came after it began.
SELECT pid, id, epoch, wrapped, true AS ended FROM ended_key
WHERE tenant = %(tenant)s AND epoch < %(live)s AND NOT id = ANY(%(covered)s)
FOR UPDATE;

-- name: move_ended_key
-- To the live epoch.
UPDATE ended_key SET epoch = %(epoch)s, wrapped = %(wrapped)s
WHERE tenant = %(tenant)s AND pid = %(pid)s AND id = %(id)s;

-- name: delete_ended_keys
-- Of epochs whose keys are destroyed.
DELETE FROM ended_key WHERE tenant = %(tenant)s AND epoch < %(live)s;
