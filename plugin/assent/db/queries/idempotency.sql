-- name: one_at_a_time
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || encode(%(key)s, 'hex'), 2));

-- name: answered
SELECT request_mac, sealed FROM idempotency
WHERE tenant = %(tenant)s AND key_mac = %(key)s AND at > now() - interval '24 hours';

-- name: remember
INSERT INTO idempotency (tenant, key_mac, request_mac, sealed)
VALUES (%(tenant)s, %(key)s, %(request)s, %(sealed)s)
ON CONFLICT (tenant, key_mac) DO UPDATE
SET request_mac = excluded.request_mac, sealed = excluded.sealed, at = excluded.at;

-- name: purge
DELETE FROM idempotency WHERE at < now() - interval '24 hours';
