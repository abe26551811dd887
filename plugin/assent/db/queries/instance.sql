-- name: instance
SELECT id FROM instance;

-- name: tenants
SELECT count(*) AS count FROM tenant;

-- name: insert_tenant
INSERT INTO tenant (tenant) VALUES (%(tenant)s) ON CONFLICT DO NOTHING;

-- name: insert_api_key
INSERT INTO api_key (tenant, id, sha256, scopes) VALUES (%(tenant)s, %(id)s, %(sha256)s, %(scopes)s);

-- name: api_key
SELECT sha256, scopes FROM api_key WHERE tenant = %(tenant)s AND id = %(id)s AND revoked_at IS NULL;

-- name: insert_source
INSERT INTO source (tenant, name, adapter) VALUES (%(tenant)s, %(name)s, %(adapter)s);

-- name: insert_endpoint
INSERT INTO endpoint (tenant, name, url) VALUES (%(tenant)s, %(name)s, %(url)s);

-- name: insert_secret
INSERT INTO webhook_secret (tenant, owner, name, id, sealed)
VALUES (%(tenant)s, %(owner)s, %(name)s, %(id)s, %(sealed)s);

-- name: known_owner
SELECT EXISTS (SELECT FROM source WHERE tenant = %(tenant)s AND name = %(name)s AND %(owner)s = 'source')
    OR EXISTS (SELECT FROM endpoint WHERE tenant = %(tenant)s AND name = %(name)s AND %(owner)s = 'endpoint') AS known;

-- name: end_secrets
-- The newest at that time at the latest, those before it now: two may live, the newest and the one that is made next.
UPDATE webhook_secret s
SET expires_at = least(
    coalesce(s.expires_at, 'infinity'),
    CASE WHEN s.id = (
        SELECT n.id FROM webhook_secret n
        WHERE n.tenant = s.tenant AND n.owner = s.owner AND n.name = s.name
        ORDER BY n.created_at DESC LIMIT 1
    ) THEN %(at)s ELSE now() END
)
WHERE s.tenant = %(tenant)s AND s.owner = %(owner)s AND s.name = %(name)s;

-- name: drop_ended_secrets
DELETE FROM webhook_secret
WHERE tenant = %(tenant)s AND owner = %(owner)s AND name = %(name)s AND expires_at <= now();

-- name: api_keys
SELECT id, scopes, created_at, revoked_at FROM api_key WHERE tenant = %(tenant)s ORDER BY created_at, id;

-- name: revoke_api_key
UPDATE api_key SET revoked_at = now() WHERE tenant = %(tenant)s AND id = %(id)s AND revoked_at IS NULL;
