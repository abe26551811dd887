-- name: use_models
UPDATE tenant SET models_sha256 = %(sha256)s
WHERE tenant = %(tenant)s AND models_sha256 IS DISTINCT FROM %(sha256)s;
