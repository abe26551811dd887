-- name: subject
SELECT s.sealed, s.refusals, s.created_at, s.interacted_at, k.epoch, k.wrapped
FROM subject s
JOIN subject_key k ON k.tenant = s.tenant AND k.pid = s.pid
WHERE s.tenant = %(tenant)s AND s.pid = %(pid)s;

-- name: consents
SELECT id, purpose, scope, notice_sha256, notice_version, jurisdiction, method, age, evidence, given_at, expires_at,
       withdrawn_at, expired_at
FROM consent
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY given_at, id;

-- name: templates
SELECT id, consent_id, model, version, quality, enrolled_at, sealed FROM template
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY enrolled_at, id;

-- name: connections
SELECT (SELECT count(*) FROM connection c WHERE c.tenant = %(tenant)s AND c.pid = %(pid)s) AS chosen,
       (SELECT l.stated_at FROM connection_list l WHERE l.tenant = %(tenant)s AND l.pid = %(pid)s) AS stated_at,
       (SELECT count(*) FROM connection c WHERE c.tenant = %(tenant)s AND c.author_mac = %(author_mac)s) AS chosen_by;

-- name: links
SELECT kind, expires_at, spent_at FROM person_link
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY expires_at, kind;

-- name: some_payloads
SELECT seq, part, epoch, locator, sealed FROM audit_payload
WHERE tenant = %(tenant)s AND (seq, part) > (%(seq)s, %(part)s) AND locator IS NOT NULL
ORDER BY seq, part
LIMIT %(most)s;
