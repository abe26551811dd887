-- name: count_refused_band
-- Nobody is named: only how often a match of that band was refused.
INSERT INTO refused_band (tenant, band, times) VALUES (%(tenant)s, %(band)s, 1)
ON CONFLICT (tenant, band) DO UPDATE SET times = refused_band.times + 1;

-- name: list_refused_bands
-- The counts of a tenant.
SELECT band, times FROM refused_band WHERE tenant = %(tenant)s ORDER BY band DESC;

-- name: list_corrections
-- The newest correction of each label of each file, whatever ids the file was posted under.
SELECT DISTINCT ON (media_sha256, label) source, media_id, media_sha256, label, holds, by, at
FROM correction
WHERE tenant = %(tenant)s
ORDER BY media_sha256, label, at DESC;

-- name: list_heads
-- All that were ever tried.
SELECT name, sha256, state, since FROM head WHERE tenant = %(tenant)s ORDER BY name, since DESC;

-- name: list_running_heads
-- Of every tenant: the heads that its images go through.
SELECT tenant, name, sha256, state FROM head WHERE state IN ('shadow', 'live') ORDER BY tenant, name;

-- name: list_ended_heads
-- Of every tenant: the heads that ended with their backbone, while none of their name was tried since.
SELECT tenant, name, sha256, since FROM head h
WHERE state = 'ended' AND NOT EXISTS (
    SELECT 1 FROM head n WHERE n.tenant = h.tenant AND n.name = h.name AND n.since > h.since
)
ORDER BY tenant, name;

-- name: read_head
-- With manifest and network, sealed.
SELECT name, sha256, state, manifest, network, since FROM head WHERE tenant = %(tenant)s AND sha256 = %(head)s;

-- name: lock_heads
-- One change of a tenant's heads at a time.
SELECT pg_advisory_xact_lock(hashtextextended('heads/' || %(tenant)s, 0));

-- name: read_head_in_state
-- The newest of that name.
SELECT sha256 FROM head WHERE tenant = %(tenant)s AND name = %(name)s AND state = %(state)s ORDER BY since DESC LIMIT 1;

-- name: insert_head
-- A head that was tried before is tried again.
INSERT INTO head (tenant, sha256, name, state, manifest, network)
VALUES (%(tenant)s, %(head)s, %(name)s, 'shadow', %(manifest)s, %(network)s)
ON CONFLICT (tenant, sha256) DO UPDATE SET state = 'shadow', since = now();

-- name: set_head_state
-- With the time of the change.
UPDATE head SET state = %(state)s, since = now() WHERE tenant = %(tenant)s AND sha256 = %(head)s;

-- name: record_trial_labels
-- Only with a decision, and only while the head is on trial: what was superseded or deleted meanwhile leaves nothing.
INSERT INTO shadow (tenant, head, source, media_id, media_sha256, live, candidate)
SELECT d.tenant, h.sha256, d.source, d.media_id, d.document -> 'media' ->> 'sha256', %(live)s, %(candidate)s
FROM decision d
JOIN head h ON h.tenant = d.tenant AND h.sha256 = %(head)s AND h.state = 'shadow'
WHERE d.tenant = %(tenant)s AND d.event_id = %(event)s AND d.n = %(n)s
ON CONFLICT (tenant, head, source, media_id)
DO UPDATE SET media_sha256 = EXCLUDED.media_sha256, live = EXCLUDED.live, candidate = EXCLUDED.candidate, at = now();

-- name: delete_trial_labels
-- All of a trial that ended.
DELETE FROM shadow WHERE tenant = %(tenant)s AND head = %(head)s;

-- name: trim_trial_labels
-- The newest so many of each trial stay, and none of a trial that ended.
DELETE FROM shadow s USING head h
WHERE h.tenant = s.tenant AND h.sha256 = s.head AND (h.state <> 'shadow' OR s.at < (
    SELECT o.at FROM shadow o WHERE o.tenant = h.tenant AND o.head = h.sha256 ORDER BY o.at DESC OFFSET %(most)s - 1 LIMIT 1
));

-- name: count_trial_images
-- And the time of the first.
SELECT count(*) AS pictures, min(at) AS since FROM shadow WHERE tenant = %(tenant)s AND head = %(head)s;

-- name: count_trial_labels
-- By label: images that got it from both, from the live heads alone, from the candidate alone.
SELECT l.label,
       count(*) FILTER (WHERE l.label = ANY(s.live) AND l.label = ANY(s.candidate)) AS both,
       count(*) FILTER (WHERE NOT l.label = ANY(s.candidate)) AS only_live,
       count(*) FILTER (WHERE NOT l.label = ANY(s.live)) AS only_candidate
FROM shadow s
CROSS JOIN LATERAL (SELECT DISTINCT unnest(s.live || s.candidate)) AS l (label)
WHERE s.tenant = %(tenant)s AND s.head = %(head)s
GROUP BY l.label;

-- name: count_trial_agreement
-- How often each of the two agreed with a moderator.
SELECT c.label, count(*) AS corrected,
       count(*) FILTER (WHERE (c.label = ANY(s.live)) = c.holds) AS live_right,
       count(*) FILTER (WHERE (c.label = ANY(s.candidate)) = c.holds) AS candidate_right
FROM correction c
JOIN shadow s USING (tenant, source, media_id, media_sha256)
WHERE c.tenant = %(tenant)s AND s.head = %(head)s
GROUP BY c.label;
