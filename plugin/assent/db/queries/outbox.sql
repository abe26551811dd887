-- name: select_message
-- Selects a message with its endpoint; the endpoint's columns are NULL where it was removed.
SELECT o.tenant, o.id, o.endpoint, o.type, o.source, o.media_id, o.revision, o.state, o.attempts, o.unmade, o.next_at,
       o.created_at, o.last_error, e.name, e.url, e.audience, e.mac, e.disabled_at, e.failures, e.rests_until
FROM outbox o
LEFT JOIN endpoint e ON e.tenant = o.tenant AND e.name = o.endpoint
WHERE o.tenant = %(tenant)s AND o.id = %(id)s;

-- name: claim_message
-- Takes the row for one attempt, unless somebody was faster: next_at or state is then no longer what was read.
UPDATE outbox SET attempts = attempts + 1, next_at = %(lease)s
WHERE tenant = %(tenant)s AND id = %(id)s AND state = 'waiting' AND next_at = %(read)s;

-- name: record_outcome_if_unchanged
-- Records the outcome of an attempt, unless the row was taken over or superseded meanwhile.
UPDATE outbox SET state = %(state)s, queued = false, next_at = coalesce(%(retry_at)s, next_at), last_error = %(because)s
WHERE tenant = %(tenant)s AND id = %(id)s AND state = 'waiting' AND next_at = %(next_at)s;

-- name: mark_unbuildable
-- Counts an attempt for which no body could be made, unless somebody changed the row since it was read.
UPDATE outbox SET attempts = attempts + 1, unmade = unmade + 1, queued = false, state = %(state)s,
    next_at = coalesce(%(retry_at)s, next_at), last_error = %(because)s
WHERE tenant = %(tenant)s AND id = %(id)s AND state = 'waiting' AND next_at = %(read)s;

-- name: unqueue_waiting
-- Makes a message wait in its row from here on, not in the queue.
UPDATE outbox SET queued = false
WHERE tenant = %(tenant)s AND id = %(id)s AND state = 'waiting';

-- name: postpone_waiting
-- Unqueues a message too; one that is due, and so under way nowhere, waits until that time.
UPDATE outbox SET queued = false, next_at = CASE WHEN next_at <= now() THEN now() + %(postponed)s ELSE next_at END
WHERE tenant = %(tenant)s AND id = %(id)s AND state = 'waiting';

-- name: queue_due_messages
-- Marks each endpoint's due messages as queued; only one, as a probe, where the endpoint has rested.
WITH due AS (
    SELECT m.* FROM endpoint e
    CROSS JOIN LATERAL (
        SELECT o.tenant, o.id FROM outbox o
        WHERE o.tenant = e.tenant AND o.endpoint = e.name
          AND o.state = 'waiting' AND NOT o.queued AND o.next_at <= now()
        ORDER BY o.next_at
        LIMIT CASE WHEN e.rests_until IS NULL THEN %(most)s ELSE 1 END
        FOR UPDATE SKIP LOCKED
    ) m
    WHERE e.rests_until IS NULL OR e.rests_until <= now()
)
UPDATE outbox SET queued = true FROM due
WHERE outbox.tenant = due.tenant AND outbox.id = due.id
RETURNING outbox.tenant, outbox.endpoint, outbox.id;

-- name: mark_delivered
-- Marks a message as delivered, whatever became of its row meanwhile: the receiver has it.
UPDATE outbox SET state = 'delivered', delivered_at = %(at)s, last_error = NULL
WHERE tenant = %(tenant)s AND id = %(id)s AND state <> 'delivered';

-- name: claim_endpoint_probe
-- Takes the one attempt that tells whether a resting endpoint answers again; it rests until that is over.
UPDATE endpoint SET rests_until = %(lease)s
WHERE tenant = %(tenant)s AND name = %(endpoint)s AND rests_until = %(read)s;

-- name: reset_failing_endpoint
-- Ends the failing of an endpoint after a delivery, if it still has the URL that was used.
UPDATE endpoint SET failing_since = NULL, failures = 0, rests_until = NULL
WHERE tenant = %(tenant)s AND name = %(endpoint)s AND url = %(url)s AND failing_since IS NOT NULL;

-- name: lock_endpoint_health
-- Locks and returns an endpoint's health, if it still has the URL that the answer came from.
SELECT failing_since, failures FROM endpoint
WHERE tenant = %(tenant)s AND name = %(endpoint)s AND url = %(url)s AND disabled_at IS NULL
FOR UPDATE;

-- name: update_endpoint_health
-- Stores an endpoint's health after a failed attempt.
UPDATE endpoint
SET failing_since = %(failing_since)s, failures = %(failures)s, rests_until = %(rests_until)s,
    disabled_at = %(disabled_at)s, disabled_because = %(disabled_because)s
WHERE tenant = %(tenant)s AND name = %(endpoint)s;

-- name: list_endpoints
-- Lists a tenant's endpoints by name, each with its number of waiting messages.
SELECT name, url, audience, failing_since, rests_until, disabled_at, disabled_because,
       (SELECT count(*) FROM outbox o WHERE o.tenant = e.tenant AND o.endpoint = e.name AND o.state = 'waiting')
           AS waiting
FROM endpoint e
WHERE tenant = %(tenant)s
ORDER BY name;

-- name: insert_new_endpoint
-- Inserts an endpoint, unless its name is taken.
INSERT INTO endpoint (tenant, name, url, audience, mac)
VALUES (%(tenant)s, %(name)s, %(url)s, %(audience)s, %(mac)s)
ON CONFLICT DO NOTHING;

-- name: enable_endpoint
-- Makes an endpoint be sent to again: neither disabled nor resting.
UPDATE endpoint
SET disabled_at = NULL, disabled_because = NULL, failing_since = NULL, failures = 0, rests_until = NULL
WHERE tenant = %(tenant)s AND name = %(endpoint)s;

-- name: list_dead_letters
-- Lists the messages that were given up, oldest first.
SELECT id, endpoint, type, source, media_id, revision, attempts, created_at, last_error
FROM outbox
WHERE tenant = %(tenant)s AND state = 'dead'
ORDER BY created_at, id;

-- name: redrive_dead_letters
-- Makes dead letters, all or those with the ids, wait for their first attempt again.
UPDATE outbox SET state = 'waiting', queued = false, attempts = 0, unmade = 0, next_at = now(), last_error = NULL
WHERE tenant = %(tenant)s AND state = 'dead' AND (%(ids)s::uuid[] IS NULL OR id = ANY(%(ids)s::uuid[]))
RETURNING id;
