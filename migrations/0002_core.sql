-- Everything of Assent's own. The tenant stands first in every primary key.
-- Clear columns hold no biometric data, no platform account and no link between a person and a picture:
-- those lie in `sealed` columns (AES-256-GCM, nonce in front) under keys that are not in this database.

-- No transaction writes or row-locks both a row with a clear pid and one with a clear media id: the two would carry the
-- same transaction number on disk, which links a person to a picture. People are locked with advisory locks.

CREATE TABLE instance (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO instance DEFAULT VALUES;

CREATE TABLE tenant (
    tenant text PRIMARY KEY CHECK (tenant ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_key (
    tenant text NOT NULL REFERENCES tenant,
    id text NOT NULL,
    sha256 bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    PRIMARY KEY (tenant, id)
);

-- Where webhooks come from; the name is part of the address, so it is unique over all tenants.
CREATE TABLE source (
    tenant text NOT NULL REFERENCES tenant,
    name text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    adapter text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, name)
);

-- Where decisions go.
CREATE TABLE endpoint (
    tenant text NOT NULL REFERENCES tenant,
    name text NOT NULL,
    url text NOT NULL,
    audience text NOT NULL DEFAULT 'platform' CHECK (audience IN ('platform', 'person')), -- who reads what is sent there
    failing_since timestamptz, -- no attempt has succeeded since then
    failures integer NOT NULL DEFAULT 0, -- attempts in a row that found nobody answering
    rests_until timestamptz, -- nothing is sent there before
    disabled_at timestamptz,
    disabled_because text,
    PRIMARY KEY (tenant, name)
);

-- Signing secrets of sources and endpoints; two may be live during a rotation.
CREATE TABLE webhook_secret (
    tenant text NOT NULL REFERENCES tenant,
    owner text NOT NULL CHECK (owner IN ('source', 'endpoint')),
    name text NOT NULL,
    id uuid NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    PRIMARY KEY (tenant, owner, name, id)
);

CREATE TABLE event (
    tenant text NOT NULL REFERENCES tenant,
    id uuid NOT NULL,
    source text NOT NULL,
    lane text NOT NULL CHECK (lane IN ('interactive', 'live', 'backfill')),
    sealed bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    tries smallint NOT NULL DEFAULT 0, -- begun and not ended; counted before the work, so that a lost worker counts
    done_at timestamptz,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX event_received ON event (received_at);

-- Deliveries seen, kept 7 days. body_mac is keyed, so that the row does not give the body away.
CREATE TABLE intake_seen (
    tenant text NOT NULL REFERENCES tenant,
    source text NOT NULL,
    delivery_id text NOT NULL,
    body_mac bytea NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, source, delivery_id)
);
CREATE INDEX intake_seen_received ON intake_seen (received_at);

-- Pictures sent as bytes, sealed, until they are decided.
CREATE TABLE upload (
    tenant text NOT NULL REFERENCES tenant,
    event_id uuid NOT NULL,
    n smallint NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, event_id, n)
);

CREATE TABLE decision (
    tenant text NOT NULL REFERENCES tenant,
    media_id text NOT NULL,
    revision integer NOT NULL,
    event_id uuid NOT NULL,
    n smallint NOT NULL,
    event_revision integer NOT NULL,
    action text NOT NULL,
    document json NOT NULL,
    perceptions jsonb NOT NULL,
    leaf bigint NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, media_id, revision),
    UNIQUE (tenant, event_id, n)
);

CREATE TABLE review_case (
    tenant text NOT NULL REFERENCES tenant,
    id uuid NOT NULL,
    media_id text NOT NULL,
    revision integer NOT NULL,
    reason text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, media_id, revision)
);

-- One row per message to one endpoint. The body is assembled when it is sent, so no identity lies here.
CREATE TABLE outbox (
    tenant text NOT NULL REFERENCES tenant,
    id uuid NOT NULL,
    endpoint text NOT NULL,
    type text NOT NULL,
    media_id text NOT NULL,
    revision integer NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead', 'superseded')),
    queued boolean NOT NULL DEFAULT true, -- a job for it is in the queue; else it waits here until next_at
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    last_error text,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, endpoint, type, media_id, revision)
);
CREATE INDEX outbox_state ON outbox (tenant, state, created_at);
CREATE INDEX outbox_due ON outbox (tenant, endpoint, next_at) WHERE state = 'waiting' AND NOT queued;

