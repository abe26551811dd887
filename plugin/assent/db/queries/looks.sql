-- name: insert_look
-- Of one picture, by one account, once, soon.
INSERT INTO look (tenant, sha256, case_id, by, expires_at)
VALUES (%(tenant)s, %(sha256)s, %(case)s, %(by)s, now() + %(valid_for)s);

-- name: take_look
-- Once, by whoever asked, in time.
DELETE FROM look WHERE tenant = %(tenant)s AND sha256 = %(sha256)s AND by = %(by)s AND expires_at > now()
RETURNING case_id;

-- name: count_exposure
-- Of one account on one day; no picture and no case.
INSERT INTO exposure (tenant, by, day, category, grave, looks, seconds)
VALUES (%(tenant)s, %(by)s, (now() AT TIME ZONE 'UTC')::date, %(category)s, %(grave)s, %(looks)s, %(seconds)s)
ON CONFLICT (tenant, by, day, category, grave)
DO UPDATE SET looks = exposure.looks + EXCLUDED.looks, seconds = exposure.seconds + EXCLUDED.seconds;

-- name: purge_looks
-- Those that nobody took in time.
DELETE FROM look WHERE expires_at < now();

-- name: count_case_looks
-- Of one account at one case, for the leaf of its decision.
INSERT INTO case_look (tenant, case_id, by, looks, seconds)
VALUES (%(tenant)s, %(case)s, %(by)s, %(looks)s, %(seconds)s)
ON CONFLICT (tenant, case_id, by)
DO UPDATE SET looks = case_look.looks + EXCLUDED.looks, seconds = case_look.seconds + EXCLUDED.seconds;

-- name: take_case_looks
-- Those of an account at a case that it decides.
DELETE FROM case_look WHERE tenant = %(tenant)s AND case_id = %(case)s AND by = %(by)s
RETURNING looks, seconds;

-- name: purge_case_looks
-- Of cases that somebody else decided, or nobody.
DELETE FROM case_look l USING review_case c
WHERE c.tenant = l.tenant AND c.id = l.case_id AND c.closed_at < now() - interval '1 hour';
