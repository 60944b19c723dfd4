--
-- Compliance checkpoints: what passes, in a workflow and outside of one
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
\pset format unaligned
\pset tuples_only on

\echo # required fields: there, not null, not empty
SELECT uaef.create_checkpoint('cp_fields', '{"type": "required_fields", "fields": ["invoice.no", "lines[0].sku"]}', 'what an invoice needs');
SELECT d, uaef.evaluate_checkpoint('cp_fields', d::jsonb) FROM (VALUES
	('{"invoice": {"no": 7}, "lines": [{"sku": "a"}]}'), ('{"invoice": {"no": 0}, "lines": [{"sku": false}]}'),
	('{}'), ('{"invoice": {"no": null}, "lines": [{"sku": ""}]}'), ('{"invoice": {"no": " \t"}, "lines": [{"sku": []}]}'),
	('{"invoice": {"no": {}}, "lines": {}}')) AS v (d);
SELECT uaef.create_checkpoint('cp_present', '{"type": "required_fields", "fields": ["a"], "non_empty": false}');
SELECT d, uaef.evaluate_checkpoint('cp_present', d::jsonb) -> 'passed' FROM (VALUES ('{"a": ""}'), ('{"a": null}'), ('{"b": 1}')) AS v (d);

\echo # a threshold is exact, and for numbers only
SELECT uaef.create_checkpoint('cp_score', '{"type": "threshold", "field": "score", "min": 0.8, "max": 1}');
SELECT d, uaef.evaluate_checkpoint('cp_score', d::jsonb) - 'checkpoint' - 'version' FROM (VALUES
	('{"score": 0.8}'), ('{"score": 1.000}'), ('{"score": 0.79999999999999999999999}'), ('{"score": 1.00000000000000000000001}'),
	('{"score": "0.9"}'), ('{"score": true}'), ('{"score": null}'), ('{"score": [1]}'), ('{}')) AS v (d);

\echo # a condition; what cannot be evaluated does not pass
SELECT uaef.create_checkpoint('cp_when', '{"type": "condition", "when": {"country": {"$in": ["AT", "DE"]}, "age": {"$gte": 18}}}');
SELECT d, uaef.evaluate_checkpoint('cp_when', d::jsonb) - 'checkpoint' - 'version' FROM (VALUES
	('{"country": "AT", "age": 18}'), ('{"country": "FR", "age": 18}'), ('{"country": "AT", "age": "18"}'), ('{"age": 18}')) AS v (d);

\echo # several checks: all must pass, and every failure is told
SELECT uaef.create_checkpoint('cp_all', '{"checks": [
	{"type": "required_fields", "fields": ["in.name"]}, {"type": "threshold", "field": "in.amount", "max": 1000},
	{"type": "condition", "when": {"in.ok": true}}]}');
SELECT uaef.evaluate_checkpoint('cp_all', '{"in": {"name": "n", "amount": 5, "ok": true}}');
SELECT jsonb_pretty(uaef.evaluate_checkpoint('cp_all', '{"in": {"name": "", "amount": 5000, "ok": false}}'));

\echo # versions: the same again is none; the newest counts
SELECT uaef.create_checkpoint('cp_score', '{"max": 1.0, "min": 0.80, "type": "threshold", "field": "score"}');
SELECT uaef.create_checkpoint('cp_score', '{"type": "threshold", "field": "score", "min": 0.5}');
SELECT uaef.evaluate_checkpoint('cp_score', '{"score": 0.6}');
SELECT name, version, description, created_by = current_user::regrole FROM uaef.checkpoint ORDER BY name;
SELECT payload - 'digest' FROM uaef.audit_trail WHERE event_type = 'checkpoint_defined' AND payload ->> 'checkpoint' LIKE 'cp%' ORDER BY event_id;

