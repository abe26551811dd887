-- What open cases look like, so that near-duplicates among them are found and decided together; how labels fared with
-- moderators; how much one account has done.

-- The PDQ hash of the case's image, and its 16 parts of 16 bits, each with its number in the bits above: of two hashes
-- that differ in at most 15 bits one part is the same. NULL where no image was read.
ALTER TABLE review_case ADD COLUMN pdq bit(256);
ALTER TABLE review_case ADD COLUMN pdq_chunks integer[];
-- Without a list of pending entries, which each search would have to read whole.
CREATE INDEX review_case_chunks ON review_case USING gin (pdq_chunks) WITH (fastupdate = off) WHERE closed_at IS NULL;
UPDATE review_case c SET pdq = d.pdq, pdq_chunks = ARRAY(
    SELECT n << 16 | (substring(d.pdq FROM 16 * n + 1 FOR 16))::bit(16)::integer FROM generate_series(0, 15) n
)
FROM (
    SELECT tenant, source, media_id, revision, ('x' || (document -> 'media' ->> 'pdq'))::bit(256) AS pdq
    FROM decision WHERE document -> 'media' ->> 'pdq' ~ '^[0-9a-f]{64}$'
) d
WHERE c.closed_at IS NULL AND (c.tenant, c.source, c.media_id, c.revision) = (d.tenant, d.source, d.media_id, d.revision);

-- What one account closed lately.
CREATE INDEX review_case_closed_by ON review_case (tenant, closed_by, closed_at) WHERE closed_by IS NOT NULL;

-- Whether a model had said the label that a moderator confirmed or denied; NULL from before this was noted.
ALTER TABLE correction ADD COLUMN was_said boolean;
CREATE INDEX correction_label ON correction (tenant, label, at) INCLUDE (holds, was_said);

-- Looks at pictures of grave queues by the minute, for the limit of an hour; no picture, no case.
CREATE TABLE grave_look (
    tenant text NOT NULL REFERENCES tenant,
    by text NOT NULL,
    minute timestamptz NOT NULL,
    looks integer NOT NULL,
    PRIMARY KEY (tenant, by, minute)
);
CREATE INDEX grave_look_minute ON grave_look (minute);

-- Whoever counts a look in `exposure` counts it here, too.
CREATE FUNCTION count_grave_look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO grave_look AS g (tenant, by, minute, looks)
    VALUES (
        NEW.tenant, NEW."by", date_trunc('minute', now()),
        NEW.looks - CASE WHEN TG_OP = 'UPDATE' THEN OLD.looks ELSE 0 END
    )
    ON CONFLICT (tenant, by, minute) DO UPDATE SET looks = g.looks + EXCLUDED.looks;
    RETURN NULL;
END;
$$;
CREATE TRIGGER exposure_grave AFTER INSERT OR UPDATE OF looks ON exposure
    FOR EACH ROW WHEN (NEW.grave) EXECUTE FUNCTION count_grave_look();
