-- name: lock_media
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || %(media)s, 0));

-- name: share_media
SELECT pg_advisory_xact_lock_shared(hashtextextended(%(tenant)s || '/' || %(media)s, 0));

-- name: hold_event
-- Locked until the commit, so that nobody ends it meanwhile.
SELECT FROM event WHERE tenant = %(tenant)s AND id = %(event)s AND done_at IS NULL FOR SHARE;

-- name: decided
SELECT revision FROM decision WHERE tenant = %(tenant)s AND event_id = %(event)s AND n = %(n)s;

-- name: newest
SELECT revision, event_revision, document FROM decision
WHERE tenant = %(tenant)s AND media_id = %(media)s
ORDER BY revision DESC
LIMIT 1;

-- name: confirm
SELECT t.id AS template, t.pid, t.version, k.epoch, k.wrapped
FROM template t
JOIN consent c ON c.tenant = t.tenant AND c.id = t.consent_id
JOIN subject_key k ON k.tenant = t.tenant AND k.pid = t.pid
WHERE t.tenant = %(tenant)s AND t.id = ANY(%(templates)s)
  AND c.purpose = 'face-match' AND c.withdrawn_at IS NULL AND c.expired_at IS NULL AND c.expires_at > now();

-- name: drop_matches
DELETE FROM match WHERE tenant = %(tenant)s AND media_id = %(media)s;

-- name: insert_match
INSERT INTO match (tenant, media_id, face, revision, epoch, locator, sealed, state)
VALUES (%(tenant)s, %(media)s, %(face)s, %(revision)s, %(epoch)s, %(locator)s, %(sealed)s, %(state)s);

-- name: insert_decision
INSERT INTO decision
    (tenant, media_id, revision, event_id, n, event_revision, action, document, perceptions, given, audiences, leaf,
     decided_at)
VALUES
    (%(tenant)s, %(media)s, %(revision)s, %(event)s, %(n)s, %(event_revision)s, %(action)s, %(document)s,
     %(perceptions)s, %(given)s, %(audiences)s, %(leaf)s, %(at)s);

-- name: open_case
INSERT INTO review_case (tenant, id, media_id, revision, reason, queue, priority)
VALUES (%(tenant)s, gen_random_uuid(), %(media)s, %(revision)s, %(reason)s, %(queue)s, %(priority)s);

-- name: supersede
UPDATE outbox SET state = 'superseded'
WHERE tenant = %(tenant)s AND media_id = %(media)s AND state = 'waiting';

-- name: supersede_said
-- What has to be said anew; who is asked something is asked what is open when it is sent.
UPDATE outbox SET state = 'superseded'
WHERE tenant = %(tenant)s AND media_id = %(media)s AND state = 'waiting' AND type <> 'tag.suggested';

-- name: revise
UPDATE decision SET revision = revision + 1,
    document = coalesce(%(document)s::json, document), action = coalesce(%(action)s, action),
    audiences = coalesce(%(audiences)s, audiences)
WHERE tenant = %(tenant)s AND media_id = %(media)s
  AND revision = (SELECT max(revision) FROM decision WHERE tenant = %(tenant)s AND media_id = %(media)s)
RETURNING revision, event_id, leaf;

-- name: revise_matches
UPDATE match SET revision = %(revision)s WHERE tenant = %(tenant)s AND media_id = %(media)s;

-- name: revise_cases
UPDATE review_case SET revision = %(revision)s
WHERE tenant = %(tenant)s AND media_id = %(media)s AND closed_at IS NULL;

-- name: set_leaf
UPDATE decision SET leaf = %(leaf)s
WHERE tenant = %(tenant)s AND media_id = %(media)s AND revision = %(revision)s;

-- name: endpoints
-- With whether anything about the picture may have reached it already. Authors' and the public's hear of what follows
-- on something that was sent to them. A retraction waits for a disabled one too, among the messages given up, until it
-- is enabled and they are redriven.
SELECT e.name, EXISTS (
    SELECT FROM outbox o
    WHERE o.tenant = e.tenant AND o.endpoint = e.name AND o.media_id = %(media)s AND o.attempts > o.unmade
      AND o.type IN ('media.tagged', 'media.failed', 'media.reviewed', 'tag.published', 'tag.retracted')
) AS told
FROM endpoint e
WHERE e.tenant = %(tenant)s
  AND (e.audience = ANY(%(audiences)s) OR %(kind)s <> 'tag.suggested' AND e.audience IN ('author', 'public') AND EXISTS (
      SELECT FROM outbox o WHERE o.tenant = e.tenant AND o.endpoint = e.name AND o.media_id = %(media)s
  ))
  AND (e.disabled_at IS NULL OR %(kind)s = 'tag.retracted')
