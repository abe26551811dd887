-- The first job of each tenant in each queue, found without looking at those behind it: tenants take turns.
CREATE INDEX assent_job_turns ON procrastinate_jobs (
    queue_name, (args ->> 'tenant'), priority DESC, id, (coalesce(scheduled_at, '-infinity'::timestamptz))
) WHERE status = 'todo';
CREATE INDEX assent_jobs_begun ON procrastinate_jobs (queue_name, (args ->> 'tenant')) WHERE status = 'doing';

-- Of each tenant the acts that are due, whatever others wait for.
CREATE INDEX platform_action_due_of_tenant ON platform_action (tenant, next_at) WHERE NOT queued;
DROP INDEX platform_action_due;
