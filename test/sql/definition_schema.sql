--
-- JSON Schemas in definitions: input, output, and outputs of tasks
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE TABLE sch_row (n int PRIMARY KEY);

-- a schema that is wrong is refused with its place; so is one that would check nothing
SELECT uaef.create_workflow('sch_bad', '{"tasks": [{"id": "t", "type": "parallel"}], "input_schema": {"properties": {"a": {"type": "int"}}}}');
SELECT uaef.create_workflow('sch_bad', '{"tasks": [{"id": "t", "type": "parallel"}], "output_schema": 1}');
SELECT uaef.create_workflow('sch_bad', '{"tasks": [{"id": "t", "type": "external", "output_schema": {"requierd": ["a"]}}]}');
SELECT uaef.create_workflow('sch_bad', '{"tasks": [{"id": "t", "type": "parallel", "output_schema": {}}]}');
SELECT uaef.create_workflow('sch_bad', '{"tasks": [{"id": "m", "type": "map", "config": {"over": [1], "task": {"type": "wait", "config": {"for": "1s"}, "output_schema": {}}}}]}');

-- input: checked at the start, and nothing is started
SELECT uaef.create_workflow('sch_in', $${
  "input_schema": {
    "type": "object", "required": ["customer", "lines"],
    "properties": {
      "customer": {"type": "string"},
      "lines": {"type": "array", "minItems": 1, "items": {"required": ["sku", "qty"], "properties": {"qty": {"type": "integer", "minimum": 1}}}}}},
  "tasks": [{"id": "t", "type": "parallel"}]}$$);
SELECT uaef.start_workflow('sch_in', '{"customer": 5, "lines": [{"sku": "x", "qty": 0}, {"qty": 1.5}]}', idempotency_key => 'k');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM uaef.workflow_run WHERE workflow = 'sch_in';
SELECT uaef.start_workflow('sch_in', '{}', start_at => now() + interval '1 day');
SELECT uaef.start_workflow('sch_in', '{"customer": "c", "lines": [{"sku": "x", "qty": 1}]}', idempotency_key => 'k') AS e \gset
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';

-- at most twenty failures are told
SELECT uaef.create_workflow('sch_many', '{"input_schema": {"properties": {"l": {"items": false}}}, "tasks": [{"id": "t", "type": "parallel"}]}');
DO $$
DECLARE
	detail text;
BEGIN
	PERFORM uaef.start_workflow('sch_many', jsonb_build_object('l', (SELECT jsonb_agg(g) FROM generate_series(1, 100) g)));
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RAISE NOTICE '% %', SQLSTATE, array_length(string_to_array(detail, E'\n'), 1);
END $$;

-- output: the execution fails
SELECT uaef.create_workflow('sch_out', $${
  "output_schema": {"properties": {"total": {"type": "number", "maximum": 100}}, "required": ["total"]},
  "tasks": [{"id": "t", "type": "parallel"}], "output": {"total": "{{in.n}}"}}$$);
SELECT uaef.start_workflow('sch_out', '{"n": 100}') AS e \gset
SELECT status, output, error FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('sch_out', '{"n": 101}') AS e \gset
SELECT status, output, error FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT event_type, payload->'error'->>'code' AS code FROM uaef.audit_trail WHERE execution_id = :'e' ORDER BY event_id, place;

-- output of a SQL task: a mismatch undoes what it did, and is not tried again
SELECT uaef.create_workflow('sch_sql', $${
  "tasks": [{"id": "t", "type": "sql", "config": {"sql": "INSERT INTO sch_row VALUES (($1->>'n')::int) RETURNING n"},
    "output_schema": {"properties": {"n": {"multipleOf": 2}}},
    "retry": {"max_attempts": 5}}]}$$);
SELECT uaef.start_workflow('sch_sql', '{"n": 2}') AS good, uaef.start_workflow('sch_sql', '{"n": 3}') AS bad \gset
SELECT uaef.execute_next_tasks(:'good'), uaef.execute_next_tasks(:'bad');
SELECT status, attempt, output, error FROM uaef.task_run WHERE execution_id IN (:'good', :'bad') ORDER BY execution_id = :'bad';
SELECT * FROM sch_row;

-- of an outside worker: the task fails, and the worker hears of it
SELECT uaef.create_workflow('sch_ext', $${
  "tasks": [{"id": "t", "type": "external", "queue": "sch", "output_schema": {"required": ["a", "b"]}, "on_failure": "continue",
    "retry": {"max_attempts": 5}},
   {"id": "m", "type": "map", "config": {"over": "{{in.l}}", "task": {"type": "external", "queue": "sch", "output_schema": {"type": "integer"}}}, "on_failure": "skip"}]}$$);
SELECT uaef.start_workflow('sch_ext', '{"l": [1, 2]}') AS e \gset
SELECT task_id AS id, lease_token AS token FROM uaef.claim_tasks('w', 'sch') \gset
SELECT uaef.complete_task(:id, '{"a": 1}', :'token');
\set VERBOSITY sqlstate
SELECT uaef.complete_task(:id, '{"a": 1}', :'token');
\set VERBOSITY default
SELECT task_id AS id, lease_token AS token FROM uaef.claim_tasks('w', 'sch') \gset
SELECT uaef.complete_task(:id, '5', :'token');
SELECT task_id AS id, lease_token AS token FROM uaef.claim_tasks('w', 'sch') \gset
SELECT completed, code, message FROM uaef.complete_tasks(ARRAY[:id], ARRAY['"five"'::jsonb], ARRAY[:'token'::uuid]);
SELECT task, item, status, attempt, output, error->>'code' AS code, error->>'detail' AS detail
FROM uaef.task_run WHERE execution_id = :'e' ORDER BY task, item NULLS FIRST;
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';

-- a check that takes too long is no verdict
SELECT uaef.create_workflow('sch_long', jsonb_build_object('tasks', '[{"id": "t", "type": "parallel"}]'::jsonb,
	'input_schema', (SELECT jsonb_build_object('$ref', '#/$defs/1', '$defs', jsonb_object_agg(g, jsonb_build_object('allOf', jsonb_build_array(
		jsonb_build_object('$ref', '#/$defs/' || g + 1), jsonb_build_object('$ref', '#/$defs/' || g + 1)))) || '{"41": {}}') FROM generate_series(1, 40) g)));
SELECT uaef.start_workflow('sch_long');

SELECT uaef.start_worker() AS started \gset
DROP TABLE sch_row;
