-- name: set_models_if_changed
-- Stores the digest of the models in use, where it is another than before.
UPDATE tenant SET models_sha256 = %(sha256)s
WHERE tenant = %(tenant)s AND models_sha256 IS DISTINCT FROM %(sha256)s;
