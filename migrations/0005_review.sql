-- Manual review: who closed a case and how, what moderators said of labels, and heads on trial beside the live ones.

-- The id of the API key that decided it, and the action. A case without them was closed because its picture was decided
-- anew or deleted.
ALTER TABLE review_case ADD COLUMN closed_by text;
ALTER TABLE review_case ADD COLUMN outcome text;
-- Pictures on a list marked severe first, then by priority, then the oldest.
CREATE INDEX review_case_open ON review_case (tenant, (reason <> 'hash-severe'), (-priority), opened_at, id) WHERE closed_at IS NULL;

-- A label that a moderator confirmed or denied of a picture: no person, no face, no embedding. Goes with the picture.
CREATE TABLE correction (
    tenant text NOT NULL REFERENCES tenant,
    media_id text NOT NULL,
    media_sha256 text NOT NULL,
    label text NOT NULL,
    holds boolean NOT NULL,
    by text NOT NULL, -- the id of an API key, or cli
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, media_id, media_sha256, label)
);

-- How often somebody said "not me" to a match of that band; never who.
CREATE TABLE refused_band (
    tenant text NOT NULL REFERENCES tenant,
    band text NOT NULL CHECK (band IN ('strong', 'likely')),
    times bigint NOT NULL,
    PRIMARY KEY (tenant, band)
);

-- Heads that a tenant tries or uses; a live one takes the place of the shipped one of its name.
CREATE TABLE head (
    tenant text NOT NULL REFERENCES tenant,
    sha256 text NOT NULL, -- of the manifest, which names the network's own
    name text NOT NULL,
    state text NOT NULL CHECK (state IN ('shadow', 'live', 'replaced', 'withdrawn')),
    manifest bytea NOT NULL, -- sealed under the tenant's key, like the network: what runs is what was put here
    network bytea NOT NULL,
    since timestamptz NOT NULL DEFAULT now(), -- in this state
    PRIMARY KEY (tenant, sha256)
);
CREATE UNIQUE INDEX head_on_trial ON head (tenant, name) WHERE state = 'shadow';
CREATE UNIQUE INDEX head_live ON head (tenant, name) WHERE state = 'live';

-- What a head on trial said of a picture, beside what was said in its place. No decision ever holds it.
CREATE TABLE shadow (
    tenant text NOT NULL,
    head text NOT NULL,
    media_id text NOT NULL,
    media_sha256 text NOT NULL,
    live text[] NOT NULL,
    candidate text[] NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, head, media_id),
    FOREIGN KEY (tenant, head) REFERENCES head
);
CREATE INDEX shadow_at ON shadow (tenant, head, at);
