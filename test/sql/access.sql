--
-- Access: who may call what
--
SET client_min_messages = warning;
CREATE ROLE regress_uaef_anna;
CREATE ROLE regress_uaef_boss;
CREATE ROLE regress_uaef_carl;
CREATE ROLE regress_uaef_eve;

-- every public function belongs to an access, so that nobody is forgotten;
-- trigger functions are called by triggers only
SELECT p.oid::regprocedure
FROM pg_proc p
WHERE p.pronamespace = 'uaef'::regnamespace
  AND p.proname !~ '^_'
  AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
  AND p.proname NOT IN (SELECT object FROM uaef.list_access()
                        WHERE privilege = 'EXECUTE')
ORDER BY 1;

-- so does every view
SELECT r.oid::regclass
FROM pg_class r
WHERE r.relnamespace = 'uaef'::regnamespace
  AND r.relkind = 'v'
  AND r.relname NOT IN (SELECT object FROM uaef.list_access()
                        WHERE privilege = 'SELECT')
ORDER BY 1;

-- and what an access names is there
SELECT DISTINCT privilege, object
FROM uaef.list_access()
WHERE (privilege = 'EXECUTE'
       AND NOT EXISTS (SELECT FROM pg_proc
                       WHERE pronamespace = 'uaef'::regnamespace
                         AND proname = object))
   OR (privilege = 'SELECT'
       AND to_regclass('uaef.' || object) IS NULL)
ORDER BY 1, 2;

-- who may do what, by a function that only that access has
CREATE VIEW regress_uaef_may AS
SELECT a.role, string_agg(a.may, ' ' ORDER BY a.may) AS may
FROM (SELECT r.rolname AS role, f.may
      FROM pg_roles r,
           (VALUES ('read', 'uaef.workflow_graph(text, text)'),
                   ('author', 'uaef.create_workflow(text, jsonb, text)'),
                   ('operate', 'uaef.pause_workflow(uuid, text)'),
                   ('approve', 'uaef.reject(bigint, text, bytea, regrole)'),
                   ('work', 'uaef.complete_task(bigint, jsonb, uuid)'),
                   ('grant', 'uaef.grant_access(regrole, text)')) f (may, name)
      WHERE r.rolname ~ '^regress_uaef_(anna|boss|carl|eve)$'
        AND has_function_privilege(r.oid, f.name, 'EXECUTE')
        AND has_schema_privilege(r.oid, 'uaef', 'USAGE')
      UNION ALL
      SELECT r.rolname, 'audit'
      FROM pg_roles r
      WHERE r.rolname ~ '^regress_uaef_(anna|boss|carl|eve)$'
        AND has_table_privilege(r.oid, 'uaef.ledger_event', 'SELECT')) a
GROUP BY a.role;

SELECT * FROM regress_uaef_may ORDER BY role;

-- each access, one after the other
DO $$
DECLARE
	access text;
BEGIN
	FOREACH access IN ARRAY
		'{viewer,author,operator,approver,worker,auditor,admin}'::text[]
	LOOP
		PERFORM uaef.grant_access('regress_uaef_anna', access);
		RAISE WARNING '%: %', access, (SELECT may FROM regress_uaef_may);
		PERFORM uaef.revoke_access('regress_uaef_anna', access);
	END LOOP;
END
$$;

-- nothing is left of them
SELECT * FROM regress_uaef_may;
SELECT has_schema_privilege('regress_uaef_anna', 'uaef', 'USAGE');
SELECT * FROM uaef.access_grant;

-- taking one access away leaves what another gives too
SELECT uaef.grant_access('regress_uaef_anna', 'viewer');
SELECT uaef.grant_access('regress_uaef_anna', 'author');
SELECT uaef.revoke_access('regress_uaef_anna', 'author');
SELECT * FROM regress_uaef_may;
SELECT uaef.grant_access('regress_uaef_anna', 'author');
SELECT uaef.revoke_access('regress_uaef_anna', 'viewer');
SELECT * FROM regress_uaef_may;

-- again, and what was never given: no effect, no event
SELECT count(*) AS events FROM uaef.ledger_event WHERE event_type ~ '^access_' \gset before_
SELECT uaef.grant_access('regress_uaef_anna', 'author');
SELECT uaef.revoke_access('regress_uaef_anna', 'operator');
SELECT count(*) - :before_events AS new_events
FROM uaef.ledger_event WHERE event_type ~ '^access_';

-- an admin who is no superuser gives and takes; others do not
SELECT uaef.grant_access('regress_uaef_boss', 'admin');
SET ROLE regress_uaef_boss;
SELECT uaef.grant_access('regress_uaef_carl', 'operator');
RESET ROLE;
SET ROLE regress_uaef_carl;
SELECT uaef.grant_access('regress_uaef_carl', 'admin');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.revoke_access('regress_uaef_boss', 'admin');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SET ROLE regress_uaef_eve;
SELECT uaef.grant_access('regress_uaef_eve', 'admin');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SELECT * FROM regress_uaef_may ORDER BY role;

-- the ledger says who gave what to whom
SELECT nullif(actor_id, current_user) AS actor_id, event_type, payload
FROM uaef.ledger_event WHERE event_type ~ '^access_'
ORDER BY event_id DESC LIMIT 2;

-- bad input
SELECT uaef.grant_access('regress_uaef_anna', 'root');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.revoke_access('regress_uaef_anna', 'Viewer');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.grant_access('nobody_at_all', 'viewer');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.grant_access('-', 'viewer');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.grant_access(NULL, 'viewer');

-- a name that needs quotes
CREATE ROLE "regress_uaef ""Zoë""; DROP";
SELECT uaef.grant_access('"regress_uaef ""Zoë""; DROP"', 'viewer');
SELECT has_function_privilege('regress_uaef "Zoë"; DROP', 'uaef.list_access()', 'EXECUTE');
SELECT uaef.revoke_access('"regress_uaef ""Zoë""; DROP"', 'viewer');
DROP ROLE "regress_uaef ""Zoë""; DROP";

-- a role that is dropped is not dumped: its number may be another's elsewhere;
-- and it leaves no row behind, once access changes again
DROP OWNED BY regress_uaef_carl;
DROP ROLE regress_uaef_carl;
SELECT 'SELECT * FROM uaef.access_grant ' || c.condition AS dumped
FROM pg_extension x, unnest(x.extconfig, x.extcondition) c (relation, condition)
WHERE x.extname = 'uaef' AND c.relation = 'uaef.access_grant'::regclass \gset
SELECT count(*) FROM uaef.access_grant;
:dumped ORDER BY 1, 2;
SELECT uaef.revoke_access('regress_uaef_anna', 'author');
SELECT * FROM uaef.access_grant;

SELECT uaef.revoke_access('regress_uaef_boss', 'admin');
DROP VIEW regress_uaef_may;
DROP ROLE regress_uaef_anna, regress_uaef_boss, regress_uaef_eve;
