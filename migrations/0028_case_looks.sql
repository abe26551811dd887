-- How often and how long an account looked at the picture of a case that is open: for the leaf of its decision, with
-- which the row goes.
CREATE TABLE case_look (
    tenant text NOT NULL,
    case_id uuid NOT NULL,
    by text NOT NULL,
    looks integer NOT NULL,
    seconds integer NOT NULL,
    PRIMARY KEY (tenant, case_id, by),
    FOREIGN KEY (tenant, case_id) REFERENCES review_case (tenant, id) ON DELETE CASCADE
);
