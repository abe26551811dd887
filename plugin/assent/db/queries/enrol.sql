-- name: one_at_a_time
-- Among enrolments of one person; who only reads about them waits for none.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || encode(%(pid)s, 'hex'), 2));

-- name: templates
SELECT id, model, sealed FROM template
WHERE tenant = %(tenant)s AND pid = %(pid)s AND model = %(model)s
ORDER BY enrolled_at, id;

-- name: waiting
SELECT e.id, e.sealed, e.received_at
FROM upload u
JOIN event e ON e.tenant = u.tenant AND e.id = u.event_id
WHERE u.tenant = %(tenant)s AND u.n = 0 AND e.source = 'enrolment'
ORDER BY e.received_at, e.id;

-- name: drop_uploads
DELETE FROM upload WHERE tenant = %(tenant)s AND event_id = ANY(%(jobs)s);

-- name: drop_jobs
DELETE FROM event WHERE tenant = %(tenant)s AND id = ANY(%(jobs)s);
