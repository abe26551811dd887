-- Policies by tenant and version, what each audience is told, what a replay needs, statements of reasons.

-- The circumstances a condition may ask about, as the event had them: type, surface, visibility, region, language, the
-- audience's age, and the number of frames; nothing of who posted. NULL: decided before they were kept.
ALTER TABLE decision ADD COLUMN given jsonb;
-- What each audience is told: tags by their place in `perceptions`, with the name where it is another one, and whether
-- faces and matches are.
ALTER TABLE decision ADD COLUMN audiences jsonb;
CREATE INDEX decision_at ON decision (tenant, decided_at);

ALTER TABLE review_case ADD COLUMN queue text NOT NULL DEFAULT 'default';
ALTER TABLE review_case ADD COLUMN priority smallint NOT NULL DEFAULT 0; -- higher ones first

ALTER TABLE endpoint DROP CONSTRAINT endpoint_audience_check;
ALTER TABLE endpoint ADD CHECK (audience IN ('platform', 'author', 'person', 'public'));

-- Every policy that decided something or was activated or tried, includes resolved.
CREATE TABLE policy (
    tenant text NOT NULL REFERENCES tenant,
    sha256 text NOT NULL, -- of the canonical text
    name text NOT NULL,
    version text NOT NULL,
    canonical text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, sha256)
);

-- The newest row says which policy decides; sha256 NULL: the installation's own. A roll back is a row too: it stands
-- where `back_to` stood.
CREATE TABLE policy_activation (
    tenant text NOT NULL REFERENCES tenant,
    n integer NOT NULL,
    sha256 text,
    back_to integer,
    leaf bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant, n),
    FOREIGN KEY (tenant, sha256) REFERENCES policy
);

-- The policy that is tried beside the active one, and how often each thing came out how: counts, no picture.
CREATE TABLE policy_shadow (
    tenant text NOT NULL REFERENCES tenant,
    sha256 text NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (tenant),
    FOREIGN KEY (tenant, sha256) REFERENCES policy
);
CREATE TABLE policy_shadow_count (
    tenant text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('action', 'rule', 'label', 'group', 'said')),
    name text NOT NULL,
    was text NOT NULL,
    becomes text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (tenant, kind, name, was, becomes),
    FOREIGN KEY (tenant) REFERENCES policy_shadow ON DELETE CASCADE
);

-- Statements of reasons (Digital Services Act, Article 17), without personal data and without a picture's id: the puid
-- is keyed. They outlive the picture.
CREATE TABLE statement (
    tenant text NOT NULL REFERENCES tenant,
    puid text NOT NULL,
    body jsonb NOT NULL, -- as the transparency database takes it
    notice jsonb NOT NULL, -- for the author, by language
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant, puid)
);
CREATE INDEX statement_at ON statement (tenant, at, puid);
