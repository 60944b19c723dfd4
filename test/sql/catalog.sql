--
-- House rules that the catalogs can check; every query returns no rows.
--

-- every object of ours has a comment
SELECT pg_describe_object(e.classid, e.objid, 0) AS object
FROM pg_depend e
JOIN pg_extension x ON x.oid = e.refobjid AND x.extname = 'uaef'
LEFT JOIN pg_class r ON e.classid = 'pg_class'::regclass AND r.oid = e.objid
LEFT JOIN pg_type t ON e.classid = 'pg_type'::regclass AND t.oid = e.objid
WHERE e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e'
  AND (e.classid = 'pg_proc'::regclass
       OR r.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
       OR t.typtype IN ('d', 'e', 'r')
       OR (t.typtype = 'b' AND t.typelem = 0))
  -- a row type has its table's comment, an identity sequence its column's
  AND NOT EXISTS (SELECT FROM pg_depend i
                  WHERE i.classid = e.classid AND i.objid = e.objid
                    AND i.deptype = 'i')
  AND obj_description(e.objid, e.classid::regclass::name) IS NULL
ORDER BY 1;

-- so has each column of a view of accounts, settlements, payouts, budgets
SELECT c.relname, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'uaef'::regnamespace AND c.relkind = 'v'
  AND c.relname IN ('account_balance', 'journal_entry', 'fund_hold', 'settlement', 'settlement_rule_status',
	'payout_status', 'payout_open_item', 'budget_status', 'pending_review')
  AND col_description(c.oid, a.attnum) IS NULL
ORDER BY 1, 2;

-- a comment is one phrase: no capital, no period at its end
SELECT pg_describe_object(d.classoid, d.objoid, 0) AS object, d.description
FROM pg_description d
JOIN pg_depend e ON (e.classid, e.objid) = (d.classoid, d.objoid)
JOIN pg_extension x ON x.oid = e.refobjid AND x.extname = 'uaef'
WHERE e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e'
  AND d.objsubid = 0
  AND d.description ~ '(^[A-Z][a-z]|\.$)'
ORDER BY 1;

-- every function pins its search_path; immutable ones look nothing up, and
-- the three of an event's way in, for their speed, name everything in full or
-- pin it themselves
SELECT p.oid::regprocedure
FROM pg_proc p
WHERE p.pronamespace = 'uaef'::regnamespace
  AND p.provolatile <> 'i' AND p.proname NOT IN ('ledger_chain', 'ledger_row', 'record_event')
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c
                  WHERE c = 'search_path=pg_catalog, pg_temp')
ORDER BY 1;

-- none runs with another's rights; the code becomes the owner where it must
SELECT p.oid::regprocedure
FROM pg_proc p
WHERE p.pronamespace = 'uaef'::regnamespace
  AND p.prosecdef
ORDER BY 1;

-- nothing is executable by PUBLIC
SELECT p.oid::regprocedure
FROM pg_proc p
WHERE p.pronamespace = 'uaef'::regnamespace
  AND has_function_privilege('public', p.oid, 'EXECUTE')
ORDER BY 1;

-- no table, view or sequence is open to PUBLIC
SELECT r.oid::regclass
FROM pg_class r, LATERAL aclexplode(r.relacl) a
WHERE r.relnamespace = 'uaef'::regnamespace
  AND a.grantee = 0
ORDER BY 1;

-- the library has every C function's symbol
DO $$
DECLARE
	f record;
BEGIN
	FOR f IN
		SELECT p.oid::regprocedure AS name, p.prosrc, p.probin
		FROM pg_proc p
		JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
		WHERE p.pronamespace = 'uaef'::regnamespace
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION pg_temp.probe() RETURNS void AS %L, %L LANGUAGE c',
						   f.probin, f.prosrc);
			DROP FUNCTION pg_temp.probe();
		EXCEPTION WHEN undefined_function THEN
			RAISE WARNING '% has no C function %', f.name, f.prosrc;
		END;
	END LOOP;
END
$$;

-- pg_dump keeps the rows of every table and the place of every sequence, but
-- for what is kept by OID and is found out again, and what was audited, which
-- a restored database must find out anew
SELECT r.oid::regclass
FROM pg_class r
WHERE r.relnamespace = 'uaef'::regnamespace
  AND r.relkind IN ('r', 'p', 'S')
  AND r.relname NOT IN ('workflow_plan', 'workflow_dependency',
						'money_audit', 'audited_balance')
  AND NOT EXISTS (SELECT FROM pg_extension x
                  WHERE x.extname = 'uaef' AND r.oid = ANY (x.extconfig))
ORDER BY 1;
