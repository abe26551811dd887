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

-- name: read_token
-- It is not spent.
SELECT tenant, staff, sealed, now() FROM staff_session
WHERE sha256 = %(sha256)s AND kind = %(kind)s AND expires_at > now();

-- name: end_token
-- Of any kind; whose it was stays known for a day, for a form that was under way.
UPDATE staff_session SET sealed = '', expires_at = now() WHERE sha256 = %(sha256)s;

-- name: end_tokens
-- Of an account, but for one.
UPDATE staff_session SET sealed = '', expires_at = now()
WHERE tenant = %(tenant)s AND staff = %(staff)s AND expires_at > now()
    AND (%(but)s::bytea IS NULL OR sha256 <> %(but)s);

-- name: read_owner
-- Of a session, also of one that is over.
SELECT tenant, staff FROM staff_session WHERE sha256 = %(sha256)s AND kind = 'session' AND staff IS NOT NULL;

-- name: purge_tokens
-- Of all tenants; a session's row outlives it by a day.
DELETE FROM staff_session
WHERE expires_at < now() - CASE WHEN kind = 'session' THEN interval '1 day' ELSE interval '0' END
    OR kind = 'session' AND seen_at < now() - %(idle)s - interval '1 day';

-- name: lock_sign_in
-- What a sign-in by password is judged by.
SELECT tenant, id, name_sealed, roles, queues, external, password_hash, totp_sealed, settings, disabled_at IS NOT NULL
       AS disabled, version, mac, coalesce(locked_until > now(), false) AS locked, totp_step, now()
FROM staff WHERE tenant = %(tenant)s AND id = %(id)s FOR UPDATE;

-- name: note_sign_in
-- It succeeded.
UPDATE staff SET failed = 0, locked_until = NULL, totp_step = coalesce(%(step)s, totp_step)
WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: note_wrong_sign_in
-- From the 20th in a row on each locks for longer: 15 minutes, 30, 60 … up to a day.
UPDATE staff SET
    failed = failed + 1,
    locked_until = CASE WHEN failed + 1 >= %(most)s
                   THEN now() + least(interval '15 minutes' * 2 ^ least(failed + 1 - %(most)s, 7), interval '1 day') END
WHERE tenant = %(tenant)s AND id = %(id)s
RETURNING failed;

-- name: lock_names
-- Accounts of a tenant are named, and lose power, one after the other.
SELECT 1 FROM tenant WHERE tenant = %(tenant)s FOR NO KEY UPDATE;

-- name: insert_key
-- A passkey; one that is registered already stays whose it is.
INSERT INTO staff_key (tenant, id, staff, public_key, sign_count, backed_up, name_sealed, mac)
VALUES (%(tenant)s, %(id)s, %(staff)s, %(public_key)s, %(sign_count)s, %(backed_up)s, %(name_sealed)s, %(mac)s)
ON CONFLICT DO NOTHING;

-- name: read_keys_by_credential
-- Of whatever tenant; there is one, but for a forged row.
SELECT tenant, id, staff, public_key, sign_count, mac FROM staff_key WHERE id = %(id)s;

-- name: list_keys
-- Of an account, the oldest first.
SELECT tenant, id, staff, public_key, name_sealed, backed_up, created_at, used_at, mac FROM staff_key
WHERE tenant = %(tenant)s AND staff = %(staff)s ORDER BY created_at, id;

-- name: note_key_used
-- With its new count.
UPDATE staff_key SET sign_count = %(sign_count)s, used_at = now()
WHERE tenant = %(tenant)s AND id = %(id)s AND staff = %(staff)s;

-- name: rename_key
-- An account's own.
UPDATE staff_key SET name_sealed = %(name_sealed)s
WHERE tenant = %(tenant)s AND id = %(id)s AND staff = %(staff)s;

-- name: delete_key
-- An account's own.
DELETE FROM staff_key WHERE tenant = %(tenant)s AND id = %(id)s AND staff = %(staff)s;

-- name: spend_challenge
-- It counts once.
INSERT INTO staff_session (tenant, sha256, kind, sealed, expires_at)
VALUES (%(tenant)s, %(sha256)s, 'sign-in', '', now() + interval '10 minutes') ON CONFLICT DO NOTHING;

-- name: upsert_queue
-- How the console treats it from now on.
INSERT INTO review_queue (tenant, name, due_minutes, grave) VALUES (%(tenant)s, %(name)s, %(due)s, %(grave)s)
ON CONFLICT (tenant, name) DO UPDATE SET due_minutes = excluded.due_minutes, grave = excluded.grave;

-- name: read_staff_by_external
-- To be changed: whom an identity provider vouches for.
SELECT tenant, id, name_sealed, roles, queues, external, password_hash, totp_sealed, settings,
       disabled_at IS NOT NULL AS disabled, version, mac
FROM staff WHERE tenant = %(tenant)s AND external = %(external)s FOR UPDATE;
