--
-- Executions of pure tasks: they end in the transaction that starts them
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;

SELECT uaef.create_workflow('eng_route', $${
  "tasks": [
    {"id": "size", "type": "decision",
     "config": {"cases": [{"label": "big", "when": {"in.amount": {"$gte": 1000}}},
                          {"label": "medium", "when": {"in.amount": {"$gte": 100}}}],
                "default": "small"}},
    {"id": "rush", "type": "condition", "config": {"when": {"in.rush": true}}},
    {"id": "slow", "type": "parallel"},
    {"id": "fast", "type": "parallel"},
    {"id": "tiny", "type": "parallel"},
    {"id": "last", "type": "parallel"}],
  "edges": [
    {"from": "size", "to": "rush", "on": "big"},
    {"from": "size", "to": "slow", "on": "medium"},
    {"from": "size", "to": "tiny", "on": "small", "when": {"in.amount": {"$gt": 1}}},
    {"from": "rush", "to": "fast", "on": "true"},
    {"from": "rush", "to": "slow", "on": "false"},
    {"from": "slow", "to": "last"}, {"from": "fast", "to": "last"}, {"from": "tiny", "to": "last"}],
  "output": {"route": "{{task.size.decision}}", "amount": "{{in.amount}}",
             "text": "{{sys.workflow}} of {{in.amount}}"}
}$$);

