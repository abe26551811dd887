-- name: is_authority_migrated
-- A process may be started on a database that nobody has migrated yet.
SELECT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = to_regclass('endpoint') AND attname = 'mac' AND NOT attisdropped
) AS migrated;

-- name: lock_authority
-- One process at a time gives a tenant's rows their MACs.
SELECT pg_advisory_xact_lock(hashtextextended('assent/authority/' || %(tenant)s, 0));

-- name: has_any_mac
-- A database of before the upgrade has none.
SELECT EXISTS (SELECT FROM api_key WHERE tenant = %(tenant)s AND mac IS NOT NULL)
    OR EXISTS (SELECT FROM consent WHERE tenant = %(tenant)s AND mac IS NOT NULL)
    OR EXISTS (SELECT FROM template WHERE tenant = %(tenant)s AND mac IS NOT NULL)
    OR EXISTS (SELECT FROM endpoint WHERE tenant = %(tenant)s AND mac IS NOT NULL) AS holds;

-- name: list_api_key_rows
-- With the columns under the MAC.
SELECT tenant, id, sha256, scopes, revoked_at IS NOT NULL AS revoked, mac
FROM api_key WHERE tenant = %(tenant)s;

-- name: list_consent_rows
-- Times in their binary form: an infinite one is no time to Python.
SELECT tenant, id, pid, purpose, scope, series, n, timestamptz_send(given_at) AS given_at,
       timestamptz_send(expires_at) AS expires_at, timestamptz_send(withdrawn_at) AS withdrawn_at,
       timestamptz_send(expired_at) AS expired_at, mac
FROM consent WHERE tenant = %(tenant)s;

-- name: list_template_rows
-- With the columns under the MAC.
SELECT tenant, id, pid, model, consent_id, version, mac FROM template WHERE tenant = %(tenant)s;

-- name: list_endpoint_rows
-- With the columns under the MAC.
SELECT tenant, name AS id, name, url, audience, mac FROM endpoint WHERE tenant = %(tenant)s;

-- name: list_staff_rows
-- With the columns under the MAC.
SELECT tenant, id, roles, queues, external, password_hash, totp_sealed,
       disabled_at IS NOT NULL AS disabled, version, mac
FROM staff WHERE tenant = %(tenant)s;

-- name: list_staff_key_rows
-- With the columns under the MAC.
SELECT tenant, id, staff, public_key, mac FROM staff_key WHERE tenant = %(tenant)s;

-- name: set_api_key_macs
-- Of these keys.
UPDATE api_key t SET mac = m.mac FROM unnest(%(ids)s::text[], %(macs)s::bytea[]) AS m (id, mac)
WHERE t.tenant = %(tenant)s AND t.id = m.id;

-- name: set_consent_macs
-- Of these consents.
UPDATE consent t SET mac = m.mac FROM unnest(%(ids)s::uuid[], %(macs)s::bytea[]) AS m (id, mac)
WHERE t.tenant = %(tenant)s AND t.id = m.id;

-- name: set_template_macs
-- Of these templates.
UPDATE template t SET mac = m.mac FROM unnest(%(ids)s::uuid[], %(macs)s::bytea[]) AS m (id, mac)
WHERE t.tenant = %(tenant)s AND t.id = m.id;

-- name: set_endpoint_macs
-- Of these endpoints.
UPDATE endpoint t SET mac = m.mac FROM unnest(%(ids)s::text[], %(macs)s::bytea[]) AS m (id, mac)
WHERE t.tenant = %(tenant)s AND t.name = m.id;
