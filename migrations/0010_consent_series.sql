-- What arose under a consent stands while that consent, or one that replaced it without a break, is in force: these are
-- one series, named by the id of its first consent. `n` is the order of a subject's consents, from 1.
ALTER TABLE consent ADD COLUMN series uuid, ADD COLUMN n integer;

-- A consent that replaced another was given at the moment at which that one ended.
ALTER TABLE consent DISABLE TRIGGER USER;
WITH ordered AS (
    SELECT tenant, id, pid, given_at, withdrawn_at,
           row_number() OVER w AS n, lag(withdrawn_at) OVER w IS DISTINCT FROM given_at AS begins
    FROM consent
    WINDOW w AS (PARTITION BY tenant, pid ORDER BY given_at, coalesce(withdrawn_at, 'infinity'), id)
), counted AS (
    SELECT tenant, id, pid, n, count(*) FILTER (WHERE begins) OVER (PARTITION BY tenant, pid ORDER BY n) AS nth
    FROM ordered
), named AS (
    SELECT tenant, id, n, first_value(id) OVER (PARTITION BY tenant, pid, nth ORDER BY n) AS series FROM counted
)
UPDATE consent c SET series = m.series, n = m.n FROM named m WHERE m.tenant = c.tenant AND m.id = c.id;
ALTER TABLE consent ENABLE TRIGGER USER;

ALTER TABLE consent ALTER COLUMN series SET NOT NULL, ALTER COLUMN n SET NOT NULL;
DROP INDEX consent_subject;
CREATE UNIQUE INDEX consent_order ON consent (tenant, pid, n);

-- At the end of a consent its subject gets a fresh key, and the evidence of ended consents is sealed anew under it.
CREATE OR REPLACE FUNCTION keep_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.withdrawn_at IS NOT NULL AND NEW.withdrawn_at IS DISTINCT FROM OLD.withdrawn_at
        OR OLD.expired_at IS NOT NULL AND NEW.expired_at IS DISTINCT FROM OLD.expired_at
        OR (to_jsonb(NEW) - '{withdrawn_at,expired_at,evidence}'::text[])
            IS DISTINCT FROM (to_jsonb(OLD) - '{withdrawn_at,expired_at,evidence}'::text[])
        OR NEW.evidence IS DISTINCT FROM OLD.evidence
            AND (OLD.withdrawn_at IS NULL AND OLD.expired_at IS NULL
                 OR octet_length(NEW.evidence) IS DISTINCT FROM octet_length(OLD.evidence))
    THEN
        RAISE EXCEPTION 'a consent is a record: only its end can be noted';
    END IF;
    RETURN NEW;
END;
$$;

-- The key of a subject before a consent of theirs ended. It is there to open parts of the audit log until the next
-- rotation has sealed them anew; it is never wrapped under the epoch that follows.
CREATE TABLE ended_key (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    id uuid NOT NULL,
    epoch integer NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (tenant, pid, id),
    FOREIGN KEY (tenant, pid) REFERENCES subject ON DELETE CASCADE
);

-- When a rotation ended: those that follow ended consents share one.
ALTER TABLE tenant ADD COLUMN rotated_at timestamptz;
