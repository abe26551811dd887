-- The pages of the console: queues by age, what one moderator has in hand, and what moderators note on a case.
CREATE INDEX review_case_age ON review_case (tenant, queue, opened_at) WHERE closed_at IS NULL;
CREATE INDEX review_case_claimed ON review_case (tenant, claimed_by) WHERE closed_at IS NULL AND claimed_by IS NOT NULL;
CREATE INDEX moderator_undo_by ON moderator_undo (tenant, by, undo_until);

-- For whoever opens the case next. A deleted media item takes the notes on its cases along.
CREATE TABLE case_note (
    tenant text NOT NULL,
    case_id uuid NOT NULL,
    id uuid NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, case_id, id),
    FOREIGN KEY (tenant, case_id) REFERENCES review_case (tenant, id) ON DELETE CASCADE
);
