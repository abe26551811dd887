-- name: share_person
SELECT pg_advisory_xact_lock_shared(hashtextextended(%(tenant)s || '/' || encode(%(pid)s, 'hex'), 1));

-- name: hold_person
SELECT pg_advisory_lock_shared(hashtextextended(%(tenant)s || '/' || encode(%(pid)s, 'hex'), 1));

-- name: release_people
SELECT pg_advisory_unlock_all();

-- name: lock_timeout
SELECT current_setting('lock_timeout') AS time;

-- name: set_lock_timeout
-- For the transaction, or until its savepoint is rolled back.
SELECT set_config('lock_timeout', %(time)s, true);

-- name: lock_person
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || encode(%(pid)s, 'hex'), 1));
