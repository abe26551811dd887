-- Sealed parts of the log that are kept for a term: an expired one is empty.
ALTER TABLE audit_payload ADD COLUMN expires_at timestamptz;
UPDATE audit_payload p SET expires_at = (convert_from(l.leaf, 'UTF8')::json ->> 'at')::timestamptz + interval '90 days'
FROM audit_leaf l
WHERE p.tenant = l.tenant AND p.seq = l.seq AND position('{"action":"match.throttled",'::bytea IN l.leaf) = 1;
CREATE INDEX audit_payload_expires ON audit_payload (expires_at) WHERE expires_at IS NOT NULL;

-- Decisions that a later one replaced; the retention of those of before begins now.
ALTER TABLE decision ADD COLUMN replaced_at timestamptz;
UPDATE decision d SET replaced_at = now()
WHERE document -> 'reviewed' ->> 'action' IS NULL AND EXISTS (
    SELECT FROM decision n
    WHERE n.tenant = d.tenant AND n.media_id = d.media_id AND n.source = d.source AND n.revision > d.revision
);
CREATE INDEX decision_replaced ON decision (replaced_at) WHERE replaced_at IS NOT NULL;

-- Messages that nothing depends on any more: replaced by a later one that was delivered, replaced before they were sent,
-- and suggestions that were delivered.
ALTER TABLE outbox ADD COLUMN replaced_at timestamptz;
UPDATE outbox o SET replaced_at = now()
WHERE state = 'superseded' AND attempts <= unmade
   OR state = 'delivered' AND type = 'tag.suggested'
   OR state <> 'waiting' AND EXISTS (
       SELECT FROM outbox n
       WHERE n.tenant = o.tenant AND n.source = o.source AND n.media_id = o.media_id AND n.endpoint = o.endpoint
         AND n.state = 'delivered' AND n.type <> 'tag.suggested' AND n.created_at > o.created_at
   );
CREATE INDEX outbox_replaced ON outbox (replaced_at) WHERE replaced_at IS NOT NULL;
