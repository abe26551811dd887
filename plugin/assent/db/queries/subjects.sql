-- name: read_subject_key
-- Whoever changes or removes these rows holds the subject's lock alone; a rotation leaves the key inside as it is.
SELECT s.pid, k.epoch, k.wrapped
FROM subject s
JOIN subject_key k ON k.tenant = s.tenant AND k.pid = s.pid
WHERE s.tenant = %(tenant)s AND s.pid = %(pid)s;

-- name: insert_subject
-- A subject begins with the first consent.
INSERT INTO subject (tenant, pid, sealed) VALUES (%(tenant)s, %(pid)s, %(sealed)s);

-- name: insert_subject_key
-- Wrapped under the live epoch's key.
INSERT INTO subject_key (tenant, pid, epoch, wrapped) VALUES (%(tenant)s, %(pid)s, %(epoch)s, %(wrapped)s);

-- name: insert_consent
-- Its content never changes afterwards.
INSERT INTO consent (tenant, id, pid, purpose, scope, notice_sha256, notice_version, jurisdiction, method, age,
                     evidence, given_at, expires_at, series, n, mac)
VALUES (%(tenant)s, %(id)s, %(pid)s, %(purpose)s, %(scope)s, %(notice_sha256)s, %(notice_version)s, %(jurisdiction)s,
        %(method)s, %(age)s, %(evidence)s, %(given_at)s, %(expires_at)s, %(series)s, %(n)s, %(mac)s);

-- name: read_next_consent_number
-- Of a subject whose lock is held.
SELECT coalesce(max(n), 0) + 1 AS n FROM consent WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: list_consents_in_force
-- Of these subjects, with the columns under the MAC. Those whose time is over are among them until that was noted.
SELECT tenant, id, pid, purpose, scope, series, n, timestamptz_send(given_at) AS given_at,
       timestamptz_send(expires_at) AS expires_at, NULL AS withdrawn_at, NULL AS expired_at, mac
FROM consent
WHERE tenant = %(tenant)s AND pid = ANY (%(people)s) AND withdrawn_at IS NULL AND expired_at IS NULL;

-- name: list_templates_of_consent
-- With the columns under the MAC.
SELECT tenant, id, pid, model, consent_id, version, mac FROM template
WHERE tenant = %(tenant)s AND consent_id = %(id)s;

-- name: read_subject_of_consent
-- The pseudonym that a consent belongs to.
SELECT pid FROM consent WHERE tenant = %(tenant)s AND id = %(id)s;

-- name: withdraw_active_consent
-- The one in force, or none where it is not the consent `only`.
UPDATE consent SET withdrawn_at = %(at)s
WHERE tenant = %(tenant)s AND pid = %(pid)s AND purpose = 'face-match' AND withdrawn_at IS NULL AND expired_at IS NULL
  AND (%(only)s::uuid IS NULL OR id = %(only)s)
RETURNING id, pid, series;

-- name: list_subjects_of_consents_in_force
-- Of those of these consents that have not ended, in the order in which they are locked.
SELECT DISTINCT pid FROM consent
WHERE tenant = %(tenant)s AND id = ANY(%(ids)s) AND withdrawn_at IS NULL AND expired_at IS NULL
ORDER BY pid;

-- name: withdraw_consents
-- Those of them that have not ended; their subjects' locks are held.
UPDATE consent SET withdrawn_at = %(at)s
WHERE tenant = %(tenant)s AND id = ANY(%(ids)s) AND withdrawn_at IS NULL AND expired_at IS NULL
RETURNING id, pid, series;

-- name: list_subjects_with_lapsed_consent
-- In the order in which they are locked.
SELECT pid FROM consent
WHERE tenant = %(tenant)s AND withdrawn_at IS NULL AND expired_at IS NULL AND expires_at <= %(now)s
ORDER BY pid
LIMIT %(most)s;

-- name: expire_lapsed_consents
-- Of these subjects, whose locks are held.
UPDATE consent SET expired_at = %(now)s
WHERE tenant = %(tenant)s AND pid = ANY (%(people)s) AND withdrawn_at IS NULL AND expired_at IS NULL
  AND expires_at <= %(now)s
