-- name: claim_rewriting
-- Once an hour: of two workers one gets a row. Transactions older than `seen` had ended when the last rewriting began; in
-- a database that was restored elsewhere the numbers mean nothing, and everything is written anew.
WITH last AS MATERIALIZED (
    SELECT rewriting, seen FROM instance WHERE rewritten_at < %(hour)s FOR UPDATE SKIP LOCKED
)
UPDATE instance SET rewritten_at = %(hour)s, rewriting = pg_current_xact_id(),
    seen = pg_snapshot_xmin(pg_current_snapshot())
FROM last
RETURNING last.rewriting::text, CASE WHEN last.rewriting < pg_current_xact_id() THEN last.seen::text END AS seen;

-- name: set_planner_shuffled
-- Rows are to be found by their place, in the order of the shuffled list: any other join takes them in the table's.
SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('enable_seqscan', 'off', true);

-- name: rewrite_rows
-- Rows of {table} that were written or locked since the last rewriting, in random order. Rows that somebody else has
-- locked are left to the next one. A row that was only locked carries the other transaction's number in xmax; a row that
-- was written anew carries the same number in both.
WITH changed AS MATERIALIZED (
    SELECT ctid AS place FROM {table}
    WHERE %(seen)s::xid8 IS NULL
       OR age(xmin) <= age(%(seen)s::xid8::xid) AND xmin <> %(rewriting)s::xid8::xid
       OR xmax <> 0 AND xmax <> xmin
    FOR NO KEY UPDATE SKIP LOCKED
), shuffled AS MATERIALIZED (
    SELECT place FROM changed ORDER BY random()
)
UPDATE {table} t SET tenant = tenant FROM shuffled WHERE t.ctid = shuffled.place;
