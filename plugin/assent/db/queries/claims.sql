-- name: claim_case
-- Free, lapsed or one's own; a new claim ends an earlier one, whose time goes on counting where it had not lapsed.
UPDATE review_case SET
    claim = gen_random_uuid(), claimed_by = %(by)s,
    claimed_at = CASE WHEN claimed_until > now() THEN claimed_at ELSE now() END,
    claimed_until = least(
        now() + %(lease)s, CASE WHEN claimed_until > now() THEN claimed_at ELSE now() END + %(most)s
    )
WHERE tenant = %(tenant)s AND id = %(case)s AND closed_at IS NULL
  AND (claim IS NULL OR claimed_until <= now() OR claimed_by = %(by)s)
RETURNING id, claim, claimed_until;

-- name: claim_next_case
-- The first in the order of review that nobody works on and that this moderator has not skipped.
UPDATE review_case SET
    claim = gen_random_uuid(), claimed_by = %(by)s, claimed_at = now(), claimed_until = now() + %(lease)s
WHERE tenant = %(tenant)s AND id = (
    SELECT id FROM review_case
    WHERE tenant = %(tenant)s AND closed_at IS NULL AND (%(queue)s::text IS NULL OR queue = %(queue)s)
      AND (claim IS NULL OR claimed_until <= now())
      AND NOT EXISTS (
          SELECT FROM review_skip skip
          WHERE skip.tenant = %(tenant)s AND skip.case_id = review_case.id AND skip.by = %(by)s
      )
    ORDER BY (reason <> 'hash-severe'), (-priority), opened_at, id
    LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, claim, claimed_until;

-- name: extend_claim
-- Also a lapsed one that nobody took since, and never beyond the longest time that a claim may last.
UPDATE review_case SET claimed_until = least(now() + %(lease)s, claimed_at + %(most)s)
WHERE tenant = %(tenant)s AND id = %(case)s AND closed_at IS NULL AND claim = %(claim)s AND claimed_by = %(by)s
RETURNING id, claim, claimed_until;

-- name: release_case
-- Into that queue, or its own.
UPDATE review_case SET
    queue = coalesce(%(queue)s, queue), claim = NULL, claimed_by = NULL, claimed_at = NULL, claimed_until = NULL
WHERE tenant = %(tenant)s AND id = %(case)s AND closed_at IS NULL AND claim = %(claim)s AND claimed_by = %(by)s
RETURNING source, media_id, revision;

-- name: reopen_case
-- Whoever closed it has it in hand again.
UPDATE review_case SET
    closed_at = NULL, closed_by = NULL, outcome = NULL,
    claim = gen_random_uuid(), claimed_by = %(by)s, claimed_at = now(), claimed_until = now() + %(lease)s
WHERE tenant = %(tenant)s AND id = %(case)s AND closed_by = %(by)s
RETURNING id, claim, claimed_until;

-- name: lock_case_in_hand
-- As `close_case` asks for it: open, and nobody else works on it.
SELECT id FROM review_case
WHERE tenant = %(tenant)s AND id = %(case)s AND closed_at IS NULL
  AND CASE WHEN %(claim)s::uuid IS NULL THEN claim IS NULL OR claimed_until <= now() OR claimed_by = %(by)s
           ELSE claim = %(claim)s AND claimed_by = %(by)s END
FOR UPDATE;

-- name: insert_face_veto
-- Once.
INSERT INTO face_veto (tenant, source, media_id, media_sha256, box, by)
VALUES (%(tenant)s, %(source)s, %(media)s, %(sha256)s, %(box)s, %(by)s)
ON CONFLICT DO NOTHING;

-- name: insert_skip
-- Once.
INSERT INTO review_skip (tenant, case_id, by) VALUES (%(tenant)s, %(case)s, %(by)s) ON CONFLICT DO NOTHING;

-- name: list_own_claims
-- Open cases that a moderator has in hand, in all queues or in one, the oldest claim first.
SELECT id, queue, reason, opened_at, claimed_until, now() AS now
FROM review_case
WHERE tenant = %(tenant)s AND claimed_by = %(by)s AND closed_at IS NULL AND claimed_until > now()
  AND (%(queue)s::text IS NULL OR queue = %(queue)s)
ORDER BY claimed_at, id;

-- name: read_undoable
-- What a moderator decided last, or on that case, and may still undo.
SELECT u.case_id, c.outcome, u.undo_until - now() AS remaining
FROM moderator_undo u JOIN review_case c ON c.tenant = u.tenant AND c.id = u.case_id
WHERE u.tenant = %(tenant)s AND u.by = %(by)s AND u.undo_until > now()
  AND (%(case)s::uuid IS NULL OR u.case_id = %(case)s)
ORDER BY u.undo_until DESC LIMIT 1;

-- name: release_own_claims
-- Whoever signs out has nothing in hand any more.
UPDATE review_case SET claim = NULL, claimed_by = NULL, claimed_at = NULL, claimed_until = NULL
WHERE tenant = %(tenant)s AND claimed_by = %(by)s AND closed_at IS NULL;
