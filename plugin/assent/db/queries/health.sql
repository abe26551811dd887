-- name: read_clock
-- Selects the time by the server's clock now.
SELECT clock_timestamp() AS at;

-- name: keep_little_in_memory
-- Makes this transaction's queries write temporary files early, and to the disk of the database itself.
SELECT set_config('work_mem', '64kB', true), set_config('temp_tablespaces', '', true);

-- name: write_temporary_file
-- Writes a temporary file of some 200 kB: it takes new room on the disk each time, and leaves nothing behind.
SELECT count(*) FROM generate_series(1, 10000);

-- name: read_role
-- This connection's role, and whether the server refuses it nothing.
SELECT current_user AS name, current_setting('is_superuser') = 'on' AS superuser;

-- name: note_in_session
-- Leaves a value in the server's session that this connection has.
SELECT set_config('assent.session', %(value)s, false);

-- name: read_from_session
-- Selects the value that a connection left in the session; NULL or empty without one.
SELECT current_setting('assent.session', true) AS value;
