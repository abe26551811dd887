-- What a moderator's decision replaced, for as long as it may be undone; nothing of the decision was sent until then.
CREATE TABLE moderator_undo (
    tenant text NOT NULL,
    case_id uuid NOT NULL,
    source text NOT NULL,
    media_id text NOT NULL,
    by text NOT NULL, -- the id of an API key, or cli
    undo_until timestamptz NOT NULL,
    before jsonb NOT NULL, -- the decision's document and audience views, and corrections of the same labels
    after json, -- the document since; NULL where there is none
    PRIMARY KEY (tenant, case_id),
    FOREIGN KEY (tenant, case_id) REFERENCES review_case (tenant, id) ON DELETE CASCADE
);
CREATE INDEX moderator_undo_item ON moderator_undo (tenant, source, media_id);
CREATE INDEX moderator_undo_until ON moderator_undo (undo_until);
