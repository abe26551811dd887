-- name: state_list
-- Two who state the list of one person at the same time: the second waits here for the first one's commit.
INSERT INTO connection_list (tenant, pid, stated_at) VALUES (%(tenant)s, %(pid)s, %(at)s)
ON CONFLICT (tenant, pid) DO UPDATE SET stated_at = excluded.stated_at;

-- name: drop_others
DELETE FROM connection WHERE tenant = %(tenant)s AND pid = %(pid)s AND author_mac <> ALL (%(authors)s::bytea[]);

-- name: insert_connections
INSERT INTO connection (tenant, pid, author_mac)
SELECT %(tenant)s, %(pid)s, author_mac FROM unnest(%(authors)s::bytea[]) AS author_mac
ON CONFLICT DO NOTHING;

-- name: who_chose
SELECT c.pid FROM connection c
JOIN connection_list l ON l.tenant = c.tenant AND l.pid = c.pid
WHERE c.tenant = %(tenant)s AND c.author_mac = %(author)s AND l.stated_at > %(since)s;

-- name: connections_of
SELECT l.stated_at, count(c.author_mac) AS count
FROM connection_list l
LEFT JOIN connection c ON c.tenant = l.tenant AND c.pid = l.pid
WHERE l.tenant = %(tenant)s AND l.pid = %(pid)s
GROUP BY l.stated_at;
