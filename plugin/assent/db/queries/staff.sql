-- name: insert_staff
-- A new account.
INSERT INTO staff (tenant, id, name_sealed, roles, queues, mac)
VALUES (%(tenant)s, %(id)s, %(name_sealed)s, %(roles)s, %(queues)s, %(mac)s);

-- name: read_staff
-- With the columns under the MAC.
SELECT tenant, id, name_sealed, roles, queues, external, password_hash, totp_sealed, settings,
       disabled_at IS NOT NULL AS disabled, version, mac
FROM staff WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: lock_staff
-- To be changed: two at a time one after the other.
SELECT tenant, id, name_sealed, roles, queues, external, password_hash, totp_sealed, settings,
       disabled_at IS NOT NULL AS disabled, version, mac
FROM staff WHERE tenant = %(tenant)s AND id = %(id)s FOR UPDATE;

-- name: list_staff
-- The oldest first.
SELECT tenant, id, name_sealed, roles, queues, external, password_hash, totp_sealed, settings,
       disabled_at IS NOT NULL AS disabled, version, mac
FROM staff WHERE tenant = %(tenant)s ORDER BY created_at, id;

-- name: update_staff
-- What gives an account power, and its MAC; when it was disabled stays as it was noted first.
UPDATE staff SET
    roles = %(roles)s, queues = %(queues)s, external = %(external)s, password_hash = %(password_hash)s,
    totp_sealed = %(totp_sealed)s, version = %(version)s, mac = %(mac)s,
    disabled_at = CASE WHEN %(disabled)s THEN coalesce(disabled_at, now()) END
WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: update_staff_settings
-- They give no power.
UPDATE staff SET settings = %(settings)s WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: insert_token
-- A link, a sign-in under way or a session, by `kind`.
INSERT INTO staff_session (tenant, sha256, kind, staff, sealed, expires_at)
VALUES (%(tenant)s, %(sha256)s, %(kind)s, %(staff)s, %(sealed)s, %(expires_at)s);

-- name: read_session
-- With its account. `is_stale`: its use was not noted within the last minute.
SELECT s.tenant, s.staff, s.sealed, now(), s.seen_at < now() - interval '1 minute' AS is_stale,
       a.tenant AS staff_tenant, a.id AS staff_id, a.name_sealed AS staff_name_sealed, a.roles AS staff_roles,
       a.queues AS staff_queues, a.external AS staff_external, a.password_hash AS staff_password_hash,
       a.totp_sealed AS staff_totp_sealed, a.settings AS staff_settings,
       a.disabled_at IS NOT NULL AS staff_disabled, a.version AS staff_version, a.mac AS staff_mac
FROM staff_session s JOIN staff a ON a.tenant = s.tenant AND a.id = s.staff
WHERE s.sha256 = %(sha256)s AND s.kind = 'session' AND s.expires_at > now() AND s.seen_at > now() - %(idle)s;

-- name: note_session_used
-- It idles from now on.
UPDATE staff_session SET seen_at = now() WHERE sha256 = %(sha256)s;

-- name: take_token
-- Once.
DELETE FROM staff_session WHERE sha256 = %(sha256)s AND kind = %(kind)s AND expires_at > now()
RETURNING tenant, staff, sealed, now();

-- name: delete_token
-- Of any kind.
DELETE FROM staff_session WHERE sha256 = %(sha256)s;

-- name: delete_tokens
-- Of an account, but for one.
DELETE FROM staff_session
WHERE tenant = %(tenant)s AND staff = %(staff)s AND (%(but)s::bytea IS NULL OR sha256 <> %(but)s);

-- name: purge_tokens
-- Of all tenants.
DELETE FROM staff_session WHERE expires_at < now() OR kind = 'session' AND seen_at < now() - %(idle)s;
