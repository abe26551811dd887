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
