-- name: lock_subject_shared
-- Locks a subject, shared, until the transaction ends.
SELECT pg_advisory_xact_lock_shared(hashtextextended(%(tenant)s || '/' || encode(%(pid)s, 'hex'), 1));

-- name: lock_subject_shared_session
-- Locks a subject, shared, across transactions until the session ends or releases it.
SELECT pg_advisory_lock_shared(hashtextextended(%(tenant)s || '/' || encode(%(pid)s, 'hex'), 1));

-- name: release_session_locks
-- Releases all advisory locks of this session; those of its transaction stay.
SELECT pg_advisory_unlock_all();

-- name: read_lock_timeout
-- Reads the setting, which is put back later.
SELECT current_setting('lock_timeout') AS time;

-- name: set_lock_timeout
-- Sets it for the transaction, or until its savepoint is rolled back.
SELECT set_config('lock_timeout', %(time)s, true);

-- name: lock_subject_exclusive
-- Locks a subject, exclusively, until the transaction ends; waits for holders of shared locks, lock_timeout at most.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || encode(%(pid)s, 'hex'), 1));

-- name: lock_media_sending
-- Locks a media item, shared, across transactions until the session ends or releases it.
SELECT pg_advisory_lock_shared(hashtextextended(%(tenant)s || '/' || %(source)s || '/' || %(media)s, 2));

-- name: lock_media_not_sending
-- Locks a media item until the transaction ends; waits for who sends something of it, lock_timeout at most.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || %(source)s || '/' || %(media)s, 2));
