-- Lists of known pictures: hashes that are looked for in every picture before a model sees it. No picture lies here.

CREATE TABLE hash_list (
    tenant text NOT NULL REFERENCES tenant,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    severe boolean NOT NULL,
    distance smallint NOT NULL CHECK (distance BETWEEN 0 AND 64), -- bits of a PDQ hash that may differ
    version uuid NOT NULL, -- another one after every change, so that workers see it
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, name)
);

-- The hashes, 32 bytes each, many a row: a million are read in a fraction of a second.
CREATE TABLE hash_block (
    tenant text NOT NULL,
    list text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('pdq', 'sha256')),
    n integer NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (tenant, list, kind, n),
    FOREIGN KEY (tenant, list) REFERENCES hash_list ON DELETE CASCADE
);
ALTER TABLE hash_block ALTER COLUMN hashes SET STORAGE EXTERNAL; -- hashes do not compress
