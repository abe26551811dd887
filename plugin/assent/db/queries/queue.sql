-- name: read_clock
-- The time by which is judged what is due: the clocks of the hosts around the database differ.
SELECT clock_timestamp() AS now;

-- name: insert_job
-- Adds a job, by the queue library's own versioned function.
SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW(%(queue)s, %(task)s, %(priority)s, NULL, NULL, %(args)s, NULL)::procrastinate_job_to_defer_v1
]);

-- name: insert_match_job
-- Adds a job that compares faces later: when a gallery is there, at the latest after an hour.
SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW(%(queue)s, 'match', 0, NULL, NULL, %(args)s, now() + interval '1 hour')::procrastinate_job_to_defer_v1
]);

-- name: release_match_jobs
-- Makes those jobs due that wait for a gallery.
UPDATE procrastinate_jobs SET scheduled_at = now()
WHERE task_name = 'match' AND status = 'todo' AND scheduled_at > now();

-- name: count_match_jobs
-- The media items whose faces are still to be compared.
SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'match' AND status IN ('todo', 'doing');

-- name: fetch_job_in_turn
-- Begins the next job of a queue, in place of the queue library's own statement; no job of ours has a lock. Of the
-- tenants whose first job has the highest priority the one with the fewest begun in this queue has its turn, of several
-- the one that this worker served longest ago. One that has its most begun by this worker waits. Each tenant costs a look at the index, however many jobs it has.
WITH RECURSIVE tenants AS (
    (SELECT args ->> 'tenant' AS tenant FROM procrastinate_jobs
     WHERE status = 'todo' AND queue_name = %(queue)s
     ORDER BY args ->> 'tenant' LIMIT 1)
    UNION ALL
    SELECT (
        SELECT j.args ->> 'tenant' FROM procrastinate_jobs j
        WHERE j.status = 'todo' AND j.queue_name = %(queue)s AND j.args ->> 'tenant' > t.tenant
        ORDER BY j.args ->> 'tenant' LIMIT 1
    ) FROM tenants t WHERE t.tenant IS NOT NULL
), heads AS MATERIALIZED (
    SELECT t.tenant, head.priority FROM tenants t
    CROSS JOIN LATERAL (
        SELECT j.priority FROM procrastinate_jobs j
        WHERE j.status = 'todo' AND j.queue_name = %(queue)s AND j.args ->> 'tenant' = t.tenant
          AND coalesce(j.scheduled_at, '-infinity'::timestamptz) <= now()
        ORDER BY j.priority DESC, j.id LIMIT 1
    ) head
    WHERE (
        SELECT count(*) FROM procrastinate_jobs d
        WHERE d.status = 'doing' AND d.queue_name = %(queue)s AND d.args ->> 'tenant' = t.tenant
          AND d.worker_id = %(worker_id)s
    ) < %(most)s
), ordered AS MATERIALIZED (
    SELECT h.tenant, h.priority FROM heads h
    ORDER BY h.priority DESC, (
        SELECT count(*) FROM procrastinate_jobs d
        WHERE d.status = 'doing' AND d.queue_name = %(queue)s AND d.args ->> 'tenant' = h.tenant
    ), array_position(%(served)s::text[], h.tenant) NULLS FIRST
), candidate AS MATERIALIZED (
    SELECT first.id FROM ordered o
    CROSS JOIN LATERAL (
        SELECT j.id FROM procrastinate_jobs j
        WHERE j.status = 'todo' AND j.queue_name = %(queue)s AND j.args ->> 'tenant' = o.tenant
          AND coalesce(j.scheduled_at, '-infinity'::timestamptz) <= now()
        ORDER BY j.priority DESC, j.id LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) first
    LIMIT 1
)
UPDATE procrastinate_jobs j SET status = 'doing', worker_id = %(worker_id)s
FROM candidate WHERE j.id = candidate.id
RETURNING j.id, j.status, j.task_name, j.priority, j.lock, j.queueing_lock, j.args, j.scheduled_at, j.queue_name,
          j.attempts, j.worker_id;

-- name: list_jobs_of_event
-- Lists an event's jobs, oldest first.
SELECT id, status::text, queue_name, priority, attempts, worker_id
FROM procrastinate_jobs
WHERE args ->> 'tenant' = %(tenant)s AND args ->> 'event' = %(event)s
ORDER BY id;

-- name: purge_finished_jobs
-- Deletes jobs that ended more than 7 days ago, of those with the oldest events.
DELETE FROM procrastinate_jobs j
WHERE status IN ('succeeded', 'failed', 'cancelled', 'aborted')
  AND id IN (SELECT job_id FROM (SELECT job_id FROM procrastinate_events ORDER BY id LIMIT %(most)s) AS oldest)
  AND NOT EXISTS (SELECT FROM procrastinate_events e WHERE e.job_id = j.id AND e.at >= now() - interval '7 days');

-- name: requeue_jobs_of_lost_workers
-- Makes the jobs of lost workers wait again. One statement, so that of two workers that look at once one rescues.
UPDATE procrastinate_jobs SET status = 'todo', attempts = attempts + 1
WHERE status = 'doing'
  AND (worker_id IS NULL OR worker_id IN (
      SELECT id FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => %(lease)s)
  ))
RETURNING id, task_name;

-- name: correct_future_heartbeats
-- Sets heartbeats from before the server's clock was set back to now: a lost worker is found in time, no other harmed.
UPDATE procrastinate_workers SET last_heartbeat = now() WHERE last_heartbeat > now();

-- name: list_retractions
-- The arguments of the tenant's retraction jobs that wait or run.
SELECT args FROM procrastinate_jobs
WHERE task_name = 'retract' AND status IN ('todo', 'doing') AND args ->> 'tenant' = %(tenant)s;

-- name: clear_pseudonym_of_job
-- Removes the pseudonym from a finished retraction job.
UPDATE procrastinate_jobs SET args = args - 'pid' || '{"sealed": ""}'
WHERE id = %(job)s AND task_name = 'retract';