-- A person who once opted in. pid is a keyed pseudonym; the platform's own id lies sealed.
CREATE TABLE subject (
    tenant text NOT NULL REFERENCES tenant,
    pid bytea NOT NULL,
    sealed bytea NOT NULL,
    refusals smallint NOT NULL DEFAULT 0, -- how often the person said "not me"; raises their threshold
    created_at timestamptz NOT NULL DEFAULT now(),
    interacted_at timestamptz NOT NULL DEFAULT now(), -- what the person did last; retention counts from here
    PRIMARY KEY (tenant, pid)
);

-- The person's data key, wrapped by an epoch key that lies in the keystore.
CREATE TABLE subject_key (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    epoch integer NOT NULL,
    wrapped bytea NOT NULL,
    PRIMARY KEY (tenant, pid),
    FOREIGN KEY (tenant, pid) REFERENCES subject ON DELETE CASCADE
);

CREATE TABLE consent (
    tenant text NOT NULL,
    id uuid NOT NULL,
    pid bytea NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('face-match')),
    scope text NOT NULL DEFAULT 'connections' CHECK (scope IN ('own', 'connections', 'anyone')),
    notice_sha256 bytea NOT NULL,
    notice_version text NOT NULL DEFAULT '',
    jurisdiction text NOT NULL,
    method text NOT NULL,
    age text NOT NULL DEFAULT 'adult' CHECK (age IN ('adult', 'minor', 'unknown')),
    evidence bytea, -- sealed: how it was given, and a guardian's word where there is one
    given_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    expired_at timestamptz, -- when its end was noted and its templates went
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, pid) REFERENCES subject ON DELETE CASCADE
);
CREATE INDEX consent_subject ON consent (tenant, pid);

CREATE TABLE template (
    tenant text NOT NULL,
    id uuid NOT NULL,
    pid bytea NOT NULL,
    consent_id uuid NOT NULL,
    model text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    quality real NOT NULL DEFAULT 0, -- of the photo, 0 to 1
    sealed bytea NOT NULL,
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, pid) REFERENCES subject ON DELETE CASCADE,
    FOREIGN KEY (tenant, consent_id) REFERENCES consent ON DELETE CASCADE
);
CREATE INDEX template_subject ON template (tenant, pid);

-- Who was recognised where: sealed under the subject's key. The locator (who to ask for the key) is sealed under the
-- epoch key, so it dies with the epoch.
CREATE TABLE match (
    tenant text NOT NULL,
    media_id text NOT NULL,
    face smallint NOT NULL,
    revision integer NOT NULL,
    epoch integer NOT NULL,
    locator bytea NOT NULL,
    sealed bytea NOT NULL,
    state text NOT NULL DEFAULT 'published' CHECK (state IN ('suggested', 'published', 'retracted')),
    PRIMARY KEY (tenant, media_id, face)
);

-- RFC 6962 log, one tree a tenant. Nodes are complete subtrees only, so each row is written once.
CREATE TABLE audit_tree (
    tenant text PRIMARY KEY REFERENCES tenant,
    size bigint NOT NULL DEFAULT 0
);
CREATE TABLE audit_leaf (
    tenant text NOT NULL REFERENCES tenant,
    seq bigint NOT NULL,
    leaf bytea NOT NULL,
    PRIMARY KEY (tenant, seq)
);
CREATE TABLE audit_node (
    tenant text NOT NULL REFERENCES tenant,
    level smallint NOT NULL,
    n bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant, level, n)
);
-- What a leaf commits to, part by part: part 0 under the tenant's key, the others under one subject's key each.
CREATE TABLE audit_payload (
    tenant text NOT NULL REFERENCES tenant,
    seq bigint NOT NULL,
    part smallint NOT NULL,
    epoch integer,
    locator bytea,
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant, seq, part),
    CHECK ((epoch IS NULL) = (locator IS NULL))
);

-- Every process that keeps a gallery hears of every change, whoever made it.
CREATE FUNCTION notify_gallery() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed record := coalesce(NEW, OLD);
BEGIN
    PERFORM pg_notify('assent_gallery', changed.tenant || ' ' || encode(changed.pid, 'hex'));
    RETURN NULL;
END;
$$;
CREATE TRIGGER template_gallery AFTER INSERT OR UPDATE OR DELETE ON template
    FOR EACH ROW EXECUTE FUNCTION notify_gallery();
CREATE TRIGGER subject_gallery AFTER UPDATE OF refusals ON subject
    FOR EACH ROW EXECUTE FUNCTION notify_gallery();
CREATE TRIGGER consent_gallery AFTER INSERT OR UPDATE OR DELETE ON consent
    FOR EACH ROW EXECUTE FUNCTION notify_gallery();
