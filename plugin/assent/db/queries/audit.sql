-- name: insert_tree
-- Inserts the empty log of a new tenant.
INSERT INTO audit_tree (tenant) VALUES (%(tenant)s);

-- name: lock_tree
-- Locks a tenant's log until the commit: one transaction at a time appends to it.
SELECT FROM audit_tree WHERE tenant = %(tenant)s FOR UPDATE;

-- name: list_peaks
-- Lists the tree's size and its complete subtrees, the largest first (one row without a level for the empty tree):
-- one statement sees one state. Not to be joined with lock_tree: a statement that waits for the lock keeps the snapshot
-- from before, without the nodes of the append that it waited for.
-- The hash comes by a subquery because the planner was seen to hash-join the whole log with the 63 levels.
SELECT t.size, s.level,
       (SELECT n.hash FROM audit_node n
        WHERE n.tenant = t.tenant AND n.level = s.level::smallint AND n.n = (t.size >> s.level) - 1) AS hash
FROM audit_tree t
LEFT JOIN generate_series(0, 62) AS s (level) ON (t.size >> s.level) & 1 = 1
WHERE t.tenant = %(tenant)s
ORDER BY s.level DESC;

-- name: insert_leaf
-- Grows the tree by one leaf, with the nodes that it completes and its sealed parts; no row where the size is another.
WITH grown AS (
    UPDATE audit_tree SET size = size + 1
    WHERE tenant = %(tenant)s AND size = %(seq)s
    RETURNING size
), nodes AS (
    INSERT INTO audit_node (tenant, level, n, hash)
    SELECT %(tenant)s, * FROM unnest(%(levels)s::smallint[], %(ns)s::bigint[], %(hashes)s::bytea[])
), payloads AS (
    INSERT INTO audit_payload (tenant, seq, part, epoch, locator, sealed, expires_at)
    SELECT %(tenant)s, %(seq)s, part - 1, epoch, locator, sealed, %(expires_at)s::timestamptz
    FROM unnest(%(epochs)s::integer[], %(locators)s::bytea[], %(sealed)s::bytea[])
        WITH ORDINALITY AS p (epoch, locator, sealed, part)
)
INSERT INTO audit_leaf (tenant, seq, leaf)
SELECT %(tenant)s, grown.size - 1, %(leaf)s FROM grown;

-- name: expire_payloads
-- Empties sealed parts whose term is over; their leaves stay.
UPDATE audit_payload p SET sealed = '', expires_at = NULL
FROM (
    SELECT tenant, seq, part FROM audit_payload WHERE expires_at <= now() LIMIT %(most)s FOR UPDATE SKIP LOCKED
) AS over
WHERE p.tenant = over.tenant AND p.seq = over.seq AND p.part = over.part;

-- name: list_nodes
-- Lists these nodes, with NULL as the hash of one that is missing.
SELECT w.level, w.n,
       (SELECT n.hash FROM audit_node n WHERE n.tenant = %(tenant)s AND n.level = w.level AND n.n = w.n) AS hash
FROM unnest(%(levels)s::smallint[], %(ns)s::bigint[]) AS w (level, n);

-- name: read_leaf
-- Reads a leaf by its number.
SELECT leaf FROM audit_leaf WHERE tenant = %(tenant)s AND seq = %(seq)s;

-- name: list_leaves
-- Lists a page of leaves, in order.
SELECT seq, leaf FROM audit_leaf
WHERE tenant = %(tenant)s AND seq >= %(start)s AND seq < %(stop)s
ORDER BY seq;

-- name: list_restorations
-- Lists, in order, the leaves that hold the mark of a restore.
SELECT leaf FROM audit_leaf
WHERE tenant = %(tenant)s AND position(%(mark)s::bytea IN leaf) > 0
ORDER BY seq;

-- name: list_completed_nodes
-- Lists the nodes that the leaves [start, stop) completed; OFFSET 0 keeps it one index scan a level.
SELECT found.level, found.n, found.hash
FROM generate_series(0, 62) AS s (level)
CROSS JOIN LATERAL (
    SELECT level, n, hash FROM audit_node
    WHERE tenant = %(tenant)s AND level = s.level::smallint
      AND n >= (%(start)s::bigint >> s.level) AND n < (%(stop)s::bigint >> s.level)
    OFFSET 0
) AS found;

-- name: count_surplus_rows
-- Counts rows that no append made: beyond the tree's size, or of no level that a tree has.
SELECT (SELECT count(*) FROM audit_leaf l WHERE l.tenant = t.tenant AND (l.seq < 0 OR l.seq >= t.size)) AS leaves,
       (SELECT count(*) FROM audit_node n WHERE n.tenant = t.tenant
            AND (n.n < 0 OR n.level NOT BETWEEN 0 AND 62 OR n.n >= t.size >> n.level::integer)) AS nodes
FROM audit_tree t
WHERE t.tenant = %(tenant)s;
