-- name: read_active_and_shadow
-- The policy that decides for a tenant (NULL: the installation's own), and the one tried beside it.
SELECT (SELECT a.sha256 FROM policy_activation a WHERE a.tenant = %(tenant)s ORDER BY a.n DESC LIMIT 1) AS active,
       (SELECT s.sha256 FROM policy_shadow s WHERE s.tenant = %(tenant)s) AS shadow;

-- name: read_policy
-- A stored policy by its hash.
SELECT canonical FROM policy WHERE tenant = %(tenant)s AND sha256 = %(sha256)s;

-- name: insert_policy
-- A policy that is stored already stays as it is.
INSERT INTO policy (tenant, sha256, name, version, canonical)
VALUES (%(tenant)s, %(sha256)s, %(name)s, %(version)s, %(canonical)s)
ON CONFLICT DO NOTHING;

-- name: lock_tenant
-- One change of a tenant at a time.
SELECT FROM tenant WHERE tenant = %(tenant)s FOR UPDATE;

-- name: read_activation
-- The newest, or that one; `stands`: the activation that a rollback would go back from.
SELECT n, sha256, coalesce(back_to, n) AS stands FROM policy_activation
WHERE tenant = %(tenant)s AND (%(n)s::integer IS NULL OR n = %(n)s)
ORDER BY n DESC
LIMIT 1;

-- name: insert_activation
-- From the commit on it decides.
INSERT INTO policy_activation (tenant, n, sha256, back_to, leaf, at)
VALUES (%(tenant)s, %(n)s, %(sha256)s, %(back_to)s, %(leaf)s, %(at)s);

-- name: list_activations
-- Every activation and rollback, oldest first.
SELECT a.n, a.sha256, a.back_to, a.leaf, a.at, p.name, p.version
FROM policy_activation a
LEFT JOIN policy p ON p.tenant = a.tenant AND p.sha256 = a.sha256
WHERE a.tenant = %(tenant)s
ORDER BY a.n;

-- name: delete_shadow
-- Its counts go with it.
DELETE FROM policy_shadow WHERE tenant = %(tenant)s;

-- name: insert_shadow
-- At most one of a tenant, by its primary key.
INSERT INTO policy_shadow (tenant, sha256, since) VALUES (%(tenant)s, %(sha256)s, %(at)s);

-- name: read_shadow
-- The policy that is tried beside the active one.
SELECT s.sha256, s.since, p.name, p.version
FROM policy_shadow s
JOIN policy p ON p.tenant = s.tenant AND p.sha256 = s.sha256
WHERE s.tenant = %(tenant)s;

-- name: add_shadow_counts
-- Of that shadow only: it may have been replaced meanwhile.
INSERT INTO policy_shadow_count AS c (tenant, kind, name, was, becomes, count)
SELECT %(tenant)s, u.kind, u.name, u.was, u.becomes, u.count
FROM unnest(%(kinds)s::text[], %(names)s::text[], %(was)s::text[], %(becomes)s::text[], %(counts)s::bigint[])
    AS u (kind, name, was, becomes, count)
WHERE EXISTS (SELECT FROM policy_shadow s WHERE s.tenant = %(tenant)s AND s.sha256 = %(sha256)s FOR SHARE)
ON CONFLICT (tenant, kind, name, was, becomes) DO UPDATE SET count = c.count + EXCLUDED.count;

-- name: list_shadow_counts
-- All counts of the trial so far.
SELECT kind, name, was, becomes, count FROM policy_shadow_count
WHERE tenant = %(tenant)s
ORDER BY kind, name, was, becomes;

-- name: count_decisions_since
-- The number of decisions that a replay goes through.
SELECT count(*) AS count FROM decision
WHERE tenant = %(tenant)s AND (%(since)s::timestamptz IS NULL OR decided_at >= %(since)s);

-- name: replay_decisions
-- Recognised faces as they are recorded now.
SELECT d.media_id, d.document, d.perceptions, d.given,
       ARRAY(
           SELECT m.face::integer FROM match m
           WHERE (m.tenant, m.source, m.media_id, m.revision) = (d.tenant, d.source, d.media_id, d.revision)
       ) AS matched
FROM decision d
WHERE d.tenant = %(tenant)s AND (%(since)s::timestamptz IS NULL OR d.decided_at >= %(since)s);

-- name: replay_decision_sample
-- Ordered by a hash, so that the sample is the same each time.
WITH chosen AS (
    SELECT source, media_id, revision FROM decision
    WHERE tenant = %(tenant)s AND (%(since)s::timestamptz IS NULL OR decided_at >= %(since)s)
    ORDER BY md5(source || '/' || media_id || '/' || revision)
    LIMIT %(sample)s::bigint
)
SELECT d.media_id, d.document, d.perceptions, d.given,
       ARRAY(
           SELECT m.face::integer FROM match m
           WHERE (m.tenant, m.source, m.media_id, m.revision) = (d.tenant, d.source, d.media_id, d.revision)
       ) AS matched
FROM chosen
JOIN decision d USING (source, media_id, revision)
WHERE d.tenant = %(tenant)s;

-- name: read_newest_decision
-- With everything that was recorded to decide it again.
SELECT revision, document, perceptions, given, audiences, leaf, decided_at
FROM decision
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s
ORDER BY revision DESC
LIMIT 1;

-- name: insert_statement
-- A decision that is made again keeps its statement.
INSERT INTO statement (tenant, puid, body, notice, at) VALUES (%(tenant)s, %(puid)s, %(body)s, %(notice)s, %(at)s)
ON CONFLICT DO NOTHING;

-- name: delete_statement
-- Of a decision that was undone before anybody heard of it.
DELETE FROM statement WHERE tenant = %(tenant)s AND puid = %(puid)s;

-- name: read_notice
-- The notice for the author, by language.
SELECT notice FROM statement WHERE tenant = %(tenant)s AND puid = %(puid)s;

-- name: list_statements_after
-- The next page, in the order of time. A moderator's decision that may still be undone is not stated yet.
SELECT puid, body, at FROM statement
WHERE tenant = %(tenant)s AND at <= now() AND at >= %(since)s AND (at, puid) > (%(after_at)s, %(after_puid)s)
ORDER BY at, puid
LIMIT %(most)s;
