--
-- Failures: which are tried again, codes of workers, settings of live tasks
--
\set VERBOSITY sqlstate
SELECT uaef.stop_worker() IS NOT NULL AS stopped;

-- what is transient is tried again, what is permanent is not
CREATE FUNCTION fai_raise(code text) RETURNS int LANGUAGE plpgsql AS
	$$BEGIN RAISE EXCEPTION 'made' USING ERRCODE = code; END$$;
SELECT uaef.create_workflow('fai_sql', $${"tasks": [{"id": "t", "type": "sql",
  "config": {"sql": "SELECT fai_raise($1->>'code')"}, "retry": {"max_attempts": 2, "initial": "1h"}}]}$$);
CREATE TABLE fai_run AS SELECT c AS code, uaef.start_workflow('fai_sql', jsonb_build_object('code', c)) AS e
	FROM unnest(ARRAY['40001', '40P01', '53100', '53200', '53300', '55P03', '57P01', '57P02', '57P03', '08006', '58030', 'XX000', 'P0001',
		'0A000', '22012', '23505', '28000', '42501', '42P01', 'UA201']) c;
SELECT count(uaef.execute_next_tasks(e)) FROM fai_run;
SELECT code, CASE status WHEN 'running' THEN 'transient' ELSE 'permanent' END AS class
	FROM fai_run JOIN uaef.workflow_run ON execution_id = e ORDER BY class DESC, code COLLATE "C";
SELECT count(uaef.cancel_workflow(e)) FROM fai_run JOIN uaef.workflow_run ON execution_id = e WHERE status = 'running';

-- "not_on" goes before "on", and before what is transient
SELECT uaef.create_workflow('fai_ext', $${"tasks": [{"id": "t", "type": "external", "queue": "fai",
  "retry": {"max_attempts": 5, "initial": "1h", "not_on": ["paper_jam", "53", "40001"]}}]}$$);
SELECT uaef.create_workflow('fai_on', $${"tasks": [{"id": "t", "type": "external", "queue": "fai",
  "retry": {"max_attempts": 5, "initial": "1h", "on": ["busy", "53"], "not_on": ["53100"]}}]}$$);
