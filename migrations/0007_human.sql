-- Attempts of which nothing left the house, and what moderators said of a file by its SHA-256.

-- Of `attempts`: those for which no body could be made, because a sealed row did not open. The receiver saw none of them.
ALTER TABLE outbox ADD COLUMN unmade integer NOT NULL DEFAULT 0;

CREATE INDEX correction_file ON correction (tenant, media_sha256);
CREATE INDEX decision_judged ON decision (tenant, (document -> 'media' ->> 'sha256'))
    WHERE document -> 'reviewed' ->> 'action' IS NOT NULL;
