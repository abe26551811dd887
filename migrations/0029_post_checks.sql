-- Posts whose platform names no deletions, and whose existence it is asked about. Only posts that everybody may see are
-- here: of any other one our account may lose sight while it stays.
CREATE TABLE post_check (
    tenant text NOT NULL,
    source text NOT NULL,
    post text NOT NULL,
    account bytea NOT NULL, -- sealed: its author
    asked_at timestamptz NOT NULL DEFAULT now(),
    missing_since timestamptz, -- the platform did not show it; NULL: it did, or was not asked yet
    PRIMARY KEY (tenant, source, post),
    FOREIGN KEY (tenant, source) REFERENCES source (tenant, name)
);
CREATE INDEX post_check_asked_at ON post_check (tenant, source, asked_at);

-- After a failure to ask a platform something, nothing is asked before that time. Acts do not wait for it.
ALTER TABLE platform_connection ADD COLUMN ask_from timestamptz;
