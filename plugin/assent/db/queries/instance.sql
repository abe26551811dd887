-- name: select_instance
-- Selects the installation's id.
SELECT id FROM instance;

-- name: count_tenants
-- Counts the tenants.
SELECT count(*) AS count FROM tenant;

-- name: insert_new_tenant
-- Inserts a tenant, unless its name is taken.
INSERT INTO tenant (tenant) VALUES (%(tenant)s) ON CONFLICT DO NOTHING;

-- name: insert_api_key
-- Inserts an API key: the hash of its secret and its scopes.
INSERT INTO api_key (tenant, id, sha256, scopes, mac)
VALUES (%(tenant)s, %(id)s, %(sha256)s, %(scopes)s, %(mac)s);

-- name: select_live_api_key
-- Selects a key that is not revoked.
SELECT tenant, id, sha256, scopes, false AS revoked, mac FROM api_key
WHERE tenant = %(tenant)s AND id = %(id)s AND revoked_at IS NULL;

-- name: lock_live_api_key
-- Selects a key that is not revoked, which nobody changes before the commit.
SELECT tenant, id, sha256, scopes, false AS revoked, mac FROM api_key
WHERE tenant = %(tenant)s AND id = %(id)s AND revoked_at IS NULL
FOR UPDATE;

-- name: insert_source
-- Inserts a webhook source; its name is unique in the installation.
INSERT INTO source (tenant, name, adapter, settings_sealed)
VALUES (%(tenant)s, %(name)s, %(adapter)s, %(sealed)s);

-- name: update_source_settings
-- Replaces what a source sets about its platform.
UPDATE source SET settings_sealed = %(sealed)s WHERE tenant = %(tenant)s AND name = %(name)s;

-- name: list_sources
-- Lists a tenant's webhook sources by name.
SELECT tenant, name, adapter, settings_sealed FROM source WHERE tenant = %(tenant)s ORDER BY name;

-- name: insert_secret
-- Inserts a sealed signing secret of a source or an endpoint.
INSERT INTO webhook_secret (tenant, owner, name, id, sealed)
VALUES (%(tenant)s, %(owner)s, %(name)s, %(id)s, %(sealed)s);

-- name: owner_exists
-- Tells whether the tenant has a source or an endpoint of that name.
SELECT EXISTS (SELECT FROM source WHERE tenant = %(tenant)s AND name = %(name)s AND %(owner)s = 'source')
    OR EXISTS (SELECT FROM endpoint WHERE tenant = %(tenant)s AND name = %(name)s AND %(owner)s = 'endpoint') AS known;

-- name: end_secrets_of_owner
-- Ends the newest secret after that time at the latest, those before it now: the newest and the next one may live.
UPDATE webhook_secret s
SET expires_at = least(
    coalesce(s.expires_at, 'infinity'),
    CASE WHEN s.id = (
        SELECT n.id FROM webhook_secret n
        WHERE n.tenant = s.tenant AND n.owner = s.owner AND n.name = s.name
        ORDER BY n.created_at DESC LIMIT 1
    ) THEN now() + %(overlap)s ELSE now() END
)
WHERE s.tenant = %(tenant)s AND s.owner = %(owner)s AND s.name = %(name)s;

-- name: delete_ended_secrets
-- Deletes the secrets of a source or an endpoint that have ended.
DELETE FROM webhook_secret
WHERE tenant = %(tenant)s AND owner = %(owner)s AND name = %(name)s AND expires_at <= now();

-- name: purge_ended_secrets
-- Of all tenants.
DELETE FROM webhook_secret WHERE expires_at <= now();

-- name: list_api_keys
-- Lists a tenant's API keys, oldest first, the revoked ones too.
SELECT id, scopes, created_at, revoked_at FROM api_key WHERE tenant = %(tenant)s ORDER BY created_at, id;

-- name: note_match_refused
-- Notes that an API key was refused an author or connections today; at most one write a key and day.
UPDATE api_key SET match_refused_on = current_date
WHERE tenant = %(tenant)s AND id = %(id)s AND match_refused_on IS DISTINCT FROM current_date;

-- name: list_keys_refused_match
-- Lists the live API keys that were refused an author or connections in the last 30 days.
SELECT tenant, id, scopes, match_refused_on FROM api_key
WHERE revoked_at IS NULL AND match_refused_on > current_date - 30
ORDER BY tenant, id;

-- name: revoke_live_api_key
-- Revokes an API key from now on, unless it is revoked.
UPDATE api_key SET revoked_at = now(), mac = %(mac)s WHERE tenant = %(tenant)s AND id = %(id)s AND revoked_at IS NULL;
