-- name: is_application_made
-- The role of this installation's processes, where the server's own role is a superuser.
SELECT 1 FROM pg_roles WHERE rolname = 'application';

-- name: create_application
-- It may log in, and nothing that is not its own.
CREATE ROLE application
LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT PASSWORD {password};

-- name: give_to_application
-- This database and all that the superuser made in it. In one transaction: an interrupted change begins again.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        WITH mine AS (SELECT r.oid AS owner FROM pg_roles r WHERE r.rolname = current_user),
        spaces AS (
            SELECT n.oid, n.nspname, n.nspowner FROM pg_namespace n
            WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
        ),
        of_others AS (
            -- A sequence goes with its column; what an extension made stays with it.
            SELECT d.classid, d.objid FROM pg_depend d
            WHERE d.deptype = 'e' OR (d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)
        ),
        objects AS (
            SELECT 'DATABASE' AS kind, format('%I', d.datname) AS name
            FROM pg_database d, mine WHERE d.datname = current_database() AND d.datdba = owner
            UNION ALL
            SELECT 'SCHEMA', format('%I', s.nspname) FROM spaces s, mine WHERE s.nspowner = owner
            UNION ALL
            SELECT 'TABLE', c.oid::regclass::text FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace, mine
            WHERE c.relowner = owner AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
              AND ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM of_others)
            UNION ALL
            SELECT 'ROUTINE', p.oid::regprocedure::text FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace, mine
            WHERE p.proowner = owner AND ('pg_proc'::regclass, p.oid) NOT IN (SELECT classid, objid FROM of_others)
            UNION ALL
            -- Not those of tables and arrays, which go with them.
            SELECT 'TYPE', t.oid::regtype::text FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace, mine
            WHERE t.typowner = owner AND ('pg_type'::regclass, t.oid) NOT IN (SELECT classid, objid FROM of_others) AND (
                t.typtype IN ('e', 'd', 'r')
                OR (t.typtype = 'c' AND (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c')
            )
        )
        SELECT format('ALTER %s %s OWNER TO application', kind, name) FROM objects
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
