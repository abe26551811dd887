-- name: drop_key
DELETE FROM subject_key WHERE tenant = %(tenant)s AND pid = %(pid)s RETURNING epoch;

-- name: drop_subject
DELETE FROM subject WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: drop_links
DELETE FROM person_link WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: drop_connections
-- The person's own and those of others that name them. Locked in one order first, so that two people who chose each
-- other can be erased at the same time.
DELETE FROM connection
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM connection
    WHERE tenant = %(tenant)s AND (pid = %(pid)s OR author_mac = %(author_mac)s)
    ORDER BY pid, author_mac
    FOR UPDATE
));

-- name: insert_erasure
INSERT INTO erasure (tenant, id, token_sha256, leaf, epoch, requested_at)
VALUES (%(tenant)s, %(id)s, %(token_sha256)s, %(leaf)s, %(epoch)s, %(requested_at)s);

-- name: completable
SELECT id, leaf, epoch, requested_at FROM erasure
WHERE tenant = %(tenant)s AND epoch <= %(retired_epoch)s AND retracted_at IS NOT NULL AND completed_at IS NULL
ORDER BY leaf
FOR UPDATE;

-- name: opening
SELECT sealed FROM audit_payload WHERE tenant = %(tenant)s AND seq = %(leaf)s AND part = 0;

-- name: complete
UPDATE erasure SET completed_at = %(completed_at)s, receipt = %(receipt)s WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: receipt
SELECT requested_at, receipt FROM erasure
WHERE token_sha256 = %(token_sha256)s AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s);
