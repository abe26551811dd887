-- name: lock_match_list
-- Whoever adds to a subject's list does so alone, until the transaction ends. An advisory lock leaves nothing on disk.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || encode(%(pid)s, 'hex'), 4));

-- name: list_used_slots
-- Those of these slots that stand in a match, with the match, and those whose match is gone.
SELECT m.slot, m.source, m.media_id, m.face, m.epoch, m.locator FROM match m
WHERE m.tenant = %(tenant)s AND m.slot = ANY(%(slots)s)
UNION ALL
SELECT s.slot, NULL, NULL, NULL, NULL, NULL FROM spent_slot s
WHERE s.tenant = %(tenant)s AND s.slot = ANY(%(slots)s);

-- name: list_next_unlisted
-- The next page of those that no list holds, in the order of the primary key.
SELECT source, media_id, face, epoch, locator, slot FROM match
WHERE tenant = %(tenant)s AND slot IS NULL AND (source, media_id, face) > (%(source)s, %(media)s, %(face)s)
ORDER BY source, media_id, face
LIMIT %(most)s;

-- name: lock_next_matches
-- The next page of a tenant's, listed or not. What somebody else has locked is left to the next round.
SELECT source, media_id, face, epoch, locator, sealed, slot FROM match
WHERE tenant = %(tenant)s AND (source, media_id, face) > (%(source)s, %(media)s, %(face)s)
ORDER BY source, media_id, face
LIMIT %(most)s
FOR UPDATE SKIP LOCKED;

-- name: set_slots
-- With the locators that are bound to them.
UPDATE match t SET slot = m.slot, epoch = m.epoch, locator = m.locator
FROM unnest(%(sources)s::text[], %(media_ids)s::text[], %(faces)s::smallint[], %(slots)s::bytea[], %(epochs)s::integer[],
            %(locators)s::bytea[]) AS m (source, media_id, face, slot, epoch, locator)
WHERE t.tenant = %(tenant)s AND t.source = m.source AND t.media_id = m.media_id AND t.face = m.face;

-- name: spend_slots
-- Takes the slots from their matches.
WITH gone AS (
    UPDATE match SET slot = NULL WHERE tenant = %(tenant)s AND slot = ANY(%(slots)s::bytea[])
)
INSERT INTO spent_slot SELECT %(tenant)s, slot FROM unnest(%(slots)s::bytea[]) AS s (slot) ON CONFLICT DO NOTHING;
