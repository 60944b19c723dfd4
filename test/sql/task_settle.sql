--
-- Settle tasks: settlement rules within a workflow
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
\pset format unaligned
\pset tuples_only on
-- Rules are made and activated by one person here.
SET uaef.rule_activation = 'any';

-- What a statement gives, or the code and text of its error.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
	hint text;
BEGIN
	EXECUTE statement INTO answer;
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, 'signal \d+', 'signal N') || CASE WHEN hint <> '' THEN E'\n  ' || hint ELSE '' END;
END
$$;
CREATE FUNCTION pg_temp.rule(name text, task text, patch jsonb DEFAULT '{}', workflow text DEFAULT 'order') RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	version integer := uaef.create_settlement_rule(name, jsonb_strip_nulls(jsonb_build_object('workflow', workflow, 'task', task,
		'currency', 'EUR', 'amount', 'in.x', 'recipient', 'external:{{in.to}}') || patch));
BEGIN
	PERFORM uaef.activate_settlement_rule(rule.name, version);
	RETURN version;
END
$$;
CREATE VIEW pg_temp.signals AS
	SELECT e.name, s.task, s.rule, s.version AS v, s.part_no AS part, s.recipient, s.amount, s.status
	FROM uaef.settlement s JOIN uaef.workflow_execution e USING (execution_id);
CREATE VIEW pg_temp.tasks AS
	SELECT r.name, r.status AS run, t.task, t.compensates AS undo, t.status, t.error ->> 'code' AS code, t.error ->> 'message' AS message
	FROM uaef.task_run t JOIN uaef.workflow_run r USING (execution_id);
