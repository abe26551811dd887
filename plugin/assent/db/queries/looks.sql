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
