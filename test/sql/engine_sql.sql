--
-- SQL tasks, run in the session by execute_next_tasks()
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE TABLE eng_row (n int PRIMARY KEY, note text);

SELECT uaef.create_workflow('eng_sql', $${
  "tasks": [
    {"id": "one", "type": "sql", "config": {"sql": "INSERT INTO eng_row VALUES (($1->>'n')::int, 'one') RETURNING n, note"}},
    {"id": "many", "type": "sql", "config": {"sql": "SELECT g AS n FROM generate_series(1, ($1->>'k')::int) g", "input": {"k": "{{task.one.n}}"}}},
    {"id": "none", "type": "sql", "config": {"sql": "UPDATE eng_row SET note = 'none' WHERE n = ($1->>'n')::int"}},
    {"id": "empty", "type": "sql", "config": {"sql": "SELECT 1 AS x WHERE $1 IS NULL"}}],
  "edges": [{"from": "one", "to": "many"}, {"from": "many", "to": "none"}, {"from": "none", "to": "empty"}],
  "output": {"one": "{{task.one}}", "many": "{{task.many}}", "none": "{{task.none}}", "empty": "{{task.empty}}"}}$$);

-- outputs: one row an object, several an array, none a count
SELECT uaef.start_workflow('eng_sql', '{"n": 3}') AS e \gset
SELECT task, status FROM uaef.get_ready_tasks(:'e');
SELECT uaef.execute_next_tasks(:'e');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT * FROM eng_row;

