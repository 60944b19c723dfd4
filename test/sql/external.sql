--
-- Outside workers: queues, capabilities, many results at once, giving back
--
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SELECT uaef.create_workflow('ext', '{"tasks": [
	{"id": "plain", "type": "external", "queue": "ext_a"},
	{"id": "gpu", "type": "external", "queue": "ext_a", "priority": 5, "config": {"capability": "gpu", "lease": "2h"}},
	{"id": "fax", "type": "external", "queue": "ext_b", "priority": 9, "config": {"capability": "fax"}}]}');
SELECT uaef.start_workflow('ext', name => 'x 1') AS id \gset
SELECT queue, capability, ready, oldest_age >= interval '0' AS aged
FROM uaef.external_queue WHERE queue LIKE 'ext%' ORDER BY 1, 2;

-- a worker gets what it is able to do, the first of all its queues first
BEGIN;
SELECT task FROM uaef.claim_tasks('w', 'ext_a', 10);
SELECT task, lease_expires_at - now() > interval '1 hour' AS long FROM uaef.claim_tasks('w', 'ext_a', 10, capabilities => '{gpu}');
ROLLBACK;
BEGIN;
SELECT task FROM uaef.claim_tasks('w', max_tasks => 2, queues => '{ext_a,ext_b,ext_b}', capabilities => '{gpu,fax}', lease => '1 min');
SELECT task FROM uaef.claim_tasks('w', max_tasks => 2, queues => '{ext_a,ext_b}', capabilities => '{gpu,fax}');
SELECT task FROM uaef.claim_tasks('w', max_tasks => 2, queues => '{ext_a,ext_b}', capabilities => '{gpu,fax}');
ROLLBACK;
SELECT task FROM uaef.claim_tasks('w', 'ext_b', 10, capabilities => '{gpu}');

-- given back, the attempt does not count, and the old lease is worth nothing
SELECT task_id, lease_token, attempt FROM uaef.claim_tasks('w', 'ext_a') \gset
\set VERBOSITY sqlstate
SELECT uaef.release_task(:task_id, gen_random_uuid());
SELECT uaef.release_task(:task_id, :'lease_token');
SELECT uaef.release_task(:task_id, :'lease_token');
\set VERBOSITY terse
SELECT status, attempt, worker FROM uaef.task_run WHERE task_id = :task_id;
SELECT attempt FROM uaef.claim_tasks('w2', 'ext_a') \gset again_
\echo :attempt :again_attempt
SELECT event_type FROM uaef.audit_trail WHERE execution_id = :'id' AND event_type = 'task_released';
SELECT uaef.cancel_workflow(:'id');

-- many at once: each result has its verdict
SELECT count(uaef.start_workflow('ext', name => 'x many')) FROM generate_series(1, 5);
CREATE TEMP TABLE got AS SELECT row_number() OVER (ORDER BY task_id) AS n, * FROM uaef.claim_tasks('w', 'ext_a', 5);
SELECT c.completed, c.code, c.message FROM
	(SELECT array_agg(task_id ORDER BY n) || 0::bigint AS ids,
		array_agg(jsonb_build_object('n', n) ORDER BY n) || '{}'::jsonb AS outputs,
		array_agg(CASE n WHEN 2 THEN gen_random_uuid() WHEN 3 THEN NULL ELSE lease_token END ORDER BY n) || gen_random_uuid() AS tokens
	 FROM got) a, uaef.complete_tasks(ids, outputs, tokens) c;
SELECT n, status, output FROM got JOIN uaef.task_run USING (task_id) ORDER BY n;
-- again: what is completed stays so, with the same output only
SELECT c.completed, c.code FROM (SELECT jsonb_agg(jsonb_build_object('task_id', task_id, 'lease_token', lease_token,
		'output', jsonb_build_object('n', CASE n WHEN 4 THEN 99 ELSE n END)) ORDER BY n) AS r FROM got) a, uaef.complete_tasks(r) c;
