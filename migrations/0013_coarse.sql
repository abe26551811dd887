-- Times in rows that name a pseudonym are whole hours: an exact one is also that of a leaf, a job and decisions. Nothing
-- lasts longer by it. Such rows are written anew every hour (`plugin/assent/db/queries/rewrite.sql`).
ALTER TABLE consent DISABLE TRIGGER USER;
ALTER TABLE subject DISABLE TRIGGER USER;
ALTER TABLE template DISABLE TRIGGER USER;
UPDATE consent SET
    given_at = date_bin('1 hour', given_at, 'epoch'),
    expires_at = date_bin('1 hour', expires_at, 'epoch'),
    withdrawn_at = date_bin('1 hour', withdrawn_at, 'epoch'),
    expired_at = date_bin('1 hour', expired_at, 'epoch');
UPDATE subject SET
    created_at = date_bin('1 hour', created_at, 'epoch'),
    interacted_at = date_bin('1 hour', interacted_at, 'epoch');
UPDATE template SET enrolled_at = date_bin('1 hour', enrolled_at, 'epoch');
UPDATE connection_list SET stated_at = date_bin('1 hour', stated_at, 'epoch');
ALTER TABLE consent ENABLE TRIGGER USER;
ALTER TABLE subject ENABLE TRIGGER USER;
ALTER TABLE template ENABLE TRIGGER USER;

ALTER TABLE consent ALTER COLUMN given_at SET DEFAULT date_bin('1 hour', now(), 'epoch');
ALTER TABLE subject ALTER COLUMN created_at SET DEFAULT date_bin('1 hour', now(), 'epoch');
ALTER TABLE subject ALTER COLUMN interacted_at SET DEFAULT date_bin('1 hour', now(), 'epoch');
ALTER TABLE template ALTER COLUMN enrolled_at SET DEFAULT date_bin('1 hour', now(), 'epoch');

-- The last rewriting: its hour, its transaction, and the oldest that ran when it began.
ALTER TABLE instance
    ADD COLUMN rewritten_at timestamptz NOT NULL DEFAULT 'epoch',
    ADD COLUMN rewriting xid8,
    ADD COLUMN seen xid8;

-- A row that is written anew as it was is no news to a gallery.
CREATE OR REPLACE FUNCTION notify_gallery() RETURNS trigger
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
