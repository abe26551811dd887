-- name: read_source
-- The tenant, adapter and settings of a source.
SELECT tenant, name, adapter, settings_sealed FROM source WHERE name = %(source)s;

-- name: list_live_secrets
-- The newest two that have not expired.
SELECT id, sealed FROM webhook_secret
WHERE tenant = %(tenant)s AND owner = %(owner)s AND name = %(name)s AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at DESC
LIMIT 2;

-- name: insert_delivery_once
-- A repetition inserts nothing.
INSERT INTO intake_seen (tenant, source, delivery_id, body_mac, event_id)
VALUES (%(tenant)s, %(source)s, %(delivery)s, %(body_mac)s, %(event)s)
ON CONFLICT DO NOTHING;

-- name: read_delivery
-- The event that this delivery made when it came first.
SELECT event_id, body_mac FROM intake_seen
WHERE tenant = %(tenant)s AND source = %(source)s AND delivery_id = %(delivery)s;

-- name: insert_event
-- An event, or an enrolment by its source.
INSERT INTO event (tenant, id, source, lane, sealed, arrival)
VALUES (%(tenant)s, %(event)s, %(source)s, %(lane)s, %(sealed)s, %(arrival)s);

-- name: insert_upload
-- An image that came with the request.
INSERT INTO upload (tenant, event_id, n, sealed) VALUES (%(tenant)s, %(event)s, %(n)s, %(sealed)s);

-- name: read_upload
-- Deleted once its event is done.
SELECT sealed FROM upload WHERE tenant = %(tenant)s AND event_id = %(event)s AND n = %(n)s;

-- name: read_event
-- With its times, done or not.
SELECT source, lane, sealed, received_at, done_at FROM event WHERE tenant = %(tenant)s AND id = %(event)s;

-- name: finish_event
-- Once: a worker that comes later changes nothing.
UPDATE event SET done_at = now() WHERE tenant = %(tenant)s AND id = %(event)s AND done_at IS NULL;

-- name: delete_uploads
-- All images of an event.
DELETE FROM upload WHERE tenant = %(tenant)s AND event_id = %(event)s;

-- name: purge_old_deliveries
-- A repetition is recognised for seven days.
DELETE FROM intake_seen WHERE received_at < now() - interval '7 days';

-- name: purge_finished_events
-- Events that are done, after their retention.
DELETE FROM event WHERE (tenant, id) IN (
    SELECT tenant, id FROM event
    WHERE done_at IS NOT NULL AND received_at < now() - make_interval(days => %(days)s)
    LIMIT %(most)s FOR UPDATE SKIP LOCKED
);

-- name: purge_missed_events
-- Events that waited for a gallery until their retention was over, with their jobs. Their images are left to
-- purge_left_uploads.
WITH over AS (
    DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT j.id FROM procrastinate_jobs j
        JOIN event e ON e.tenant = j.args ->> 'tenant' AND e.id = (j.args ->> 'event')::uuid
        WHERE j.task_name = 'match' AND j.status = 'todo' AND e.received_at < now() - make_interval(days => %(days)s)
        LIMIT %(most)s FOR UPDATE OF j SKIP LOCKED
    )
    RETURNING args ->> 'tenant' AS tenant, (args ->> 'event')::uuid AS event
)
DELETE FROM event e USING over o WHERE e.tenant = o.tenant AND e.id = o.event;

-- name: purge_left_uploads
-- Images whose event is done or gone: nothing reads them any more.
DELETE FROM upload WHERE (tenant, event_id, n) IN (
    SELECT u.tenant, u.event_id, u.n FROM upload u
    WHERE NOT EXISTS (SELECT FROM event e WHERE e.tenant = u.tenant AND e.id = u.event_id AND e.done_at IS NULL)
    LIMIT %(most)s FOR UPDATE SKIP LOCKED
);

-- name: read_open_event
-- An event that is not done.
SELECT source, lane, sealed, arrival FROM event WHERE tenant = %(tenant)s AND id = %(event)s AND done_at IS NULL;

-- name: claim_event
-- Counts a try; none is returned for an event that is done.
UPDATE event SET tries = tries + 1
WHERE tenant = %(tenant)s AND id = %(event)s AND done_at IS NULL
RETURNING source, lane, sealed, tries, arrival;

-- name: release_event_claim
-- Takes the try back where an outage, not the event, ended it.
UPDATE event SET tries = greatest(tries - 1, 0) WHERE tenant = %(tenant)s AND id = %(event)s;
