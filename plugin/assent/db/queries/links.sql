-- name: insert_link
-- A link or a session, by `kind`.
INSERT INTO person_link (tenant, sha256, kind, pid, sealed, expires_at)
VALUES (%(tenant)s, %(sha256)s, %(kind)s, %(pid)s, %(sealed)s, %(expires_at)s);

-- name: read_live_link
-- Neither spent nor expired.
SELECT tenant, pid, sealed, expires_at FROM person_link
WHERE sha256 = %(sha256)s AND kind = %(kind)s AND spent_at IS NULL AND expires_at > now();

-- name: spend_link
-- Once: of two at a time one changes the row.
UPDATE person_link SET spent_at = %(at)s
WHERE tenant = %(tenant)s AND sha256 = %(sha256)s AND spent_at IS NULL AND expires_at > now();

-- name: purge_expired_links
-- Of all tenants.
DELETE FROM person_link WHERE expires_at < now();

-- name: end_visits
-- Links and sessions of the subject, but for one.
DELETE FROM person_link
WHERE tenant = %(tenant)s AND pid = %(pid)s AND (%(but)s::bytea IS NULL OR sha256 <> %(but)s);
