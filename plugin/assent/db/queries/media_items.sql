-- name: lock_media_item
-- Makes the row where it is missing, and locks it until the commit.
INSERT INTO media_item (tenant, mac) VALUES (%(tenant)s, %(mac)s)
ON CONFLICT (tenant, mac) DO UPDATE SET changed_at = now()
RETURNING revision, applied, floor, event_revision, deleted, deleted_at;

-- name: read_media_item
-- What took effect on the media item, without a lock.
SELECT revision, applied, floor, event_revision, deleted, deleted_at FROM media_item
WHERE tenant = %(tenant)s AND mac = %(mac)s;

-- name: next_arrival
-- Call it with the media items' rows locked.
SELECT nextval('event_arrival') AS arrival;

-- name: record_stated
-- The platform stated a higher revision than before, so what follows a deletion is no longer held against it.
UPDATE media_item SET event_revision = %(event_revision)s, deleted = false, changed_at = now()
WHERE tenant = %(tenant)s AND mac = %(mac)s;

-- name: record_applied
-- An event took effect.
UPDATE media_item SET applied = greatest(applied, %(arrival)s), changed_at = now(), deleted = false,
    event_revision = greatest(event_revision, %(event_revision)s::integer)
WHERE tenant = %(tenant)s AND mac = %(mac)s;

-- name: record_deleted
-- A deletion took effect: without a revision of the platform's it stands above everything that arrived before it.
UPDATE media_item SET applied = greatest(applied, %(arrival)s), changed_at = now(), deleted = true,
    floor = CASE WHEN %(event_revision)s::integer IS NULL THEN %(arrival)s ELSE floor END,
    event_revision = coalesce(%(event_revision)s::integer, 0),
    -- A platform's clock that is ahead must not hold for ever what comes later.
    deleted_at = greatest(deleted_at, CASE WHEN %(at)s::timestamptz < now() THEN %(at)s::timestamptz
        WHEN %(at)s::timestamptz IS NOT NULL THEN now() END),
    revision = greatest(revision, %(revision)s::integer)
WHERE tenant = %(tenant)s AND mac = %(mac)s;

-- name: list_sources_of_media
-- Those that brought a media item of that id which was decided.
SELECT DISTINCT source FROM decision WHERE tenant = %(tenant)s AND media_id = %(media)s ORDER BY source;

-- name: purge_order
-- Of media items that changed a week ago or earlier, where no event that arrived by then still waits: the highest
-- revision of a deleted one stays, nothing else. Enrolments have no arrival and hold up nothing.
WITH waiting AS (
    SELECT tenant, min(arrival) AS first FROM event WHERE done_at IS NULL AND arrival > 0 GROUP BY tenant
), over AS (
    SELECT m.tenant, m.mac FROM media_item m
    LEFT JOIN waiting w ON w.tenant = m.tenant
    WHERE m.changed_at < now() - interval '7 days' AND (w.first IS NULL OR w.first > m.applied)
      AND (m.revision = 0 OR m.applied > 0)
), gone AS (
    DELETE FROM media_item m USING over o WHERE m.tenant = o.tenant AND m.mac = o.mac AND m.revision = 0
)
UPDATE media_item m SET applied = 0, floor = 0, event_revision = 0, deleted = false, deleted_at = NULL
FROM over o
WHERE m.tenant = o.tenant AND m.mac = o.mac AND m.revision > 0;

-- name: delete_missed_events
-- Events that wait, for a deleted media item, until its faces can be compared, and the images that came with them.
WITH gone AS (
    DELETE FROM event e USING procrastinate_jobs j
    WHERE j.task_name = 'match' AND j.args ->> 'tenant' = %(tenant)s AND j.args ->> 'media' = %(media)s
      AND e.tenant = %(tenant)s AND e.id = (j.args ->> 'event')::uuid AND e.done_at IS NULL
    RETURNING e.id
)
DELETE FROM upload u USING gone WHERE u.tenant = %(tenant)s AND u.event_id = gone.id;
