-- name: consent_in_force
SELECT scope, jurisdiction, notice_sha256, given_at, expires_at
FROM consent
WHERE tenant = %(tenant)s AND pid = %(pid)s AND purpose = 'face-match'
  AND withdrawn_at IS NULL AND expired_at IS NULL AND expires_at > now()
ORDER BY given_at DESC
LIMIT 1;

-- name: photos
SELECT quality, enrolled_at FROM template
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY enrolled_at, id;
