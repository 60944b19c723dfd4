--
-- rule_life: drafts, tests, a second person, periods, and what would have been
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';
\set VERBOSITY terse
CREATE ROLE regress_rule_team;
CREATE ROLE regress_rule_ann LOGIN IN ROLE regress_rule_team;
CREATE ROLE regress_rule_bob LOGIN IN ROLE regress_rule_team;
CREATE ROLE regress_rule_eve LOGIN;
GRANT USAGE ON SCHEMA uaef TO regress_rule_team, regress_rule_eve;
GRANT EXECUTE ON FUNCTION uaef.create_workflow, uaef.start_workflow,
	uaef.create_settlement_rule,
	uaef.activate_settlement_rule, uaef.deactivate_settlement_rule,
	uaef.retire_settlement_rule, uaef.add_rule_test, uaef.run_rule_tests,
	uaef.settlement_rule_definition, uaef.check_settlement_rule,
	uaef.execution_data, uaef.backtest_rule, uaef.simulate_settlement
	TO regress_rule_team, regress_rule_eve;
GRANT SELECT ON uaef.settlement_rule_status TO regress_rule_team, regress_rule_eve;
CREATE FUNCTION pg_temp.code(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	result text;
BEGIN
	EXECUTE command INTO result;
	RETURN 'done' || coalesce(': ' || nullif(result, ''), '');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', SQLSTATE, SQLERRM, nullif(detail, ''));
END
$$;

SET SESSION AUTHORIZATION regress_rule_ann;
SET ROLE regress_rule_team;
SELECT uaef.create_workflow('rule_life', '{"context":{"vip":true},
	"input_schema":{"type":"object","required":["x","region"],
		"additionalProperties":false,
		"properties":{"x":{"type":"number"},"region":{"enum":["US","CA"],"type":"string"},
			"lines":{"type":"array","items":{"type":"object","properties":{"qty":{"type":"integer"}}}},
			"broker":{"type":"string"}}},
	"tasks":[{"id":"decide","type":"decision","config":{"cases":[
	{"label":"pay","when":{"in.x":{"$gt":0}}}],"default":"none"}}]}');
RESET ROLE;

--
-- What cannot be there, by the schema, is refused when the rule is made.
--
CREATE FUNCTION pg_temp.make(patch jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.code(format('SELECT uaef.create_settlement_rule(''typed'', %L)',
		jsonb_strip_nulls('{"workflow":"rule_life","currency":"EUR","amount":"in.x","recipient":"house"}' || patch)))
$$;
SELECT p, pg_temp.make(p) FROM unnest(ARRAY['{"amount":"in.y"}',
	'{"when":{"in.amonut":{"$gt":5}}}', '{"when":{"in.x":{"$gt":"5"}}}',
	'{"when":{"in.region":5}}', '{"amount":"in.region * 2"}',
	'{"amount":"sum(i in in.x: 1)"}', '{"amount":"in.lines[0].qty.x"}',
	'{"recipient":"agent:{{in.nobody}}"}', '{"when":{"sys.stauts":"completed"}}',
	'{"amount":"sum(i in in.lines: i.qty)", "when":{"sys.status":"completed","ctx.vip":true,"task.decide.decision":"pay"}}'
	]::jsonb[]) p;

--
-- All that is wrong, at once.
--
SELECT * FROM uaef.check_settlement_rule('{"workflow":"rule_life","currency":"EUR",
	"whem":{}, "when":{"in.x":{"$gtee":1},"in.region":{"$in":[]},
		"$or":[{"in.nothing":1},{"in.x":{"$lt":"1"}}]},
	"amount":"in.x +", "round":"half", "on_zero":"never",
	"split":{"parts":[{"to":"nobody","share":"50%"},{"to":"house","share":"half"},{"to":"pool:a"}]},
	"approval":{"bands":[{"need":-1}]},"effective":["2027-01-01","2026-01-01"]}');
SELECT * FROM uaef.check_settlement_rule('{"workflow":"rule_none","currency":"EUX"}');
SELECT * FROM uaef.check_settlement_rule('[]');
SELECT * FROM uaef.check_settlement_rule('{"workflow":"rule_life","currency":"EUR","when":{"ctx.vop":true,"in.lines[0].price":1},"amount":"in.x","recipient":"house"}');
SELECT count(*) FROM uaef.check_settlement_rule('{"workflow":"rule_life","currency":"EUR","amount":"in.x","recipient":"house"}');

--
-- Who made it cannot activate it, and SET ROLE makes nobody another person.
--
SELECT uaef.create_settlement_rule('fee', '{"workflow":"rule_life","currency":"EUR",
	"when":{"in.region":"US"},"amount":"pct(in.x, 10%)","recipient":"agent:{{in.broker}}"}');
SELECT uaef.add_rule_test('fee', 1, 'ten per cent', '{"in":{"region":"US","x":50,"broker":"b"}}',
	'{"result":"fired","amount":5,"parts":[{"recipient":"agent:b"}]}');
SELECT uaef.add_rule_test('fee', 1, 'not in Canada', '{"in":{"region":"CA","x":50}}', '{"result":"not_fired"}');
SELECT uaef.add_rule_test('fee', 1, 'no broker', '{"in":{"region":"US","x":50}}', '{"code":"UA202"}');
SELECT uaef.add_rule_test('fee', 1, 'nothing', '{}', '{}');
SELECT uaef.add_rule_test('fee', 1, 'misspelt', '{}', '{"amonut": 1}');
SELECT uaef.add_rule_test('fee', 1, 'misspelt', '{}', '{"result": "fird"}');
SELECT uaef.add_rule_test('fee', 1, 'misspelt', '{}', '{"result": [1]}');
SELECT name, version, state, tests FROM uaef.settlement_rule_status;
SELECT test, passed, got FROM uaef.run_rule_tests('fee');
-- A draft pays nobody.
SELECT uaef.start_workflow('rule_life', '{"x":100,"region":"US","broker":"b1"}') IS NOT NULL AS started;
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 1)');
SET ROLE regress_rule_team;
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 1)');
SET SESSION AUTHORIZATION regress_rule_eve;
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 1)');
SELECT count(*) FROM uaef.settlement_rule_status;
SELECT pg_temp.code('SELECT uaef.add_rule_test(''fee'', 1, ''t'', ''{}'', ''{"result":"error"}'')');
SELECT pg_temp.code('SELECT uaef.settlement_rule_definition(''fee'')');
SELECT pg_temp.code('SELECT uaef.run_rule_tests(''fee'')');
SET SESSION AUTHORIZATION regress_rule_bob;
-- Nor can a second person while a test fails.
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 1)');
SET SESSION AUTHORIZATION regress_rule_ann;
SELECT uaef.add_rule_test('fee', 1, 'no broker', '{"in":{"region":"US","x":50}}', '{"code":"UA210","path":"in.broker"}');
SET SESSION AUTHORIZATION regress_rule_bob;
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 1)');
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 1)');
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 2)');
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''none'', 1)');
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 0)');
SET SESSION AUTHORIZATION regress_rule_ann;
SELECT pg_temp.code('SELECT uaef.add_rule_test(''fee'', 1, ''t'', ''{}'', ''{"result":"error"}'')');
SELECT name, version, state, created_by, activated_by FROM uaef.settlement_rule_status;

