-- A media item's id belongs to the source that brought it. Rows of before belong to their event's source; where the event
-- is past its retention, to the tenant's first source.
ALTER TABLE decision ADD COLUMN source text;
UPDATE decision d SET source = coalesce(
    (SELECT e.source FROM event e WHERE e.tenant = d.tenant AND e.id = d.event_id),
    (SELECT s.name FROM source s WHERE s.tenant = d.tenant ORDER BY s.created_at, s.name LIMIT 1),
    'api'
);

ALTER TABLE match ADD COLUMN source text;
ALTER TABLE outbox ADD COLUMN source text;
ALTER TABLE review_case ADD COLUMN source text;
ALTER TABLE kept_picture ADD COLUMN source text;
ALTER TABLE correction ADD COLUMN source text;
ALTER TABLE shadow ADD COLUMN source text;

CREATE FUNCTION pg_temp.source_of(of_tenant text, of_media text, of_revision integer) RETURNS text
    LANGUAGE sql
AS $$
    SELECT coalesce(
        (SELECT source FROM decision WHERE tenant = of_tenant AND media_id = of_media AND revision = of_revision),
        (SELECT source FROM decision WHERE tenant = of_tenant AND media_id = of_media ORDER BY revision DESC LIMIT 1),
        (SELECT e.source FROM event e WHERE e.tenant = of_tenant AND 'event ' || e.id = of_media),
        (SELECT s.name FROM source s WHERE s.tenant = of_tenant ORDER BY s.created_at, s.name LIMIT 1),
        'api'
    );
$$;
UPDATE match SET source = pg_temp.source_of(tenant, media_id, revision);
UPDATE outbox SET source = pg_temp.source_of(tenant, media_id, revision);
UPDATE review_case SET source = pg_temp.source_of(tenant, media_id, revision);
UPDATE kept_picture SET source = pg_temp.source_of(tenant, media_id, NULL);
UPDATE correction SET source = pg_temp.source_of(tenant, media_id, NULL);
UPDATE shadow SET source = pg_temp.source_of(tenant, media_id, NULL);
DROP FUNCTION pg_temp.source_of(text, text, integer);

ALTER TABLE decision ALTER COLUMN source SET NOT NULL;
ALTER TABLE match ALTER COLUMN source SET NOT NULL;
ALTER TABLE outbox ALTER COLUMN source SET NOT NULL;
ALTER TABLE review_case ALTER COLUMN source SET NOT NULL;
ALTER TABLE kept_picture ALTER COLUMN source SET NOT NULL;
ALTER TABLE correction ALTER COLUMN source SET NOT NULL;
ALTER TABLE shadow ALTER COLUMN source SET NOT NULL;

ALTER TABLE decision DROP CONSTRAINT decision_pkey, ADD PRIMARY KEY (tenant, media_id, source, revision);
ALTER TABLE match DROP CONSTRAINT match_pkey, ADD PRIMARY KEY (tenant, source, media_id, face);
ALTER TABLE kept_picture DROP CONSTRAINT kept_picture_pkey, ADD PRIMARY KEY (tenant, source, media_id);
ALTER TABLE correction DROP CONSTRAINT correction_pkey,
    ADD PRIMARY KEY (tenant, source, media_id, media_sha256, label);
ALTER TABLE shadow DROP CONSTRAINT shadow_pkey, ADD PRIMARY KEY (tenant, source, media_id, head);
ALTER TABLE review_case DROP CONSTRAINT review_case_tenant_media_id_revision_key,
    ADD CONSTRAINT review_case_item UNIQUE (tenant, source, media_id, revision);
ALTER TABLE outbox DROP CONSTRAINT outbox_tenant_endpoint_type_media_id_revision_key,
    ADD CONSTRAINT outbox_item UNIQUE (tenant, source, media_id, endpoint, revision, type);

-- The order in which events arrived. An event gets its number while it has the rows of its media items locked, so that
-- the numbers of one media item's events rise in the order of their commits.
CREATE SEQUENCE event_arrival;
ALTER TABLE event ADD COLUMN arrival bigint NOT NULL DEFAULT 0;
WITH arrived AS (
    SELECT tenant, id, row_number() OVER (ORDER BY received_at, id) AS n FROM event
)
UPDATE event e SET arrival = a.n FROM arrived a WHERE e.tenant = a.tenant AND e.id = a.id;
DO $$ BEGIN PERFORM setval('event_arrival', 1 + (SELECT count(*) FROM event)); END $$;

-- What took effect on a media item. `mac` is a MAC of its source and id under a key that the database does not have. Of a
-- deleted one the row stays for ever with its highest revision, so that revisions rise when the id comes back; the other
-- columns are cleared once no event can be behind them any more.
CREATE TABLE media_item (
    tenant text NOT NULL REFERENCES tenant,
    mac bytea NOT NULL,
    revision integer NOT NULL DEFAULT 0,
    applied bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0,
    event_revision integer NOT NULL DEFAULT 0,
    deleted boolean NOT NULL DEFAULT false,
    deleted_at timestamptz,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, mac)
);
CREATE INDEX media_item_changed ON media_item (changed_at);