-- shows an execution's tasks in one line
CREATE FUNCTION eng_tasks(execution uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(task || coalesce('[' || item || ']', '') || ' ' || status, ', ' ORDER BY task, item)
  FROM uaef.task_run WHERE execution_id = execution
$$;

-- each way through it; a task with no live edge is skipped, and skips go on
SELECT uaef.start_workflow('eng_route', '{"amount": 5000, "rush": true}') AS e \gset
SELECT status, output, eng_tasks(:'e') FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('eng_route', '{"amount": 5000, "rush": false}') AS e \gset
SELECT eng_tasks(:'e');
SELECT uaef.start_workflow('eng_route', '{"amount": 100}') AS e \gset
SELECT eng_tasks(:'e');
SELECT uaef.start_workflow('eng_route', '{"amount": 1}') AS e \gset
SELECT status, output, eng_tasks(:'e') FROM uaef.workflow_run WHERE execution_id = :'e';

-- what a condition cannot find fails the execution, by name; it is not false
SELECT uaef.start_workflow('eng_route', '{"amount": 5000}') AS e \gset
SELECT status, error, eng_tasks(:'e') FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('eng_route', '{"amount": "much"}') AS e \gset
SELECT status, error->>'code' AS code, error->>'task' AS task FROM uaef.workflow_run WHERE execution_id = :'e';

-- a decision without a default, none of whose cases applies
SELECT uaef.create_workflow('eng_strict', $${"tasks": [
  {"id": "d", "type": "decision", "config": {"cases": [{"label": "a", "when": {"in.x": 1}}]}}]}$$);
SELECT uaef.start_workflow('eng_strict', '{"x": 2}') AS e \gset
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';

-- on_failure: continue goes on with the error as output, skip kills the edges
SELECT uaef.create_workflow('eng_lenient', $${"tasks": [
  {"id": "c", "type": "decision", "on_failure": "continue",
   "config": {"cases": [{"label": "a", "when": {"in.x": 1}}]}},
  {"id": "s", "type": "decision", "on_failure": "skip",
   "config": {"cases": [{"label": "a", "when": {"in.x": 1}}]}},
  {"id": "after_c", "type": "parallel"}, {"id": "after_s", "type": "parallel"}],
  "edges": [{"from": "c", "to": "after_c"}, {"from": "s", "to": "after_s"}],
  "output": {"code": "{{task.c.error.code}}"}}$$);
SELECT uaef.start_workflow('eng_lenient', '{"x": 2}') AS e \gset
SELECT status, output, eng_tasks(:'e') FROM uaef.workflow_run WHERE execution_id = :'e';

-- joins: any begins at the first live edge, a number at that many
SELECT uaef.create_workflow('eng_join', $${"tasks": [
  {"id": "a", "type": "condition", "config": {"when": {"in.a": true}}},
  {"id": "b", "type": "condition", "config": {"when": {"in.b": true}}},
  {"id": "c", "type": "condition", "config": {"when": {"in.c": true}}},
  {"id": "any", "type": "parallel", "join": "any"},
  {"id": "two", "type": "parallel", "join": 2},
  {"id": "all", "type": "parallel"}],
  "edges": [
    {"from": "a", "to": "any", "on": "true"}, {"from": "b", "to": "any", "on": "true"}, {"from": "c", "to": "any", "on": "true"},
    {"from": "a", "to": "two", "on": "true"}, {"from": "b", "to": "two", "on": "true"}, {"from": "c", "to": "two", "on": "true"},
    {"from": "a", "to": "all", "on": "true"}, {"from": "b", "to": "all", "on": "true"}, {"from": "c", "to": "all", "on": "true"}]}$$);
CREATE TABLE eng_joins AS
SELECT a, b, c, uaef.start_workflow('eng_join', jsonb_build_object('a', a, 'b', b, 'c', c)) AS e
FROM (VALUES (false), (true)) va (a), (VALUES (false), (true)) vb (b), (VALUES (false), (true)) vc (c);
SELECT a, b, c, (SELECT string_agg(task || ' ' || status, ', ' ORDER BY task_no)
	FROM uaef.task_execution t WHERE t.execution_id = e AND task_no > 2)
FROM eng_joins ORDER BY 1, 2, 3;

-- an output template that cannot be filled in fails the execution
SELECT uaef.create_workflow('eng_output', $${"tasks": [{"id": "p", "type": "parallel"}],
  "output": {"x": "{{in.nothing}}"}}$$);
SELECT uaef.start_workflow('eng_output') AS e \gset
SELECT status, error, output FROM uaef.workflow_run WHERE execution_id = :'e';

-- every transition is in the ledger, in the order in which it happened
SELECT uaef.start_workflow('eng_route', '{"amount": 1}', name => 'the first') AS e \gset
SELECT stream_seq, event_type, actor_type,
	payload - 'input_sha256' - 'output_sha256' - 'initiated_by'
		#- '{completed,0,task_id}' #- '{completed,0,output_sha256}' AS payload
FROM uaef.ledger_event WHERE stream = :'e' ORDER BY stream_seq;

-- a task that completed by itself has its line there, with the digest of its output
SELECT event_type, place, task, a.payload ->> 'label' AS label,
	t.label = a.payload ->> 'label' AND a.payload ->> 'output_sha256' = encode(sha256(convert_to(
		replace(t.output::text, ' ', ''), 'UTF8')), 'hex') AS as_stored
FROM uaef.audit_trail AS a LEFT JOIN uaef.task_execution AS t USING (execution_id, task_id, task)
WHERE execution_id = :'e' ORDER BY event_id, place;

-- one event names a hundred of them, the next task has its own
SELECT uaef.create_workflow('eng_many', jsonb_build_object(
	'tasks', (SELECT jsonb_agg(jsonb_build_object('id', 'c' || i, 'type', 'condition',
		'config', '{"when": {"in.n": 1}}'::jsonb) ORDER BY i) FROM generate_series(1, 103) AS i),
	'edges', (SELECT jsonb_agg(jsonb_build_object('from', 'c' || i, 'to', 'c' || i + 1) ORDER BY i)
		FROM generate_series(1, 102) AS i)));
SELECT uaef.start_workflow('eng_many', '{"n": 1}') AS e \gset
SELECT event_type, payload ->> 'task' AS task, jsonb_array_length(payload -> 'completed') AS named,
	payload #>> '{completed,0,task}' AS first, payload #>> '{completed,-1,task}' AS last
FROM uaef.ledger_event WHERE stream = :'e' ORDER BY stream_seq;
SELECT count(*), bool_and(task = 'c' || n) AS in_order FROM (SELECT task, row_number() OVER () AS n FROM
	(SELECT task FROM uaef.audit_trail WHERE execution_id = :'e' AND event_type = 'task_completed'
	 ORDER BY event_id, place) AS a) AS a;

-- what fails, and whatever follows on an event of its own, is not mixed up
SELECT uaef.create_workflow('eng_then_fails', '{"tasks": [
	{"id": "a", "type": "condition", "config": {"when": {"in.n": 1}}},
	{"id": "b", "type": "decision", "on_failure": "continue", "config": {"cases": [{"label": "x", "when": {"in.n": 2}}]}},
	{"id": "c", "type": "condition", "config": {"when": {"in.n": 2}}},
	{"id": "d", "type": "parallel"}],
	"edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "c"}, {"from": "c", "to": "d", "on": "true"}]}');
SELECT uaef.start_workflow('eng_then_fails', '{"n": 1}') AS e \gset
SELECT event_type, place, task, payload ->> 'label' AS label, payload -> 'skipped' AS skipped
FROM uaef.audit_trail WHERE execution_id = :'e' ORDER BY event_id, place;

-- an application cannot have lines of tasks by what it says
SELECT uaef.record_event('said', '{"completed": [{"task": "a", "task_id": 1}]}', :'e') > 0 AS recorded;
SELECT event_type, kind, place FROM uaef.audit_trail
WHERE execution_id = :'e' AND kind = 'application' ORDER BY event_id, place;

-- rollback: nothing of it ever happened
BEGIN;
SELECT uaef.start_workflow('eng_route', '{"amount": 1}') AS e \gset
ROLLBACK;
SELECT (SELECT count(*) FROM uaef.workflow_execution WHERE execution_id = :'e') AS executions,
	(SELECT count(*) FROM uaef.task_execution WHERE execution_id = :'e') AS tasks,
	(SELECT count(*) FROM uaef.ledger_event WHERE stream = :'e') AS events;

-- idempotency: the same key with the same input starts nothing new
SELECT uaef.start_workflow('eng_route', '{"amount": 7}', idempotency_key => 'k1') AS e1 \gset
SELECT uaef.start_workflow('eng_route', '{"amount": 7.0}', idempotency_key => 'k1') AS e2 \gset
SELECT :'e1' = :'e2' AS same;
SELECT uaef.start_workflow('eng_route', '{"amount": 8}', idempotency_key => 'k1');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.start_workflow('eng_join', '{"a": true, "b": true, "c": true}', idempotency_key => 'k1') <> :'e1' AS per_workflow;

-- versions: an execution keeps the one that it began with
SELECT uaef.create_workflow('eng_version', '{"tasks": [{"id": "p", "type": "parallel"}], "output": {"v": 1}}');
SELECT uaef.create_workflow('eng_version', '{"tasks": [{"id": "p", "type": "parallel"}], "output": {"v": 2}}');
SELECT uaef.start_workflow('eng_version') AS e2, uaef.start_workflow('eng_version', version => 1) AS e1 \gset
SELECT version, output FROM uaef.workflow_run WHERE execution_id IN (:'e1', :'e2') ORDER BY 1;

-- many at once: ids in the order of the inputs, each execution by itself
SELECT uaef.create_workflow('eng_odd', '{"input_schema": {"required": ["n"]}, "tasks": [
	{"id": "odd", "type": "condition", "config": {"when": {"in.n": {"$in": [1, 3, 249]}}}},
	{"id": "yes", "type": "parallel"}],
	"edges": [{"from": "odd", "to": "yes", "on": "true"}],
	"output": {"n": "{{in.n}}", "odd": "{{task.odd.result}}"}}');
