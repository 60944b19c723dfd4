--
-- Waits for a query: what is refused, and running one without a worker; the
-- rest needs the worker's timers (test/t/042_flow_timers.pl)
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
\pset format unaligned
\pset tuples_only on
CREATE TABLE query_flag (name text, up bool);
CREATE FUNCTION pg_temp.refused(config jsonb, edges jsonb DEFAULT '[]', OUT state text, OUT message text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.create_workflow('query_bad', jsonb_build_object('edges', edges, 'tasks',
		jsonb_build_array(jsonb_build_object('id', 't', 'type', 'wait', 'config', config), '{"id": "u", "type": "parallel"}'::jsonb)));
	state := '00000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
END$$;

\echo # definitions that are refused
SELECT r.* FROM (VALUES ('{"query": ""}'::jsonb), ('{"query": 1}'), ('{"query": "SELECT true", "for": "1s"}'),
	('{"query": "SELECT true", "until": "2030-01-01"}'), ('{"for": "1s", "every": "1s"}'), ('{"for": "1s", "input": {}}'),
	('{"query": "SELECT true", "every": "99ms"}'), ('{"query": "SELECT true", "every": "25 hours"}'),
	('{"query": "SELEC true"}'), ('{"query": "SELECT * FROM query_gone"}'), ('{"query": "SELECT true; SELECT false"}'),
	('{"query": "INSERT INTO query_flag VALUES (1) RETURNING true"}'), ('{"query": "INSERT INTO query_flag VALUES (''a'') RETURNING true"}'),
	('{"query": "WITH w AS (DELETE FROM query_flag RETURNING up) SELECT bool_or(up) FROM w"}'),
	('{"query": "SELECT up FROM query_flag FOR UPDATE"}'), ('{"query": "SELECT up INTO query_new FROM query_flag"}'),
	('{"query": "CALL query_gone()"}'), ('{"query": "VACUUM"}'),
	('{"query": "SELECT true", "input": {"a": "{{task.u}}"}}'), ('{"query": "SELECT true", "frm": 1}')) AS d (config),
	pg_temp.refused(config) r;
SELECT r.* FROM (VALUES ('{"for": "1s"}'::jsonb, 'met'), ('{"query": "SELECT true"}', 'true'), ('{"query": "SELECT true"}', 'timeout')) AS d (config, label),
	pg_temp.refused(config, jsonb_build_array(jsonb_build_object('from', 't', 'to', 'u', 'on', label))) r;

\echo # what the caller runs itself: true at once, or not yet
SELECT uaef.create_workflow('query_here', $${"tasks": [
	{"id": "w", "type": "wait", "config": {"query": "SELECT name FROM public.query_flag WHERE up"}},
	{"id": "s", "type": "sql", "config": {"sql": "SELECT $1->>'n' AS n", "input": {"n": "{{task.w.name}}"}}}],
	"edges": [{"from": "w", "to": "s", "on": "met"}]}$$);
SELECT uaef.start_workflow('query_here') AS e \gset
SELECT task, status FROM uaef.task_run WHERE execution_id = :'e';
SELECT uaef.execute_next_tasks(:'e');
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT kind, due_at > now() AS later FROM uaef.task_timer WHERE execution_id = :'e';
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.cancel_workflow(:'e');
INSERT INTO query_flag VALUES ('here', true);
SELECT uaef.start_workflow('query_here') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('query_here') AS e \gset
SELECT uaef.cancel_workflow(:'e');
SELECT count(*) FROM uaef.task_ready WHERE execution_id = :'e';
SELECT uaef.workflow_graph('query_here');
DELETE FROM uaef.task_timer WHERE kind = 'query';
DROP TABLE query_flag;
SELECT * FROM uaef.verify_ledger() WHERE severity <> 'info';
