--
-- Definitions without typing JSON: tasks, edges, chains
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;

-- parts: what is not given is not there
SELECT uaef.task('a', 'parallel');
SELECT uaef.task('a', 'external', '{"input": {"x": null}, "y": null}', '5min', 3, '{"on": ["40"], "max": null}', 'skip', 'q', 7, '2', 'text', 'true');
SELECT uaef.task('a', 'external', "join" => 'any', attempts => 2);
SELECT uaef.sql_task('s', 'SELECT 1', timeout => '5s');
SELECT uaef.http_task('h', 'https://example.com/{{in.id}}', '{"n": "{{in.n}}"}', headers => '{"x-a": "b"}');
SELECT uaef.decision_task('d', 'small', '{"in.n": {"$lt": 10}}', 'large', '{"in.n": {"$gte": 100}}', 'middle');
SELECT uaef.decision_task('d', 'small', '{"in.n": {"$lt": 10}}');
SELECT uaef.condition_task('c', '{"in.n": 1}');
SELECT uaef.approval_task('p', 'Pay {{in.n}}?', '{boss,cfo}', 2, expires => '3 days');
SELECT uaef.wait_task('w', '5min'), uaef.wait_task('w', until => '{{in.due}}');
SELECT uaef.map_task('m', '{{in.l}}', uaef.sql_task('each', 'SELECT $1'), 5, '3'), uaef.map_task('m', '{{in.l}}', '{}', "join" => 'any');
SELECT uaef.edge('a', 'b'), uaef.edge('a', 'b', 'yes', '{"in.n": 1}');

-- chains
CREATE FUNCTION pg_temp.edges(chain text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN (SELECT string_agg(concat(e->>'from', '>', e->>'to', ':' || (e->>'on')), ' ' ORDER BY no)
			FROM jsonb_array_elements(uaef.workflow(chain, uaef.task('a', 'parallel'), uaef.task('b', 'parallel'),
				uaef.task('c', 'parallel'), uaef.task('d-e', 'parallel'))->'edges') WITH ORDINALITY AS x(e, no));
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;
SELECT c AS chain, pg_temp.edges(c) AS edges FROM unnest(ARRAY[
	'', 'a', 'a -> b', 'a->b->c', 'a --> b ---> c', 'a -[x y]-> b --[z]--> c', 'a, b -> c, d-e', 'a -> b, c -> d-e',
	'd-e->a', 'd-e -> a; a -> b;;', E'a -> b\nb -> c\n\n', E'a\n  -> b,\n  c\n  -> d-e\na -> c',
	'a b', 'a -> ', '-> a', 'a -> x', 'a - b', 'a -[]-> b', 'a -[x-> b', 'a -[x] b', 'a, -> b', 'a => b', E'a -> b\n  c -> 9', 'a,, b', 'A -> b']) c;

-- parts that are none
SELECT uaef.workflow('a -> b', '{"id": "a"}', '{"x": 1}');
SELECT uaef.workflow('a', '5');
SELECT uaef.workflow('a', NULL::jsonb);
SELECT uaef.task(NULL, 'sql');
SELECT uaef.task('a', 'sql', '[]');
\set VERBOSITY sqlstate
SELECT uaef.decision_task('d', 'x', '{');
\set VERBOSITY default

-- the whole: the same document as by hand, the same version
CREATE TABLE bld_row (n int);
SELECT uaef.create_workflow('bld', uaef.workflow($$
		score -> route
		route -[small]-> pay
		route -[large]-> ask -[approved]-> pay
	$$,
	uaef.sql_task('score', 'SELECT ($1->>''amount'')::int AS n'),
	uaef.decision_task('route', 'small', '{"task.score.n": {"$lt": 100}}', 'large'),
	uaef.approval_task('ask', 'Pay {{in.amount}}?'),
	uaef.sql_task('pay', 'INSERT INTO bld_row VALUES (($1->>''amount'')::int)', attempts => 3))
	|| '{"output": {"risk": "{{task.score.n}}"}}');
SELECT uaef.create_workflow('bld', $$ {"tasks": [
	{"id": "score", "type": "sql", "config": {"sql": "SELECT ($1->>'amount')::int AS n"}},
	{"id": "route", "type": "decision", "config": {"cases": [{"label": "small", "when": {"task.score.n": {"$lt": 100}}}], "default": "large"}},
	{"id": "ask", "type": "human_approval", "config": {"description": "Pay {{in.amount}}?"}},
	{"id": "pay", "type": "sql", "config": {"sql": "INSERT INTO bld_row VALUES (($1->>'amount')::int)"}, "retry": {"max_attempts": 3}}],
	"edges": [{"from": "score", "to": "route"}, {"from": "route", "to": "pay", "on": "small"},
		{"from": "route", "to": "ask", "on": "large"}, {"from": "ask", "to": "pay", "on": "approved"}],
	"output": {"risk": "{{task.score.n}}"}} $$);
SELECT uaef.start_workflow('bld', '{"amount": 5}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT * FROM bld_row;
SELECT uaef.start_worker() AS started \gset
DROP TABLE bld_row;
