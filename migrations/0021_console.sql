-- Accounts of those who use the review console: moderators, and who runs the installation. No document and no message
-- names them; a case, a correction and a leaf name an account by its id.
CREATE TABLE staff (
    tenant text NOT NULL REFERENCES tenant,
    id uuid NOT NULL,
    name_sealed bytea NOT NULL,
    roles text[] NOT NULL,
    queues text[] CHECK (cardinality(queues) > 0), -- NULL: all
    external bytea, -- MAC of an identity provider's issuer and subject
    password_hash text, -- argon2id
    totp_sealed bytea,
    totp_step bigint, -- the last one that was used
    failed integer NOT NULL DEFAULT 0, -- sign-ins in a row
    locked_until timestamptz,
    settings jsonb NOT NULL DEFAULT '{}', -- how its pages look and behave
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    version integer NOT NULL DEFAULT 1, -- of the columns under the MAC
    mac bytea NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX staff_external ON staff (tenant, external);

-- Passkeys.
CREATE TABLE staff_key (
    tenant text NOT NULL,
    id bytea NOT NULL, -- the credential's
    staff uuid NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    backed_up boolean NOT NULL,
    name_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz,
    mac bytea NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, staff) REFERENCES staff (tenant, id) ON DELETE CASCADE
);
CREATE INDEX staff_key_staff ON staff_key (tenant, staff);

-- Links that set up an account, sign-ins under way, and sessions. What they permit is sealed under a key of the token,
-- which is stored nowhere, and of the tenant.
CREATE TABLE staff_session (
    tenant text NOT NULL REFERENCES tenant,
    sha256 bytea NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('set-up', 'sign-in', 'session')),
    staff uuid, -- NULL: nobody is known yet
    sealed bytea NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, sha256),
    FOREIGN KEY (tenant, staff) REFERENCES staff (tenant, id) ON DELETE CASCADE
);
CREATE INDEX staff_session_staff ON staff_session (tenant, staff);

-- How the console treats a queue; a queue without a row is ordinary. Policies name queues, and nothing else of them.
CREATE TABLE review_queue (
    tenant text NOT NULL REFERENCES tenant,
    name text NOT NULL,
    due_minutes integer NOT NULL CHECK (due_minutes > 0), -- within which a case is to be decided
    grave boolean NOT NULL, -- seen in full only by who has just signed in anew
    PRIMARY KEY (tenant, name)
);

-- A look at a picture in full: asked for, counted, then shown once.
CREATE TABLE look (
    tenant text NOT NULL,
    sha256 bytea NOT NULL, -- of its token
    case_id uuid NOT NULL,
    by text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, sha256),
    FOREIGN KEY (tenant, case_id) REFERENCES review_case (tenant, id) ON DELETE CASCADE
);
CREATE INDEX look_expires ON look (expires_at);

-- How much an account looked at on a day, by the category of what the case was about; no picture, no case.
CREATE TABLE exposure (
    tenant text NOT NULL REFERENCES tenant,
    by text NOT NULL,
    day date NOT NULL,
    category text NOT NULL,
    grave boolean NOT NULL,
    looks integer NOT NULL DEFAULT 0,
    seconds integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, by, day, category, grave)
);
CREATE INDEX exposure_day ON exposure (day);
