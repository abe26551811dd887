-- Areas that a moderator hid, by the file's SHA-256: they are hidden in the same file when it comes again.
CREATE INDEX decision_hidden ON decision (tenant, (document -> 'media' ->> 'sha256'))
    WHERE document -> 'reviewed' -> 'hidden' IS NOT NULL;
