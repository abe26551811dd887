-- name: try_rotation_lock
-- For the session: a rotation is many transactions.
SELECT pg_try_advisory_lock(hashtextextended('assent/rotate/' || %(tenant)s, 0)) AS mine;

-- name: release_rotation_lock
-- All that this session has.
SELECT pg_advisory_unlock_all();

-- name: list_running_transactions
-- Those of this database that run now. In pg_locks every role sees them, whoever runs them.
SELECT coalesce(array_agg(l.virtualxid), '{}') AS seen
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.virtualxid = l.virtualtransaction AND l.pid <> pg_backend_pid()
  AND a.datname = current_database() AND coalesce(a.backend_type, 'client backend') = 'client backend';

-- name: is_any_still_running
-- Of the transactions that ran before.
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'virtualxid' AND virtualxid = virtualtransaction AND virtualxid = ANY(%(seen)s)
) AS busy;

-- name: lock_subject_key_rows
-- Rows that somebody else has locked are left to the next pass: who waits for nobody while it holds many rows is in
-- nobody's way for long.
SELECT pid, epoch, wrapped FROM subject_key
WHERE tenant = %(tenant)s AND pid > %(pid)s AND epoch < %(live)s
ORDER BY pid
LIMIT %(most)s
FOR UPDATE SKIP LOCKED;

-- name: move_subject_key_rows
-- To the live epoch.
UPDATE subject_key k SET epoch = %(live)s, wrapped = m.wrapped
FROM unnest(%(pids)s::bytea[], %(wrapped)s::bytea[]) AS m (pid, wrapped)
WHERE k.tenant = %(tenant)s AND k.pid = m.pid;

-- name: lock_match_rows
-- Skips locked rows as `lock_subject_key_rows` does.
SELECT source, media_id, face, epoch, locator, slot FROM match
WHERE tenant = %(tenant)s AND (source, media_id, face) > (%(source)s, %(media_id)s, %(face)s) AND epoch < %(live)s
ORDER BY source, media_id, face
LIMIT %(most)s
FOR UPDATE SKIP LOCKED;

-- name: move_match_rows
-- To the live epoch.
UPDATE match t SET epoch = %(live)s, locator = m.locator
FROM unnest(%(sources)s::text[], %(media_ids)s::text[], %(faces)s::smallint[], %(locators)s::bytea[])
    AS m (source, media_id, face, locator)
WHERE t.tenant = %(tenant)s AND t.source = m.source AND t.media_id = m.media_id AND t.face = m.face;

-- name: delete_matches
-- Those of subjects who are gone.
DELETE FROM match t
USING unnest(%(sources)s::text[], %(media_ids)s::text[], %(faces)s::smallint[]) AS m (source, media_id, face)
WHERE t.tenant = %(tenant)s AND t.source = m.source AND t.media_id = m.media_id AND t.face = m.face;

-- name: lock_audit_payload_rows
-- Skips locked rows as `lock_subject_key_rows` does.
SELECT seq, part, epoch, locator FROM audit_payload
WHERE tenant = %(tenant)s AND (seq, part) > (%(seq)s, %(part)s) AND epoch < %(live)s
ORDER BY seq, part
LIMIT %(most)s
FOR UPDATE SKIP LOCKED;

-- name: move_audit_payload_rows
-- To the live epoch.
UPDATE audit_payload p SET epoch = %(live)s, locator = m.locator
FROM unnest(%(seqs)s::bigint[], %(parts)s::smallint[], %(locators)s::bytea[]) AS m (seq, part, locator)
WHERE p.tenant = %(tenant)s AND p.seq = m.seq AND p.part = m.part;

-- name: read_audit_payloads
-- The sealed parts of these numbers.
SELECT p.seq, p.part, p.sealed FROM audit_payload p
JOIN unnest(%(seqs)s::bigint[], %(parts)s::smallint[]) AS m (seq, part) USING (seq, part)
WHERE p.tenant = %(tenant)s;

-- name: reseal_audit_payloads
-- Under their subjects' current keys.
UPDATE audit_payload p SET sealed = m.sealed
FROM unnest(%(seqs)s::bigint[], %(parts)s::smallint[], %(sealed)s::bytea[]) AS m (seq, part, sealed)
WHERE p.tenant = %(tenant)s AND p.seq = m.seq AND p.part = m.part;

-- name: list_subjects_with_keys
-- Those of these subjects who were not erased.
SELECT pid FROM subject_key WHERE tenant = %(tenant)s AND pid = ANY(%(pids)s);

-- name: has_unretracted_erasure
-- Matches of somebody who is gone still have to be found.
SELECT EXISTS (SELECT FROM erasure WHERE tenant = %(tenant)s AND retracted_at IS NULL) AS retracting;

-- name: has_rows_to_move
-- Under an epoch before the live one.
SELECT EXISTS (SELECT FROM subject_key WHERE tenant = %(tenant)s AND epoch < %(live)s)
    OR EXISTS (SELECT FROM match WHERE tenant = %(tenant)s AND epoch < %(live)s)
    OR EXISTS (SELECT FROM audit_payload WHERE tenant = %(tenant)s AND epoch < %(live)s) AS left;

-- name: list_retracted_erasures
-- Those that this rotation completes.
SELECT id FROM erasure WHERE tenant = %(tenant)s AND retracted_at IS NOT NULL AND completed_at IS NULL;

