--
-- Signals: to a task that waits, before one does, filtered, repeated, refused
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
\pset format unaligned
\pset tuples_only on

-- runs(execution) tells how it stands, in one line
CREATE FUNCTION pg_temp.runs(id uuid) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', r.status, coalesce(r.error->>'code', ''), (
		SELECT string_agg(concat(t.task, '[' || t.item || ']', ' ', t.status), ', ' ORDER BY t.task, t.item)
		FROM uaef.task_run t WHERE t.execution_id = id))
	FROM uaef.workflow_run r WHERE r.execution_id = id $$;

\echo # a signal wakes the task that waits; its output says what came
SELECT uaef.create_workflow('sig_one', $${"tasks": [
	{"id": "paid", "type": "signal", "config": {"name": "paid"}},
	{"id": "ship", "type": "external", "queue": "none", "config": {"input": {"ref": "{{task.paid.payload.ref}}"}}}],
	"edges": [{"from": "paid", "to": "ship"}]}$$);
SELECT uaef.start_workflow('sig_one') AS e \gset
SELECT pg_temp.runs(:'e');
SELECT uaef.signal_workflow(:'e', 'other', '{"n": 1}');
SELECT uaef.signal_workflow(:'e', 'paid', '{"ref": "r7"}');
SELECT pg_temp.runs(:'e');
SELECT output - 'signal_id' - 'sent_at' - 'sent_by', output->>'sent_by' = current_user, output ? 'sent_at'
FROM uaef.task_run WHERE execution_id = :'e' AND task = 'paid';
SELECT workflow, execution_status, signal, payload, sent_by = current_user::regrole FROM uaef.workflow_signal_kept;
SELECT event_type, payload - 'signal_id' - 'payload_sha256' - 'input_sha256' - 'output_sha256' FROM uaef.audit_trail
WHERE execution_id = :'e' ORDER BY event_id;

\echo # early signals are kept and taken in the order in which they came
SELECT uaef.create_workflow('sig_early', $${"tasks": [
	{"id": "go", "type": "external", "queue": "none"},
	{"id": "a", "type": "signal", "config": {"name": "s"}},
	{"id": "b", "type": "signal", "config": {"name": "s"}},
	{"id": "c", "type": "signal", "config": {"name": "s"}}],
	"edges": [{"from": "go", "to": "a"}, {"from": "a", "to": "b"}, {"from": "b", "to": "c"}],
	"output": {"a": "{{task.a.payload}}", "b": "{{task.b.payload}}", "c": "{{task.c.payload}}"}}$$);
SELECT uaef.start_workflow('sig_early') AS e \gset
SELECT uaef.signal_workflow(:'e', 's', '1'), uaef.signal_workflow(:'e', 's', '"two"');
SELECT uaef.complete_task(task_id) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'go';
SELECT pg_temp.runs(:'e');
SELECT uaef.signal_workflow(:'e', 's', '[3]');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT count(*) FROM uaef.workflow_signal_kept WHERE execution_id = :'e';

\echo # a filter leaves the others where they are; one that cannot be evaluated does not hold
SELECT uaef.create_workflow('sig_filter', $${"tasks": [
	{"id": "big", "type": "signal", "config": {"name": "s", "filter": {"signal.amount": {"$gte": 100}}}},
	{"id": "any", "type": "signal", "config": {"name": "s"}}],
	"edges": [{"from": "big", "to": "any"}],
	"output": {"big": "{{task.big.payload.amount}}", "any": "{{task.any.payload}}"}}$$);
SELECT uaef.start_workflow('sig_filter') AS e \gset
SELECT uaef.signal_workflow(:'e', 's', '{"amount": 5}'), uaef.signal_workflow(:'e', 's', '{}'),
	uaef.signal_workflow(:'e', 's', '7'), uaef.signal_workflow(:'e', 's', '{"amount": "100"}');
SELECT pg_temp.runs(:'e');
SELECT uaef.signal_workflow(:'e', 's', '{"amount": 100}');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT payload FROM uaef.workflow_signal_kept WHERE execution_id = :'e' ORDER BY signal_id;

\echo # a filter that passes over more kept signals than one look takes
SELECT uaef.create_workflow('sig_many', $${"tasks": [
	{"id": "go", "type": "external", "queue": "none"},
	{"id": "s", "type": "signal", "config": {"name": "s", "filter": {"signal.n": 45}}}],
	"edges": [{"from": "go", "to": "s"}]}$$);
SELECT uaef.start_workflow('sig_many') AS e \gset
SELECT count(uaef.signal_workflow(:'e', 's', jsonb_build_object('n', n))) FROM generate_series(1, 50) n;
SELECT uaef.complete_task(task_id) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'go';
SELECT pg_temp.runs(:'e');
SELECT count(*) FROM uaef.workflow_signal_kept WHERE execution_id = :'e';

