-- name: lock_enrolments_of_subject
-- Enrolments of one subject wait for each other; who only reads about them waits for none.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || encode(%(pid)s, 'hex'), 2));

-- name: list_sealed_templates
-- Of one subject and model, oldest first.
SELECT id, model, sealed FROM template
WHERE tenant = %(tenant)s AND pid = %(pid)s AND model = %(model)s
ORDER BY enrolled_at, id;

-- name: read_first_series
-- Of the first consent that a subject ever gave.
SELECT series FROM consent WHERE tenant = %(tenant)s AND pid = %(pid)s AND n = 1;

-- name: list_waiting_enrolments
-- Oldest first; whose they are lies in the sealed body.
SELECT e.id, e.sealed, e.received_at
FROM upload u
JOIN event e ON e.tenant = u.tenant AND e.id = u.event_id
WHERE u.tenant = %(tenant)s AND u.n = 0 AND e.source = 'enrolment'
ORDER BY e.received_at, e.id;

-- name: delete_uploads
-- The sealed photos of these enrolments.
DELETE FROM upload WHERE tenant = %(tenant)s AND event_id = ANY(%(jobs)s);

-- name: delete_enrolments
-- The events of these enrolments.
DELETE FROM event WHERE tenant = %(tenant)s AND id = ANY(%(jobs)s);
