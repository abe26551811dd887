-- name: list_parts_of_actions
-- Parts about somebody in leaves that begin so, the newest first: a leaf's first field is its action.
SELECT p.seq, p.part, p.epoch, p.locator, p.sealed, l.leaf
FROM audit_leaf l
JOIN audit_payload p ON p.tenant = l.tenant AND p.seq = l.seq
WHERE l.tenant = %(tenant)s AND l.leaf LIKE ANY (%(begins)s::bytea[]) AND p.locator IS NOT NULL
ORDER BY p.seq DESC, p.part;
