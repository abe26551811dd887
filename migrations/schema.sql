CREATE FUNCTION public.count_grave_look() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO grave_look AS g (tenant, by, minute, looks)
    VALUES (
        NEW.tenant, NEW."by", date_trunc('minute', now()),
        NEW.looks - CASE WHEN TG_OP = 'UPDATE' THEN OLD.looks ELSE 0 END
    )
    ON CONFLICT (tenant, by, minute) DO UPDATE SET looks = g.looks + EXCLUDED.looks;
    RETURN NULL;
END;
$$;

CREATE FUNCTION public.keep_consent() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.withdrawn_at IS NOT NULL AND NEW.withdrawn_at IS DISTINCT FROM OLD.withdrawn_at
        OR OLD.expired_at IS NOT NULL AND NEW.expired_at IS DISTINCT FROM OLD.expired_at
        OR (to_jsonb(NEW) - '{withdrawn_at,expired_at,evidence,mac}'::text[])
            IS DISTINCT FROM (to_jsonb(OLD) - '{withdrawn_at,expired_at,evidence,mac}'::text[])
        OR NEW.evidence IS DISTINCT FROM OLD.evidence
            AND (OLD.withdrawn_at IS NULL AND OLD.expired_at IS NULL
                 OR octet_length(NEW.evidence) IS DISTINCT FROM octet_length(OLD.evidence))
    THEN
        RAISE EXCEPTION 'a consent is a record: only its end can be noted';
    END IF;
    RETURN NEW;
END;
$$;

CREATE FUNCTION public.notify_gallery() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    changed record := coalesce(NEW, OLD);
BEGIN
    IF TG_OP = 'UPDATE' AND NEW IS NOT DISTINCT FROM OLD THEN
        RETURN NULL;
    END IF;
    PERFORM pg_notify('assent_gallery', changed.tenant || ' ' || encode(changed.pid, 'hex'));
    RETURN NULL;
END;
$$;

CREATE TABLE public.api_key (
    tenant text NOT NULL,
    id text NOT NULL,
    sha256 bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone,
    mac bytea,
    match_refused_on date
);

CREATE TABLE public.audit_leaf (
    tenant text NOT NULL,
    seq bigint NOT NULL,
    leaf bytea NOT NULL
);

CREATE TABLE public.audit_node (
    tenant text NOT NULL,
    level smallint NOT NULL,
    n bigint NOT NULL,
    hash bytea NOT NULL
);

CREATE TABLE public.audit_payload (
    tenant text NOT NULL,
    seq bigint NOT NULL,
    part smallint NOT NULL,
    epoch integer,
    locator bytea,
    sealed bytea NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT audit_payload_check CHECK (((epoch IS NULL) = (locator IS NULL)))
);

CREATE TABLE public.audit_tree (
    tenant text NOT NULL,
    size bigint DEFAULT 0 NOT NULL
);

CREATE TABLE public.case_look (
    tenant text NOT NULL,
    case_id uuid NOT NULL,
    by text NOT NULL,
    looks integer NOT NULL,
    seconds integer NOT NULL
);

CREATE TABLE public.case_note (
    tenant text NOT NULL,
    case_id uuid NOT NULL,
    id uuid NOT NULL,
    by text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    sealed bytea NOT NULL
);

CREATE TABLE public.connection (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    author_mac bytea NOT NULL
);

CREATE TABLE public.connection_list (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    stated_at timestamp with time zone NOT NULL
);

CREATE TABLE public.consent (
    tenant text NOT NULL,
    id uuid NOT NULL,
    pid bytea NOT NULL,
    purpose text NOT NULL,
    scope text DEFAULT 'connections'::text NOT NULL,
    notice_sha256 bytea NOT NULL,
    notice_version text DEFAULT ''::text NOT NULL,
    jurisdiction text NOT NULL,
    method text NOT NULL,
    age text DEFAULT 'adult'::text NOT NULL,
    evidence bytea,
    given_at timestamp with time zone DEFAULT date_bin('01:00:00'::interval, now(), '1970-01-01 00:00:00+00'::timestamp with time zone) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    withdrawn_at timestamp with time zone,
    expired_at timestamp with time zone,
    series uuid NOT NULL,
    n integer NOT NULL,
    mac bytea,
    CONSTRAINT consent_age_check CHECK ((age = ANY (ARRAY['adult'::text, 'minor'::text, 'unknown'::text]))),
    CONSTRAINT consent_purpose_check CHECK ((purpose = 'face-match'::text)),
    CONSTRAINT consent_scope_check CHECK ((scope = ANY (ARRAY['own'::text, 'connections'::text, 'anyone'::text])))
);

CREATE TABLE public.correction (
    tenant text NOT NULL,
    media_id text NOT NULL,
    media_sha256 text NOT NULL,
    label text NOT NULL,
    holds boolean NOT NULL,
    by text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    source text NOT NULL,
    was_said boolean
);

CREATE TABLE public.decision (
    tenant text NOT NULL,
    media_id text NOT NULL,
    revision integer NOT NULL,
    event_id uuid NOT NULL,
    n smallint NOT NULL,
    event_revision integer NOT NULL,
    action text NOT NULL,
    document json NOT NULL,
    perceptions jsonb NOT NULL,
    leaf bigint NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    given jsonb,
    audiences jsonb,
    source text NOT NULL,
    replaced_at timestamp with time zone
);

CREATE TABLE public.ended_consent (
    tenant text NOT NULL,
    id uuid NOT NULL
);