\echo # two tasks that wait: the one that waits longer; one signal, one task
SELECT uaef.create_workflow('sig_two', $${"tasks": [
	{"id": "z", "type": "signal", "config": {"name": "s"}},
	{"id": "a", "type": "signal", "config": {"name": "s"}}]}$$);
SELECT uaef.start_workflow('sig_two') AS e \gset
SELECT uaef.signal_workflow(:'e', 's');
SELECT pg_temp.runs(:'e');
SELECT uaef.signal_workflow(:'e', 's');
SELECT pg_temp.runs(:'e');

\echo # in a map, match picks the item
SELECT uaef.create_workflow('sig_map', $${"tasks": [
	{"id": "m", "type": "map", "config": {"over": "{{in.orders}}", "task":
		{"type": "signal", "config": {"name": "paid", "match": {"order": "{{item}}"}, "filter": {"signal.ok": true}}}}}]}$$);
SELECT uaef.start_workflow('sig_map', '{"orders": ["x", "y", "z"]}') AS e \gset
SELECT uaef.signal_workflow(:'e', 'paid', '{"order": "y", "ok": false}'), uaef.signal_workflow(:'e', 'paid', '{"order": "y", "ok": true}');
SELECT pg_temp.runs(:'e');
SELECT count(uaef.signal_workflow(:'e', 'paid', jsonb_build_object('order', o, 'ok', true))) FROM unnest('{z,x}'::text[]) o;
SELECT status, (SELECT jsonb_agg(o->'payload'->'order') FROM jsonb_array_elements(output->'m') o) FROM uaef.workflow_run WHERE execution_id = :'e';
-- with early ones, the map is done as soon as it begins
SELECT uaef.create_workflow('sig_map_early', $${"tasks": [
	{"id": "go", "type": "external", "queue": "none"},
	{"id": "m", "type": "map", "config": {"over": "{{in.n}}", "concurrency": 1, "task":
		{"type": "signal", "config": {"name": "s"}}}}],
	"edges": [{"from": "go", "to": "m"}]}$$);
SELECT uaef.start_workflow('sig_map_early', '{"n": [1, 2, 3]}') AS e \gset
SELECT count(uaef.signal_workflow(:'e', 's', to_jsonb(n))) FROM generate_series(1, 3) n;
SELECT uaef.complete_task(task_id) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'go';
SELECT status, (SELECT jsonb_agg(o->'payload') FROM jsonb_array_elements(output->'m') o) FROM uaef.workflow_run WHERE execution_id = :'e';

\echo # an idempotency key: nothing is sent twice
SELECT uaef.start_workflow('sig_two') AS e \gset
SELECT uaef.signal_workflow(:'e', 's', '1', 'k'), uaef.signal_workflow(:'e', 's', '1', 'k'), uaef.signal_workflow(:'e', 'early', '1', 'k2'), uaef.signal_workflow(:'e', 'early', '1', 'k2');
SELECT pg_temp.runs(:'e');
SELECT count(*) FROM uaef.workflow_signal WHERE execution_id = :'e';
SELECT uaef.signal_workflow('00000000-0000-0000-0000-000000000001', 's', '1', 'k');
\set VERBOSITY sqlstate
SELECT uaef.signal_workflow(:'e', 's', '2', 'k');
SELECT uaef.signal_workflow(:'e', 't', '1', 'k');

\echo # bad calls
SELECT uaef.signal_workflow(:'e', '');
SELECT uaef.signal_workflow(:'e', repeat('x', 201));
SELECT uaef.signal_workflow(:'e', NULL);
SELECT uaef.signal_workflow(NULL, 's');
SELECT uaef.signal_workflow(:'e', 's', NULL);
SELECT uaef.signal_workflow(:'e', 's', to_jsonb(repeat('x', 2000000)));
SET uaef.max_kept_signals = 2;
SELECT uaef.signal_workflow(:'e', 'early');
SELECT uaef.signal_workflow(:'e', 'early');
RESET uaef.max_kept_signals;

\echo # an execution that has ended takes none, but a repetition is told what it did
SELECT uaef.cancel_workflow(:'e');
\set VERBOSITY sqlstate
SELECT uaef.signal_workflow(:'e', 's');
\set VERBOSITY default
SELECT uaef.signal_workflow(:'e', 's', '1', 'k');
SELECT count(*) FROM uaef.workflow_signal_wait WHERE execution_id = :'e';

\echo # paused and not yet begun executions keep them
SELECT uaef.start_workflow('sig_one', start_at => now() + '1 day') AS e \gset
SELECT uaef.signal_workflow(:'e', 'paid');
SELECT uaef.cancel_workflow(:'e');
SELECT uaef.start_workflow('sig_early') AS e \gset
SELECT uaef.pause_workflow(:'e');
SELECT uaef.complete_task(task_id) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'go';
SELECT uaef.signal_workflow(:'e', 's');
SELECT pg_temp.runs(:'e');
SELECT uaef.resume_workflow(:'e');
SELECT pg_temp.runs(:'e');
-- one that waits already takes it while paused, and what follows is held back
SELECT uaef.pause_workflow(:'e');
SELECT uaef.signal_workflow(:'e', 's');
SELECT pg_temp.runs(:'e');
SELECT uaef.cancel_workflow(:'e');

