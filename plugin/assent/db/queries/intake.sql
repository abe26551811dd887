-- name: source
SELECT tenant, adapter FROM source WHERE name = %(source)s;

-- name: live_secrets
SELECT id, sealed FROM webhook_secret
WHERE tenant = %(tenant)s AND owner = %(owner)s AND name = %(name)s AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at DESC
LIMIT 2;

-- name: remember_delivery
INSERT INTO intake_seen (tenant, source, delivery_id, body_mac, event_id)
VALUES (%(tenant)s, %(source)s, %(delivery)s, %(body_mac)s, %(event)s)
ON CONFLICT DO NOTHING;

-- name: known_delivery
SELECT event_id, body_mac FROM intake_seen
WHERE tenant = %(tenant)s AND source = %(source)s AND delivery_id = %(delivery)s;

-- name: insert_event
INSERT INTO event (tenant, id, source, lane, sealed)
VALUES (%(tenant)s, %(event)s, %(source)s, %(lane)s, %(sealed)s);

-- name: insert_upload
INSERT INTO upload (tenant, event_id, n, sealed) VALUES (%(tenant)s, %(event)s, %(n)s, %(sealed)s);

-- name: upload
SELECT sealed FROM upload WHERE tenant = %(tenant)s AND event_id = %(event)s AND n = %(n)s;

-- name: event
SELECT source, lane, sealed, received_at, done_at FROM event WHERE tenant = %(tenant)s AND id = %(event)s;

-- name: finish_event
UPDATE event SET done_at = now() WHERE tenant = %(tenant)s AND id = %(event)s AND done_at IS NULL;

-- name: drop_uploads
DELETE FROM upload WHERE tenant = %(tenant)s AND event_id = %(event)s;

-- name: purge_seen
DELETE FROM intake_seen WHERE received_at < now() - interval '7 days';

-- name: purge_events
DELETE FROM event WHERE done_at IS NOT NULL AND received_at < now() - make_interval(days => %(days)s);

-- name: begin_event
UPDATE event SET tries = tries + 1
WHERE tenant = %(tenant)s AND id = %(event)s AND done_at IS NULL
RETURNING source, lane, sealed, tries;

-- name: unbegin_event
UPDATE event SET tries = greatest(tries - 1, 0) WHERE tenant = %(tenant)s AND id = %(event)s;