-- an error undoes the task and fails the execution, with code and message
SELECT uaef.start_workflow('eng_sql', '{"n": 3}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT task, status, error->>'code' AS code FROM uaef.task_run WHERE execution_id = :'e';

-- retry: a permanent error is not tried again, unless "on" says so
SELECT uaef.create_workflow('eng_retry', $${"tasks": [
  {"id": "t", "type": "sql", "config": {"sql": "SELECT 1 / ($1->>'d')::int"},
   "retry": {"max_attempts": 3, "initial": "1ms", "jitter": 0}}]}$$);
SELECT uaef.create_workflow('eng_retry_on', $${"tasks": [
  {"id": "t", "type": "sql", "config": {"sql": "SELECT 1 / ($1->>'d')::int"},
   "retry": {"max_attempts": 3, "initial": "1h", "factor": 2, "jitter": 0, "on": ["22012"]}}]}$$);
SELECT uaef.start_workflow('eng_retry', '{"d": 0}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, error->>'attempt' AS attempt FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('eng_retry_on', '{"d": 0}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, attempt, error->>'code' AS code FROM uaef.task_run WHERE execution_id = :'e';
SELECT kind, attempt, due_at - now() BETWEEN '59 minutes' AND '1 hour' AS in_an_hour
FROM uaef.task_timer WHERE execution_id = :'e';
SELECT uaef.cancel_workflow(:'e', 'enough');
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT status FROM uaef.task_run WHERE execution_id = :'e';

-- a timeout of the task stops its statement
SELECT uaef.create_workflow('eng_slow', $${"tasks": [
  {"id": "t", "type": "sql", "config": {"sql": "SELECT pg_sleep(60)"}, "timeout": "50ms"}]}$$);
SELECT uaef.start_workflow('eng_slow') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';

-- a missing path in an input fails the task, naming it
SELECT uaef.create_workflow('eng_missing', $${"tasks": [
  {"id": "t", "type": "sql", "config": {"sql": "SELECT $1", "input": {"x": "{{in.a.b}}"}}}]}$$);
SELECT uaef.start_workflow('eng_missing', '{"a": {}}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';

-- a map: items in order, bounded together, joined into an array
SELECT uaef.create_workflow('eng_map', $${"tasks": [
  {"id": "each", "type": "map", "config": {"over": "{{in.items}}", "concurrency": 2,
   "task": {"type": "sql", "config": {"sql": "SELECT ($1->>'v')::int * 10 AS v", "input": {"v": "{{item}}"}}}}},
  {"id": "sum", "type": "sql", "config": {"sql": "SELECT sum((x->>'v')::int) AS s FROM jsonb_array_elements($1) x", "input": "{{task.each}}"}}],
  "edges": [{"from": "each", "to": "sum"}]}$$);
SELECT uaef.start_workflow('eng_map', '{"items": [1, 2, 3, 4, 5]}') AS e \gset
SELECT task, item, status FROM uaef.task_run WHERE execution_id = :'e' ORDER BY item NULLS FIRST;
SELECT uaef.execute_next_tasks(:'e');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT items_total, items_started, items_completed, output FROM uaef.task_run WHERE execution_id = :'e' AND task = 'each' AND item IS NULL;
SELECT stream_seq, event_type, payload->>'task' AS task, payload->>'item' AS item, payload->'queued' AS queued
FROM uaef.ledger_event WHERE stream = :'e' ORDER BY stream_seq;
-- an empty list is done at once; no list is a failure
SELECT uaef.start_workflow('eng_map', '{"items": []}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('eng_map', '{"items": 7}') AS e \gset
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';
-- one bad item fails the map and stops the others
SELECT uaef.start_workflow('eng_map', '{"items": [1, "x", 3, 4]}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, error->>'task' AS task, error->>'code' AS code FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT item, status FROM uaef.task_run WHERE execution_id = :'e' AND task = 'each' ORDER BY item NULLS FIRST;

-- rights: SQL tasks run as the role that started, and nobody else runs them
CREATE ROLE regress_eng_a;
CREATE ROLE regress_eng_b;
GRANT USAGE ON SCHEMA uaef TO regress_eng_a, regress_eng_b;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO regress_eng_a, regress_eng_b;
GRANT SELECT ON uaef.workflow_run, uaef.task_run TO regress_eng_a, regress_eng_b;
SELECT uaef.create_workflow('eng_who', '{"tasks": [{"id": "t", "type": "sql", "config": {"sql": "SELECT current_user AS who"}}]}');
SET ROLE regress_eng_a;
SELECT uaef.start_workflow('eng_who') AS e \gset
RESET ROLE;
SELECT uaef.execute_next_tasks(:'e');
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_eng_b;
\set VERBOSITY sqlstate
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.cancel_workflow(:'e');
\set VERBOSITY default
SELECT count(*) AS seen FROM uaef.workflow_run WHERE execution_id = :'e';
SET ROLE regress_eng_a;
SELECT uaef.execute_next_tasks(:'e');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
-- what the role may not read, its task may not
RESET ROLE;
SELECT uaef.create_workflow('eng_spy', '{"tasks": [{"id": "t", "type": "sql", "config": {"sql": "SELECT count(*) FROM eng_row"}}]}');
SET ROLE regress_eng_a;
SELECT uaef.start_workflow('eng_spy') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, error->>'code' AS code, error->>'message' AS message FROM uaef.workflow_run WHERE execution_id = :'e';
RESET ROLE;

-- a session keeps the plans of some tasks, not of all that it has ever run
SELECT uaef.create_workflow('eng_plans', jsonb_build_object('tasks', jsonb_agg(jsonb_build_object(
	'id', 't' || n, 'type', 'sql', 'config', '{"sql": "SELECT 1 AS one"}'::jsonb)))) FROM generate_series(1, 600) n;
SELECT uaef.start_workflow('eng_plans') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT count(*) < 400 AS bounded FROM pg_backend_memory_contexts WHERE name = 'SPI Plan';

SELECT * FROM uaef.verify_ledger() WHERE severity <> 'info';
DROP TABLE eng_row;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA uaef FROM regress_eng_a, regress_eng_b;
DROP OWNED BY regress_eng_a, regress_eng_b;
DROP ROLE regress_eng_a, regress_eng_b;