\echo # a SQL task signals its own execution
SELECT uaef.create_workflow('sig_self', $${"tasks": [
	{"id": "say", "type": "sql", "config": {"sql": "SELECT uaef.signal_workflow(($1->>'id')::uuid, 's') AS s", "input": {"id": "{{sys.execution_id}}"}}},
	{"id": "hear", "type": "signal", "config": {"name": "s"}}]}$$);
SELECT uaef.start_workflow('sig_self') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT pg_temp.runs(:'e');

\echo # members of the role that started it
CREATE ROLE regress_sig_a;
CREATE ROLE regress_sig_b;
CREATE ROLE regress_sig_member IN ROLE regress_sig_a;
GRANT USAGE ON SCHEMA uaef TO regress_sig_a, regress_sig_b;
GRANT EXECUTE ON FUNCTION uaef.start_workflow, uaef.signal_workflow TO regress_sig_a, regress_sig_b;
GRANT SELECT ON uaef.workflow_signal_kept TO regress_sig_a, regress_sig_b;
SET SESSION AUTHORIZATION regress_sig_a;
SELECT uaef.start_workflow('sig_two') AS e \gset
SET SESSION AUTHORIZATION regress_sig_b;
\set VERBOSITY sqlstate
SELECT uaef.signal_workflow(:'e', 's');
\set VERBOSITY default
SET SESSION AUTHORIZATION regress_sig_member;
SELECT uaef.signal_workflow(:'e', 's'), uaef.signal_workflow(:'e', 'x');
SELECT signal, sent_by FROM uaef.workflow_signal_kept;
SET SESSION AUTHORIZATION regress_sig_b;
SELECT count(*) FROM uaef.workflow_signal_kept;
RESET SESSION AUTHORIZATION;
SELECT output->>'sent_by' FROM uaef.task_run WHERE execution_id = :'e' AND task = 'z';
SELECT uaef.cancel_workflow(:'e');

\echo # definitions that are refused
CREATE FUNCTION pg_temp.refused(task jsonb, edges jsonb DEFAULT '[]', OUT state text, OUT message text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.create_workflow('sig_bad', jsonb_build_object('edges', edges, 'tasks',
		jsonb_build_array('{"id": "t", "type": "signal"}'::jsonb || task, '{"id": "u", "type": "parallel"}'::jsonb)));
	state := '00000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
END$$;
SELECT r.* FROM (VALUES ('{}'::jsonb), ('{"config": {"name": ""}}'), ('{"config": {"name": 1}}'),
	(jsonb_build_object('config', jsonb_build_object('name', repeat('x', 201)))),
	('{"config": {"name": "s", "timeout": "soon"}}'), ('{"config": {"name": "s", "timeout": "1s"}, "timeout": "2s"}'),
	('{"config": {"name": "s", "match": [1]}}'), ('{"config": {"name": "s", "match": {"a": "{{signal.a}}"}}}'),
	('{"config": {"name": "s", "filter": {"signl.a": 1}}}'), ('{"config": {"name": "s", "filter": {"task.u.a": 1}}}'),
	('{"config": {"name": "s", "filter": {"signal.a": {"$near": 1}}}}'), ('{"config": {"name": "s", "when": {}}}')) AS d (task),
	pg_temp.refused(task) r;
SELECT r.* FROM (VALUES ('[{"from": "t", "to": "u", "on": "paid"}]'::jsonb), ('[{"from": "t", "to": "u", "on": "timeout"}]'),
	('[{"from": "t", "to": "u", "when": {"signal.a": 1}}]')) AS d (edges),
	pg_temp.refused('{"config": {"name": "s"}}', edges) r;
SELECT (pg_temp.refused('{"type": "condition", "config": {"when": {"signal.a": 1}}}')).*;
SELECT (pg_temp.refused('{"config": {"name": "s", "timeout": "1s"}}', '[{"from": "t", "to": "u", "on": "timeout"}]')).state;

\echo # drawn
SELECT uaef.workflow_graph('sig_one');
SELECT uaef.workflow_graph('sig_one', 'mermaid');

SELECT * FROM uaef.verify_ledger() WHERE severity <> 'info';
SELECT uaef.cancel_workflow(execution_id) FROM uaef.workflow_run WHERE workflow LIKE 'sig\_%' AND status IN ('running', 'pending', 'paused');
SELECT count(*) FROM uaef.workflow_signal_wait;
DROP OWNED BY regress_sig_a, regress_sig_b, regress_sig_member;
DROP ROLE regress_sig_member, regress_sig_a, regress_sig_b;