-- An output without what varies.
CREATE FUNCTION pg_temp.output(execution text, task text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_set(t.output, '{signals}', (SELECT coalesce(jsonb_agg(s - 'signal_id' ||
			CASE WHEN s ? 'execution_id' THEN '{"execution_id": "other"}' ELSE '{}' END::jsonb ORDER BY n), '[]')
		FROM jsonb_array_elements(t.output -> 'signals') WITH ORDINALITY a (s, n)))
	FROM uaef.task_run t JOIN uaef.workflow_run r USING (execution_id) WHERE r.name = execution AND t.task = output.task AND NOT t.compensates
$$;
CREATE FUNCTION pg_temp.id(execution text) RETURNS bigint LANGUAGE sql AS $$
	SELECT max(signal_id) FROM uaef.settlement_signal JOIN uaef.workflow_execution USING (execution_id) WHERE name = execution
$$;
CREATE FUNCTION pg_temp.exec(execution text) RETURNS uuid LANGUAGE sql AS $$
	SELECT execution_id FROM uaef.workflow_execution WHERE name = execution ORDER BY created_at DESC LIMIT 1
$$;

\echo # a task that settles, in the middle; what follows reads what came of it
SELECT uaef.create_workflow('order', uaef.workflow('begin -[go]-> pay -[settled]-> large, ship', uaef.task('begin', 'decision', '{"cases": [{"label": "go", "when": {"in.x": {"$exists": true}}}], "default": "no"}'),
	uaef.settle_task('pay'), uaef.external_task('ship'),
	uaef.condition_task('large', '{"task.pay.total.EUR": {"$gte": 100}}')));
SELECT pg_temp.rule('fee', 'pay', '{"split": {"parts": [{"to": "external:{{in.to}}", "share": "70%"}, {"to": "house", "share": "rest"}]}, "recipient": null}');
SELECT pg_temp.rule('bonus', 'pay', '{"when": {"in.x": {"$gte": 1000}}, "amount": "in.x * 1%", "recipient": "agent:a"}');
SELECT pg_temp.rule('last', NULL, '{"fixed": "1.00", "amount": null, "recipient": "house"}');
SELECT uaef.start_workflow('order', '{"x": 1000, "to": "p1"}', name => 'one') IS NOT NULL;
SELECT * FROM pg_temp.signals WHERE name = 'one' ORDER BY rule, part;
SELECT jsonb_pretty(pg_temp.output('one', 'pay'));
SELECT task, status FROM pg_temp.tasks WHERE name = 'one' ORDER BY task;
\echo # the completion settles by the other rules, once
SELECT uaef.complete_task(task_id, '{}') FROM uaef.task_run WHERE execution_id = pg_temp.exec('one') AND task = 'ship';
SELECT task, rule, part, amount, status FROM pg_temp.signals WHERE name = 'one' ORDER BY rule, part;
SELECT event_type, payload ->> 'task' AS task, (SELECT string_agg(k, ',' ORDER BY k) FROM jsonb_object_keys(payload -> 'rules') k) AS rules
FROM uaef.audit_trail WHERE execution_id = pg_temp.exec('one') AND event_type ~ 'workflow|task_completed|settlement' ORDER BY event_id, place;
SELECT jsonb_path_query_array(uaef.explain_settlement(pg_temp.exec('one')), '$.rules[*].rule');
SELECT count(*) FROM uaef.audit_money();

\echo # no rule fires: nothing, which no edge asks for
SELECT pg_temp.rule('fee', 'pay', '{"when": {"in.x": {"$gte": 0}}}'), pg_temp.rule('bonus', 'pay', '{"when": {"in.x": {"$gte": 1000}}}');
SELECT uaef.start_workflow('order', '{"x": -1, "to": "p1"}', name => 'nothing') IS NOT NULL;
SELECT task, status FROM pg_temp.tasks WHERE name = 'nothing' ORDER BY task;
SELECT pg_temp.output('nothing', 'pay');

\echo # a rule that fails: the task does, and nothing comes of the other rules
SELECT uaef.start_workflow('order', '{"x": 1000}', name => 'bad') IS NOT NULL;
SELECT * FROM pg_temp.tasks WHERE name = 'bad' ORDER BY task;
SELECT count(*) FROM pg_temp.signals WHERE name = 'bad';
SELECT r.value ->> 'rule', r.value ->> 'result' FROM jsonb_array_elements(uaef.explain_settlement(pg_temp.exec('bad')) -> 'rules') r;
SELECT event_type, payload ->> 'rule' FROM uaef.audit_trail WHERE execution_id = pg_temp.exec('bad') AND event_type = 'settlement_error' ORDER BY 2;
\echo # a new version of the rules, and a retry: once, though the task began twice
SELECT pg_temp.rule('fee', 'pay', '{"recipient": "house"}'), pg_temp.rule('bonus', 'pay', '{"when": {"in.x": {"$gte": 1000}}, "recipient": "house"}');
SELECT uaef.retry_workflow(pg_temp.exec('bad')) IS NOT NULL;
SELECT task, status FROM pg_temp.tasks WHERE name = 'bad' ORDER BY task;
SELECT rule, v, part, recipient, amount FROM pg_temp.signals WHERE name = 'bad' ORDER BY rule;

\echo # on_failure and the label "failed"
SELECT uaef.create_workflow('soft', uaef.workflow('pay -> after', uaef.settle_task('pay', on_failure => 'continue'),
	uaef.task('after', 'condition', '{"when": {"task.pay.error.code": "UA202"}}')));
SELECT uaef.create_workflow('way', uaef.workflow('pay -[failed]-> sorry', uaef.settle_task('pay'), uaef.task('sorry', 'parallel')));
SELECT pg_temp.rule('soft', 'pay', workflow => 'soft'), pg_temp.rule('way', 'pay', workflow => 'way');
SELECT uaef.start_workflow('soft', '{}', name => 'soft') IS NOT NULL, uaef.start_workflow('way', '{}', name => 'way') IS NOT NULL;
SELECT name, run, task, status, code FROM pg_temp.tasks WHERE name IN ('soft', 'way') ORDER BY name, task;
SELECT output FROM uaef.task_run WHERE execution_id = pg_temp.exec('soft') AND task = 'after';
SELECT output ->> 'settled', output #>> '{error,code}' FROM uaef.task_run WHERE execution_id = pg_temp.exec('way') AND task = 'pay';

\echo # rules by name, and data by a template
SELECT uaef.create_workflow('order', uaef.workflow('pay', uaef.settle_task('pay', rules => '{fee}', input => '{"x": "{{in.deep.x}}", "to": "p2"}')));
SELECT uaef.start_workflow('order', '{"deep": {"x": 7}}', name => 'named') IS NOT NULL, uaef.start_workflow('order', '{}', name => 'nowhere') IS NOT NULL;
SELECT task, rule, amount, recipient FROM pg_temp.signals WHERE name = 'named' AND task IS NOT NULL;
SELECT * FROM pg_temp.tasks WHERE name = 'nowhere';
SELECT uaef.deactivate_settlement_rule('fee') IS NOT NULL;
SELECT uaef.start_workflow('order', '{"deep": {"x": 7}}', name => 'off') IS NOT NULL;
SELECT * FROM pg_temp.tasks WHERE name = 'off';

\echo # why a rule did not fire is told by the data that it saw, and so is what another would have given
SELECT uaef.create_workflow('why', uaef.workflow('begin -[settle]-> pay', uaef.task('begin', 'decision', '{"cases": [{"label": "settle", "when": {"in.settle": true}}], "default": "no"}'),
	uaef.settle_task('pay', input => '{"x": "{{in.deep.x}}"}')));
SELECT pg_temp.rule('why', 'pay', '{"when": {"in.x": {"$gte": 10}, "sys.status": "running", "sys.completed_at": {"$exists": false}}, "recipient": "house"}', 'why');
SELECT uaef.start_workflow('why', '{"settle": true, "x": 50, "deep": {"x": 7}}', name => 'why') IS NOT NULL, uaef.start_workflow('why', '{"settle": false, "deep": {"x": 100}}', name => 'not') IS NOT NULL;
SELECT r -> 'read', r -> 'would_fire_with' FROM jsonb_array_elements(uaef.explain_settlement(pg_temp.exec('why')) -> 'rules') r;
SELECT recipient, executions, was, would_be FROM uaef.backtest_rule('why', uaef.settlement_rule_definition('why') || '{"when": {"in.x": {"$gte": 5}}}', '-infinity');

\echo # many rules that read what an earlier transaction left
SELECT uaef.create_workflow('many', uaef.workflow('score -> last', uaef.external_task('score'), uaef.external_task('last')));
SELECT count(pg_temp.rule('many ' || n, NULL, jsonb_build_object('when', jsonb_build_object('task.score.x', jsonb_build_object('$gte', n, '$lte', n)),
	'amount', 'task.score.x', 'recipient', 'house'), 'many')) FROM generate_series(1, 70) n;
SELECT uaef.start_workflow('many', '{}', name => 'many') IS NOT NULL;
SELECT uaef.complete_task(task_id, '{"x": 35}') FROM uaef.task_run WHERE execution_id = pg_temp.exec('many') AND task = 'score';
SELECT uaef.complete_task(task_id, '{}') FROM uaef.task_run WHERE execution_id = pg_temp.exec('many') AND task = 'last';
SELECT rule, amount FROM pg_temp.signals WHERE name = 'many';

\echo # definitions that are refused
SELECT pg_temp.try(format('SELECT uaef.create_workflow(%L, %L)', 'order', jsonb_build_object('tasks', jsonb_build_array(
	jsonb_build_object('id', 'pay', 'type', 'settle') || t))))
FROM (VALUES ('{"config": {"rules": ["nope"]}}'::jsonb), ('{"config": {"rules": ["soft"]}}'), ('{"config": {"rules": ["last"]}}'), ('{"config": {"rules": ["fee"]}}'),
	('{"config": {"rules": []}}'), ('{"config": {"rules": "fee"}}'), ('{"config": {"rule": "fee"}}'), ('{"config": {"wait": "settled"}}'),
	('{"config": {"input": [1]}}'), ('{"config": {"input": "{{in.a..b}}"}}'), ('{"config": {"reverse": true}}'), ('{"config": {"reverse": true, "wait": "paid"}}'),
	('{"compensate": {"type": "settle"}}'), ('{"compensate": {"type": "settle", "config": {"wait": "paid"}}}'),
	('{"id": "p", "type": "parallel", "compensate": {"type": "settle", "config": {"reverse": true}}}'),
	('{"type": "map", "config": {"over": "{{in.l}}", "task": {"type": "settle"}}}')) AS d (t);
SELECT pg_temp.try(format('SELECT uaef.create_workflow(%L, %L)', 'order', jsonb_build_object('tasks', jsonb_build_array(
	jsonb_build_object('id', 'pay', 'type', 'settle'), '{"id": "x", "type": "parallel"}'::jsonb), 'edges', jsonb_build_array(jsonb_build_object('from', 'pay', 'to', 'x', 'on', l)))))
FROM (VALUES ('paid'), ('refused'), ('timeout')) AS d (l);
\echo # rules that are refused
SELECT uaef.create_workflow('place', uaef.workflow('a -> pay -> b', uaef.external_task('a'), uaef.settle_task('pay'), uaef.external_task('b')));
SELECT pg_temp.try(format('SELECT uaef.create_settlement_rule(''place'', %L)', '{"workflow": "place", "currency": "EUR", "fixed": "1", "recipient": "house"}'::jsonb || p))
FROM (VALUES ('{"task": "nope"}'::jsonb), ('{"task": "a"}'), ('{"task": ""}'), ('{"task": 1}'), ('{"task": "pay", "when": {"task.b.ok": true}}'),
	('{"task": "pay", "when": {"task.pay.settled": true}}'), ('{"task": "pay", "when": {"task.a.ok": true}}')) AS d (p);

\echo # a version without the task that rules are for
SELECT uaef.create_workflow('soft', '{"tasks": [{"id": "pay", "type": "parallel"}]}');
\echo # a rule that is switched off breaks no definition, and no DDL tells of it
CREATE TABLE settle_gone (x int);
SELECT uaef.create_workflow('soft', uaef.workflow('pay', uaef.settle_task('pay', rules => '{soft}'), uaef.sql_task('s', 'SELECT x FROM settle_gone')));
SELECT uaef.deactivate_settlement_rule('soft');
SET uaef.ddl_check = error;
ALTER TABLE settle_gone ADD COLUMN y int;
RESET uaef.ddl_check;
SELECT uaef.create_workflow('soft', '{"tasks": [{"id": "pay", "type": "parallel"}]}');
DROP TABLE settle_gone;

\echo # a dry run shows what there would be, and does nothing
SELECT pg_temp.rule('place', 'pay', '{"fixed": "2.50", "amount": null, "recipient": "user:ann", "approval": {"bands": [{"need": 1}]}}', 'place');
SELECT task, outcome, label, detail, output -> 'total' FROM uaef.explain_workflow('place', '{}') WHERE task = 'pay';
SELECT count(*) FROM uaef.settlement WHERE workflow = 'place';
SELECT pg_temp.try($$SELECT count(*)::text FROM uaef.explain_workflow('place', '{}', assume => '{"pay": {"label": "failed"}}')$$);

\echo # compensation: what is not paid is cancelled, what is paid is reversed
SELECT uaef.create_workflow('undo', uaef.workflow('pay -> ship', uaef.settle_task('pay', reverse => true), uaef.external_task('ship')));
SELECT pg_temp.rule('undo', 'pay', '{"recipient": null, "split": {"parts": [{"to": "external:a", "share": "50%"}, {"to": "external:b", "share": "50%"}]}}', 'undo');
SELECT uaef.start_workflow('undo', '{"x": 10}', name => 'undo') IS NOT NULL;
SELECT uaef.process_settlement(pg_temp.id('undo'), 'TX1');
SELECT uaef.cancel_workflow(pg_temp.exec('undo')) IS NOT NULL;
SELECT task, undo, status, code, message FROM pg_temp.tasks WHERE name = 'undo' ORDER BY task, undo;
SELECT recipient, amount, status FROM pg_temp.signals WHERE name = 'undo' ORDER BY recipient;
SELECT count(*) FROM uaef.audit_money();
\echo # a fork of it settles anew, since nothing of it stands
SELECT uaef.fork_workflow(pg_temp.exec('undo'), 'pay', name => 'anew') IS NOT NULL;
SELECT recipient, amount, part, status FROM pg_temp.signals WHERE name = 'anew' ORDER BY recipient;
\echo # a fork of that does not, nor a fork of the fork, whatever their input
SELECT uaef.fork_workflow(pg_temp.exec('anew'), 'pay', input => '{"x": 99}', name => 'again') IS NOT NULL;
SELECT uaef.fork_workflow(pg_temp.exec('again'), 'pay', input => '{"x": 98}', name => 'thrice') IS NOT NULL;
SELECT count(*) FROM pg_temp.signals WHERE name IN ('again', 'thrice');
SELECT pg_temp.output('again', 'pay') -> 'total', pg_temp.output('thrice', 'pay') #> '{signals,0}';

\echo # what the rule read there, and what a rule for the completion would read
SELECT d->'in' AS "in", d->'sys'->>'status' AS status, d->'sys' ? 'completed_at' AS completed_at,
	uaef.execution_data(pg_temp.exec('anew'))->'in' AS whole FROM uaef.execution_data(pg_temp.exec('anew'), 'pay') d;
SELECT uaef.execution_data(pg_temp.exec('anew'), 'none');

\echo # who waits: nothing comes before the approval; a refusal takes all of it back
SELECT uaef.create_workflow('slow', uaef.workflow('pay -> done', uaef.settle_task('pay', wait => 'approved', timeout => '1 day'), uaef.task('done', 'parallel')));
SELECT pg_temp.rule('slow', 'pay', '{"recipient": null, "approval": {"bands": [{"need": 1, "distinct_from": []}]}, "split": {"parts": [{"to": "external:a", "share": "50%"}, {"to": "external:b", "share": "50%"}]}}', 'slow');
SELECT uaef.start_workflow('slow', '{"x": 10}', name => n) IS NOT NULL FROM (VALUES ('slow'), ('stop')) AS v (n);
SELECT run, task, status FROM pg_temp.tasks WHERE name = 'slow' ORDER BY task;
SELECT recipient, status FROM pg_temp.signals WHERE name = 'slow' ORDER BY recipient;
SELECT uaef.cancel_workflow(pg_temp.exec('stop')) IS NOT NULL;
SELECT recipient, status FROM pg_temp.signals WHERE name = 'stop' ORDER BY recipient;
SELECT count(*) FROM uaef.task_timer WHERE execution_id = pg_temp.exec('slow') AND kind = 'settled';
SELECT uaef.approve_settlement(pg_temp.id('slow'));
SELECT count(*) FROM uaef.task_timer WHERE execution_id = pg_temp.exec('slow') AND kind = 'settled';
SELECT uaef.cancel_workflow(pg_temp.exec('slow')) IS NOT NULL;
SELECT recipient, status FROM pg_temp.signals WHERE name = 'slow' ORDER BY recipient;
SELECT count(*) FROM uaef.audit_money();

SELECT count(uaef.cancel_workflow(execution_id)) FROM uaef.workflow_run WHERE workflow IN ('order', 'place', 'undo', 'slow') AND status IN ('running', 'paused', 'pending');
SELECT count(uaef.retire_settlement_rule(name, version)) FROM uaef.settlement_rule_status WHERE state <> 'retired' AND workflow IN ('order', 'soft', 'way', 'why', 'many', 'place', 'undo', 'slow');
