-- name: is_schema_created
-- The newest relation is looked for: a gallery that an older version of this package made has others alone.
SELECT to_regclass('probe_throttled') IS NOT NULL AS made;

-- name: create_schema
-- Unlogged throughout: a crash empties all of it.
CREATE EXTENSION IF NOT EXISTS vector;
-- Whose templates these are, once all of them are in; unlogged too, so that a crash takes both.
CREATE UNLOGGED TABLE IF NOT EXISTS ready (
    instance uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE UNLOGGED TABLE IF NOT EXISTS template (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    model text NOT NULL,
    template_id uuid NOT NULL,
    version integer NOT NULL,
    scope text NOT NULL,
    expires_at timestamptz NOT NULL,
    strictness real NOT NULL, -- added to the threshold, for what the person refused
    embedding halfvec STORAGE PLAIN NOT NULL
);
CREATE INDEX IF NOT EXISTS template_subject ON template (tenant, pid);
-- How often an author's pictures were held against a person, so that nobody can feel their way to a face.
CREATE UNLOGGED TABLE IF NOT EXISTS probe (
    tenant text NOT NULL,
    author bytea NOT NULL, -- empty: all authors together but the person
    pid bytea NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    pictures integer NOT NULL, -- since then, in which the person was among the nearest of a face
    near integer NOT NULL, -- since then, faces that came near the person and were not matched
    until timestamptz, -- before it the person is no candidate for the author's images
    PRIMARY KEY (tenant, author, pid)
);
CREATE INDEX IF NOT EXISTS probe_throttled ON probe (tenant, author) WHERE until IS NOT NULL;
-- Who may be found in an author's image; nobody else is ever compared. SQL and STABLE, so that it is planned inline.
CREATE OR REPLACE FUNCTION
    candidates(in_tenant text, with_model text, author bytea, connections bytea[], anyone boolean)
RETURNS SETOF template STABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT * FROM template
    WHERE tenant = in_tenant AND model = with_model AND expires_at > now() AND (
        pid = author
        OR (pid = ANY (connections) AND scope IN ('connections', 'anyone'))
        OR (anyone AND scope = 'anyone')
    ) AND pid <> ALL (ARRAY(
        SELECT probe.pid FROM probe
        WHERE probe.tenant = in_tenant AND probe.author IN (candidates.author, '') AND probe.until > now()
            AND (probe.author <> '' OR probe.pid <> candidates.author)
    ))
$$;

-- name: create_wanted
-- The templates that the gallery is to hold, without their embeddings, until the commit.
CREATE TEMPORARY TABLE IF NOT EXISTS wanted (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    model text NOT NULL,
    template_id uuid NOT NULL,
    version integer NOT NULL,
    scope text NOT NULL,
    expires_at timestamptz NOT NULL,
    strictness real NOT NULL
) ON COMMIT DELETE ROWS;

-- name: copy_wanted
-- Takes the rows of `list_active_templates`.
COPY wanted FROM STDIN (FORMAT BINARY)

-- name: has_any_template
-- An empty gallery is filled, any other one compared.
SELECT EXISTS (SELECT FROM template) AS holds;

-- name: set_planner_parallel
-- A search of everybody is shared with a second process as soon as it is worth its start.
SELECT set_config('max_parallel_workers_per_gather', '1', false), set_config('parallel_setup_cost', '10', false),
    set_config('parallel_tuple_cost', '0', false);

-- name: lock_gallery_writes
-- One process of this host writes at a time, until the commit.
SELECT pg_advisory_xact_lock(hashtext('assent gallery'));

-- name: delete_surplus_templates
-- Templates that are wanted no longer, or in another version.
DELETE FROM template t
WHERE (%(tenant)s::text IS NULL OR t.tenant = %(tenant)s)
    AND (%(pid)s::bytea IS NULL OR t.pid = %(pid)s)
    AND NOT EXISTS (
        SELECT FROM wanted w
        WHERE w.tenant = t.tenant AND w.pid = t.pid AND w.template_id = t.template_id
            AND w.version = t.version AND w.model = t.model
    );

-- name: delete_changed_templates
-- Those whose scope, end or strictness changed are opened anew, as if they were missing: their rows are checked then.
DELETE FROM template t
USING wanted w
WHERE w.tenant = t.tenant AND w.pid = t.pid AND w.template_id = t.template_id
    AND (w.scope, w.expires_at, w.strictness) IS DISTINCT FROM (t.scope, t.expires_at, t.strictness);

-- name: list_missing_templates
-- In the columns of `list_active_templates` and the order of the subjects, so that each key is opened once.
SELECT w.tenant, w.pid, w.model, uuid_send(w.template_id), int4send(w.version), textsend(w.scope),
    timestamptz_send(w.expires_at), float4send(w.strictness)
FROM wanted w
WHERE NOT EXISTS (
    SELECT FROM template t WHERE t.tenant = w.tenant AND t.pid = w.pid AND t.template_id = w.template_id
)
ORDER BY w.tenant, w.pid, w.template_id;

-- name: copy_opened_templates
-- Takes opened templates in binary form.
COPY template (tenant, pid, model, template_id, version, scope, expires_at, strictness, embedding)
FROM STDIN (FORMAT BINARY)

-- name: unmark_other_instances
-- Of another primary database nothing is held any more.
DELETE FROM ready WHERE instance <> %(instance)s;

-- name: mark_ready
-- All templates of that primary database are in.
INSERT INTO ready (instance) VALUES (%(instance)s) ON CONFLICT (instance) DO UPDATE SET at = now();

-- name: is_ready
-- Tells whether all templates of that primary database are in.
SELECT EXISTS (SELECT FROM ready WHERE instance = %(instance)s) AS ready;

-- name: count_candidates
-- Templates that a search would compare each face with.
SELECT count(*) AS size, EXISTS (SELECT FROM ready) AS ready
FROM candidates(%(tenant)s, %(model)s, %(author)s, %(connections)s, %(anyone)s);

-- name: search_whole_tenant
-- One branch of it for each face; each scans the table, in parallel where it is large, instead of copying it first.
SELECT
    probe.n - 1 AS face, near.pid, near.template_id, near.version, near.strictness, near.score,
    (SELECT count(*) FROM candidates(%(tenant)s, %(model)s, %(author)s, %(connections)s, true)) AS searched,
    EXISTS (SELECT FROM ready) AS ready
FROM generate_series(1, %(count)s) AS probe (n)
LEFT JOIN ({faces}) AS near ON near.face = probe.n - 1
ORDER BY probe.n, near.score DESC;

-- name: search_one_face
-- A branch of `search_whole_tenant`.
(
    SELECT {face} AS face, pid, template_id, version, strictness, 1 - (embedding <=> {probe}) AS score
    FROM candidates(%(tenant)s, %(model)s, %(author)s, %(connections)s, true)
    ORDER BY embedding <=> {probe}
    LIMIT %(nearest)s
)

-- name: search_candidates
-- The nearest templates of each face; the search space is copied once and scanned for every face.
WITH allowed AS MATERIALIZED (
    SELECT pid, template_id, version, strictness, embedding
    FROM candidates(%(tenant)s, %(model)s, %(author)s, %(connections)s, %(anyone)s)
)
SELECT
    probe.n - 1 AS face, near.pid, near.template_id, near.version, near.strictness, near.score,
    (SELECT count(*) FROM allowed) AS searched,
    EXISTS (SELECT FROM ready) AS ready
FROM unnest(%(probes)s::halfvec[]) WITH ORDINALITY AS probe (embedding, n)
LEFT JOIN LATERAL (
    SELECT pid, template_id, version, strictness, 1 - (allowed.embedding <=> probe.embedding) AS score
    FROM allowed
    ORDER BY allowed.embedding <=> probe.embedding
    LIMIT %(nearest)s
) AS near ON true
ORDER BY probe.n, near.score DESC;

-- name: charge_probe_budget
-- One more image of the author, and of all but the subject, for each; counts older than a day, or answered for, begin
-- anew. No image counts for more of the total than the author's own budget is.
INSERT INTO probe AS p (tenant, author, pid, pictures, near)
SELECT %(tenant)s, a.author, n.pid, 1, CASE a.author WHEN '' THEN least(n.near, %(most_near)s) ELSE n.near END
FROM unnest(%(pids)s::bytea[], %(near)s::integer[]) AS n (pid, near), (VALUES (%(author)s), (''::bytea)) AS a (author)
WHERE a.author <> '' OR n.pid <> %(author)s
ORDER BY n.pid, a.author
ON CONFLICT (tenant, author, pid) DO UPDATE SET (since, pictures, near, until) = (
    SELECT
        CASE WHEN o.over THEN now() ELSE p.since END,
        CASE WHEN o.over THEN 0 ELSE p.pictures END + 1,
        CASE WHEN o.over THEN 0 ELSE p.near END + EXCLUDED.near,
        CASE WHEN o.over THEN NULL ELSE p.until END
    FROM (SELECT p.until <= now() OR (p.until IS NULL AND p.since < now() - interval '1 day') AS over) AS o
);

-- name: throttle_spent_budgets
-- For a day from now, where images or probe hits reached their limit, the author's or the total of all.
UPDATE probe p SET until = now() + interval '1 day'
WHERE tenant = %(tenant)s AND author IN (%(author)s, '') AND pid = ANY (%(pids)s) AND until IS NULL AND CASE
    WHEN author <> '' THEN pictures >= %(most_pictures)s OR near >= %(most_near)s
    WHEN %(anyone)s AND EXISTS (SELECT FROM template t WHERE t.tenant = p.tenant AND t.pid = p.pid AND scope = 'anyone')
        THEN near >= %(anyone_near)s
    ELSE pictures >= %(total_pictures)s OR near >= %(total_near)s
END
RETURNING pid, author = '' AS of_everybody;

-- name: purge_expired_probes
-- Budgets whose day is over.
DELETE FROM probe WHERE coalesce(until, since + interval '1 day') <= now();
