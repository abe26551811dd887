-- name: read_instance
-- The id of this primary database.
SELECT id FROM instance;

-- name: has_templates
-- Tells whether anybody of the tenant has a template, so that faces would be compared.
SELECT EXISTS (SELECT FROM template WHERE tenant = %(tenant)s) AS any;

-- name: list_active_templates
-- Templates of active consents; columns that are only passed on are in the form that COPY takes.
SELECT t.tenant, t.pid, t.model, uuid_send(t.id), int4send(t.version), textsend(c.scope),
    timestamptz_send(c.expires_at), float4send(least(s.refusals * %(stricter)s, %(strictest)s)::real){sealed}
FROM template t
JOIN consent c ON c.tenant = t.tenant AND c.id = t.consent_id AND c.pid = t.pid
JOIN subject_key k ON k.tenant = t.tenant AND k.pid = t.pid
JOIN subject s ON s.tenant = t.tenant AND s.pid = t.pid
WHERE c.purpose = 'face-match' AND c.withdrawn_at IS NULL AND c.expired_at IS NULL AND c.expires_at > now()
    AND (%(tenant)s::text IS NULL OR t.tenant = %(tenant)s)
    AND (%(pid)s::bytea IS NULL OR t.pid = %(pid)s)

-- name: set_planner_whole_joins
-- The planner takes the columns of a key for independent, expects one row and would look each subject up by itself:
-- three such look-ups a template cost more than all else that the primary database does in a fill.
SET LOCAL enable_nestloop = off;

-- name: add_sealed_columns
-- Further columns of `list_active_templates`, for templates that are opened.
, t.sealed, k.epoch, k.wrapped, t.mac, uuid_send(t.consent_id),
    uuid_send(c.series), int8send(c.n), timestamptz_send(c.given_at), c.mac

-- name: read_sealed_templates
-- The sealed columns of these templates, in the order in which they are asked for.
SELECT t.sealed, k.epoch, k.wrapped, t.mac, uuid_send(t.consent_id),
    uuid_send(c.series), int8send(c.n), timestamptz_send(c.given_at), c.mac
FROM unnest(%(tenants)s::text[], %(ids)s::uuid[]) WITH ORDINALITY AS wanted (tenant, id, n)
JOIN template t USING (tenant, id)
JOIN consent c ON c.tenant = t.tenant AND c.id = t.consent_id
JOIN subject_key k ON k.tenant = t.tenant AND k.pid = t.pid
ORDER BY wanted.n;
