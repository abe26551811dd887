-- name: read_platform_of_source
-- Returns the kind of platform that a source stands for.
SELECT adapter FROM source WHERE tenant = %(tenant)s AND name = %(source)s;

-- name: insert_action_once
-- Inserts an intended act, unless the same one is intended or done already; the first of several stays.
INSERT INTO platform_action (tenant, id, source, act, target_mac, request)
VALUES (%(tenant)s, %(id)s, %(source)s, %(act)s, %(mac)s, %(request)s)
ON CONFLICT (tenant, source, act, target_mac) WHERE state <> 'undone' DO NOTHING;

-- name: lock_action_of_target
-- Locks and returns the act on a post or account that was not undone.
SELECT id, state FROM platform_action
WHERE tenant = %(tenant)s AND source = %(source)s AND act = %(act)s AND target_mac = %(mac)s AND state <> 'undone'
FOR UPDATE;

-- name: want_action
-- Notes that a media item's decision wants an act, from now on.
INSERT INTO platform_action_cause (tenant, source, media_id, action_id, revision)
VALUES (%(tenant)s, %(source)s, %(media)s, %(id)s, %(revision)s)
ON CONFLICT (tenant, source, media_id, action_id)
DO UPDATE SET revision = excluded.revision, asked = true, wanted = true, since = now();

-- name: intend_again
-- Intends an act anew that failed or was only a dry run; one that was done and could not be undone is done still.
UPDATE platform_action
SET state = CASE WHEN state = 'cannot-undo' THEN 'done' ELSE 'intended' END, attempts = 0, last_error = NULL,
    next_at = CASE WHEN state <> 'cannot-undo' THEN now() END, changed_at = now()
WHERE tenant = %(tenant)s AND id = %(id)s AND state IN ('failed', 'dry-run', 'cannot-undo');

-- name: drop_causes_but
-- Makes what a media item's decision wanted before unwanted, but for these actions, and returns them.
UPDATE platform_action_cause SET asked = false, wanted = false, since = now()
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND action_id <> ALL(%(ids)s) AND asked
RETURNING action_id;

-- name: delete_causes
-- Deletes what a media item's decisions wanted, and returns the actions.
DELETE FROM platform_action_cause
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s
RETURNING action_id;

-- name: is_deleted_by_us
-- Tells whether a media item's post was deleted by an act that stands, or may have been this moment.
SELECT EXISTS (
    SELECT FROM platform_action_cause c
    JOIN platform_action a ON a.tenant = c.tenant AND a.id = c.action_id
    WHERE c.tenant = %(tenant)s AND c.source = %(source)s AND c.media_id = %(media)s AND a.act = 'delete'
      AND (a.state = 'done' OR a.unsure)
) AS ours;

-- name: list_causes_of_media
-- Lists what a media item's decision wants, or wanted before a moderator's.
SELECT c.action_id, c.wanted, a.act FROM platform_action_cause c
JOIN platform_action a ON a.tenant = c.tenant AND a.id = c.action_id
WHERE c.tenant = %(tenant)s AND c.source = %(source)s AND c.media_id = %(media)s AND c.asked
ORDER BY c.action_id;

-- name: turn_cause
-- Makes a cause wanted or not after the hold; a turn that is still held is cancelled at once.
UPDATE platform_action_cause
SET wanted = %(wanted)s, since = CASE WHEN since > now() THEN now() ELSE now() + %(hold)s END
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND action_id = %(id)s
  AND wanted <> %(wanted)s;

-- name: wake_actions
-- Makes actions be looked at once the hold is over. One that is queued, and so may be under way, finds out at its end.
UPDATE platform_action SET next_at = now() + %(hold)s, changed_at = now()
WHERE tenant = %(tenant)s AND id = ANY(%(ids)s) AND NOT queued;