--
-- Periods of one rule never overlap: what was before ends where the next begins.
--
SELECT uaef.create_settlement_rule('fee', uaef.settlement_rule_definition('fee')
	|| '{"amount":"pct(in.x, 20%)","effective":["2030-01-01",null]}');
SELECT uaef.create_settlement_rule('fee', uaef.settlement_rule_definition('fee', 1)
	|| '{"amount":"pct(in.x, 30%)","effective":["2029-01-01","2031-01-01"]}');
SELECT uaef.create_settlement_rule('fee', uaef.settlement_rule_definition('fee', 1)
	|| '{"amount":"pct(in.x, 40%)","effective":["2028-01-01",null]}');
SET SESSION AUTHORIZATION regress_rule_bob;
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 2)');
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 3)');
SELECT version, state, effective_from, effective_to FROM uaef.settlement_rule_status ORDER BY version;
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 4)');
SELECT version, state, effective_from, effective_to FROM uaef.settlement_rule_status ORDER BY version;

--
-- What is retired never comes back.
--
SELECT uaef.retire_settlement_rule('fee', 2);
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 2)');
SELECT uaef.deactivate_settlement_rule('fee', 4);
SELECT version, state FROM uaef.settlement_rule_status ORDER BY version;

--
-- What would have been: a draft on a past execution, and on all of them.
--
SET SESSION AUTHORIZATION regress_rule_ann;
SELECT count(uaef.start_workflow('rule_life', jsonb_build_object('x', x, 'region',
	CASE x % 2 WHEN 0 THEN 'US' ELSE 'CA' END, 'broker', 'b' || x % 3)))
