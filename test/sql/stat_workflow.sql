-- What workflows did is counted when it is committed.
SELECT uaef.create_workflow('counted', '{"tasks":[{"id":"a","type":"sql","config":{"sql":"SELECT pg_sleep(0.01), 1 / ($1->>''n'')::int AS n"},"on_failure":"skip"},
	{"id":"b","type":"external","retry":{"max_attempts":2,"initial":"1d","max":"1d"}},{"id":"c","type":"map","config":{"over":[1,2],"task":{"type":"external"}}}],"edges":[{"from":"a","to":"b"}]}');
SELECT uaef.reset_stat_workflow();
BEGIN;
SELECT count(uaef.start_workflow('counted', '{"n":1}')) FROM generate_series(1, 5);
ROLLBACK;
SELECT * FROM uaef.stat_workflow WHERE workflow = 'counted';
SELECT count(uaef.start_workflow('counted', '{"n":1}')) FROM generate_series(1, 5);
SELECT uaef.start_workflow('counted', '{"n":0}') AS failing \gset
SELECT sum(uaef.execute_next_tasks(execution_id)) FROM uaef.workflow_run WHERE workflow = 'counted' AND status = 'running';
CREATE TEMP TABLE claimed AS SELECT * FROM uaef.claim_tasks('w', max_tasks => 100);
SELECT count(uaef.complete_task(task_id)) FROM claimed WHERE task = 'b' AND task_id <> (SELECT max(task_id) FROM claimed WHERE task = 'b');
SELECT uaef.fail_task(max(task_id), 'again') FROM claimed WHERE task = 'b';
-- what is rolled back to a savepoint did not happen
BEGIN;
SAVEPOINT s;
SELECT count(uaef.complete_task(task_id)) FROM claimed WHERE task = 'c';
ROLLBACK TO s;
SELECT count(uaef.cancel_workflow(execution_id)) FROM uaef.workflow_run WHERE workflow = 'counted' AND status = 'running';
COMMIT;
SELECT task, started, completed, failed, cancelled, skipped, retried FROM uaef.stat_workflow WHERE workflow = 'counted' ORDER BY task NULLS FIRST;
SELECT task, p50_ms <= p95_ms AND p95_ms <= p99_ms AND p99_ms <= max_ms AND mean_ms <= max_ms AND max_ms >= 10 AS sound
FROM uaef.stat_workflow WHERE workflow = 'counted' AND task = 'a';
SELECT uaef.reset_stat_workflow('counted');
SELECT count(*) FROM uaef.stat_workflow WHERE workflow = 'counted';
-- an operator may look, and not reset
CREATE ROLE stat_operator;
SELECT uaef.grant_access('stat_operator', 'operator');
SET ROLE stat_operator;
SELECT count(*) >= 0 AS seen FROM uaef.stat_workflow;
SELECT count(*) >= 1 AS seen FROM uaef.worker_status;
SELECT uaef.reset_stat_workflow();
RESET ROLE;
SELECT uaef.revoke_access('stat_operator', 'operator');
DROP ROLE stat_operator;