-- name: select_action
-- Selects an action with its source's connection, and whether any decision wants it now or will.
SELECT a.tenant, a.id, a.source, a.act, a.target_mac, a.request, a.outcome, a.state, a.unsure, a.attempts, a.round,
       a.next_at, a.last_error, a.created_at, s.adapter AS platform, p.sealed, p.rests_until,
       EXISTS (SELECT FROM platform_action_cause c
               WHERE c.tenant = a.tenant AND c.action_id = a.id AND (c.wanted = (c.since <= %(now)s))) AS wanted,
       EXISTS (SELECT FROM platform_action_cause c WHERE c.tenant = a.tenant AND c.action_id = a.id) AS caused,
       (SELECT min(c.since) FROM platform_action_cause c
        WHERE c.tenant = a.tenant AND c.action_id = a.id AND c.since > %(now)s) AS turns_at
FROM platform_action a
JOIN source s ON s.tenant = a.tenant AND s.name = a.source
LEFT JOIN platform_connection p ON p.tenant = a.tenant AND p.source = a.source
WHERE a.tenant = %(tenant)s AND a.id = %(id)s
FOR UPDATE OF a;

-- name: list_media_of_action
-- Lists the media items on whose decisions an action stands.
SELECT media_id, revision FROM platform_action_cause
WHERE tenant = %(tenant)s AND action_id = %(id)s
ORDER BY media_id;

-- name: claim_action
-- Takes an action for one attempt. From here on a call may reach the platform.
UPDATE platform_action SET attempts = %(attempts)s, next_at = %(lease)s, unsure = true, state = %(state)s,
    changed_at = now()
WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: record_action
-- Records what came of an attempt, unless another worker has taken the action over meanwhile.
UPDATE platform_action SET state = %(state)s, unsure = %(unsure)s, outcome = coalesce(%(outcome)s, outcome),
    attempts = %(attempts)s, next_at = %(next_at)s, queued = false, last_error = %(because)s,
    changed_at = now()
WHERE tenant = %(tenant)s AND id = %(id)s AND next_at IS NOT DISTINCT FROM %(read)s;

-- name: join_other_action
-- Moves what wants an undone action to one of the same target that was begun since, and has that looked at.
WITH other AS (
    SELECT o.id FROM platform_action a
    JOIN platform_action o USING (tenant, source, act, target_mac)
    WHERE a.tenant = %(tenant)s AND a.id = %(id)s AND o.id <> a.id AND o.state <> 'undone'
), moved AS (
    UPDATE platform_action_cause c SET action_id = other.id FROM other
    WHERE c.tenant = %(tenant)s AND c.action_id = %(id)s AND c.asked AND c.wanted
)
UPDATE platform_action SET next_at = now() FROM other
WHERE platform_action.tenant = %(tenant)s AND platform_action.id = other.id AND NOT platform_action.queued;

-- name: begin_round
-- Intends an undone action anew. What it left is forgotten, and its calls carry another id from here on.
UPDATE platform_action SET state = 'intended', unsure = false, outcome = NULL, attempts = 0, round = round + 1,
    next_at = %(now)s, queued = false, last_error = NULL, changed_at = now()
WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: delete_action_of_nothing
-- Deletes an action that stands on no decision any more, since its media items were deleted: a finished one, and one
-- that outlives its post.
DELETE FROM platform_action a
WHERE a.tenant = %(tenant)s AND a.id = %(id)s AND NOT a.unsure
  AND (a.state IN ('undone', 'cannot-undo') OR (%(outlives)s AND a.state IN ('done', 'failed')))
  AND NOT EXISTS (SELECT FROM platform_action_cause c WHERE c.tenant = a.tenant AND c.action_id = a.id);

-- name: unqueue_action
-- Makes an action wait in its row from here on, not in the queue.
UPDATE platform_action SET queued = false WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: postpone_action
-- Unqueues an action too; one that is due waits until that time.
UPDATE platform_action SET queued = false, next_at = greatest(next_at, now() + %(postponed)s)
WHERE tenant = %(tenant)s AND id = %(id)s AND next_at IS NOT NULL;

-- name: queue_due_actions
-- Marks actions that are due as queued, of each tenant the oldest first.
WITH due AS (
    SELECT m.* FROM tenant t
    CROSS JOIN LATERAL (
        SELECT a.tenant, a.id FROM platform_action a
        LEFT JOIN platform_connection p ON p.tenant = a.tenant AND p.source = a.source
        WHERE a.tenant = t.tenant AND NOT a.queued AND a.next_at <= now()
          AND (p.rests_until IS NULL OR p.rests_until <= now())
        ORDER BY a.next_at
        LIMIT %(most)s
        FOR UPDATE OF a SKIP LOCKED
    ) m
)
UPDATE platform_action SET queued = true FROM due
WHERE platform_action.tenant = due.tenant AND platform_action.id = due.id
RETURNING platform_action.tenant, platform_action.source, platform_action.id;

