-- name: list_newest_leaves
-- Those of a window, newest first, of one action or of all.
SELECT seq, leaf FROM audit_leaf
WHERE tenant = %(tenant)s AND seq >= %(start)s AND seq < %(stop)s
  AND (%(mark)s::bytea IS NULL OR position(%(mark)s::bytea IN leaf) > 0)
ORDER BY seq DESC
LIMIT %(most)s;

-- name: list_newest_parts
-- First parts under the tenant's key of the leaves of a window, newest first: moderators' leaves have no other.
SELECT l.seq, l.leaf, p.sealed FROM audit_leaf l
JOIN audit_payload p ON p.tenant = l.tenant AND p.seq = l.seq AND p.part = 0 AND p.locator IS NULL
WHERE l.tenant = %(tenant)s AND l.seq >= %(start)s AND l.seq < %(stop)s
ORDER BY l.seq DESC;

-- name: read_part
-- The first part of a leaf, where it is about nobody.
SELECT sealed FROM audit_payload WHERE tenant = %(tenant)s AND seq = %(seq)s AND part = 0 AND locator IS NULL;

-- name: read_newest_of_action
-- The newest leaf that holds a mark.
SELECT seq, leaf FROM audit_leaf
WHERE tenant = %(tenant)s AND position(%(mark)s::bytea IN leaf) > 0
ORDER BY seq DESC
LIMIT 1;

-- name: count_dead_letters
-- By endpoint and message, without what went wrong: that may name an address.
SELECT endpoint, type, count(*) AS count, min(created_at) AS oldest, max(attempts) AS attempts
FROM outbox
WHERE tenant = %(tenant)s AND state = 'dead'
GROUP BY endpoint, type
ORDER BY endpoint, type;

-- name: read_rotated_at
-- When a tenant's keys were changed last.
SELECT rotated_at FROM tenant WHERE tenant = %(tenant)s;
