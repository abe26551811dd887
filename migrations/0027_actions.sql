-- Acting back: what is to be done at a platform itself, and what came of it.

-- Where a source's platform is acted upon. Address, token and switch lie sealed together: whoever writes to this table
-- can neither send the token elsewhere nor switch anything on. `acting` shows the switch, and is believed by nobody.
CREATE TABLE platform_connection (
    tenant text NOT NULL,
    source text NOT NULL,
    sealed bytea NOT NULL,
    acting boolean NOT NULL DEFAULT false,
    rests_until timestamptz, -- the platform asked for a pause
    PRIMARY KEY (tenant, source),
    FOREIGN KEY (tenant, source) REFERENCES source (tenant, name)
);

-- One act at one post or account. It is wanted as long as the decision on a media item wants it.
CREATE TABLE platform_action (
    tenant text NOT NULL,
    id uuid NOT NULL,
    source text NOT NULL,
    act text NOT NULL,
    target_mac bytea NOT NULL, -- of the post or account
    request bytea NOT NULL, -- sealed: the platform's ids, and the reason
    outcome bytea, -- sealed: what the platform answered that an undo needs
    state text NOT NULL DEFAULT 'intended'
        CHECK (state IN ('intended', 'done', 'failed', 'dry-run', 'undoing', 'undone', 'cannot-undo')),
    unsure boolean NOT NULL DEFAULT false, -- a call may have reached the platform: ask before it is repeated
    attempts integer NOT NULL DEFAULT 0, -- of doing or of undoing it
    round integer NOT NULL DEFAULT 0, -- how often it was undone and then wanted again
    next_at timestamptz DEFAULT now(), -- NULL: nothing is due
    queued boolean NOT NULL DEFAULT false,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, source) REFERENCES source (tenant, name)
);
-- An act is done once, whoever asks for it how often; after it was undone it may be done again.
CREATE UNIQUE INDEX platform_action_once ON platform_action (tenant, source, act, target_mac) WHERE state <> 'undone';
CREATE INDEX platform_action_due ON platform_action (next_at) WHERE NOT queued;

-- Which media item's decision wants an action. From `since` on it is wanted or not; until then the contrary holds.
CREATE TABLE platform_action_cause (
    tenant text NOT NULL,
    source text NOT NULL,
    media_id text NOT NULL,
    action_id uuid NOT NULL,
    revision integer NOT NULL,
    asked boolean NOT NULL DEFAULT true, -- by the newest decision of models and policy; a moderator's may differ
    wanted boolean NOT NULL DEFAULT true,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, source, media_id, action_id),
    FOREIGN KEY (tenant, action_id) REFERENCES platform_action (tenant, id) ON DELETE CASCADE
);
CREATE INDEX platform_action_cause_action ON platform_action_cause (tenant, action_id);
