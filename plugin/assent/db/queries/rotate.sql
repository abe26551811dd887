-- name: try_alone
-- For the session: a rotation is many transactions.
SELECT pg_try_advisory_lock(hashtextextended('assent/rotate/' || %(tenant)s, 0)) AS mine;

-- name: no_longer_alone
-- All that this session has.
SELECT pg_advisory_unlock_all();

-- name: under_way
-- The transactions of this database that run now. In pg_locks every role sees them, whoever runs them.
SELECT coalesce(array_agg(l.virtualxid), '{}') AS seen
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.virtualxid = l.virtualtransaction AND l.pid <> pg_backend_pid()
  AND a.datname = current_database() AND coalesce(a.backend_type, 'client backend') = 'client backend';

-- name: still_under_way
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'virtualxid' AND virtualxid = virtualtransaction AND virtualxid = ANY(%(seen)s)
) AS busy;

-- name: subject_key_to_move
-- Rows that somebody else has locked are left to the next pass: who waits for nobody while it holds many rows is in
-- nobody's way for long.
SELECT pid, epoch, wrapped FROM subject_key
WHERE tenant = %(tenant)s AND pid > %(pid)s AND epoch < %(live)s
ORDER BY pid
LIMIT %(most)s
FOR UPDATE SKIP LOCKED;

-- name: move_subject_key
UPDATE subject_key k SET epoch = %(live)s, wrapped = m.wrapped
FROM unnest(%(pids)s::bytea[], %(wrapped)s::bytea[]) AS m (pid, wrapped)
WHERE k.tenant = %(tenant)s AND k.pid = m.pid;

-- name: match_to_move
SELECT media_id, face, epoch, locator FROM match
WHERE tenant = %(tenant)s AND (media_id, face) > (%(media_id)s, %(face)s) AND epoch < %(live)s
ORDER BY media_id, face
LIMIT %(most)s
FOR UPDATE SKIP LOCKED;

-- name: move_match
UPDATE match t SET epoch = %(live)s, locator = m.locator
FROM unnest(%(media_ids)s::text[], %(faces)s::smallint[], %(locators)s::bytea[]) AS m (media_id, face, locator)
WHERE t.tenant = %(tenant)s AND t.media_id = m.media_id AND t.face = m.face;

-- name: drop_matches
DELETE FROM match t
USING unnest(%(media_ids)s::text[], %(faces)s::smallint[]) AS m (media_id, face)
WHERE t.tenant = %(tenant)s AND t.media_id = m.media_id AND t.face = m.face;

-- name: audit_payload_to_move
SELECT seq, part, epoch, locator FROM audit_payload
WHERE tenant = %(tenant)s AND (seq, part) > (%(seq)s, %(part)s) AND epoch < %(live)s
ORDER BY seq, part
LIMIT %(most)s
FOR UPDATE SKIP LOCKED;

-- name: move_audit_payload
UPDATE audit_payload p SET epoch = %(live)s, locator = m.locator
FROM unnest(%(seqs)s::bigint[], %(parts)s::smallint[], %(locators)s::bytea[]) AS m (seq, part, locator)
WHERE p.tenant = %(tenant)s AND p.seq = m.seq AND p.part = m.part;

-- name: living
SELECT pid FROM subject_key WHERE tenant = %(tenant)s AND pid = ANY(%(pids)s);

-- name: retracting
-- Whether matches of somebody who is gone still have to be found.
SELECT EXISTS (SELECT FROM erasure WHERE tenant = %(tenant)s AND retracted_at IS NULL) AS retracting;

-- name: some_left
SELECT EXISTS (SELECT FROM subject_key WHERE tenant = %(tenant)s AND epoch < %(live)s)
    OR EXISTS (SELECT FROM match WHERE tenant = %(tenant)s AND epoch < %(live)s)
    OR EXISTS (SELECT FROM audit_payload WHERE tenant = %(tenant)s AND epoch < %(live)s) AS left;

-- name: retracted
SELECT id FROM erasure WHERE tenant = %(tenant)s AND retracted_at IS NOT NULL AND completed_at IS NULL;

-- name: postpone_erasures
-- Those that came while an epoch was being left may have rows under the new one: it has to go as well.
UPDATE erasure SET epoch = %(live)s
WHERE tenant = %(tenant)s AND completed_at IS NULL AND epoch < %(live)s AND NOT id = ANY(%(covered)s);

-- name: due
-- At once where no rotation has just ended, else when the pause is over: well within the hour.
SELECT DISTINCT tenant FROM erasure e
WHERE retracted_at IS NOT NULL AND completed_at IS NULL
  AND NOT EXISTS (
      SELECT FROM erasure d WHERE d.tenant = e.tenant AND d.completed_at > now() - make_interval(secs => %(pause)s)
  )
ORDER BY tenant;

-- name: exported_keys
SELECT pid, epoch, wrapped FROM subject_key WHERE tenant = %(tenant)s ORDER BY pid;

-- name: newest_epoch
SELECT max(epoch) AS epoch FROM subject_key WHERE tenant = %(tenant)s;

-- name: dead_people
-- Whose key no living epoch opens, a page of them.
SELECT pid FROM subject_key
WHERE tenant = %(tenant)s AND NOT epoch = ANY(%(alive)s) AND pid > %(after)s
ORDER BY pid
LIMIT %(most)s;

-- name: drop_people
DELETE FROM subject WHERE tenant = %(tenant)s AND pid = ANY(%(pids)s);

-- name: drop_links
DELETE FROM person_link WHERE tenant = %(tenant)s AND pid = ANY(%(pids)s);

-- name: bring_back_keys
UPDATE subject_key k SET epoch = m.epoch, wrapped = m.wrapped
FROM unnest(%(pids)s::bytea[], %(epochs)s::integer[], %(wrapped)s::bytea[]) AS m (pid, epoch, wrapped)
WHERE k.tenant = %(tenant)s AND k.pid = m.pid AND NOT k.epoch = ANY(%(alive)s);

-- name: dead_pictures
-- Pictures with a match whose person cannot be told any more.
SELECT DISTINCT media_id FROM match
WHERE tenant = %(tenant)s AND NOT epoch = ANY(%(alive)s)
ORDER BY media_id
LIMIT %(most)s;

-- name: drop_dead_matches
DELETE FROM match WHERE tenant = %(tenant)s AND media_id = %(media)s AND NOT epoch = ANY(%(alive)s);

-- name: first_time
-- Keys of calls already made are kept for a day in this table; so are the minutes in which a broken seal was noted.
INSERT INTO idempotency (tenant, key_mac, request_mac, sealed) VALUES (%(tenant)s, %(key_mac)s, '', '')
ON CONFLICT DO NOTHING;