CREATE TABLE public.ended_key (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    id uuid NOT NULL,
    epoch integer NOT NULL,
    wrapped bytea NOT NULL
);

CREATE TABLE public.endpoint (
    tenant text NOT NULL,
    name text NOT NULL,
    url text NOT NULL,
    audience text DEFAULT 'platform'::text NOT NULL,
    failing_since timestamp with time zone,
    failures integer DEFAULT 0 NOT NULL,
    rests_until timestamp with time zone,
    disabled_at timestamp with time zone,
    disabled_because text,
    mac bytea,
    CONSTRAINT endpoint_audience_check CHECK ((audience = ANY (ARRAY['platform'::text, 'author'::text, 'person'::text, 'public'::text])))
);

CREATE TABLE public.erasure (
    tenant text NOT NULL,
    id uuid NOT NULL,
    token_sha256 bytea NOT NULL,
    leaf bigint NOT NULL,
    epoch integer NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    retracted_at timestamp with time zone,
    completed_at timestamp with time zone,
    receipt json
);

CREATE TABLE public.event (
    tenant text NOT NULL,
    id uuid NOT NULL,
    source text NOT NULL,
    lane text NOT NULL,
    sealed bytea NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    tries smallint DEFAULT 0 NOT NULL,
    done_at timestamp with time zone,
    arrival bigint DEFAULT 0 NOT NULL,
    CONSTRAINT event_lane_check CHECK ((lane = ANY (ARRAY['interactive'::text, 'live'::text, 'enrolment'::text, 'backfill'::text])))
);

CREATE SEQUENCE public.event_arrival
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE public.exposure (
    tenant text NOT NULL,
    by text NOT NULL,
    day date NOT NULL,
    category text NOT NULL,
    grave boolean NOT NULL,
    looks integer DEFAULT 0 NOT NULL,
    seconds integer DEFAULT 0 NOT NULL
);

CREATE TABLE public.face_veto (
    tenant text NOT NULL,
    source text NOT NULL,
    media_id text NOT NULL,
    media_sha256 text NOT NULL,
    box integer[] NOT NULL,
    by text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT face_veto_box_check CHECK ((cardinality(box) = 4))
);

CREATE TABLE public.grave_look (
    tenant text NOT NULL,
    by text NOT NULL,
    minute timestamp with time zone NOT NULL,
    looks integer NOT NULL
);

CREATE TABLE public.hash_block (
    tenant text NOT NULL,
    list text NOT NULL,
    kind text NOT NULL,
    n integer NOT NULL,
    hashes bytea NOT NULL,
    CONSTRAINT hash_block_kind_check CHECK ((kind = ANY (ARRAY['pdq'::text, 'sha256'::text])))
);
ALTER TABLE ONLY public.hash_block ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE public.hash_list (
    tenant text NOT NULL,
    name text NOT NULL,
    severe boolean NOT NULL,
    distance smallint NOT NULL,
    version uuid NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT hash_list_distance_check CHECK (((distance >= 0) AND (distance <= 64))),
    CONSTRAINT hash_list_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9-]{0,62}$'::text))
);

CREATE TABLE public.head (
    tenant text NOT NULL,
    sha256 text NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    manifest bytea NOT NULL,
    network bytea NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT head_state_check CHECK ((state = ANY (ARRAY['shadow'::text, 'live'::text, 'replaced'::text, 'withdrawn'::text, 'ended'::text])))
);

CREATE TABLE public.idempotency (
    tenant text NOT NULL,
    key_mac bytea NOT NULL,
    request_mac bytea NOT NULL,
    sealed bytea NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.instance (
    only_row boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    rewritten_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    rewriting xid8,
    seen xid8,
    CONSTRAINT instance_only_row_check CHECK (only_row)
);

CREATE TABLE public.intake_seen (
    tenant text NOT NULL,
    source text NOT NULL,
    delivery_id text NOT NULL,
    body_mac bytea NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.kept_picture (
    tenant text NOT NULL,
    media_id text NOT NULL,
    sealed bytea NOT NULL,
    kept_until timestamp with time zone NOT NULL,
    source text NOT NULL
);

CREATE TABLE public.look (
    tenant text NOT NULL,
    sha256 bytea NOT NULL,
    case_id uuid NOT NULL,
    by text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE public.match (
    tenant text NOT NULL,
    media_id text NOT NULL,
    face smallint NOT NULL,
    revision integer NOT NULL,
    epoch integer NOT NULL,
    locator bytea NOT NULL,
    sealed bytea NOT NULL,
    state text DEFAULT 'published'::text NOT NULL,
    source text NOT NULL,
    slot bytea,
    CONSTRAINT match_state_check CHECK ((state = ANY (ARRAY['suggested'::text, 'published'::text, 'retracted'::text])))
);

CREATE TABLE public.media_item (
    tenant text NOT NULL,
    mac bytea NOT NULL,
    revision integer DEFAULT 0 NOT NULL,
    applied bigint DEFAULT 0 NOT NULL,
    floor bigint DEFAULT 0 NOT NULL,
    event_revision integer DEFAULT 0 NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    deleted_at timestamp with time zone,
    changed_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.media_label (
    tenant text NOT NULL,
    label text NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    id bigint NOT NULL,
    action text NOT NULL
);

CREATE TABLE public.media_search (
    id bigint NOT NULL,
    tenant text NOT NULL,
    source text NOT NULL,
    media_id text NOT NULL,
    action text NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    pdq bit(256),
    bands integer[]
);

ALTER TABLE public.media_search ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.media_search_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.moderator_undo (
    tenant text NOT NULL,
    case_id uuid NOT NULL,
    source text NOT NULL,
    media_id text NOT NULL,
    by text NOT NULL,
    undo_until timestamp with time zone NOT NULL,
    before jsonb NOT NULL,
    after json
);

CREATE TABLE public.outbox (
    tenant text NOT NULL,
    id uuid NOT NULL,
    endpoint text NOT NULL,
    type text NOT NULL,
    media_id text NOT NULL,
    revision integer NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    queued boolean DEFAULT true NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    delivered_at timestamp with time zone,
    last_error text,
    unmade integer DEFAULT 0 NOT NULL,
    source text NOT NULL,
    replaced_at timestamp with time zone,
    CONSTRAINT outbox_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'delivered'::text, 'dead'::text, 'superseded'::text])))
);