FROM generate_series(100, 1000, 50) x;
RESET SESSION AUTHORIZATION;
SELECT e.execution_id AS last FROM uaef.workflow_execution e JOIN uaef.workflow_definition USING (definition_id)
WHERE workflow_definition.name = 'rule_life' AND (input->>'x')::int = 1000 \gset
SET SESSION AUTHORIZATION regress_rule_ann;
SELECT jsonb_pretty(uaef.execution_data(:'last') #- '{sys,execution_id}' #- '{sys,started_at}' #- '{sys,completed_at}');
SELECT recipient, amount FROM uaef.simulate_settlement(uaef.settlement_rule_definition('fee', 4)
	- 'effective', uaef.execution_data(:'last'));
SELECT * FROM uaef.backtest_rule('fee', uaef.settlement_rule_definition('fee', 4), '2020-01-01');
SELECT * FROM uaef.backtest_rule('fee', uaef.settlement_rule_definition('fee', 1)
	|| '{"when":{"in.x":{"$gt":500}},"recipient":"agent:{{task.decide.label}}"}', '2020-01-01');
SELECT count(*) FROM uaef.backtest_rule('fee', uaef.settlement_rule_definition('fee', 1), '2099-01-01');
SET SESSION AUTHORIZATION regress_rule_eve;
SELECT pg_temp.code(format('SELECT uaef.execution_data(%L)', :'last'));
SELECT pg_temp.code('SELECT uaef.backtest_rule(''fee'', ''{"workflow":"rule_life","currency":"EUR","amount":"in.x","recipient":"house"}'', ''2020-01-01'')');
RESET SESSION AUTHORIZATION;

--
-- One person alone, where the install says so; who is no superuser cannot.
--
SET SESSION AUTHORIZATION regress_rule_ann;
SELECT pg_temp.code('SET uaef.rule_activation = ''any''');
RESET SESSION AUTHORIZATION;
SET uaef.rule_activation = 'any';
SET SESSION AUTHORIZATION regress_rule_ann;
SELECT pg_temp.code('SELECT uaef.activate_settlement_rule(''fee'', 4)');
RESET SESSION AUTHORIZATION;
RESET uaef.rule_activation;

-- All of it is in the ledger.
SELECT event_type, actor_id, payload FROM uaef.ledger_event
WHERE event_type LIKE 'settlement_rule%' AND payload->>'rule' = 'fee' AND payload->>'workflow' = 'rule_life' ORDER BY event_id;

--
-- The flat form, with its safe meaning.
--
SELECT f, pg_temp.code(format('SELECT uaef.migrate_formula(%L)', f)) FROM unnest(ARRAY[
	'data[''amount''] * 0.1', 'data["order"]["net-total"] / 3', 'min(data[''a''], 50)',
	'data.get(''tip'', 0) + 1', 'data[''a''] if data[''a''] > 10 and not data[''b''] else Decimal(''0.5'')',
	'round(data[''lines''][0][''price''] * 1.19, 2)', '-(data[''a''] - 2) * 3',
	'__import__(''os'').system(''x'')', 'data[''a''] ** 2', 'data[''a''] // 2', 'data.keys()',
	'data', 'x * 2', 'lambda: 1', 'data[''a'']; 1', '1 < 2 < 3', 'float(''nan'')', '1e5', '']) f;
CREATE FUNCTION pg_temp.flat(patch jsonb, data jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.code(format('SELECT string_agg(concat_ws('' '', result, amount, recipient, error->>''code''), ''; '') FROM uaef.simulate_settlement(%L, %L)',
		'{"workflow":"w","currency":"EUR","trigger_conditions":{"order.total":{"$gte":5},"status":"completed"},
		"amount_type":"calculated","amount_formula":"data[''order''][''total''] * 0.1",
		"recipient_type":"agent","recipient_selector":"data[''agent_id'']"}'::jsonb || patch, data))
$$;
SELECT p, pg_temp.flat(p, '{"in":{"order":{"total":123.45},"agent_id":"a7","settlement_amount":9},"sys":{"status":"completed"}}')
FROM unnest(ARRAY['{}', '{"amount_type":"fixed","fixed_amount":"25"}', '{"amount_type":"variable"}',
	'{"amount_type":"fixed"}', '{"amount_type":"other"}',
	'{"recipient_type":"pool","fixed_recipient_id":"reviewers"}', '{"recipient_type":"house"}',
	'{"requires_approval":true,"approval_threshold":10}', '{"requires_approval":true,"approval_threshold":20}',
	'{"requires_approval":true}', '{"trigger_conditions":{}}', '{"trigger_conditions":{"order.total":{"$ne":5,"$gtee":1}}}',
	'{"amount_formula":"data[''none''] * 2"}']::jsonb[]) p;

--
-- Many rules of one workflow: those that the data rule out are passed over, and
-- all others do what each of them would do alone, errors among it.
--
SET uaef.rule_activation = 'any';
SELECT uaef.create_workflow('rule_many', '{"tasks":[{"id":"a","type":"parallel"}]}');
DO $$
DECLARE
	condition jsonb;
	name text;
BEGIN
	FOR i IN 1 .. 120 LOOP
		condition := CASE i % 6
			WHEN 0 THEN jsonb_build_object('in.code', 'c' || i % 10)
			WHEN 1 THEN jsonb_build_object('in.code', 'c' || i % 10, 'in.x', jsonb_build_object('$gt', i))
			WHEN 2 THEN jsonb_build_object('in.code', jsonb_build_object('$in', jsonb_build_array('c' || i % 10, 'c1')))
			WHEN 3 THEN jsonb_build_object('in.x', jsonb_build_object('$exists', true, '$gt', i))
			WHEN 4 THEN jsonb_build_object('in.long_name', 'c' || i % 10, 'in.code', jsonb_build_object('$ne', 'c1'))
			ELSE jsonb_build_object('in.x', jsonb_build_object('$between', jsonb_build_array(0, i)),
				'in.region', 'c' || i % 10) END;
		name := 'many ' || lpad(i::text, 3, '0');
		PERFORM uaef.create_settlement_rule(name, jsonb_build_object('workflow', 'rule_many', 'currency', 'EUR',
			'when', condition, 'fixed', i, 'recipient', 'house'));
		PERFORM uaef.activate_settlement_rule(name, 1);
	END LOOP;
END
$$;
CREATE TABLE rule_many_input AS SELECT row_number() OVER () AS n, d FROM unnest(ARRAY[
	'{"code":"c1","x":50,"region":"c5","long_name":"c4"}', '{"code":"c2","x":0,"region":"c5","long_name":"c4"}',
	'{"code":"none","x":200,"region":"none","long_name":"none"}', '{"code":5,"x":50,"region":"c5","long_name":"c4"}',
	'{"code":null,"x":50,"region":"c5","long_name":"c4"}', '{"x":50,"region":"c5"}',
	'{"code":"c1","x":"50","region":"c5","long_name":"c4"}', '{"code":"c1","region":"c5","long_name":"c4"}',
	'{}']::jsonb[]) d;
SELECT count(uaef.start_workflow('rule_many', d, name => 'many ' || n)) FROM rule_many_input;
WITH alone AS (
	SELECT i.n, r.name, s.result AS said, s.amount, s.error->>'code' AS code
	FROM rule_many_input i, uaef.settlement_rule r,
		uaef.simulate_settlement(r.definition, jsonb_build_object('in', i.d)) s
	WHERE r.workflow = 'rule_many' AND s.result <> 'not_fired'
), together AS (
	SELECT substr(e.name, 6)::bigint AS n, r.name, s.status AS said, s.amount, s.error->>'code' AS code
	FROM uaef.settlement_signal s JOIN uaef.workflow_execution e USING (execution_id)
	JOIN uaef.settlement_rule r USING (rule_id) WHERE r.workflow = 'rule_many'
)
SELECT n, count(a.n) AS alone, count(t.n) AS together, count(*) FILTER (WHERE a.code IS NOT NULL) AS errors,
	count(*) FILTER (WHERE (a.said, a.amount, a.code) IS DISTINCT FROM (t.said, t.amount, t.code)) AS differ
FROM alone a FULL JOIN together t USING (n, name) GROUP BY n ORDER BY n;
SELECT DISTINCT rules_evaluated, count(*) FROM uaef.settlement_run WHERE workflow = 'rule_many' GROUP BY 1;
DROP TABLE rule_many_input;
RESET uaef.rule_activation;

DELETE FROM uaef.rule_test;
DELETE FROM uaef.settlement_signal;
DELETE FROM uaef.rule_evaluation;
DELETE FROM uaef.settlement_run;
DELETE FROM uaef.settlement_rule;
DELETE FROM uaef.task_execution t USING uaef.workflow_execution e, uaef.workflow_definition d
WHERE d.name IN ('rule_life', 'rule_many') AND e.definition_id = d.definition_id AND t.execution_id = e.execution_id;
DELETE FROM uaef.workflow_execution e USING uaef.workflow_definition d
WHERE d.name IN ('rule_life', 'rule_many') AND e.definition_id = d.definition_id;
DELETE FROM uaef.workflow_definition WHERE name IN ('rule_life', 'rule_many');
DROP OWNED BY regress_rule_team, regress_rule_ann, regress_rule_bob, regress_rule_eve;
DROP ROLE regress_rule_ann, regress_rule_bob, regress_rule_eve, regress_rule_team;
