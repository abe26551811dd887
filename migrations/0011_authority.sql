-- A MAC over what gives a row its power, under a key that the database does not have. Rows of before get theirs from the
-- first process that is started on the new schema; a row without one has no power afterwards.
ALTER TABLE api_key ADD COLUMN mac bytea;
ALTER TABLE consent ADD COLUMN mac bytea;
ALTER TABLE template ADD COLUMN mac bytea;
ALTER TABLE endpoint ADD COLUMN mac bytea;
-- Links to the person's page, and visits, were sealed under their token alone, so that whoever writes rows could make one.
DELETE FROM person_link;

CREATE OR REPLACE FUNCTION keep_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.withdrawn_at IS NOT NULL AND NEW.withdrawn_at IS DISTINCT FROM OLD.withdrawn_at
        OR OLD.expired_at IS NOT NULL AND NEW.expired_at IS DISTINCT FROM OLD.expired_at
        OR (to_jsonb(NEW) - '{withdrawn_at,expired_at,evidence,mac}'::text[])
            IS DISTINCT FROM (to_jsonb(OLD) - '{withdrawn_at,expired_at,evidence,mac}'::text[])
        OR NEW.evidence IS DISTINCT FROM OLD.evidence
            AND (OLD.withdrawn_at IS NULL AND OLD.expired_at IS NULL
                 OR octet_length(NEW.evidence) IS DISTINCT FROM octet_length(OLD.evidence))
    THEN
        RAISE EXCEPTION 'a consent is a record: only its end can be noted';
    END IF;
    RETURN NEW;
END;
$$;
