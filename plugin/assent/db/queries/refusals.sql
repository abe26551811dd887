-- name: list_refusals
-- Of one subject, sealed.
SELECT id, sealed FROM refusal WHERE tenant = %(tenant)s AND pid = %(pid)s ORDER BY id;

-- name: insert_refusal
-- Sealed under the key of its subject.
INSERT INTO refusal (tenant, id, pid, sealed) VALUES (%(tenant)s, %(id)s, %(pid)s, %(sealed)s);

-- name: raise_refusal_count
-- The gallery raises the subject's threshold by it.
UPDATE subject SET refusals = refusals + 1 WHERE tenant = %(tenant)s AND pid = %(pid)s;
