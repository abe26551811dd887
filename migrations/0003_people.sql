-- The person's side: a ledger of consent that cannot be rewritten, connections, refusals, links, erasures, kept pictures.

-- A consent is a record: only its end may be noted, once.
CREATE FUNCTION keep_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.withdrawn_at IS NOT NULL AND NEW.withdrawn_at IS DISTINCT FROM OLD.withdrawn_at
        OR OLD.expired_at IS NOT NULL AND NEW.expired_at IS DISTINCT FROM OLD.expired_at
        OR (to_jsonb(NEW) - '{withdrawn_at,expired_at}'::text[])
            IS DISTINCT FROM (to_jsonb(OLD) - '{withdrawn_at,expired_at}'::text[])
    THEN
        RAISE EXCEPTION 'a consent is a record: only its end can be noted';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER consent_is_a_record BEFORE UPDATE ON consent FOR EACH ROW EXECUTE FUNCTION keep_consent();
-- One at a time for each purpose: who consents anew ends what was said before.
CREATE UNIQUE INDEX consent_in_force ON consent (tenant, pid, purpose)
    WHERE withdrawn_at IS NULL AND expired_at IS NULL;

-- The deployer's declaration about scope `anyone` that was logged last.
ALTER TABLE tenant ADD COLUMN declared_sha256 bytea;

-- In whose posts a person may be recognised, as that person chose. author_mac is keyed and no pid: the rows are no graph
-- of people.
CREATE TABLE connection_list (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    stated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, pid),
    FOREIGN KEY (tenant, pid) REFERENCES subject ON DELETE CASCADE
);
CREATE TABLE connection (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    author_mac bytea NOT NULL,
    PRIMARY KEY (tenant, pid, author_mac),
    FOREIGN KEY (tenant, pid) REFERENCES connection_list ON DELETE CASCADE
);
CREATE INDEX connection_author ON connection (tenant, author_mac);

-- "Not me": which picture and box lies sealed under the person's key.
CREATE TABLE refusal (
    tenant text NOT NULL,
    id uuid NOT NULL,
    pid bytea NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, pid) REFERENCES subject ON DELETE CASCADE
);
CREATE INDEX refusal_subject ON refusal (tenant, pid);

-- A call that may be sent twice, by the key that its sender gave it; kept 24 hours.
CREATE TABLE idempotency (
    tenant text NOT NULL REFERENCES tenant,
    key_mac bytea NOT NULL,
    request_mac bytea NOT NULL,
    sealed bytea NOT NULL, -- the answer
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, key_mac)
);

-- The way to a person's own page: a link that one POST spends, and the session that it opens.
CREATE TABLE person_link (
    tenant text NOT NULL REFERENCES tenant,
    sha256 bytea NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('link', 'session')),
    pid bytea NOT NULL,
    sealed bytea NOT NULL, -- the platform's id of the person, and what else the page needs
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    PRIMARY KEY (tenant, sha256)
);
CREATE INDEX person_link_subject ON person_link (tenant, pid);

-- What was asked to be forgotten; nothing here says who it was.
CREATE TABLE erasure (
    tenant text NOT NULL REFERENCES tenant,
    id uuid NOT NULL,
    token_sha256 bytea NOT NULL UNIQUE,
    leaf bigint NOT NULL,
    epoch integer NOT NULL, -- the one that was live, and has to be destroyed
    requested_at timestamptz NOT NULL,
    retracted_at timestamptz, -- no match is left
    completed_at timestamptz, -- the epoch's key is destroyed
    receipt json,
    PRIMARY KEY (tenant, id)
);

-- A copy of a picture that is in review or may have to be shown with faces blurred; sealed, and for a time.
CREATE TABLE kept_picture (
    tenant text NOT NULL REFERENCES tenant,
    media_id text NOT NULL,
    sealed bytea NOT NULL,
    kept_until timestamptz NOT NULL,
    PRIMARY KEY (tenant, media_id)
);
CREATE INDEX kept_picture_until ON kept_picture (kept_until);
