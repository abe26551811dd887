-- name: lock_key
-- Lets one call under a key go on at a time, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || encode(%(key)s, 'hex'), 2));

-- name: select_recent_answer
-- Selects the request and the sealed answer under a key of the last 24 hours.
SELECT request_mac, sealed FROM idempotency
WHERE tenant = %(tenant)s AND key_mac = %(key)s AND at > now() - interval '24 hours';

-- name: store_answer
-- Stores the sealed answer under a key, in place of an older one.
INSERT INTO idempotency (tenant, key_mac, request_mac, sealed)
VALUES (%(tenant)s, %(key)s, %(request)s, %(sealed)s)
ON CONFLICT (tenant, key_mac) DO UPDATE
SET request_mac = excluded.request_mac, sealed = excluded.sealed, at = excluded.at;

-- name: purge_old_answers
-- Deletes the answers that are older than 24 hours.
DELETE FROM idempotency WHERE at < now() - interval '24 hours';
