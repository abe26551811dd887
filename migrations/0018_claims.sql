-- Which moderator works on a case now, and until when. The claim names them to nobody: an API key's id, or `cli`.
ALTER TABLE review_case ADD COLUMN claim uuid;
ALTER TABLE review_case ADD COLUMN claimed_by text;
ALTER TABLE review_case ADD COLUMN claimed_at timestamptz;
ALTER TABLE review_case ADD COLUMN claimed_until timestamptz;
ALTER TABLE review_case ADD CONSTRAINT review_case_claim
    CHECK (num_nulls(claim, claimed_by, claimed_at, claimed_until) IN (0, 4));
-- The next case of one queue, however many wait in others.
CREATE INDEX review_case_queue
    ON review_case (tenant, queue, (reason <> 'hash-severe'), (-priority), opened_at, id) WHERE closed_at IS NULL;

-- What a moderator skipped is not their next case again.
CREATE TABLE review_skip (
    tenant text NOT NULL,
    case_id uuid NOT NULL,
    by text NOT NULL,
    PRIMARY KEY (tenant, case_id, by),
    FOREIGN KEY (tenant, case_id) REFERENCES review_case (tenant, id) ON DELETE CASCADE
);