SELECT count(*) FROM uaef.complete_tasks('[]');
SELECT uaef.complete_tasks('{1}', '{}', '{}');
-- names that nobody has
SELECT * FROM uaef.claim_tasks('');
SELECT * FROM uaef.claim_tasks(repeat('w', 256));
SELECT * FROM uaef.claim_tasks('w', '');
SELECT * FROM uaef.claim_tasks('w', queues => '{ext_a,""}');
-- what cannot be read is told by its place, before anything is done
CREATE FUNCTION pg_temp.refused(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
	EXECUTE command;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;
SELECT uaef.start_workflow('ext', name => 'x unread') AS unread \gset
SELECT task_id, lease_token FROM uaef.claim_tasks('w', 'ext_a', 1) \gset
SELECT pg_temp.refused(format('SELECT uaef.complete_tasks(%L, %L, %L)', ARRAY[:task_id, NULL], '{"{}", "{}"}', ARRAY[:'lease_token', NULL]));
SELECT pg_temp.refused(format('SELECT uaef.complete_and_claim(%L, %L, %L, %L)', 'w', ARRAY[:task_id, NULL], '{"{}", "{}"}', ARRAY[:'lease_token', NULL]));
SELECT bad, pg_temp.refused(format('SELECT uaef.complete_tasks(%L)', jsonb_build_array(jsonb_build_object('task_id', :task_id, 'lease_token', :'lease_token'), bad)))
FROM unnest(ARRAY['{"task_id": null}', 'null', '{"task_id": 1.5}', '{"task_id": 1e30}', '{"task_id": "1"}', '{"task_id": 1, "ouptut": {}}',
	'{"task_id": 1, "lease_token": 7}', '{"task_id": 1, "lease_token": "seven"}']::jsonb[]) AS bad;
SELECT status FROM uaef.task_run WHERE task_id = :task_id;
SELECT completed, code FROM uaef.complete_tasks(ARRAY[:task_id], ARRAY[NULL::jsonb], ARRAY[:'lease_token'::uuid]);
SELECT uaef.cancel_workflow(:'unread');

-- results and claims in one step; what was refused comes last, and what was set free is claimed by the next call
SELECT uaef.create_workflow('ext_both', '{"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.l}}", "concurrency": 2, "task": {"type": "external", "queue": "ext_c"}}}]}');
SELECT uaef.start_workflow('ext_both', '{"l": [1, 2, 3]}') AS id \gset
CREATE TEMP TABLE batch AS SELECT * FROM uaef.complete_and_claim('w', '{}', '{}', '{}', 'ext_c', 1);
SELECT item, attempt, workflow, task, code FROM batch;
SELECT uaef.start_workflow('ext_both', '{"l": [4]}', priority => 1) IS NOT NULL AS started;
INSERT INTO batch SELECT c.* FROM batch, uaef.complete_and_claim('w', ARRAY[task_id, task_id], '{"5", "6"}', ARRAY[lease_token, gen_random_uuid()], 'ext_c', 10) c;
SELECT item, code, message, input IS NULL AS none FROM batch ORDER BY code NULLS FIRST, task_id;
SELECT event_type, payload->'item' AS item, payload->'queued' AS queued FROM uaef.audit_trail WHERE execution_id = :'id' ORDER BY event_id;
SELECT item FROM uaef.complete_and_claim('w', (SELECT array_agg(task_id ORDER BY task_id) FROM batch WHERE code IS NULL),
	(SELECT array_agg('7'::jsonb) FROM batch WHERE code IS NULL), (SELECT array_agg(lease_token ORDER BY task_id) FROM batch WHERE code IS NULL), max_tasks => 5, queues => '{ext_a,ext_c}') WHERE workflow = 'ext_both' OR code IS NOT NULL;
SELECT status, output FROM uaef.workflow_run WHERE workflow = 'ext_both' ORDER BY started_at;
SELECT uaef.complete_and_claim('w', '{1}', '{}', '{}');
SELECT uaef.complete_and_claim('w', NULL, '{}', '{}');
SELECT uaef.complete_and_claim('w', '{}', '{}', '{}', max_tasks => 0);
DROP TABLE batch;

-- waiting: over at once with a task, else after the time; not in just any transaction
SELECT count(uaef.start_workflow('ext')) FROM generate_series(1, 1);
SELECT task FROM uaef.claim_tasks('w', 'ext_a', wait => '1 minute');
SELECT count(*) FROM uaef.claim_tasks('w', 'ext_nothing', wait => '10 ms');
BEGIN;
SELECT uaef.start_workflow('ext') IS NOT NULL AS started;
SELECT uaef.claim_tasks('w', 'ext_a', wait => '1 minute');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT uaef.claim_tasks('w', 'ext_a', wait => '1 minute');
ROLLBACK;
SELECT uaef.claim_tasks('w', 'ext_a', wait => '1 hour');
SELECT uaef.claim_tasks('w', queues => '{}');
SELECT uaef.claim_tasks('w', queues => '{NULL}');
SELECT uaef.claim_tasks('w', NULL);
SELECT uaef.claim_tasks('w', max_tasks => 0);
SELECT uaef.claim_tasks('w', lease => '-1 s');
SELECT uaef.create_workflow('ext_bad', '{"tasks": [{"id": "a", "type": "external", "config": {"capability": ""}}]}');
SELECT uaef.create_workflow('ext_bad', '{"tasks": [{"id": "a", "type": "external", "config": {"lease": "soon"}}]}');

-- nothing is written in a transaction that only reads
SELECT uaef.start_workflow('ext', name => 'x read') IS NOT NULL AS started;
SELECT task_id, lease_token FROM uaef.claim_tasks('w', 'ext_a') \gset
BEGIN READ ONLY;
SELECT uaef.heartbeat_task(:task_id, :'lease_token');
ROLLBACK;
SELECT uaef.heartbeat_task(:task_id, :'lease_token') > now() AS extended;

SELECT count(uaef.cancel_workflow(execution_id)) > 0 AS cancelled FROM uaef.workflow_run WHERE workflow = 'ext' AND status = 'running';

-- there is no version 0, and none is not the newest
SELECT uaef.start_workflow('ext', version => 0);
SELECT uaef.start_workflows('ext', '{"{}"}', version => 0);
