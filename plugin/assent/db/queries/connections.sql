-- name: set_connection_list
-- Of two who state the list of one subject at once, the second waits here for the commit of the first.
INSERT INTO connection_list (tenant, pid, stated_at) VALUES (%(tenant)s, %(pid)s, %(at)s)
ON CONFLICT (tenant, pid) DO UPDATE SET stated_at = excluded.stated_at;

-- name: delete_other_connections
-- All that the stated list does not hold.
DELETE FROM connection WHERE tenant = %(tenant)s AND pid = %(pid)s AND author_mac <> ALL (%(authors)s::bytea[]);

-- name: insert_connections
-- Those that stand already stay.
INSERT INTO connection (tenant, pid, author_mac)
SELECT %(tenant)s, %(pid)s, author_mac FROM unnest(%(authors)s::bytea[]) AS author_mac
ON CONFLICT DO NOTHING;

-- name: list_connected_subjects
-- Subjects whose list holds this author and is fresh or confirms the event, and those stated who have no list.
SELECT c.pid FROM connection c
JOIN connection_list l ON l.tenant = c.tenant AND l.pid = c.pid
WHERE c.tenant = %(tenant)s AND c.author_mac = %(author)s
    AND (l.stated_at > %(since)s OR c.pid = ANY (%(stated)s::bytea[]))
UNION ALL
SELECT s.pid FROM unnest(%(stated)s::bytea[]) AS s (pid)
WHERE NOT EXISTS (SELECT FROM connection_list l WHERE l.tenant = %(tenant)s AND l.pid = s.pid);

-- name: count_connections
-- With the time at which they were stated.
SELECT l.stated_at, count(c.author_mac) AS count
FROM connection_list l
LEFT JOIN connection c ON c.tenant = l.tenant AND c.pid = l.pid
WHERE l.tenant = %(tenant)s AND l.pid = %(pid)s
GROUP BY l.stated_at;
