-- name: refusals
SELECT id, sealed FROM refusal WHERE tenant = %(tenant)s AND pid = %(pid)s ORDER BY id;

-- name: insert_refusal
INSERT INTO refusal (tenant, id, pid, sealed) VALUES (%(tenant)s, %(id)s, %(pid)s, %(sealed)s);

-- name: count_refusal
UPDATE subject SET refusals = refusals + 1 WHERE tenant = %(tenant)s AND pid = %(pid)s;
