-- What the log's newest leaf `models.used` says, as SHA-256 of its fields: a worker that begins writes another only where
-- it has other models.
ALTER TABLE tenant ADD COLUMN models_sha256 bytea;