SELECT uaef.start_workflows('eng_odd', ARRAY(SELECT jsonb_build_object('n', i) FROM generate_series(1, 250) AS i),
	priority => 7) AS ids \gset
SELECT count(*), count(DISTINCT x.execution_id) AS different, bool_and(x.output ->> 'n' = o.n::text) AS in_order,
	count(*) FILTER (WHERE x.output -> 'odd' = 'true') AS odd, bool_and(x.status = 'completed' AND x.priority = 7) AS as_asked
FROM unnest(:'ids'::uuid[]) WITH ORDINALITY AS o(execution_id, n) JOIN uaef.workflow_execution AS x USING (execution_id);
SELECT status, count(*) FROM uaef.task_execution WHERE execution_id = ANY (:'ids') GROUP BY status ORDER BY status;
SELECT event_type, count(*) FROM uaef.ledger_event WHERE stream = ANY (:'ids') GROUP BY event_type ORDER BY event_type;
-- what has ended leaves no room in its page for an update
SELECT max(n * size) > 5000 AS full FROM (SELECT count(*) AS n, avg(pg_column_size(t)) AS size FROM uaef.task_execution AS t
	WHERE execution_id = ANY (:'ids') GROUP BY (ctid::text::point)[0]) AS page;
SELECT uaef.start_workflows('eng_odd', '{}');
SELECT cardinality(uaef.start_workflows('eng_version', '{"{}", "{}"}', version => 1)) AS older;
-- where one cannot be started none is
SELECT count(*) AS before FROM uaef.workflow_execution \gset
SELECT uaef.start_workflows('eng_odd', ARRAY['{"n": 1}', '{"m": 1}']::jsonb[]);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.start_workflows('eng_odd', ARRAY['{"n": 1}', '[1]']::jsonb[]);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.start_workflows('eng_odd', ARRAY['{"n": 1}', NULL]::jsonb[]);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.start_workflows('eng_odd', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.start_workflows('eng_nothing', '{"{}"}');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) - :before AS begun FROM uaef.workflow_execution;

-- bad calls
SELECT uaef.start_workflow('eng_nothing');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.start_workflow('eng_route', version => 9);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.start_workflow(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.start_workflow('eng_route', jsonb_build_object('x', repeat('y', 2 * 1024 * 1024)));
\echo :LAST_ERROR_SQLSTATE

SELECT * FROM uaef.verify_ledger() WHERE severity <> 'info';
DROP TABLE eng_joins;
DROP FUNCTION eng_tasks(uuid);
