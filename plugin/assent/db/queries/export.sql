-- name: read_subject
-- With the subject's key, where it is there.
SELECT s.sealed, s.refusals, s.created_at, s.interacted_at, k.epoch, k.wrapped
FROM subject s
LEFT JOIN subject_key k ON k.tenant = s.tenant AND k.pid = s.pid
WHERE s.tenant = %(tenant)s AND s.pid = %(pid)s;

-- name: list_consents
-- Oldest first.
SELECT id, purpose, scope, notice_sha256, notice_version, jurisdiction, method, age, evidence, given_at, expires_at,
       withdrawn_at, expired_at
FROM consent
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY n;

-- name: list_templates
-- Oldest first.
SELECT id, consent_id, model, version, quality, enrolled_at, sealed FROM template
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY enrolled_at, id;

-- name: count_connections
-- Numbers alone: the accounts are keyed hashes.
SELECT (SELECT count(*) FROM connection c WHERE c.tenant = %(tenant)s AND c.pid = %(pid)s) AS chosen,
       (SELECT l.stated_at FROM connection_list l WHERE l.tenant = %(tenant)s AND l.pid = %(pid)s) AS stated_at,
       (SELECT count(*) FROM connection c WHERE c.tenant = %(tenant)s AND c.author_mac = %(author_mac)s) AS chosen_by;

-- name: list_links
-- Without their tokens, which are not stored.
SELECT kind, expires_at, spent_at FROM person_link
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY expires_at, kind;

-- name: list_next_payloads
-- The next page of all that belong to somebody, in the order of the log.
SELECT seq, part, epoch, locator, sealed FROM audit_payload
WHERE tenant = %(tenant)s AND (seq, part) > (%(seq)s, %(part)s) AND locator IS NOT NULL
ORDER BY seq, part
LIMIT %(most)s;

-- name: has_incomplete_erasure
-- Of anybody of the tenant: the keys of what they left are not destroyed yet.
SELECT EXISTS (SELECT FROM erasure WHERE tenant = %(tenant)s AND completed_at IS NULL) AS waits;
