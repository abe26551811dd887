-- How far the posts of a Discourse were read, by their ids: its webhooks are tried once, and lost with us away.
CREATE TABLE post_reading (
    tenant text NOT NULL,
    source text NOT NULL,
    since bigint, -- posts up to here were there before; NULL: nothing was read yet
    reached bigint, -- all later ones up to here were read
    target bigint, -- what is reached once the pages below are read
    before bigint, -- the next page has posts below it; NULL: the newest page is the next
    next_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, source),
    FOREIGN KEY (tenant, source) REFERENCES source (tenant, name)
);
-- Topics whose first post was edited, which Discourse tells without the text.
CREATE TABLE topic_reading (
    tenant text NOT NULL,
    source text NOT NULL,
    topic text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, source, topic),
    FOREIGN KEY (tenant, source) REFERENCES source (tenant, name)
);
CREATE INDEX topic_reading_next_at ON topic_reading (next_at);
