------------------------------------------------------------------------
-- The life of settlement rules: drafts, tests, activation, backtests
------------------------------------------------------------------------

--
-- rule_test
--
-- at is when the rule is put to the data; -infinity: when the test runs.
CREATE TABLE uaef.rule_test (
	rule			text,
	version			integer,
	test			text,
	data			jsonb NOT NULL,
	expect			jsonb NOT NULL,
	at				timestamptz NOT NULL,
	created_by		regrole NOT NULL,
	created_at		timestamptz NOT NULL,
	PRIMARY KEY (rule, version, test)
);

COMMENT ON TABLE uaef.rule_test IS
	'tests of versions of settlement rules, which must pass before activation';

REVOKE ALL ON TABLE uaef.rule_test FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('uaef.rule_test', '');

--
-- create_settlement_rule(), check_settlement_rule(),
-- settlement_rule_definition()
--
CREATE FUNCTION uaef.create_settlement_rule(name text, definition jsonb)
RETURNS integer
AS 'MODULE_PATHNAME', 'uaef_create_settlement_rule'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.create_settlement_rule(text, jsonb) IS
	'check a settlement rule, store it as a draft of a new version, and return its version';

CREATE FUNCTION uaef.check_settlement_rule(definition jsonb)
RETURNS TABLE (severity text, path text, problem text, hint text)
AS 'MODULE_PATHNAME', 'uaef_check_settlement_rule'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 5
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.check_settlement_rule(jsonb) IS
	'all that is wrong with a definition of a settlement rule, with places; no row when nothing is';