-- name: rest_connection
-- Leaves a platform alone until that time; a longer rest stays.
UPDATE platform_connection SET rests_until = greatest(rests_until, %(until)s)
WHERE tenant = %(tenant)s AND source = %(source)s;

-- name: ask_later
-- Has a platform asked nothing for a while, since it gave no answer.
UPDATE platform_connection SET ask_from = now() + %(pause)s WHERE tenant = %(tenant)s AND source = %(source)s;

-- name: store_connection
-- Stores where a source's platform is acted upon; a former connection is replaced.
INSERT INTO platform_connection (tenant, source, sealed, acting)
VALUES (%(tenant)s, %(source)s, %(sealed)s, %(acting)s)
ON CONFLICT (tenant, source)
DO UPDATE SET sealed = excluded.sealed, acting = excluded.acting, rests_until = NULL, ask_from = NULL;

-- name: lock_connection
-- Locks and returns a source's connection.
SELECT sealed, acting FROM platform_connection
WHERE tenant = %(tenant)s AND source = %(source)s
FOR UPDATE;

-- name: read_connection
-- Returns a source's connection with its kind of platform.
SELECT p.sealed, s.adapter AS platform FROM platform_connection p
JOIN source s ON s.tenant = p.tenant AND s.name = p.source
WHERE p.tenant = %(tenant)s AND p.source = %(source)s;

-- name: list_connections
-- Lists a tenant's sources with their platform, and the connection where there is one.
SELECT s.name AS source, s.adapter AS platform, p.source IS NOT NULL AS connected, coalesce(p.acting, false) AS acting,
       p.rests_until
FROM source s
LEFT JOIN platform_connection p ON p.tenant = s.tenant AND p.source = s.name
WHERE s.tenant = %(tenant)s
ORDER BY s.name;

-- name: list_platforms_to_ask
-- Connected sources of a kind of platform, without those that asked for a pause or gave no answer a moment ago.
SELECT p.tenant, p.source, p.sealed, s.adapter AS platform, s.name, s.adapter, s.settings_sealed
FROM platform_connection p
JOIN source s ON s.tenant = p.tenant AND s.name = p.source
WHERE s.adapter = %(platform)s AND (p.rests_until IS NULL OR p.rests_until <= now())
  AND (p.ask_from IS NULL OR p.ask_from <= now())
ORDER BY p.tenant, p.source;

-- name: list_actions
-- Lists a tenant's newest actions, with the media items on whose decisions they stand.
SELECT a.id, a.source, a.act, a.state, a.attempts, a.last_error, a.created_at, a.changed_at,
       ARRAY(SELECT c.media_id FROM platform_action_cause c
             WHERE c.tenant = a.tenant AND c.action_id = a.id ORDER BY c.media_id) AS media
FROM platform_action a
WHERE a.tenant = %(tenant)s AND (%(state)s::text IS NULL OR a.state = %(state)s)
ORDER BY a.created_at DESC, a.id
LIMIT %(most)s;

-- name: retry_failed_actions
-- Intends failed actions anew, all or those with the ids.
UPDATE platform_action SET state = 'intended', attempts = 0, next_at = now(), queued = false, last_error = NULL,
    changed_at = now()
WHERE tenant = %(tenant)s AND state = 'failed' AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[]))
RETURNING id;

-- name: purge_undone_actions
-- After their retention; with them what failed and stands on no decision any more.
DELETE FROM platform_action WHERE (tenant, id) IN (
    SELECT tenant, id FROM platform_action a
    WHERE (state = 'undone' OR (state = 'failed' AND NOT EXISTS (
        SELECT FROM platform_action_cause c WHERE c.tenant = a.tenant AND c.action_id = a.id))) AND changed_at < now() - make_interval(days => %(days)s)
    LIMIT %(most)s FOR UPDATE SKIP LOCKED
);