CREATE TABLE public.person_link (
    tenant text NOT NULL,
    sha256 bytea NOT NULL,
    kind text NOT NULL,
    pid bytea NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    spent_at timestamp with time zone,
    CONSTRAINT person_link_kind_check CHECK ((kind = ANY (ARRAY['link'::text, 'session'::text])))
);

CREATE TABLE public.platform_action (
    tenant text NOT NULL,
    id uuid NOT NULL,
    source text NOT NULL,
    act text NOT NULL,
    target_mac bytea NOT NULL,
    request bytea NOT NULL,
    outcome bytea,
    state text DEFAULT 'intended'::text NOT NULL,
    unsure boolean DEFAULT false NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    round integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now(),
    queued boolean DEFAULT false NOT NULL,
    last_error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT platform_action_state_check CHECK ((state = ANY (ARRAY['intended'::text, 'done'::text, 'failed'::text, 'dry-run'::text, 'undoing'::text, 'undone'::text, 'cannot-undo'::text])))
);

CREATE TABLE public.platform_action_cause (
    tenant text NOT NULL,
    source text NOT NULL,
    media_id text NOT NULL,
    action_id uuid NOT NULL,
    revision integer NOT NULL,
    asked boolean DEFAULT true NOT NULL,
    wanted boolean DEFAULT true NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.platform_connection (
    tenant text NOT NULL,
    source text NOT NULL,
    sealed bytea NOT NULL,
    acting boolean DEFAULT false NOT NULL,
    rests_until timestamp with time zone,
    ask_from timestamp with time zone
);

CREATE TABLE public.policy (
    tenant text NOT NULL,
    sha256 text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    canonical text NOT NULL,
    stored_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.policy_activation (
    tenant text NOT NULL,
    n integer NOT NULL,
    sha256 text,
    back_to integer,
    leaf bigint NOT NULL,
    at timestamp with time zone NOT NULL
);

CREATE TABLE public.policy_shadow (
    tenant text NOT NULL,
    sha256 text NOT NULL,
    since timestamp with time zone NOT NULL
);

CREATE TABLE public.policy_shadow_count (
    tenant text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    was text NOT NULL,
    becomes text NOT NULL,
    count bigint NOT NULL,
    CONSTRAINT policy_shadow_count_kind_check CHECK ((kind = ANY (ARRAY['action'::text, 'rule'::text, 'label'::text, 'group'::text, 'said'::text])))
);

CREATE TABLE public.post_check (
    tenant text NOT NULL,
    source text NOT NULL,
    post text NOT NULL,
    account bytea NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    missing_since timestamp with time zone
);

CREATE TABLE public.post_media (
    tenant text NOT NULL,
    source text NOT NULL,
    post text NOT NULL,
    media_id text NOT NULL,
    state bigint NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.post_reading (
    tenant text NOT NULL,
    source text NOT NULL,
    since bigint,
    reached bigint,
    target bigint,
    before bigint,
    next_at timestamp with time zone NOT NULL
);

CREATE TABLE public.refusal (
    tenant text NOT NULL,
    id uuid NOT NULL,
    pid bytea NOT NULL,
    sealed bytea NOT NULL
);

CREATE TABLE public.refused_band (
    tenant text NOT NULL,
    band text NOT NULL,
    times bigint NOT NULL,
    CONSTRAINT refused_band_band_check CHECK ((band = ANY (ARRAY['strong'::text, 'likely'::text])))
);

CREATE TABLE public.review_case (
    tenant text NOT NULL,
    id uuid NOT NULL,
    media_id text NOT NULL,
    revision integer NOT NULL,
    reason text NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    closed_at timestamp with time zone,
    queue text DEFAULT 'default'::text NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    closed_by text,
    outcome text,
    source text NOT NULL,
    claim uuid,
    claimed_by text,
    claimed_at timestamp with time zone,
    claimed_until timestamp with time zone,
    pdq bit(256),
    pdq_chunks integer[],
    CONSTRAINT review_case_claim CHECK ((num_nulls(claim, claimed_by, claimed_at, claimed_until) = ANY (ARRAY[0, 4])))
);

CREATE TABLE public.review_queue (
    tenant text NOT NULL,
    name text NOT NULL,
    due_minutes integer NOT NULL,
    grave boolean NOT NULL,
    CONSTRAINT review_queue_due_minutes_check CHECK ((due_minutes > 0))
);

CREATE TABLE public.review_skip (
    tenant text NOT NULL,
    case_id uuid NOT NULL,
    by text NOT NULL
);

CREATE TABLE public.search_backlog (
    tenant text NOT NULL,
    before timestamp with time zone NOT NULL
);

CREATE TABLE public.shadow (
    tenant text NOT NULL,
    head text NOT NULL,
    media_id text NOT NULL,
    media_sha256 text NOT NULL,
    live text[] NOT NULL,
    candidate text[] NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    source text NOT NULL
);

CREATE TABLE public.source (
    tenant text NOT NULL,
    name text NOT NULL,
    adapter text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    settings_sealed bytea,
    CONSTRAINT source_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9-]{0,62}$'::text))
);

CREATE TABLE public.spent_slot (
    tenant text NOT NULL,
    slot bytea NOT NULL
);

CREATE TABLE public.staff (
    tenant text NOT NULL,
    id uuid NOT NULL,
    name_sealed bytea NOT NULL,
    roles text[] NOT NULL,
    queues text[],
    external bytea,
    password_hash text,
    totp_sealed bytea,
    totp_step bigint,
    failed integer DEFAULT 0 NOT NULL,
    locked_until timestamp with time zone,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    disabled_at timestamp with time zone,
    version integer DEFAULT 1 NOT NULL,
    mac bytea NOT NULL,
    CONSTRAINT staff_queues_check CHECK ((cardinality(queues) > 0))
);

CREATE TABLE public.staff_key (
    tenant text NOT NULL,
    id bytea NOT NULL,
    staff uuid NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    backed_up boolean NOT NULL,
    name_sealed bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    used_at timestamp with time zone,
    mac bytea NOT NULL
);

CREATE TABLE public.staff_session (
    tenant text NOT NULL,
    sha256 bytea NOT NULL,
    kind text NOT NULL,
    staff uuid,
    sealed bytea NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT staff_session_kind_check CHECK ((kind = ANY (ARRAY['set-up'::text, 'sign-in'::text, 'session'::text])))
);

CREATE TABLE public.statement (
    tenant text NOT NULL,
    puid text NOT NULL,
    body jsonb NOT NULL,
    notice jsonb NOT NULL,
    at timestamp with time zone NOT NULL
);

CREATE TABLE public.subject (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    sealed bytea NOT NULL,
    refusals smallint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT date_bin('01:00:00'::interval, now(), '1970-01-01 00:00:00+00'::timestamp with time zone) NOT NULL,
    interacted_at timestamp with time zone DEFAULT date_bin('01:00:00'::interval, now(), '1970-01-01 00:00:00+00'::timestamp with time zone) NOT NULL
);

CREATE TABLE public.subject_key (
    tenant text NOT NULL,
    pid bytea NOT NULL,
    epoch integer NOT NULL,
    wrapped bytea NOT NULL
);

CREATE TABLE public.template (
    tenant text NOT NULL,
    id uuid NOT NULL,
    pid bytea NOT NULL,
    consent_id uuid NOT NULL,
    model text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    quality real DEFAULT 0 NOT NULL,
    sealed bytea NOT NULL,
    enrolled_at timestamp with time zone DEFAULT date_bin('01:00:00'::interval, now(), '1970-01-01 00:00:00+00'::timestamp with time zone) NOT NULL,
    mac bytea
);

CREATE TABLE public.tenant (
    tenant text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    declared_sha256 bytea,
    models_sha256 bytea,
    rotated_at timestamp with time zone,
    CONSTRAINT tenant_tenant_check CHECK ((tenant ~ '^[a-z0-9][a-z0-9-]{0,62}$'::text))
);

CREATE TABLE public.topic_reading (
    tenant text NOT NULL,
    source text NOT NULL,
    topic text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.upload (
    tenant text NOT NULL,
    event_id uuid NOT NULL,
    n smallint NOT NULL,
    sealed bytea NOT NULL
);

CREATE TABLE public.webhook_secret (
    tenant text NOT NULL,
    owner text NOT NULL,
    name text NOT NULL,
    id uuid NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    CONSTRAINT webhook_secret_owner_check CHECK ((owner = ANY (ARRAY['source'::text, 'endpoint'::text])))
);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.audit_leaf
    ADD CONSTRAINT audit_leaf_pkey PRIMARY KEY (tenant, seq);

ALTER TABLE ONLY public.audit_node
    ADD CONSTRAINT audit_node_pkey PRIMARY KEY (tenant, level, n);

ALTER TABLE ONLY public.audit_payload
    ADD CONSTRAINT audit_payload_pkey PRIMARY KEY (tenant, seq, part);

ALTER TABLE ONLY public.audit_tree
    ADD CONSTRAINT audit_tree_pkey PRIMARY KEY (tenant);

ALTER TABLE ONLY public.case_look
    ADD CONSTRAINT case_look_pkey PRIMARY KEY (tenant, case_id, by);

ALTER TABLE ONLY public.case_note
    ADD CONSTRAINT case_note_pkey PRIMARY KEY (tenant, case_id, id);

ALTER TABLE ONLY public.connection_list
    ADD CONSTRAINT connection_list_pkey PRIMARY KEY (tenant, pid);

ALTER TABLE ONLY public.connection
    ADD CONSTRAINT connection_pkey PRIMARY KEY (tenant, pid, author_mac);

ALTER TABLE ONLY public.consent
    ADD CONSTRAINT consent_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.correction
    ADD CONSTRAINT correction_pkey PRIMARY KEY (tenant, source, media_id, media_sha256, label);

ALTER TABLE ONLY public.decision
    ADD CONSTRAINT decision_pkey PRIMARY KEY (tenant, media_id, source, revision);

ALTER TABLE ONLY public.decision
    ADD CONSTRAINT decision_tenant_event_id_n_key UNIQUE (tenant, event_id, n);

ALTER TABLE ONLY public.ended_consent
    ADD CONSTRAINT ended_consent_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.ended_key
    ADD CONSTRAINT ended_key_pkey PRIMARY KEY (tenant, pid, id);

ALTER TABLE ONLY public.endpoint
    ADD CONSTRAINT endpoint_pkey PRIMARY KEY (tenant, name);

ALTER TABLE ONLY public.erasure
    ADD CONSTRAINT erasure_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.erasure
    ADD CONSTRAINT erasure_token_sha256_key UNIQUE (token_sha256);

ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.exposure
    ADD CONSTRAINT exposure_pkey PRIMARY KEY (tenant, by, day, category, grave);

ALTER TABLE ONLY public.face_veto
    ADD CONSTRAINT face_veto_pkey PRIMARY KEY (tenant, source, media_id, box);

ALTER TABLE ONLY public.grave_look
    ADD CONSTRAINT grave_look_pkey PRIMARY KEY (tenant, by, minute);

ALTER TABLE ONLY public.hash_block
    ADD CONSTRAINT hash_block_pkey PRIMARY KEY (tenant, list, kind, n);

ALTER TABLE ONLY public.hash_list
    ADD CONSTRAINT hash_list_pkey PRIMARY KEY (tenant, name);

ALTER TABLE ONLY public.head
    ADD CONSTRAINT head_pkey PRIMARY KEY (tenant, sha256);

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (tenant, key_mac);

ALTER TABLE ONLY public.instance
    ADD CONSTRAINT instance_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.intake_seen
    ADD CONSTRAINT intake_seen_pkey PRIMARY KEY (tenant, source, delivery_id);

ALTER TABLE ONLY public.kept_picture
    ADD CONSTRAINT kept_picture_pkey PRIMARY KEY (tenant, source, media_id);

ALTER TABLE ONLY public.look
    ADD CONSTRAINT look_pkey PRIMARY KEY (tenant, sha256);

ALTER TABLE ONLY public.match
    ADD CONSTRAINT match_pkey PRIMARY KEY (tenant, source, media_id, face);

ALTER TABLE ONLY public.media_item
    ADD CONSTRAINT media_item_pkey PRIMARY KEY (tenant, mac);

ALTER TABLE ONLY public.media_label
    ADD CONSTRAINT media_label_pkey PRIMARY KEY (tenant, label, decided_at, id);

ALTER TABLE ONLY public.media_search
    ADD CONSTRAINT media_search_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.media_search
    ADD CONSTRAINT media_search_tenant_media_id_source_key UNIQUE (tenant, media_id, source);

ALTER TABLE ONLY public.moderator_undo
    ADD CONSTRAINT moderator_undo_pkey PRIMARY KEY (tenant, case_id);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_item UNIQUE (tenant, source, media_id, endpoint, revision, type);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.person_link
    ADD CONSTRAINT person_link_pkey PRIMARY KEY (tenant, sha256);

ALTER TABLE ONLY public.person_link
    ADD CONSTRAINT person_link_sha256_key UNIQUE (sha256);

ALTER TABLE ONLY public.platform_action_cause
    ADD CONSTRAINT platform_action_cause_pkey PRIMARY KEY (tenant, source, media_id, action_id);

ALTER TABLE ONLY public.platform_action
    ADD CONSTRAINT platform_action_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.platform_connection
    ADD CONSTRAINT platform_connection_pkey PRIMARY KEY (tenant, source);

ALTER TABLE ONLY public.policy_activation
    ADD CONSTRAINT policy_activation_pkey PRIMARY KEY (tenant, n);

ALTER TABLE ONLY public.policy
    ADD CONSTRAINT policy_pkey PRIMARY KEY (tenant, sha256);

ALTER TABLE ONLY public.policy_shadow_count
    ADD CONSTRAINT policy_shadow_count_pkey PRIMARY KEY (tenant, kind, name, was, becomes);

ALTER TABLE ONLY public.policy_shadow
    ADD CONSTRAINT policy_shadow_pkey PRIMARY KEY (tenant);

ALTER TABLE ONLY public.post_check
    ADD CONSTRAINT post_check_pkey PRIMARY KEY (tenant, source, post);

ALTER TABLE ONLY public.post_media
    ADD CONSTRAINT post_media_pkey PRIMARY KEY (tenant, source, post, media_id);

ALTER TABLE ONLY public.post_reading
    ADD CONSTRAINT post_reading_pkey PRIMARY KEY (tenant, source);

ALTER TABLE ONLY public.refusal
    ADD CONSTRAINT refusal_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.refused_band
    ADD CONSTRAINT refused_band_pkey PRIMARY KEY (tenant, band);

ALTER TABLE ONLY public.review_case
    ADD CONSTRAINT review_case_item UNIQUE (tenant, source, media_id, revision);

ALTER TABLE ONLY public.review_case
    ADD CONSTRAINT review_case_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.review_queue
    ADD CONSTRAINT review_queue_pkey PRIMARY KEY (tenant, name);

ALTER TABLE ONLY public.review_skip
    ADD CONSTRAINT review_skip_pkey PRIMARY KEY (tenant, case_id, by);

ALTER TABLE ONLY public.search_backlog
    ADD CONSTRAINT search_backlog_pkey PRIMARY KEY (tenant);

ALTER TABLE ONLY public.shadow
    ADD CONSTRAINT shadow_pkey PRIMARY KEY (tenant, source, media_id, head);

ALTER TABLE ONLY public.source
    ADD CONSTRAINT source_name_key UNIQUE (name);

ALTER TABLE ONLY public.source
    ADD CONSTRAINT source_pkey PRIMARY KEY (tenant, name);

ALTER TABLE ONLY public.spent_slot
    ADD CONSTRAINT spent_slot_pkey PRIMARY KEY (tenant, slot);

ALTER TABLE ONLY public.staff_key
    ADD CONSTRAINT staff_key_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.staff
    ADD CONSTRAINT staff_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.staff_session
    ADD CONSTRAINT staff_session_pkey PRIMARY KEY (tenant, sha256);

ALTER TABLE ONLY public.staff_session
    ADD CONSTRAINT staff_session_sha256_key UNIQUE (sha256);

ALTER TABLE ONLY public.statement
    ADD CONSTRAINT statement_pkey PRIMARY KEY (tenant, puid);

ALTER TABLE ONLY public.subject_key
    ADD CONSTRAINT subject_key_pkey PRIMARY KEY (tenant, pid);

ALTER TABLE ONLY public.subject
    ADD CONSTRAINT subject_pkey PRIMARY KEY (tenant, pid);

ALTER TABLE ONLY public.template
    ADD CONSTRAINT template_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.tenant
    ADD CONSTRAINT tenant_pkey PRIMARY KEY (tenant);

ALTER TABLE ONLY public.topic_reading
    ADD CONSTRAINT topic_reading_pkey PRIMARY KEY (tenant, source, topic);

ALTER TABLE ONLY public.upload
    ADD CONSTRAINT upload_pkey PRIMARY KEY (tenant, event_id, n);

ALTER TABLE ONLY public.webhook_secret
    ADD CONSTRAINT webhook_secret_pkey PRIMARY KEY (tenant, owner, name, id);

CREATE INDEX assent_job_turns ON public.procrastinate_jobs USING btree (queue_name, ((args ->> 'tenant'::text)), priority DESC, id, COALESCE(scheduled_at, '-infinity'::timestamp with time zone)) WHERE (status = 'todo'::public.procrastinate_job_status);

CREATE INDEX assent_jobs_begun ON public.procrastinate_jobs USING btree (queue_name, ((args ->> 'tenant'::text))) WHERE (status = 'doing'::public.procrastinate_job_status);

CREATE INDEX audit_payload_expires ON public.audit_payload USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX connection_author ON public.connection USING btree (tenant, author_mac);

CREATE UNIQUE INDEX consent_in_force ON public.consent USING btree (tenant, pid, purpose) WHERE ((withdrawn_at IS NULL) AND (expired_at IS NULL));

CREATE UNIQUE INDEX consent_order ON public.consent USING btree (tenant, pid, n);

CREATE INDEX correction_file ON public.correction USING btree (tenant, media_sha256);

CREATE INDEX correction_label ON public.correction USING btree (tenant, label, at) INCLUDE (holds, was_said);

CREATE INDEX decision_at ON public.decision USING btree (tenant, decided_at);

CREATE INDEX decision_hidden ON public.decision USING btree (tenant, (((document -> 'media'::text) ->> 'sha256'::text))) WHERE (((document -> 'reviewed'::text) -> 'hidden'::text) IS NOT NULL);

CREATE INDEX decision_judged ON public.decision USING btree (tenant, (((document -> 'media'::text) ->> 'sha256'::text))) WHERE (((document -> 'reviewed'::text) ->> 'action'::text) IS NOT NULL);

CREATE INDEX decision_replaced ON public.decision USING btree (replaced_at) WHERE (replaced_at IS NOT NULL);

CREATE INDEX event_received ON public.event USING btree (received_at);

CREATE INDEX exposure_day ON public.exposure USING btree (day);

CREATE INDEX face_veto_file ON public.face_veto USING btree (tenant, media_sha256);

CREATE INDEX grave_look_minute ON public.grave_look USING btree (minute);

CREATE UNIQUE INDEX head_live ON public.head USING btree (tenant, name) WHERE (state = 'live'::text);

CREATE UNIQUE INDEX head_on_trial ON public.head USING btree (tenant, name) WHERE (state = 'shadow'::text);

CREATE INDEX intake_seen_received ON public.intake_seen USING btree (received_at);

CREATE INDEX kept_picture_until ON public.kept_picture USING btree (kept_until);

CREATE INDEX look_expires ON public.look USING btree (expires_at);

CREATE UNIQUE INDEX match_slot ON public.match USING btree (tenant, slot);

CREATE INDEX match_unlisted ON public.match USING btree (tenant, source, media_id, face) WHERE (slot IS NULL);

CREATE INDEX media_item_changed ON public.media_item USING btree (changed_at);

CREATE INDEX media_label_action ON public.media_label USING btree (tenant, label, action, decided_at, id);

CREATE INDEX media_label_item ON public.media_label USING btree (tenant, id, label);

CREATE INDEX media_search_bands ON public.media_search USING gin (bands) WITH (fastupdate=off);

CREATE INDEX moderator_undo_by ON public.moderator_undo USING btree (tenant, by, undo_until);

CREATE INDEX moderator_undo_item ON public.moderator_undo USING btree (tenant, source, media_id);

CREATE INDEX moderator_undo_until ON public.moderator_undo USING btree (undo_until);

CREATE INDEX outbox_due ON public.outbox USING btree (tenant, endpoint, next_at) WHERE ((state = 'waiting'::text) AND (NOT queued));

CREATE INDEX outbox_replaced ON public.outbox USING btree (replaced_at) WHERE (replaced_at IS NOT NULL);

CREATE INDEX outbox_state ON public.outbox USING btree (tenant, state, created_at);

CREATE INDEX person_link_subject ON public.person_link USING btree (tenant, pid);

CREATE INDEX platform_action_cause_action ON public.platform_action_cause USING btree (tenant, action_id);

CREATE INDEX platform_action_due_of_tenant ON public.platform_action USING btree (tenant, next_at) WHERE (NOT queued);

CREATE UNIQUE INDEX platform_action_once ON public.platform_action USING btree (tenant, source, act, target_mac) WHERE (state <> 'undone'::text);

CREATE INDEX post_check_asked_at ON public.post_check USING btree (tenant, source, asked_at);

CREATE INDEX post_media_seen_at ON public.post_media USING btree (seen_at);

CREATE INDEX refusal_subject ON public.refusal USING btree (tenant, pid);

CREATE INDEX review_case_age ON public.review_case USING btree (tenant, queue, opened_at) WHERE (closed_at IS NULL);

CREATE INDEX review_case_chunks ON public.review_case USING gin (pdq_chunks) WITH (fastupdate=off) WHERE (closed_at IS NULL);

CREATE INDEX review_case_claimed ON public.review_case USING btree (tenant, claimed_by) WHERE ((closed_at IS NULL) AND (claimed_by IS NOT NULL));

CREATE INDEX review_case_closed_by ON public.review_case USING btree (tenant, closed_by, closed_at) WHERE (closed_by IS NOT NULL);

CREATE INDEX review_case_open ON public.review_case USING btree (tenant, ((reason <> 'hash-severe'::text)), ((- priority)), opened_at, id) WHERE (closed_at IS NULL);

CREATE INDEX review_case_queue ON public.review_case USING btree (tenant, queue, ((reason <> 'hash-severe'::text)), ((- priority)), opened_at, id) WHERE (closed_at IS NULL);

CREATE INDEX shadow_at ON public.shadow USING btree (tenant, head, at);

CREATE UNIQUE INDEX staff_external ON public.staff USING btree (tenant, external);

CREATE INDEX staff_key_staff ON public.staff_key USING btree (tenant, staff);

CREATE INDEX staff_session_staff ON public.staff_session USING btree (tenant, staff);

CREATE INDEX statement_at ON public.statement USING btree (tenant, at, puid);

CREATE INDEX template_subject ON public.template USING btree (tenant, pid);

CREATE INDEX topic_reading_next_at ON public.topic_reading USING btree (next_at);

CREATE TRIGGER consent_gallery AFTER INSERT OR DELETE OR UPDATE ON public.consent FOR EACH ROW EXECUTE FUNCTION public.notify_gallery();

CREATE TRIGGER consent_is_a_record BEFORE UPDATE ON public.consent FOR EACH ROW EXECUTE FUNCTION public.keep_consent();

CREATE TRIGGER exposure_grave AFTER INSERT OR UPDATE OF looks ON public.exposure FOR EACH ROW WHEN (new.grave) EXECUTE FUNCTION public.count_grave_look();

CREATE TRIGGER subject_gallery AFTER UPDATE OF refusals ON public.subject FOR EACH ROW EXECUTE FUNCTION public.notify_gallery();

CREATE TRIGGER template_gallery AFTER INSERT OR DELETE OR UPDATE ON public.template FOR EACH ROW EXECUTE FUNCTION public.notify_gallery();

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.audit_leaf
    ADD CONSTRAINT audit_leaf_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.audit_node
    ADD CONSTRAINT audit_node_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.audit_payload
    ADD CONSTRAINT audit_payload_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.audit_tree
    ADD CONSTRAINT audit_tree_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.case_look
    ADD CONSTRAINT case_look_tenant_case_id_fkey FOREIGN KEY (tenant, case_id) REFERENCES public.review_case(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.case_note
    ADD CONSTRAINT case_note_tenant_case_id_fkey FOREIGN KEY (tenant, case_id) REFERENCES public.review_case(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.connection_list
    ADD CONSTRAINT connection_list_tenant_pid_fkey FOREIGN KEY (tenant, pid) REFERENCES public.subject(tenant, pid) ON DELETE CASCADE;

ALTER TABLE ONLY public.connection
    ADD CONSTRAINT connection_tenant_pid_fkey FOREIGN KEY (tenant, pid) REFERENCES public.connection_list(tenant, pid) ON DELETE CASCADE;

ALTER TABLE ONLY public.consent
    ADD CONSTRAINT consent_tenant_pid_fkey FOREIGN KEY (tenant, pid) REFERENCES public.subject(tenant, pid) ON DELETE CASCADE;

ALTER TABLE ONLY public.correction
    ADD CONSTRAINT correction_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.decision
    ADD CONSTRAINT decision_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.ended_consent
    ADD CONSTRAINT ended_consent_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.ended_key
    ADD CONSTRAINT ended_key_tenant_pid_fkey FOREIGN KEY (tenant, pid) REFERENCES public.subject(tenant, pid) ON DELETE CASCADE;

ALTER TABLE ONLY public.endpoint
    ADD CONSTRAINT endpoint_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.erasure
    ADD CONSTRAINT erasure_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.exposure
    ADD CONSTRAINT exposure_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.face_veto
    ADD CONSTRAINT face_veto_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.grave_look
    ADD CONSTRAINT grave_look_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.hash_block
    ADD CONSTRAINT hash_block_tenant_list_fkey FOREIGN KEY (tenant, list) REFERENCES public.hash_list(tenant, name) ON DELETE CASCADE;

ALTER TABLE ONLY public.hash_list
    ADD CONSTRAINT hash_list_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.head
    ADD CONSTRAINT head_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.intake_seen
    ADD CONSTRAINT intake_seen_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.kept_picture
    ADD CONSTRAINT kept_picture_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.look
    ADD CONSTRAINT look_tenant_case_id_fkey FOREIGN KEY (tenant, case_id) REFERENCES public.review_case(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.media_item
    ADD CONSTRAINT media_item_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.media_label
    ADD CONSTRAINT media_label_tenant_id_fkey FOREIGN KEY (tenant, id) REFERENCES public.media_search(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.media_search
    ADD CONSTRAINT media_search_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.moderator_undo
    ADD CONSTRAINT moderator_undo_tenant_case_id_fkey FOREIGN KEY (tenant, case_id) REFERENCES public.review_case(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.person_link
    ADD CONSTRAINT person_link_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.platform_action_cause
    ADD CONSTRAINT platform_action_cause_tenant_action_id_fkey FOREIGN KEY (tenant, action_id) REFERENCES public.platform_action(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.platform_action
    ADD CONSTRAINT platform_action_tenant_source_fkey FOREIGN KEY (tenant, source) REFERENCES public.source(tenant, name);

ALTER TABLE ONLY public.platform_connection
    ADD CONSTRAINT platform_connection_tenant_source_fkey FOREIGN KEY (tenant, source) REFERENCES public.source(tenant, name);

ALTER TABLE ONLY public.policy_activation
    ADD CONSTRAINT policy_activation_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.policy_activation
    ADD CONSTRAINT policy_activation_tenant_sha256_fkey FOREIGN KEY (tenant, sha256) REFERENCES public.policy(tenant, sha256);

ALTER TABLE ONLY public.policy_shadow_count
    ADD CONSTRAINT policy_shadow_count_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.policy_shadow(tenant) ON DELETE CASCADE;

ALTER TABLE ONLY public.policy_shadow
    ADD CONSTRAINT policy_shadow_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.policy_shadow
    ADD CONSTRAINT policy_shadow_tenant_sha256_fkey FOREIGN KEY (tenant, sha256) REFERENCES public.policy(tenant, sha256);

ALTER TABLE ONLY public.policy
    ADD CONSTRAINT policy_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.post_check
    ADD CONSTRAINT post_check_tenant_source_fkey FOREIGN KEY (tenant, source) REFERENCES public.source(tenant, name);

ALTER TABLE ONLY public.post_media
    ADD CONSTRAINT post_media_tenant_source_fkey FOREIGN KEY (tenant, source) REFERENCES public.source(tenant, name);

ALTER TABLE ONLY public.post_reading
    ADD CONSTRAINT post_reading_tenant_source_fkey FOREIGN KEY (tenant, source) REFERENCES public.source(tenant, name);

ALTER TABLE ONLY public.refusal
    ADD CONSTRAINT refusal_tenant_pid_fkey FOREIGN KEY (tenant, pid) REFERENCES public.subject(tenant, pid) ON DELETE CASCADE;

ALTER TABLE ONLY public.refused_band
    ADD CONSTRAINT refused_band_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.review_case
    ADD CONSTRAINT review_case_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.review_queue
    ADD CONSTRAINT review_queue_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.review_skip
    ADD CONSTRAINT review_skip_tenant_case_id_fkey FOREIGN KEY (tenant, case_id) REFERENCES public.review_case(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.search_backlog
    ADD CONSTRAINT search_backlog_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.shadow
    ADD CONSTRAINT shadow_tenant_head_fkey FOREIGN KEY (tenant, head) REFERENCES public.head(tenant, sha256);

ALTER TABLE ONLY public.source
    ADD CONSTRAINT source_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.spent_slot
    ADD CONSTRAINT spent_slot_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.staff_key
    ADD CONSTRAINT staff_key_tenant_staff_fkey FOREIGN KEY (tenant, staff) REFERENCES public.staff(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.staff_session
    ADD CONSTRAINT staff_session_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.staff_session
    ADD CONSTRAINT staff_session_tenant_staff_fkey FOREIGN KEY (tenant, staff) REFERENCES public.staff(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.staff
    ADD CONSTRAINT staff_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.statement
    ADD CONSTRAINT statement_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.subject_key
    ADD CONSTRAINT subject_key_tenant_pid_fkey FOREIGN KEY (tenant, pid) REFERENCES public.subject(tenant, pid) ON DELETE CASCADE;

ALTER TABLE ONLY public.subject
    ADD CONSTRAINT subject_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.template
    ADD CONSTRAINT template_tenant_consent_id_fkey FOREIGN KEY (tenant, consent_id) REFERENCES public.consent(tenant, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.template
    ADD CONSTRAINT template_tenant_pid_fkey FOREIGN KEY (tenant, pid) REFERENCES public.subject(tenant, pid) ON DELETE CASCADE;

ALTER TABLE ONLY public.topic_reading
    ADD CONSTRAINT topic_reading_tenant_source_fkey FOREIGN KEY (tenant, source) REFERENCES public.source(tenant, name);

ALTER TABLE ONLY public.upload
    ADD CONSTRAINT upload_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);

ALTER TABLE ONLY public.webhook_secret
    ADD CONSTRAINT webhook_secret_tenant_fkey FOREIGN KEY (tenant) REFERENCES public.tenant(tenant);
