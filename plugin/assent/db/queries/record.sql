-- name: lock_media
-- Alone, until the commit.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || %(source)s || '/' || %(media)s, 0));

-- name: lock_media_shared
-- Beside other readers, until the commit.
SELECT pg_advisory_xact_lock_shared(hashtextextended(%(tenant)s || '/' || %(source)s || '/' || %(media)s, 0));

-- name: lock_open_event
-- Until the commit, so that nobody ends it meanwhile.
SELECT FROM event WHERE tenant = %(tenant)s AND id = %(event)s AND done_at IS NULL FOR SHARE;

-- name: read_recorded_decision
-- Of this item of this event: a job may run twice.
SELECT revision FROM decision WHERE tenant = %(tenant)s AND event_id = %(event)s AND n = %(n)s;

-- name: read_newest_revision
-- With its document, for comparison with the next one.
SELECT revision, event_revision, document FROM decision
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s
ORDER BY revision DESC
LIMIT 1;

-- name: read_told_revision
-- Of a media item that was deleted before the order of events was kept: what told of it then is still there.
SELECT coalesce(greatest(
    (SELECT max(revision) FROM outbox WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s),
    (SELECT max(revision) FROM review_case WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s)
), 0) AS revision;

-- name: list_confirmed_templates
-- Those of these templates whose own consents are active, with these consents and the keys of their subjects.
SELECT t.tenant, t.id, t.pid, t.model, t.consent_id, t.version, t.mac, k.epoch, k.wrapped,
       c.tenant AS c_tenant, c.id AS c_id, c.pid AS c_pid, c.purpose AS c_purpose, c.scope AS c_scope,
       c.series AS c_series, c.n AS c_n, timestamptz_send(c.given_at) AS c_given_at,
       timestamptz_send(c.expires_at) AS c_expires_at, NULL AS c_withdrawn_at, NULL AS c_expired_at, c.mac AS c_mac
FROM template t
JOIN consent c ON c.tenant = t.tenant AND c.id = t.consent_id AND c.pid = t.pid
JOIN subject_key k ON k.tenant = t.tenant AND k.pid = t.pid
WHERE t.tenant = %(tenant)s AND t.id = ANY(%(templates)s)
  AND c.purpose = 'face-match' AND c.withdrawn_at IS NULL AND c.expired_at IS NULL AND c.expires_at > now();

-- name: delete_matches
-- All of a media item.
WITH gone AS (
    DELETE FROM match WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s RETURNING tenant, slot
)
INSERT INTO spent_slot SELECT tenant, slot FROM gone WHERE slot IS NOT NULL ON CONFLICT DO NOTHING;

-- name: insert_match
-- The locator tells whose it is, to nobody without the keys.
INSERT INTO match (tenant, source, media_id, face, revision, epoch, locator, sealed, state, slot)
VALUES (%(tenant)s, %(source)s, %(media)s, %(face)s, %(revision)s, %(epoch)s, %(locator)s, %(sealed)s, %(state)s,
        %(slot)s);

-- name: insert_decision
-- With everything that is needed to decide it again. The one before is replaced, and goes after its retention, unless a
-- moderator decided in it: that is heeded when the file comes again.
WITH before AS (
    UPDATE decision SET replaced_at = now()
    WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND replaced_at IS NULL
      AND document -> 'reviewed' ->> 'action' IS NULL AND document -> 'reviewed' -> 'hidden' IS NULL
)
INSERT INTO decision
    (tenant, source, media_id, revision, event_id, n, event_revision, action, document, perceptions, given, audiences,
     leaf, decided_at)
VALUES
    (%(tenant)s, %(source)s, %(media)s, %(revision)s, %(event)s, %(n)s, %(event_revision)s, %(action)s,
     %(document)s, %(perceptions)s, %(given)s, %(audiences)s, %(leaf)s, %(at)s);

-- name: insert_case
-- Open until a moderator or another decision closes it. The parts of its image's hash are those of `0024_clusters.sql`.
INSERT INTO review_case (tenant, id, source, media_id, revision, reason, queue, priority, pdq, pdq_chunks)
SELECT %(tenant)s, gen_random_uuid(), %(source)s, %(media)s, %(revision)s, %(reason)s, %(queue)s, %(priority)s,
       image.pdq, (
           SELECT array_agg(n << 16 | (substring(image.pdq FROM 16 * n + 1 FOR 16))::bit(16)::integer)
           FROM generate_series(0, 15) n WHERE image.pdq IS NOT NULL
       )
FROM (SELECT %(pdq)s::bit(256) AS pdq) image;