ORDER BY e.name;

-- name: insert_message
INSERT INTO outbox (tenant, id, endpoint, type, media_id, revision)
VALUES (%(tenant)s, %(id)s, %(endpoint)s, %(type)s, %(media)s, %(revision)s);

-- name: forget_media
DELETE FROM decision WHERE tenant = %(tenant)s AND media_id = %(media)s;

-- name: close_cases
UPDATE review_case SET closed_at = now()
WHERE tenant = %(tenant)s AND media_id = %(media)s AND closed_at IS NULL;

-- name: forget_corrections
DELETE FROM correction WHERE tenant = %(tenant)s AND media_id = %(media)s;

-- name: forget_shadows
DELETE FROM shadow WHERE tenant = %(tenant)s AND media_id = %(media)s;

-- name: announce
SELECT pg_notify('assent_done', %(payload)s);

-- name: decision
SELECT revision, event_id, n, document, perceptions, audiences, leaf, decided_at
FROM decision
WHERE tenant = %(tenant)s AND media_id = %(media)s
ORDER BY revision DESC
LIMIT 1;

-- name: decision_of_event
SELECT media_id, revision, action, leaf, decided_at
FROM decision
WHERE tenant = %(tenant)s AND event_id = %(event)s
ORDER BY n;

-- name: matches
SELECT face, epoch, locator, sealed, state
FROM match
WHERE tenant = %(tenant)s AND media_id = %(media)s AND revision = %(revision)s AND state = %(state)s
ORDER BY face;

-- name: some_matches
-- The next of all, in the order of the primary key.
SELECT media_id, face, epoch, locator FROM match
WHERE tenant = %(tenant)s AND (media_id, face) > (%(media)s, %(face)s)
ORDER BY media_id, face
LIMIT %(most)s;

-- name: match
SELECT m.revision, m.epoch, m.locator, m.sealed, m.state, d.document -> 'faces' -> m.face::int -> 'box' AS box,
       d.document -> 'media' ->> 'sha256' AS sha256, d.decided_at
FROM match m
JOIN decision d ON d.tenant = m.tenant AND d.media_id = m.media_id AND d.revision = m.revision
WHERE m.tenant = %(tenant)s AND m.media_id = %(media)s AND m.face = %(face)s;

-- name: matches_of_media
SELECT face, epoch, locator, state FROM match WHERE tenant = %(tenant)s AND media_id = %(media)s;

-- name: drop_match
DELETE FROM match WHERE tenant = %(tenant)s AND media_id = %(media)s AND face = %(face)s;

-- name: publish_match
UPDATE match SET state = 'published'
WHERE tenant = %(tenant)s AND media_id = %(media)s AND face = %(face)s AND state = 'suggested';

-- name: retracted
UPDATE erasure SET retracted_at = now() WHERE tenant = %(tenant)s AND id = %(erasure)s AND retracted_at IS NULL;

-- name: keep_picture
INSERT INTO kept_picture (tenant, media_id, sealed, kept_until)
VALUES (%(tenant)s, %(media)s, %(sealed)s, now() + make_interval(days => %(days)s))
ON CONFLICT (tenant, media_id) DO UPDATE SET sealed = EXCLUDED.sealed, kept_until = EXCLUDED.kept_until;

-- name: drop_kept
DELETE FROM kept_picture WHERE tenant = %(tenant)s AND media_id = %(media)s;

-- name: kept
SELECT sealed FROM kept_picture WHERE tenant = %(tenant)s AND media_id = %(media)s AND kept_until > now();

-- name: purge_kept
DELETE FROM kept_picture WHERE kept_until <= now();

-- name: person
SELECT s.sealed AS ref_sealed, k.wrapped, k.epoch,
       EXISTS (
           SELECT FROM consent c
           WHERE c.tenant = s.tenant AND c.pid = s.pid AND c.purpose = 'face-match'
             AND c.withdrawn_at IS NULL AND c.expired_at IS NULL AND c.expires_at > now()
       ) AS consenting
FROM subject s
JOIN subject_key k ON k.tenant = s.tenant AND k.pid = s.pid
WHERE s.tenant = %(tenant)s AND s.pid = %(pid)s;

-- name: messages_of_media
SELECT id, endpoint, type, revision, state, attempts, next_at, delivered_at, last_error
FROM outbox
WHERE tenant = %(tenant)s AND media_id = %(media)s
ORDER BY created_at;
