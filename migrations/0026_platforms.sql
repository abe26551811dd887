-- What a source sets about its platform, sealed: its address, and what of it is looked at (`SourceSettings`). Whoever
-- writes to this table cannot have private posts looked at. NULL: a source that has none.
ALTER TABLE source ADD COLUMN settings_sealed bytea;

-- The media items that each post of a platform showed last, so that an edit which takes one away deletes it here.
CREATE TABLE post_media (
    tenant text NOT NULL,
    source text NOT NULL,
    post text NOT NULL,
    media_id text NOT NULL,
    state bigint NOT NULL, -- of the post: of two deliveries the higher one is the later
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, source, post, media_id),
    FOREIGN KEY (tenant, source) REFERENCES source (tenant, name)
);
CREATE INDEX post_media_seen_at ON post_media (seen_at);