-- name: purge_replaced_decisions
-- After their retention.
DELETE FROM decision WHERE (tenant, media_id, source, revision) IN (
    SELECT tenant, media_id, source, revision FROM decision
    WHERE replaced_at < now() - make_interval(days => %(days)s)
    LIMIT %(most)s FOR UPDATE SKIP LOCKED
);

-- name: supersede_waiting_messages
-- What was not sent yet is not sent any more.
UPDATE outbox SET state = 'superseded', replaced_at = CASE WHEN attempts <= unmade THEN now() END
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND state = 'waiting';

-- name: supersede_waiting_decisions
-- All but suggestions, which ask what is open when they are sent.
UPDATE outbox SET state = 'superseded', replaced_at = CASE WHEN attempts <= unmade THEN now() END
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND state = 'waiting' AND type <> 'tag.suggested';

-- name: revise_newest_decision
-- In place: a part that is NULL stays as it is.
UPDATE decision SET revision = revision + %(steps)s,
    document = coalesce(%(document)s::json, document), action = coalesce(%(action)s, action),
    audiences = coalesce(%(audiences)s, audiences)
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s
  AND revision = (
      SELECT max(revision) FROM decision
      WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s
  )
RETURNING revision, event_id, leaf;

-- name: revise_matches
-- They stand in the newest revision.
UPDATE match SET revision = %(revision)s WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: revise_open_cases
-- A case keeps its place in the queue.
UPDATE review_case SET revision = %(revision)s
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND closed_at IS NULL;

-- name: set_decision_leaf
-- The leaf of the newest revision.
UPDATE decision SET leaf = %(leaf)s
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND revision = %(revision)s;

-- name: list_receiving_endpoints
-- With whether anything about the media item may have reached it already. Endpoints of authors and the public hear of
-- what follows on something that was sent to them. A retraction waits for a disabled one too, among the messages given
-- up, until it is enabled and they are redriven.
SELECT e.name, EXISTS (
    SELECT FROM outbox o
    WHERE o.tenant = e.tenant AND o.endpoint = e.name AND o.source = %(source)s AND o.media_id = %(media)s
      AND o.attempts > o.unmade
      AND o.type IN ('media.tagged', 'media.failed', 'media.reviewed', 'tag.published', 'tag.retracted')
) AS told
FROM endpoint e
WHERE e.tenant = %(tenant)s
  AND (e.audience = ANY(%(audiences)s) OR %(kind)s <> 'tag.suggested' AND e.audience IN ('author', 'public') AND EXISTS (
      SELECT FROM outbox o
      WHERE o.tenant = e.tenant AND o.endpoint = e.name AND o.source = %(source)s AND o.media_id = %(media)s
  ))
  AND (e.disabled_at IS NULL OR %(kind)s IN ('tag.retracted', 'held'))
ORDER BY e.name;

-- name: insert_message
-- Waiting, until a delivery succeeds. One that is held back is queued when it is due.
INSERT INTO outbox (tenant, id, endpoint, type, source, media_id, revision, queued, next_at)
VALUES (%(tenant)s, %(id)s, %(endpoint)s, %(type)s, %(source)s, %(media)s, %(revision)s,
        %(hold)s = interval '0', now() + %(hold)s);

-- name: delete_decisions
-- All revisions of a media item.
DELETE FROM decision WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: delete_messages
-- Sent or not.
DELETE FROM outbox WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: clear_cases
-- What a moderator decided is counted still; on which media item is not known any more, nor what was noted on it.
WITH noted AS (
    DELETE FROM case_note USING review_case c
    WHERE case_note.tenant = %(tenant)s AND c.tenant = %(tenant)s AND c.id = case_note.case_id
      AND c.source = %(source)s AND c.media_id = %(media)s
)
UPDATE review_case SET
    closed_at = coalesce(closed_at, now()), media_id = 'deleted ' || id, pdq = NULL, pdq_chunks = NULL
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: close_open_cases
-- Without a moderator: decided anew, or deleted.
UPDATE review_case SET closed_at = now()
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND closed_at IS NULL;

-- name: delete_corrections
-- Moderators' corrections of a media item's labels.
DELETE FROM correction WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: list_face_vetoes
-- Of a media item, or of the same file under another id.
SELECT box FROM face_veto
WHERE tenant = %(tenant)s AND (media_sha256 = %(sha256)s OR source = %(source)s AND media_id = %(media)s);

-- name: delete_face_vetoes
-- Of a media item.
DELETE FROM face_veto WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: delete_undo
-- What a moderator's decision on a media item replaced.
DELETE FROM moderator_undo WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: delete_trial_labels
-- The labels that heads on trial gave it.
DELETE FROM shadow WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: notify_done
-- At the commit.
SELECT pg_notify(%(channel)s, %(payload)s);

