--
-- Arguments that must not be null: one error for all functions, which names one
--
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT uaef.complete_task(NULL, '{}');
SELECT uaef.fail_task(NULL, 'no');
SELECT uaef.heartbeat_task(1, NULL);
SELECT uaef.release_task(NULL, gen_random_uuid());
SELECT uaef.approve(NULL, 'fine');
SELECT uaef.reject(NULL, 'no');
SELECT uaef.comment_approval(1, NULL);
SELECT uaef.grant_access('pg_monitor', NULL);
SELECT uaef.drop_schedule(NULL);
SELECT uaef.wait_for_workflow(NULL);
SELECT * FROM uaef.claim_tasks('w', queues => '{a,NULL}');

-- a check of nothing is no check that found nothing
SELECT * FROM uaef.row_history('pg_class', NULL);
SELECT * FROM uaef.row_history(NULL, '1');
SELECT * FROM uaef.row_history(0, '1');
SELECT * FROM uaef.verify_table(NULL);
SELECT * FROM uaef.verify_table('pg_class');
SELECT * FROM uaef.verify_ledger(NULL);
SELECT * FROM uaef.verify_ledger(0);
SELECT * FROM uaef.verify_ledger(quorum => NULL);
SELECT * FROM uaef.verify_ledger(jobs => NULL);
SELECT * FROM uaef.verify_ledger(sample => NULL);
SELECT * FROM uaef.verify_ledger(indexes => NULL);
SELECT consistent FROM uaef.ledger_verdict(quorum => NULL);
SELECT * FROM uaef.workflow_dependencies(NULL);

-- all results at once cannot be null
SELECT count(*) FROM uaef.complete_tasks('[]');
SELECT count(*) FROM uaef.complete_tasks(NULL::jsonb);

-- What each function that does something says of nothing but nulls: a state, and
-- the argument's name is one that the function has.
CREATE FUNCTION arg_try(function regprocedure, OUT state text, OUT known boolean)
LANGUAGE plpgsql AS $$
DECLARE
	call text;
	said text;
BEGIN
	SELECT format('SELECT * FROM uaef.%I(%s)', p.proname,
			string_agg(format('%sNULL::%s',
					CASE WHEN p.provariadic <> 0 AND a.no = p.pronargs THEN 'VARIADIC ' END,
					a.type::regtype), ', ' ORDER BY a.no))
		INTO call
	FROM pg_proc p, unnest(p.proargtypes) WITH ORDINALITY a (type, no)
	WHERE p.oid = function GROUP BY p.oid;
	EXECUTE call;
	RAISE SQLSTATE 'ZZ000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
	state := CASE SQLSTATE WHEN 'ZZ000' THEN 'done' ELSE SQLSTATE END;
	known := (SELECT substring(said FROM '^argument "(.*)" must not be null$') = ANY (proargnames)
			  FROM pg_proc WHERE oid = function);
END $$;
SELECT state, known, CASE state WHEN '22004' THEN count(*) > 50 ELSE NULL END AS many,
	CASE WHEN state <> '22004' OR known IS NOT TRUE THEN string_agg(p.proname, ' ' ORDER BY p.proname) END AS functions
FROM pg_proc p, arg_try(p.oid)
WHERE p.pronamespace = 'uaef'::regnamespace AND p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'c')
	AND p.provolatile = 'v' AND p.pronargs > 0 AND p.proname !~ '^_'
GROUP BY 1, 2 ORDER BY 1, 2;

-- a function that does nothing for a null does not look as if it had
SELECT proname FROM pg_proc
WHERE pronamespace = 'uaef'::regnamespace AND provolatile = 'v' AND proisstrict ORDER BY 1;
DROP FUNCTION arg_try;
