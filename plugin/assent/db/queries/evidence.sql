-- name: count_judged_labels
-- Of the newest corrections of each label: those of labels that a model had said, and how many of them moderators kept.
SELECT l.label, count(c.holds) AS judged, count(*) FILTER (WHERE c.holds) AS kept
FROM unnest(%(labels)s::text[]) l (label)
CROSS JOIN LATERAL (
    SELECT holds FROM correction
    WHERE tenant = %(tenant)s AND label = l.label AND at > now() - %(within)s AND was_said
    ORDER BY at DESC
    LIMIT %(most)s
) c
GROUP BY l.label;

-- name: list_live_heads
-- Of these names, with their manifests, sealed.
SELECT sha256, manifest FROM head WHERE tenant = %(tenant)s AND state = 'live' AND name = ANY(%(names)s::text[]);

-- name: list_stored_policies
-- Those that decide or decided something come first, then the newest.
SELECT p.sha256, p.canonical,
       p.sha256 = (
           SELECT a.sha256 FROM policy_activation a WHERE a.tenant = p.tenant ORDER BY a.n DESC LIMIT 1
       ) IS TRUE AS is_active,
       EXISTS (SELECT FROM policy_shadow s WHERE s.tenant = p.tenant AND s.sha256 = p.sha256) AS is_shadow
FROM policy p
WHERE p.tenant = %(tenant)s
ORDER BY p.sha256 <> %(own)s, 3 DESC, 4 DESC, p.stored_at DESC
LIMIT %(most)s;

-- name: read_recorded_decision
-- The newest of a media item, with everything to decide it again; recognised faces as they are recorded now.
SELECT d.document, d.perceptions, d.given,
       ARRAY(
           SELECT m.face::integer FROM match m
           WHERE (m.tenant, m.source, m.media_id, m.revision) = (d.tenant, d.source, d.media_id, d.revision)
       ) AS matched
FROM decision d
WHERE d.tenant = %(tenant)s AND d.source = %(source)s AND d.media_id = %(media)s
ORDER BY d.revision DESC
LIMIT 1;

-- name: read_distance
-- Bits in which the hashes of two media items differ; NULL where one has none.
SELECT bit_count(a.pdq # b.pdq)::integer AS distance FROM media_search a, media_search b
WHERE a.tenant = %(tenant)s AND a.source = %(source)s AND a.media_id = %(media)s
  AND b.tenant = %(tenant)s AND b.source = %(other_source)s AND b.media_id = %(other_media)s;

-- name: list_queues_of_media
-- The queue of each media item's newest case, NULL where there never was one, and whether a copy of its image is kept.
SELECT i.source, i.media_id, (
    SELECT c.queue FROM review_case c
    WHERE c.tenant = %(tenant)s AND c.source = i.source AND c.media_id = i.media_id
    ORDER BY c.revision DESC
    LIMIT 1
) AS queue, EXISTS (
    SELECT FROM kept_picture k
    WHERE k.tenant = %(tenant)s AND k.source = i.source AND k.media_id = i.media_id AND k.kept_until > now()
) AS kept
FROM unnest(%(sources)s::text[], %(ids)s::text[]) i (source, media_id);
