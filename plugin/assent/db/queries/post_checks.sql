-- name: watch_post
-- Notes that a post exists now, from what the platform sent.
INSERT INTO post_check (tenant, source, post, account) VALUES (%(tenant)s, %(source)s, %(post)s, %(account)s)
ON CONFLICT (tenant, source, post)
DO UPDATE SET account = excluded.account, asked_at = now(), missing_since = NULL;

-- name: claim_posts_to_check
-- The posts that were not asked about for longest; no other worker asks about them for `pause`.
UPDATE post_check SET asked_at = now()
WHERE (tenant, source, post) IN (
    SELECT tenant, source, post FROM post_check
    WHERE tenant = %(tenant)s AND source = %(source)s AND asked_at <= now() - %(pause)s
    ORDER BY asked_at
    LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
)
RETURNING post, account, missing_since;

-- name: record_missing_posts
-- Notes which of the posts that were asked about the platform showed, and which it did not.
UPDATE post_check SET missing_since = CASE WHEN post = ANY(%(missing)s) THEN coalesce(missing_since, now()) END
WHERE tenant = %(tenant)s AND source = %(source)s AND post = ANY(%(posts)s);

-- name: end_check_of_post
-- Ends the check of a post that was missing since then; deletes nothing where the platform sent it again meanwhile.
DELETE FROM post_check
WHERE tenant = %(tenant)s AND source = %(source)s AND post = %(post)s AND missing_since = %(since)s;

-- name: purge_post_checks
-- Checks of posts of which nothing is held any more.
DELETE FROM post_check WHERE (tenant, source, post) IN (
    SELECT c.tenant, c.source, c.post FROM post_check c
    WHERE NOT EXISTS (SELECT FROM post_media m WHERE m.tenant = c.tenant AND m.source = c.source AND m.post = c.post)
    LIMIT %(most)s FOR UPDATE SKIP LOCKED
);