CREATE FUNCTION uaef.settlement_rule_definition(name text,
	version integer DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_settlement_rule_definition'
LANGUAGE C STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.settlement_rule_definition(text, integer) IS
	'definition of a version of a settlement rule; null: the newest';

--
-- activate_settlement_rule(), deactivate_settlement_rule(),
-- retire_settlement_rule()
--
CREATE FUNCTION uaef.activate_settlement_rule(name text, version integer)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_activate_settlement_rule'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.activate_settlement_rule(text, integer) IS
	'let a version of a settlement rule be used, as somebody else than its author; UA240: its tests fail, UA241: the author, UA242: retired, UA243: its period';

CREATE FUNCTION uaef.deactivate_settlement_rule(name text,
	version integer DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_deactivate_settlement_rule'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.deactivate_settlement_rule(text, integer) IS
	'use a version of a settlement rule no longer; null: every version';

CREATE FUNCTION uaef.retire_settlement_rule(name text,
	version integer DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_retire_settlement_rule'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.retire_settlement_rule(text, integer) IS
	'never use a version of a settlement rule again; null: every version';

--
-- add_rule_test(), run_rule_tests()
--
CREATE FUNCTION uaef.add_rule_test(rule text, version integer, test text,
	data jsonb, expect jsonb, at timestamptz DEFAULT '-infinity')
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_add_rule_test'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.add_rule_test(text, integer, text, jsonb, jsonb, timestamptz) IS
	'add a test to a draft: what the rule must give for data (result, amount, currency, parts, code, path), at a time or whenever it runs; a test of the same name is replaced';

CREATE FUNCTION uaef.run_rule_tests(rule text, version integer DEFAULT NULL)
RETURNS TABLE (test text, passed boolean, got jsonb, expected jsonb)
AS 'MODULE_PATHNAME', 'uaef_run_rule_tests'
LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.run_rule_tests(text, integer) IS
	'what came of the tests of a version of a settlement rule; null: the newest';

--
-- migrate_formula()
--
CREATE FUNCTION uaef.migrate_formula(formula text)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_migrate_formula'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION uaef.migrate_formula(text) IS
	'a formula in the manner of Python as an amount expression; UA244: it is not understood';

--
-- execution_data(), backtest_rule()
--
CREATE FUNCTION uaef.execution_data(execution_id uuid, task text DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_execution_data'
LANGUAGE C STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.execution_data(uuid, text) IS
	'what rules read of an execution, in, task, ctx, sys: at its completion, or what a rule for a settle task of it reads, when a task is named; for simulate_settlement()';

CREATE FUNCTION uaef.backtest_rule(rule text, definition jsonb,
	completed_from timestamptz, completed_to timestamptz DEFAULT 'infinity')
RETURNS TABLE (recipient text, currency text, executions bigint, was numeric,
	would_be numeric, difference numeric)
AS 'MODULE_PATHNAME', 'uaef_backtest_rule'
LANGUAGE C STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.backtest_rule(text, jsonb, timestamptz, timestamptz) IS
	'what a definition would have paid to whom for the executions that completed in a period, beside what the rule of that name gave; recipient null: executions that it fails on';

REVOKE ALL ON FUNCTION
	uaef.create_settlement_rule(text, jsonb),
	uaef.check_settlement_rule(jsonb),
	uaef.settlement_rule_definition(text, integer),
	uaef.activate_settlement_rule(text, integer),
	uaef.deactivate_settlement_rule(text, integer),
	uaef.retire_settlement_rule(text, integer),
	uaef.add_rule_test(text, integer, text, jsonb, jsonb, timestamptz),
	uaef.run_rule_tests(text, integer),
	uaef.migrate_formula(text),
	uaef.execution_data(uuid, text),
	uaef.backtest_rule(text, jsonb, timestamptz, timestamptz)
	FROM PUBLIC;

--
-- settlement_rule_status
--
-- Shown to who may change the rule's workflow, and to who wrote it.
CREATE VIEW uaef.settlement_rule_status WITH (security_barrier = true) AS
SELECT
	r.name,
	r.version,
	CASE
		WHEN r.retired_at IS NOT NULL THEN 'retired'
		WHEN r.active THEN 'active'
		WHEN r.activated_at IS NOT NULL THEN 'inactive'
		ELSE 'draft'
	END AS state,
	r.workflow,
	r.currency,
	r.effective_from,
	r.effective_to,
	(SELECT count(*) FROM uaef.rule_test t
		WHERE t.rule = r.name AND t.version = r.version) AS tests,
	r.created_by,
	r.created_at,
	r.activated_by,
	r.activated_at,
	r.retired_at
FROM uaef.settlement_rule r
WHERE pg_has_role(r.created_by, 'USAGE')
OR EXISTS (
	SELECT FROM uaef.workflow_definition d
	WHERE d.name = r.workflow AND d.version = 1
	AND pg_has_role(d.created_by, 'USAGE')
);

COMMENT ON VIEW uaef.settlement_rule_status IS
	'versions of settlement rules: draft, active, inactive or retired';
COMMENT ON COLUMN uaef.settlement_rule_status.name IS
	'name of the rule';
COMMENT ON COLUMN uaef.settlement_rule_status.version IS
	'number of the version';
COMMENT ON COLUMN uaef.settlement_rule_status.state IS
	'draft, active, inactive or retired';
COMMENT ON COLUMN uaef.settlement_rule_status.workflow IS
	'whose completions it settles';
COMMENT ON COLUMN uaef.settlement_rule_status.currency IS
	'of all its amounts';
COMMENT ON COLUMN uaef.settlement_rule_status.effective_from IS
	'in force from then on';
COMMENT ON COLUMN uaef.settlement_rule_status.effective_to IS
	'and before that';
COMMENT ON COLUMN uaef.settlement_rule_status.tests IS
	'how many stand with it';
COMMENT ON COLUMN uaef.settlement_rule_status.created_by IS
	'author';
COMMENT ON COLUMN uaef.settlement_rule_status.created_at IS
	'when it was made';
COMMENT ON COLUMN uaef.settlement_rule_status.activated_by IS
	'who switched it on last';
COMMENT ON COLUMN uaef.settlement_rule_status.activated_at IS
	'when';
COMMENT ON COLUMN uaef.settlement_rule_status.retired_at IS
	'when it was retired; null: it is not';

REVOKE ALL ON TABLE uaef.settlement_rule_status FROM PUBLIC;
