-- name: subject
-- Whoever changes or removes these rows holds the person's lock alone; a rotation leaves the key inside as it is.
SELECT s.pid, k.epoch, k.wrapped
FROM subject s
JOIN subject_key k ON k.tenant = s.tenant AND k.pid = s.pid
WHERE s.tenant = %(tenant)s AND s.pid = %(pid)s;

-- name: insert_subject
INSERT INTO subject (tenant, pid, sealed) VALUES (%(tenant)s, %(pid)s, %(sealed)s);

-- name: insert_subject_key
INSERT INTO subject_key (tenant, pid, epoch, wrapped) VALUES (%(tenant)s, %(pid)s, %(epoch)s, %(wrapped)s);

-- name: insert_consent
INSERT INTO consent (tenant, id, pid, purpose, scope, notice_sha256, notice_version, jurisdiction, method, age,
                     evidence, given_at, expires_at)
VALUES (%(tenant)s, %(id)s, %(pid)s, %(purpose)s, %(scope)s, %(notice_sha256)s, %(notice_version)s, %(jurisdiction)s,
        %(method)s, %(age)s, %(evidence)s, %(given_at)s, %(expires_at)s);

-- name: person_of_consent
SELECT pid FROM consent WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: withdraw
-- The one in force, whatever its id or only if it is that one.
UPDATE consent SET withdrawn_at = %(at)s
WHERE tenant = %(tenant)s AND pid = %(pid)s AND purpose = 'face-match' AND withdrawn_at IS NULL AND expired_at IS NULL
  AND (%(only)s::uuid IS NULL OR id = %(only)s)
RETURNING id, pid;

-- name: lapsed
SELECT pid FROM consent
WHERE tenant = %(tenant)s AND withdrawn_at IS NULL AND expired_at IS NULL AND expires_at <= %(now)s
ORDER BY pid
LIMIT %(most)s;

-- name: expire
UPDATE consent SET expired_at = %(now)s
WHERE tenant = %(tenant)s AND pid = ANY (%(people)s) AND withdrawn_at IS NULL AND expired_at IS NULL
  AND expires_at <= %(now)s
RETURNING id, pid;

-- name: drop_templates
DELETE FROM template WHERE tenant = %(tenant)s AND consent_id = %(id)s;

-- name: drop_connections
DELETE FROM connection_list WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: move_templates
-- To the consent that follows. A version is what a match under way was found under: with another scope it is another.
UPDATE template t SET consent_id = n.id, version = t.version + (n.scope <> o.scope)::integer
FROM consent o
JOIN consent n ON n.tenant = o.tenant AND n.id = %(new)s
WHERE t.tenant = %(tenant)s AND t.consent_id = %(old)s AND o.tenant = t.tenant AND o.id = t.consent_id;

-- name: active_consent
SELECT id FROM consent
WHERE tenant = %(tenant)s AND pid = %(pid)s AND purpose = 'face-match'
  AND withdrawn_at IS NULL AND expired_at IS NULL AND expires_at > now();

-- name: acted
UPDATE subject SET interacted_at = greatest(interacted_at, %(at)s) WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: declare
UPDATE tenant SET declared_sha256 = %(sha256)s
WHERE tenant = %(tenant)s AND declared_sha256 IS DISTINCT FROM %(sha256)s;

-- name: insert_template
INSERT INTO template (tenant, id, pid, consent_id, model, quality, sealed)
VALUES (%(tenant)s, %(id)s, %(pid)s, %(consent)s, %(model)s, %(quality)s, %(sealed)s);

-- name: count_templates
SELECT count(*) AS count FROM template WHERE tenant = %(tenant)s AND pid = %(pid)s AND model = %(model)s;

-- name: silent
SELECT s.pid, s.interacted_at, array_remove(array_agg(DISTINCT c.jurisdiction), NULL) AS jurisdictions
FROM subject s
LEFT JOIN consent c ON c.tenant = s.tenant AND c.pid = s.pid
WHERE s.tenant = %(tenant)s AND s.interacted_at <= %(since)s
GROUP BY s.pid, s.interacted_at;

-- name: silent_person
SELECT s.sealed, s.interacted_at, ARRAY(
    SELECT DISTINCT c.jurisdiction FROM consent c WHERE c.tenant = s.tenant AND c.pid = s.pid
) AS jurisdictions
FROM subject s
WHERE s.tenant = %(tenant)s AND s.pid = %(pid)s;

-- name: records
-- All of one person's consents, or one by its id, newest first. Who consents anew ends the one before at that moment.
SELECT c.id, c.purpose, c.scope, c.notice_sha256, c.notice_version, c.jurisdiction, c.method, c.age,
       c.evidence IS NOT NULL AS evidence, c.given_at, c.expires_at,
       least(c.withdrawn_at, CASE WHEN c.expired_at IS NOT NULL OR c.expires_at <= now() THEN c.expires_at END)
           AS ended_at,
       CASE WHEN n.id IS NOT NULL THEN 'replaced'
            WHEN c.withdrawn_at IS NOT NULL THEN 'withdrawn'
            WHEN c.expired_at IS NOT NULL OR c.expires_at <= now() THEN 'expired'
            ELSE 'granted' END AS state
FROM consent c
LEFT JOIN consent n
    ON n.tenant = c.tenant AND n.pid = c.pid AND n.purpose = c.purpose AND n.given_at = c.withdrawn_at AND n.id <> c.id
WHERE c.tenant = %(tenant)s AND (c.id = %(id)s::uuid OR c.pid = %(pid)s::bytea)
ORDER BY c.given_at DESC, c.id;

-- name: templates
SELECT model, quality, enrolled_at FROM template
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY model, enrolled_at, id;
