-- Attempts of which nothing left the house, and what people said of a file.

-- Of `attempts`: those for which no body could be made, because a sealed row did not open. The receiver saw none of them.
ALTER TABLE outbox ADD COLUMN unmade integer NOT NULL DEFAULT 0;
