-- Where each match stands in its subject's list: a keyed hash of a number, under the subject's own key. NULL: of before
-- there were lists, or of nobody that can be told; every reading of a list looks at those too.
ALTER TABLE match ADD COLUMN slot bytea;
CREATE UNIQUE INDEX match_slot ON match (tenant, slot);
CREATE INDEX match_unlisted ON match (tenant, source, media_id, face) WHERE slot IS NULL;

-- Slots whose match is gone. None is used again: a value that stood in two rows would join two pictures of a person.
CREATE TABLE spent_slot (
    tenant text NOT NULL REFERENCES tenant,
    slot bytea NOT NULL,
    PRIMARY KEY (tenant, slot)
);