-- name: postpone_erasures
-- Those that came while an epoch was being left may have rows under the new one: it has to go as well.
UPDATE erasure SET epoch = %(live)s
WHERE tenant = %(tenant)s AND completed_at IS NULL AND epoch < %(live)s AND NOT id = ANY(%(covered)s);

-- name: set_rotated
-- When the last rotation ended.
UPDATE tenant SET rotated_at = now() WHERE tenant = %(tenant)s;

-- name: list_tenants_due
-- After an erasure, or where a consent ended. At once where no rotation has just ended, else when the pause is over: well
-- within the hour.
SELECT tenant FROM erasure e
WHERE retracted_at IS NOT NULL AND completed_at IS NULL
  AND NOT EXISTS (
      SELECT FROM erasure d WHERE d.tenant = e.tenant AND d.completed_at > now() - make_interval(secs => %(pause)s)
  )
UNION
SELECT tenant FROM tenant t
WHERE (rotated_at IS NULL OR rotated_at <= now() - make_interval(secs => %(pause)s))
  AND EXISTS (SELECT FROM ended_key k WHERE k.tenant = t.tenant)
ORDER BY tenant;

-- name: list_wrapped_keys
-- All of a tenant, for an export.
SELECT pid, epoch, wrapped FROM subject_key WHERE tenant = %(tenant)s ORDER BY pid;

-- name: list_ended_consents
-- All of a tenant, for an export: withdrawn, expired or replaced.
SELECT id FROM consent
WHERE tenant = %(tenant)s AND (withdrawn_at IS NOT NULL OR expired_at IS NOT NULL)
UNION
SELECT id FROM ended_consent WHERE tenant = %(tenant)s
ORDER BY id;

-- name: list_ids_in_force
-- Of a tenant's consents that have not ended in the database.
SELECT id FROM consent WHERE tenant = %(tenant)s AND withdrawn_at IS NULL AND expired_at IS NULL;

-- name: list_keys_without_consent
-- A page of the keys of subjects with no consent in force.
SELECT k.pid, k.epoch, k.wrapped FROM subject_key k
WHERE k.tenant = %(tenant)s AND k.pid > %(after)s AND NOT EXISTS (
    SELECT FROM consent c
    WHERE c.tenant = k.tenant AND c.pid = k.pid AND c.withdrawn_at IS NULL AND c.expired_at IS NULL
)
ORDER BY k.pid
LIMIT %(most)s;

-- name: list_consents_without_row
-- Those that a rotation which begins now covers.
SELECT id FROM ended_consent WHERE tenant = %(tenant)s;

-- name: insert_consents_without_row
-- Those of an export that the restored database does not know.
INSERT INTO ended_consent (tenant, id)
SELECT %(tenant)s, m.id FROM unnest(%(ids)s::uuid[]) AS m (id)
WHERE NOT EXISTS (SELECT FROM consent c WHERE c.tenant = %(tenant)s AND c.id = m.id)
ON CONFLICT DO NOTHING;

-- name: delete_consents_without_row
-- No backup of before opens for their people any more.
DELETE FROM ended_consent WHERE tenant = %(tenant)s AND id = ANY(%(ids)s);

-- name: read_newest_epoch
-- Of any key in the database.
SELECT max(epoch) AS epoch FROM subject_key WHERE tenant = %(tenant)s;

-- name: list_orphaned_subjects
-- A page of those whose key no living epoch opens.
SELECT pid FROM subject_key
WHERE tenant = %(tenant)s AND NOT epoch = ANY(%(alive)s) AND pid > %(after)s
ORDER BY pid
LIMIT %(most)s;

-- name: delete_subjects
-- Consents, templates and refusals go with them.
DELETE FROM subject WHERE tenant = %(tenant)s AND pid = ANY(%(pids)s);

-- name: delete_links
-- Links and sessions of these subjects.
DELETE FROM person_link WHERE tenant = %(tenant)s AND pid = ANY(%(pids)s);

-- name: restore_keys
-- Only where no living epoch opens the stored one.
UPDATE subject_key k SET epoch = m.epoch, wrapped = m.wrapped
FROM unnest(%(pids)s::bytea[], %(epochs)s::integer[], %(wrapped)s::bytea[]) AS m (pid, epoch, wrapped)
WHERE k.tenant = %(tenant)s AND k.pid = m.pid AND NOT k.epoch = ANY(%(alive)s)
RETURNING k.pid, k.epoch, k.wrapped, (SELECT s.sealed FROM subject s WHERE s.tenant = k.tenant AND s.pid = k.pid);

-- name: list_orphaned_media
-- A page of media items with a match whose subject cannot be told any more.
SELECT DISTINCT source, media_id FROM match
WHERE tenant = %(tenant)s AND NOT epoch = ANY(%(alive)s)
ORDER BY source, media_id
LIMIT %(most)s;

-- name: delete_orphaned_matches
-- Of one media item.
WITH gone AS (
    DELETE FROM match
    WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND NOT epoch = ANY(%(alive)s)
    RETURNING tenant, slot
)
INSERT INTO spent_slot SELECT tenant, slot FROM gone WHERE slot IS NOT NULL ON CONFLICT DO NOTHING;

-- name: insert_broken_note_once
-- Keys of calls already made are kept for a day in this table; so are the minutes in which a broken seal was noted.
INSERT INTO idempotency (tenant, key_mac, request_mac, sealed) VALUES (%(tenant)s, %(key_mac)s, '', '')
ON CONFLICT DO NOTHING;
