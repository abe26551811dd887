-- name: upsert_hash_list
-- A list marked severe stays so, and keeps its distance unless another is given: an update takes no protection away.
INSERT INTO hash_list (tenant, name, severe, distance, version)
VALUES (%(tenant)s, %(name)s, %(severe)s, coalesce(%(distance)s, %(usual)s), gen_random_uuid())
ON CONFLICT (tenant, name) DO UPDATE
SET severe = hash_list.severe OR EXCLUDED.severe,
    distance = coalesce(%(distance)s, hash_list.distance),
    version = EXCLUDED.version,
    changed_at = now()
RETURNING severe, distance;

-- name: list_hash_lists
-- Each with how many hashes of each kind it holds.
SELECT name, severe, distance, replace(version::text, '-', '') AS version, changed_at,
       (SELECT coalesce(sum(octet_length(b.hashes)), 0) FROM hash_block b
        WHERE b.tenant = l.tenant AND b.list = l.name AND b.kind = 'pdq') / 32 AS pdq,
       (SELECT coalesce(sum(octet_length(b.hashes)), 0) FROM hash_block b
        WHERE b.tenant = l.tenant AND b.list = l.name AND b.kind = 'sha256') / 32 AS sha256
FROM hash_list l
WHERE tenant = %(tenant)s
ORDER BY name;

-- name: list_hash_list_versions
-- Without counting hashes: it runs once a second.
SELECT name, severe, distance, replace(version::text, '-', '') AS version
FROM hash_list
WHERE tenant = %(tenant)s
ORDER BY name;

-- name: read_hash_blocks
-- The hashes of one kind of a list, in their order.
SELECT hashes FROM hash_block
WHERE tenant = %(tenant)s AND list = %(list)s AND kind = %(kind)s
ORDER BY n;

-- name: insert_hash_block
-- A row holds many hashes, one after the other.
INSERT INTO hash_block (tenant, list, kind, n, hashes)
VALUES (%(tenant)s, %(list)s, %(kind)s, %(n)s, %(hashes)s);

-- name: delete_hash_blocks
-- All of one kind of a list, before they are stored anew.
DELETE FROM hash_block WHERE tenant = %(tenant)s AND list = %(list)s AND kind = %(kind)s;

-- name: delete_hash_list
-- Its hashes go with it.
DELETE FROM hash_list WHERE tenant = %(tenant)s AND name = %(name)s;