\echo # definitions that are refused
CREATE FUNCTION pg_temp.refused(definition jsonb, name text DEFAULT 'cp_bad', OUT state text, OUT message text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.create_checkpoint(name, definition);
	state := '00000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
END$$;
SELECT r.* FROM (VALUES ('1'::jsonb), ('[]'), ('{}'), ('{"type": "magic"}'), ('{"type": 1}'),
	('{"type": "required_fields"}'), ('{"type": "required_fields", "fields": []}'), ('{"type": "required_fields", "fields": "a"}'),
	('{"type": "required_fields", "fields": [1]}'), ('{"type": "required_fields", "fields": ["a..b"]}'),
	('{"type": "required_fields", "fields": ["a"], "min": 1}'), ('{"type": "required_fields", "fields": ["a"], "non_empty": 1}'),
	('{"type": "threshold", "field": "a"}'), ('{"type": "threshold", "min": 1}'), ('{"type": "threshold", "field": "a", "min": "1"}'),
	('{"type": "threshold", "field": "a", "min": 2, "max": 1}'), ('{"type": "threshold", "field": "a b", "min": 1}'),
	('{"type": "condition"}'), ('{"type": "condition", "when": {}}'), ('{"type": "condition", "when": {"a": {"$gtee": 1}}}'),
	('{"checks": []}'), ('{"checks": {}}'), ('{"checks": [1]}'), ('{"checks": [{"type": "condition", "when": {"a": 1}}, {"type": "threshold", "field": "a"}]}'),
	('{"checks": [{"checks": []}]}'), ('{"checks": [], "type": "threshold"}')) AS d (definition), pg_temp.refused(definition) r;
SELECT r.* FROM (VALUES (''), (repeat('x', 201)), (E'a\nb')) AS d (name), pg_temp.refused('{"type": "condition", "when": {"a": 1}}', name) r;
\set VERBOSITY sqlstate
SELECT uaef.create_checkpoint(NULL, '{}');
SELECT uaef.evaluate_checkpoint('cp_gone', '{}');
SELECT uaef.evaluate_checkpoint('cp_all', '[]');
SELECT uaef.evaluate_checkpoint(NULL, '{}') IS NULL;
\set VERBOSITY default

\echo # a task: without labels, what does not pass fails
SELECT uaef.create_workflow('cp_task', $${"tasks": [
	{"id": "c", "type": "checkpoint", "config": {"checkpoint": "cp_all"}}, {"id": "next", "type": "parallel"}],
	"edges": [{"from": "c", "to": "next"}]}$$);
SELECT uaef.start_workflow('cp_task', '{"name": "n", "amount": 5, "ok": true}') AS good \gset
SELECT uaef.start_workflow('cp_task', '{"name": "n", "amount": 5000}') AS bad \gset
SELECT status, output, error FROM uaef.workflow_run WHERE execution_id IN (:'good', :'bad') ORDER BY status;
SELECT output FROM uaef.task_run WHERE execution_id = :'good' AND task = 'c';
SELECT workflow, task, item, checkpoint, version, passed, jsonb_array_length(failures) FROM uaef.checkpoint_run WHERE workflow = 'cp_task' ORDER BY passed DESC;
SELECT event_type, payload - 'failures' FROM uaef.audit_trail WHERE workflow = 'cp_task' AND event_type LIKE 'checkpoint%' ORDER BY event_id;

\echo # with labels, they decide; data says what is judged
SELECT uaef.create_workflow('cp_labels', $${"tasks": [
	{"id": "c", "type": "checkpoint", "config": {"checkpoint": "cp_score", "data": {"score": "{{in.result.score}}"}}},
	{"id": "yes", "type": "parallel"}, {"id": "no", "type": "parallel"}],
	"edges": [{"from": "c", "to": "yes", "on": "passed"}, {"from": "c", "to": "no", "on": "failed"}]}$$);
SELECT uaef.start_workflow('cp_labels', '{"result": {"score": 0.7}}') AS good \gset
SELECT uaef.start_workflow('cp_labels', '{"result": {"score": 0.3}}') AS bad \gset
SELECT uaef.start_workflow('cp_labels', '{}') AS none \gset
SELECT string_agg(task || ' ' || status, ', ' ORDER BY task) FROM uaef.task_run
WHERE execution_id IN (:'good', :'bad', :'none') GROUP BY execution_id ORDER BY 1;
SELECT failures FROM uaef.checkpoint_run WHERE execution_id = :'none';
-- a later task, or a settlement rule, can ask
SELECT output FROM uaef.task_run WHERE execution_id = :'bad' AND task = 'c';

\echo # in a map
SELECT uaef.create_workflow('cp_map', $${"tasks": [
	{"id": "m", "type": "map", "config": {"over": "{{in.scores}}", "concurrency": 1, "task": {"type": "checkpoint", "config": {"checkpoint": "cp_score", "data": {"score": "{{item}}"}}}}}]}$$);
SELECT uaef.start_workflow('cp_map', '{"scores": [1, 2, 3]}') AS good \gset
SELECT uaef.start_workflow('cp_map', '{"scores": [1, 0, 3]}') AS bad \gset
SELECT status, jsonb_array_length(output->'m'), error->>'code' FROM uaef.workflow_run WHERE execution_id IN (:'good', :'bad') ORDER BY status;
SELECT item, passed FROM uaef.checkpoint_run WHERE execution_id = :'bad' ORDER BY item;

\echo # the checkpoint must exist; labels must be its own
SELECT uaef.create_workflow('cp_bad', '{"tasks": [{"id": "c", "type": "checkpoint", "config": {"checkpoint": "cp_gone"}}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.create_workflow('cp_bad', '{"tasks": [{"id": "c", "type": "checkpoint"}]}');
SELECT uaef.create_workflow('cp_bad', '{"tasks": [{"id": "c", "type": "checkpoint", "config": {"checkpoint": "cp_all", "data": "{{in}}"}}]}');
SELECT uaef.create_workflow('cp_bad', '{"tasks": [{"id": "c", "type": "checkpoint", "config": {"checkpoint": "cp_all"}}, {"id": "d", "type": "parallel"}], "edges": [{"from": "c", "to": "d", "on": "ok"}]}');

\echo # whose it is
CREATE ROLE regress_cp_a;
CREATE ROLE regress_cp_b;
GRANT USAGE ON SCHEMA uaef TO regress_cp_a, regress_cp_b;
GRANT EXECUTE ON FUNCTION uaef.create_checkpoint TO regress_cp_a, regress_cp_b;
GRANT SELECT ON uaef.checkpoint_run TO regress_cp_a;
SET SESSION AUTHORIZATION regress_cp_a;
SELECT uaef.create_checkpoint('cp_mine', '{"type": "condition", "when": {"a": 1}}');
SELECT count(*) FROM uaef.checkpoint_run;
SET SESSION AUTHORIZATION regress_cp_b;
SELECT uaef.create_checkpoint('cp_mine', '{"type": "condition", "when": {"a": 2}}');
RESET SESSION AUTHORIZATION;
SELECT uaef.workflow_graph('cp_labels', 'mermaid');
SELECT * FROM uaef.verify_ledger() WHERE severity <> 'info';
DELETE FROM uaef.compliance_checkpoint WHERE name = 'cp_mine';
DROP OWNED BY regress_cp_a, regress_cp_b;
DROP ROLE regress_cp_a, regress_cp_b;