RETURNING id, pid;

-- name: delete_templates_of_consent
-- They end with the consent.
DELETE FROM template WHERE tenant = %(tenant)s AND consent_id = %(id)s;

-- name: delete_connection_list
-- The connections go with their list.
DELETE FROM connection_list WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: move_templates_to_consent
-- Of the old consent, each with its version and MAC under the new one.
UPDATE template t SET consent_id = %(new)s, version = m.version, mac = m.mac
FROM unnest(%(ids)s::uuid[], %(versions)s::integer[], %(macs)s::bytea[]) AS m (id, version, mac)
WHERE t.tenant = %(tenant)s AND t.id = m.id AND t.consent_id = %(old)s;

-- name: read_active_consent
-- At most one of a subject is in force.
SELECT tenant, id, pid, purpose, scope, series, n, timestamptz_send(given_at) AS given_at,
       timestamptz_send(expires_at) AS expires_at, NULL AS withdrawn_at, NULL AS expired_at, mac
FROM consent
WHERE tenant = %(tenant)s AND pid = %(pid)s AND purpose = 'face-match'
  AND withdrawn_at IS NULL AND expired_at IS NULL AND expires_at > now();

-- name: touch_last_interaction
-- The term after which a subject is erased begins anew; it never moves back.
UPDATE subject SET interacted_at = greatest(interacted_at, %(at)s) WHERE tenant = %(tenant)s AND pid = %(pid)s;

-- name: set_declaration
-- Changes nothing where these words were declared before.
UPDATE tenant SET declared_sha256 = %(sha256)s
WHERE tenant = %(tenant)s AND declared_sha256 IS DISTINCT FROM %(sha256)s;

-- name: insert_template
-- Sealed under the key of its subject.
INSERT INTO template (tenant, id, pid, consent_id, model, version, quality, sealed, mac)
VALUES (%(tenant)s, %(id)s, %(pid)s, %(consent_id)s, %(model)s, %(version)s, %(quality)s, %(sealed)s, %(mac)s);

-- name: list_inactive_subjects
-- Without an interaction since then, with the jurisdictions of all their consents.
SELECT s.pid, s.interacted_at, array_remove(array_agg(DISTINCT c.jurisdiction), NULL) AS jurisdictions
FROM subject s
LEFT JOIN consent c ON c.tenant = s.tenant AND c.pid = s.pid
WHERE s.tenant = %(tenant)s AND s.interacted_at <= %(since)s
GROUP BY s.pid, s.interacted_at;

-- name: read_inactive_subject
-- One of them again, under the subject's lock: they may have acted meanwhile.
SELECT s.sealed, s.interacted_at, ARRAY(
    SELECT DISTINCT c.jurisdiction FROM consent c WHERE c.tenant = s.tenant AND c.pid = s.pid
) AS jurisdictions
FROM subject s
WHERE s.tenant = %(tenant)s AND s.pid = %(pid)s;

-- name: list_consent_records
-- All consents of a subject, or one by its id, newest first. Whatever follows in its series replaced it.
SELECT c.id, c.purpose, c.scope, c.notice_sha256, c.notice_version, c.jurisdiction, c.method, c.age,
       c.evidence IS NOT NULL AS evidence, c.given_at, c.expires_at,
       least(c.withdrawn_at, CASE WHEN c.expired_at IS NOT NULL OR c.expires_at <= now() THEN c.expires_at END)
           AS ended_at,
       CASE WHEN n.id IS NOT NULL THEN 'replaced'
            WHEN c.withdrawn_at IS NOT NULL THEN 'withdrawn'
            WHEN c.expired_at IS NOT NULL OR c.expires_at <= now() THEN 'expired'
            ELSE 'granted' END AS state
FROM consent c
LEFT JOIN consent n ON n.tenant = c.tenant AND n.pid = c.pid AND n.series = c.series AND n.n = c.n + 1
WHERE c.tenant = %(tenant)s AND (c.id = %(id)s::uuid OR c.pid = %(pid)s::bytea)
ORDER BY c.n DESC;

-- name: list_templates
-- By model, oldest first.
SELECT model, quality, enrolled_at FROM template
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY model, enrolled_at, id;
