-- name: select_consent_in_force
-- Selects the subject's newest consent that is neither withdrawn nor over.
SELECT scope, jurisdiction, notice_sha256, given_at, expires_at
FROM consent
WHERE tenant = %(tenant)s AND pid = %(pid)s AND purpose = 'face-match'
  AND withdrawn_at IS NULL AND expired_at IS NULL AND expires_at > now()
ORDER BY n DESC
LIMIT 1;

-- name: list_template_photos
-- Lists the quality and time of each enrolled photo, oldest first.
SELECT quality, enrolled_at FROM template
WHERE tenant = %(tenant)s AND pid = %(pid)s
ORDER BY enrolled_at, id;
