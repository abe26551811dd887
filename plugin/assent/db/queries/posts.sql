-- name: lock_post
-- Locks a post until the transaction ends, so that of two deliveries one sees what the other brought.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || %(source)s || '/' || %(post)s, 3));

-- name: list_media_of_post
-- The media items that a post showed last; one without a name keeps the state of a post that shows none.
SELECT media_id, state FROM post_media
WHERE tenant = %(tenant)s AND source = %(source)s AND post = %(post)s
ORDER BY media_id;

-- name: record_media_of_post
-- Notes that a post shows these media items in that state.
INSERT INTO post_media (tenant, source, post, media_id, state)
SELECT %(tenant)s, %(source)s, %(post)s, shown.media_id, %(state)s
FROM unnest(%(media)s::text[]) AS shown (media_id)
ORDER BY shown.media_id
ON CONFLICT (tenant, source, post, media_id)
DO UPDATE SET state = greatest(post_media.state, excluded.state), seen_at = now();

-- name: delete_media_of_post
-- Notes that a post shows these media items no more.
DELETE FROM post_media
WHERE tenant = %(tenant)s AND source = %(source)s AND post = %(post)s AND media_id = ANY(%(media)s::text[]);

-- name: purge_media_of_posts
-- What has no decision by then, or none any more.
DELETE FROM post_media WHERE (tenant, source, post, media_id) IN (
    SELECT p.tenant, p.source, p.post, p.media_id FROM post_media p
    WHERE p.seen_at < now() - make_interval(days => %(days)s) AND NOT EXISTS (
        SELECT FROM decision d WHERE d.tenant = p.tenant AND d.source = p.source AND d.media_id = p.media_id
    )
    LIMIT %(most)s FOR UPDATE SKIP LOCKED
);
