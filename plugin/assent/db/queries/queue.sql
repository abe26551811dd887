-- name: enqueue
SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW(%(queue)s, %(task)s, %(priority)s, NULL, NULL, %(args)s, NULL)::procrastinate_job_to_defer_v1
]);

-- name: jobs_of_event
SELECT id, status::text, queue_name, priority, attempts, worker_id
FROM procrastinate_jobs
WHERE args ->> 'tenant' = %(tenant)s AND args ->> 'event' = %(event)s
ORDER BY id;

-- name: purge_finished
DELETE FROM procrastinate_jobs
WHERE status IN ('succeeded', 'failed', 'cancelled', 'aborted')
  AND id IN (
      SELECT job_id FROM procrastinate_events GROUP BY job_id HAVING max(at) < now() - interval '7 days' LIMIT 10000
  );

-- name: rescue
-- The jobs of lost workers wait again. One statement, so that of two workers who look at the same time one rescues.
UPDATE procrastinate_jobs SET status = 'todo', attempts = attempts + 1
WHERE status = 'doing'
  AND (worker_id IS NULL OR worker_id IN (
      SELECT id FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => %(lease)s)
  ))
RETURNING id, task_name;

-- name: mend_heartbeats
-- From before the server's clock was set back. A worker that lives is not harmed, one that does not is found in time.
UPDATE procrastinate_workers SET last_heartbeat = now() WHERE last_heartbeat > now();

-- name: retracting
SELECT EXISTS (
    SELECT FROM procrastinate_jobs
    WHERE task_name = 'retract' AND status IN ('todo', 'doing')
      AND args ->> 'tenant' = %(tenant)s AND args ->> 'pid' = %(pid)s
) AS retracting;

-- name: forget_pid
UPDATE procrastinate_jobs SET args = args || '{"pid": ""}'
WHERE id = %(job)s AND task_name = 'retract';