-- name: read_newest_decision
-- As it is assembled for an audience.
SELECT source, revision, event_id, n, document, perceptions, audiences, leaf, decided_at
FROM decision
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s
ORDER BY revision DESC
LIMIT 1;

-- name: list_decisions_of_event
-- In the order of the media items.
SELECT source, media_id, revision, action, leaf, decided_at
FROM decision
WHERE tenant = %(tenant)s AND event_id = %(event)s
ORDER BY n;

-- name: list_matches_in_state
-- Of one revision, by face.
SELECT face, epoch, locator, sealed, state, slot
FROM match
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND revision = %(revision)s AND state = %(state)s
ORDER BY face;

-- name: list_next_matches
-- The next page of all of a tenant, in the order of the primary key.
SELECT source, media_id, face, epoch, locator, slot FROM match
WHERE tenant = %(tenant)s AND (source, media_id, face) > (%(source)s, %(media)s, %(face)s)
ORDER BY source, media_id, face
LIMIT %(most)s;

-- name: read_match
-- With the face's box and the file's hash from its decision.
SELECT m.revision, m.epoch, m.locator, m.sealed, m.slot, m.state, d.document -> 'faces' -> m.face::int -> 'box' AS box,
       d.document -> 'media' ->> 'sha256' AS sha256, d.decided_at
FROM match m
JOIN decision d USING (tenant, source, media_id, revision)
WHERE m.tenant = %(tenant)s AND m.source = %(source)s AND m.media_id = %(media)s AND m.face = %(face)s;

-- name: list_matches_of_media
-- In any state.
SELECT source, media_id, face, epoch, locator, sealed, state, slot FROM match
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: delete_match
-- Refused, or of a subject who is gone.
WITH gone AS (
    DELETE FROM match
    WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND face = %(face)s
    RETURNING tenant, slot
)
INSERT INTO spent_slot SELECT tenant, slot FROM gone WHERE slot IS NOT NULL ON CONFLICT DO NOTHING;

-- name: publish_suggested_match
-- Changes nothing where it is published already.
UPDATE match SET state = 'published'
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND face = %(face)s AND state = 'suggested';

-- name: mark_erasure_retracted
-- Nobody is named as the erased person any more.
UPDATE erasure SET retracted_at = now() WHERE tenant = %(tenant)s AND id = %(erasure)s AND retracted_at IS NULL;

-- name: store_retained_copy
-- In place of an older one.
INSERT INTO kept_picture (tenant, source, media_id, sealed, kept_until)
VALUES (%(tenant)s, %(source)s, %(media)s, %(sealed)s, now() + make_interval(days => %(days)s))
ON CONFLICT (tenant, source, media_id) DO UPDATE SET sealed = EXCLUDED.sealed, kept_until = EXCLUDED.kept_until;

-- name: delete_retained_copy
-- Of a media item.
DELETE FROM kept_picture WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s;

-- name: read_retained_copy
-- None after its retention.
SELECT sealed FROM kept_picture WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s AND kept_until > now();

-- name: shorten_copies
-- A retention that was made shorter counts for what is kept already.
UPDATE kept_picture SET kept_until = now() + make_interval(days => %(days)s)
WHERE kept_until > now() + make_interval(days => %(days)s);

-- name: purge_expired_copies
-- Copies whose retention is over.
DELETE FROM kept_picture WHERE (tenant, source, media_id) IN (
    SELECT tenant, source, media_id FROM kept_picture WHERE kept_until <= now() LIMIT %(most)s FOR UPDATE SKIP LOCKED
);

-- name: read_subject_with_consent
-- With the consent to being recognised that is in force, the columns of which are NULL where there is none.
SELECT s.sealed AS ref_sealed, k.wrapped, k.epoch,
       c.tenant AS c_tenant, c.id AS c_id, c.pid AS c_pid, c.purpose AS c_purpose, c.scope AS c_scope,
       c.series AS c_series, c.n AS c_n, timestamptz_send(c.given_at) AS c_given_at,
       timestamptz_send(c.expires_at) AS c_expires_at, NULL AS c_withdrawn_at, NULL AS c_expired_at, c.mac AS c_mac
FROM subject s
JOIN subject_key k ON k.tenant = s.tenant AND k.pid = s.pid
LEFT JOIN consent c ON c.tenant = s.tenant AND c.pid = s.pid AND c.purpose = 'face-match'
    AND c.withdrawn_at IS NULL AND c.expired_at IS NULL AND c.expires_at > now()
WHERE s.tenant = %(tenant)s AND s.pid = %(pid)s;

-- name: list_messages_of_media
-- Oldest first.
SELECT id, endpoint, type, revision, state, attempts, next_at, delivered_at, last_error
FROM outbox
WHERE tenant = %(tenant)s AND source = %(source)s AND media_id = %(media)s
ORDER BY created_at;
