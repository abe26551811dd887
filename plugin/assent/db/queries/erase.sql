-- name: delete_subject_key
-- Returns its epoch, which has to be destroyed.
DELETE FROM subject_key WHERE tenant = %(tenant)s AND pid = %(pid)s RETURNING epoch;

-- name: keep_ended_consents
-- That they have ended outlives their rows.
INSERT INTO ended_consent (tenant, id) SELECT tenant, id FROM consent WHERE tenant = %(tenant)s AND pid = %(pid)s
ON CONFLICT DO NOTHING;

-- name: delete_subject
-- Consents, templates and refusals go with it.
DELETE FROM subject WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: delete_links
-- Links and sessions of the subject.
DELETE FROM person_link WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: delete_connections
-- The subject's own and those of others that name them. Locked in one order first, so that two people who chose each
-- other can be erased at the same time.
DELETE FROM connection
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM connection
    WHERE tenant = %(tenant)s AND (pid = %(pid)s OR author_mac = %(author_mac)s)
    ORDER BY pid, author_mac
    FOR UPDATE
));

-- name: insert_erasure
-- Without a receipt, until the epoch is destroyed.
INSERT INTO erasure (tenant, id, token_sha256, leaf, epoch, requested_at)
VALUES (%(tenant)s, %(id)s, %(token_sha256)s, %(leaf)s, %(epoch)s, %(requested_at)s);

-- name: lock_completable_erasures
-- Retracted, and of an epoch that is destroyed.
SELECT id, leaf, epoch, requested_at FROM erasure
WHERE tenant = %(tenant)s AND epoch <= %(retired_epoch)s AND retracted_at IS NOT NULL AND completed_at IS NULL
ORDER BY leaf
FOR UPDATE;

-- name: read_leaf_payload
-- The sealed payload of an erasure's leaf.
SELECT sealed FROM audit_payload WHERE tenant = %(tenant)s AND seq = %(leaf)s AND part = 0;

-- name: complete_erasure
-- Stores the signed receipt.
UPDATE erasure SET completed_at = %(completed_at)s, receipt = %(receipt)s WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: read_receipt
-- By the hash of its token, in one tenant or in any.
SELECT requested_at, receipt FROM erasure
WHERE token_sha256 = %(token_sha256)s AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s);
