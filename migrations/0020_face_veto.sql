-- A face in which a moderator said that nobody was recognised rightly: of this file no match is stored there again. Which
-- person it was about stands nowhere.
CREATE TABLE face_veto (
    tenant text NOT NULL REFERENCES tenant,
    source text NOT NULL,
    media_id text NOT NULL,
    media_sha256 text NOT NULL,
    box integer[] NOT NULL CHECK (cardinality(box) = 4),
    by text NOT NULL, -- the id of an API key, or cli
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, source, media_id, box)
);
CREATE INDEX face_veto_file ON face_veto (tenant, media_sha256);