CREATE FUNCTION fai_try(workflow text, code text, retryable boolean DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	e uuid := uaef.start_workflow(workflow);
	status text;
BEGIN
	SELECT uaef.fail_task(task_id, 'no', retryable, lease_token, code, '{"tray": 2}') INTO status FROM uaef.claim_tasks('w', 'fai');
	IF status = 'pending' THEN
		PERFORM uaef.cancel_workflow(e);
	END IF;
	RETURN status;
END $$;
SELECT code, fai_try('fai_ext', code) FROM unnest(ARRAY['task_error', 'paper_jam', '53200', '40001', '40P01']) code;
SELECT code, fai_try('fai_on', code) FROM unnest(ARRAY['task_error', 'busy', '53200', '53100']) code;
SELECT fai_try('fai_ext', 'busy', false);
SELECT error FROM uaef.dead_letter WHERE workflow = 'fai_ext' AND code = 'paper_jam';
SELECT fai_try('fai_ext', 'Paper jam');
SELECT uaef.create_workflow('fai_bad', '{"tasks": [{"id": "t", "type": "external", "retry": {"not_on": ["Jam"]}}]}');

-- both results may be told twice
SELECT uaef.start_workflow('fai_ext') AS e \gset
SELECT task_id AS t, lease_token AS token FROM uaef.claim_tasks('w', 'fai') \gset
SELECT uaef.heartbeat_task(:t, :'token', '1 minute', '{"pages": 3}') > now() AS extended;
SELECT uaef.heartbeat_task(:t, :'token') > now() AS extended;
SELECT progress FROM uaef.task_run WHERE task_id = :t;
SELECT uaef.fail_task(:t, 'no', lease_token => :'token');
SELECT uaef.fail_task(:t, 'no', lease_token => :'token');
SELECT uaef.complete_task(:t, '{}', :'token');
SELECT uaef.heartbeat_task(:t, :'token');
SELECT count(*) FROM uaef.ledger_event WHERE stream = :'e' AND event_type = 'task_retry_scheduled';
SELECT uaef.retry_task_now(:t);
SELECT uaef.fail_task(:t, 'no', lease_token => :'token');
SELECT status, attempt FROM uaef.task_run WHERE task_id = :t;
SELECT lease_token AS second FROM uaef.claim_tasks('w', 'fai') \gset
SELECT uaef.fail_task(:t, 'no', lease_token => :'token');
SELECT progress FROM uaef.task_run WHERE task_id = :t;
SELECT uaef.fail_task(:t, 'no', false, :'second');
SELECT uaef.fail_task(:t, 'no', false, :'second');
SELECT status, attempt FROM uaef.task_run WHERE task_id = :t;

-- settings of live tasks
SELECT uaef.create_workflow('fai_alter', $${"tasks": [{"id": "a", "type": "external", "queue": "fai"},
  {"id": "b", "type": "external", "queue": "fai"},
  {"id": "m", "type": "map", "config": {"over": [1, 2], "concurrency": 1, "task": {"type": "external", "queue": "fai_m"}}},
  {"id": "s", "type": "sql", "config": {"sql": "SELECT 1"}}],
 "edges": [{"from": "a", "to": "b"}]}$$);
SELECT uaef.start_workflow('fai_alter') AS e \gset
SELECT uaef.alter_task(:'e', 'a', '{"max_attempts": 3, "initial": "1h"}', reason => 'be patient');
SELECT uaef.alter_task(:'e', 'a', '{"jitter": 0}', '5 minutes', 7, 'fai_other');
SELECT overrides FROM uaef.task_run WHERE execution_id = :'e' AND task = 'a';
SELECT count(*) FROM uaef.claim_tasks('w', 'fai');
SELECT task_id AS t, lease_token AS token FROM uaef.claim_tasks('w', 'fai_other') \gset
SELECT uaef.fail_task(:t, 'no', lease_token => :'token');
SELECT uaef.complete_task(:t);
SELECT uaef.retry_task_now(:t);
SELECT uaef.alter_task(:'e', 'a', timeout => '0');
SELECT uaef.alter_task(:'e', 'b', queue => 'fai_later');
SELECT task, status FROM uaef.task_run WHERE execution_id = :'e' AND task = 'b';
SELECT uaef.alter_task(:'e', 'm', queue => 'fai_moved');
SELECT count(*) FROM uaef.claim_tasks('w', 'fai_m');
SELECT uaef.complete_task(task_id, '{}', lease_token), item FROM uaef.claim_tasks('w', 'fai_moved');
SELECT item FROM uaef.claim_tasks('w', 'fai_moved');
SELECT uaef.complete_task(task_id, '{}', lease_token), task FROM uaef.claim_tasks('w', 'fai_other');
SELECT task FROM uaef.claim_tasks('w', 'fai_later');
SELECT payload FROM uaef.ledger_event WHERE stream = :'e' AND event_type = 'task_altered' ORDER BY stream_seq LIMIT 1;
-- refused
SELECT uaef.alter_task(:'e', 'a', priority => 1);
SELECT uaef.alter_task(:'e', 'zz', priority => 1);
SELECT uaef.alter_task(:'e', 'b', '{"attempts": 3}');
SELECT uaef.alter_task(:'e', 'b', '[]');
SELECT uaef.alter_task(:'e', 'b', timeout => '-1s');
SELECT uaef.alter_task(:'e', 's', queue => 'x');
SELECT uaef.cancel_workflow(:'e');
SELECT uaef.alter_task(:'e', 'b', priority => 1);
SELECT uaef.start_workflow('fai_alter', timeout => '0');

-- deadlines: of the definition, of the start
SELECT uaef.create_workflow('fai_late', '{"timeout": "1h", "tasks": [{"id": "t", "type": "external", "queue": "fai_late"}]}');
SELECT uaef.start_workflow('fai_late') AS d \gset
SELECT uaef.start_workflow('fai_late', timeout => '1 day', start_at => now() + interval '1 day') AS e \gset
SELECT deadline_at - created_at AS of_definition FROM uaef.workflow_run WHERE execution_id = :'d';
SELECT deadline_at - created_at > interval '47 hours' AS of_start FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT count(uaef.cancel_workflow(i)) FROM unnest(ARRAY[:'d', :'e']::uuid[]) i;

SELECT * FROM uaef.verify_ledger();
DROP TABLE fai_run;
DROP FUNCTION fai_raise(text), fai_try(text, text, boolean);
