-- What a platform may find its media items by: the labels that it reads in their newest decisions, and their PDQ hash.
CREATE TABLE media_search (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant text NOT NULL REFERENCES tenant,
    source text NOT NULL,
    media_id text NOT NULL,
    action text NOT NULL,
    decided_at timestamptz NOT NULL,
    pdq bit(256),
    bands integer[], -- parts of the hash, of which two near ones share one but for two bits
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, media_id, source)
);
-- Without a list of pending entries, which each search would have to read whole.
CREATE INDEX media_search_bands ON media_search USING gin (bands) WITH (fastupdate = off);

-- One row for each label that is said and each group above it, and one with an empty label for every media item.
CREATE TABLE media_label (
    tenant text NOT NULL,
    label text NOT NULL,
    decided_at timestamptz NOT NULL,
    id bigint NOT NULL,
    action text NOT NULL,
    PRIMARY KEY (tenant, label, decided_at, id),
    FOREIGN KEY (tenant, id) REFERENCES media_search (tenant, id) ON DELETE CASCADE
);
CREATE INDEX media_label_action ON media_label (tenant, label, action, decided_at, id);
CREATE INDEX media_label_item ON media_label (tenant, id, label);

-- Until where, going back in time, decisions of before are not found yet: workers add them and delete the row.
CREATE TABLE search_backlog (
    tenant text PRIMARY KEY REFERENCES tenant,
    before timestamptz NOT NULL
);
INSERT INTO search_backlog (tenant, before) SELECT tenant, '9999-01-01 00:00Z' FROM tenant;
