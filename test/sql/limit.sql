-- Limits: how much may run at once, and how often something may begin.  There is
-- no worker here: execute_next_tasks() lets waiting tasks run.
SET client_min_messages = warning;
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SET uaef.test_now = '2026-03-01 12:00:00+00';

CREATE TABLE limit_run (key text PRIMARY KEY, e uuid);
CREATE FUNCTION limit_start(workflow text, key text, input jsonb) RETURNS void LANGUAGE sql
AS $$ INSERT INTO limit_run VALUES (key, uaef.start_workflow(workflow, input)) $$;
-- What can be claimed now; a granter runs in execute_next_tasks() only.
CREATE FUNCTION limit_tick() RETURNS bigint LANGUAGE sql
AS $$ SELECT uaef.execute_next_tasks(e) FROM limit_run WHERE key = 'tick' $$;
CREATE VIEW limit_ready AS SELECT key, task_no, item FROM uaef.task_ready JOIN limit_run ON e = execution_id;
CREATE VIEW limit_slots AS SELECT limit_name, s.key AS of_key, r.key, item FROM uaef.limit_slot s JOIN limit_run r ON e = execution_id;

-- Any workflow with a limit makes the granter run.
SELECT uaef.create_workflow('tick', '{"tasks":[{"id":"t","type":"external","queue":"tick","limits":[{"concurrency":1}]}]}');
SELECT limit_start('tick', 'tick', '{}');
SELECT limit_tick();
SELECT * FROM limit_ready;

-- Concurrency per key: two at once for each customer, the others wait.
SELECT uaef.create_workflow('per key', '{"tasks":[{"id":"t","type":"external","queue":"q",
	"limits":[{"key":"{{in.customer}}","concurrency":2}]}]}');
SELECT limit_start('per key', c || i, jsonb_build_object('customer', c))
FROM unnest(array['a', 'b']) c, generate_series(1, 4) i;
SELECT count(*) AS none_yet FROM uaef.claim_tasks('w', 'q', 10);
SELECT limit_tick();
SELECT * FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SELECT limit_name, key, running, waiting FROM uaef.limit_status ORDER BY 1, 2;
SELECT task_id, lease_token, e.key INTO TEMP claimed FROM uaef.claim_tasks('w', 'q', 10) c JOIN limit_run e ON e.e = c.execution_id;
SELECT key FROM claimed ORDER BY key;

-- A place is given back by success, by failure, by cancel and by a lost lease.
SELECT uaef.complete_task(task_id, '{}', lease_token) FROM claimed WHERE key = 'a1';
SELECT uaef.fail_task(task_id, 'broken', false, lease_token) FROM claimed WHERE key = 'b1';
SELECT limit_tick();
SELECT * FROM limit_slots WHERE key <> 'tick' ORDER BY 1, 2, 3;
SELECT uaef.cancel_workflow(e) FROM limit_run WHERE key IN ('a2', 'a4', 'b3');
SELECT limit_tick();
SELECT * FROM limit_slots WHERE key <> 'tick' ORDER BY 1, 2, 3;
SELECT limit_name, key, running, waiting FROM uaef.limit_status ORDER BY 1, 2;
SELECT uaef.cancel_workflow(e) FROM limit_run JOIN uaef.workflow_run ON e = execution_id WHERE key <> 'tick' AND status = 'running';
SELECT limit_tick();
SELECT limit_name, key, running FROM uaef.limit_key ORDER BY 1, 2;
TRUNCATE claimed;
DELETE FROM limit_run WHERE key <> 'tick';

-- A rate: a burst of two, then one every ten seconds.
SELECT uaef.create_workflow('rate', '{"tasks":[{"id":"t","type":"external","queue":"r",
	"limits":[{"rate":"6/min","burst":2}]}]}');
SELECT limit_start('rate', 'r' || i, '{}') FROM generate_series(1, 5) i;
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SET uaef.test_now = '2026-03-01 12:00:09+00';
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SET uaef.test_now = '2026-03-01 12:00:10+00';
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SET uaef.test_now = '2026-03-01 13:00:00+00';
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SELECT count(uaef.cancel_workflow(e)) FROM limit_run WHERE key <> 'tick';
SELECT limit_tick();
DELETE FROM limit_run WHERE key <> 'tick';

-- Two limits on one task; what is full for one customer holds back no other.
SELECT uaef.create_limit('everybody', concurrency => 3);
SELECT uaef.create_workflow('two', '{"tasks":[{"id":"t","type":"external","queue":"two",
	"limits":[{"limit":"everybody"},{"key":"{{in.customer}}","concurrency":1}]}]}');
SELECT limit_start('two', c || i, jsonb_build_object('customer', c))
FROM unnest(array['a', 'b', 'c', 'd']) c, generate_series(1, 3) i;
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SELECT uaef.cancel_workflow(e) FROM limit_run WHERE key = 'a1';
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
-- a wider limit lets more run; a dropped one holds nothing back
SELECT uaef.create_limit('everybody', concurrency => 4);
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SELECT uaef.drop_limit('everybody');
SELECT uaef.cancel_workflow(e) FROM limit_run WHERE key IN ('b1', 'b2');
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
-- all of them get their turn
DO $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		PERFORM uaef.complete_task(task_id, '{}', lease_token) FROM uaef.claim_tasks('w', 'two', 2);
		PERFORM limit_tick();
	END LOOP;
END $$;
SELECT status, count(*) FROM limit_run JOIN uaef.workflow_run ON e = execution_id WHERE key <> 'tick' GROUP BY status ORDER BY status;
SELECT limit_name, key, running FROM uaef.limit_key ORDER BY 1, 2;
DELETE FROM limit_run WHERE key <> 'tick';

-- Looking at who stands elsewhere does not forget when a rate has a start again.
SET uaef.test_now = '2026-03-01 14:00:00+00';
SELECT uaef.create_limit('pace', rate => '6/min');
SELECT uaef.create_limit('alone', concurrency => 1);
SELECT uaef.create_workflow('both', '{"tasks":[{"id":"t","type":"external","queue":"both","limits":[{"limit":"pace"},{"limit":"alone"}]}]}');
SELECT uaef.create_workflow('paced', '{"tasks":[{"id":"t","type":"external","queue":"paced","limits":[{"limit":"pace"}]}]}');
SELECT uaef.create_workflow('lone', '{"tasks":[{"id":"t","type":"external","queue":"lone","limits":[{"limit":"alone"}]}]}');
SELECT limit_start('both', 'a1', '{}');
SELECT limit_tick();
SELECT limit_start('both', 'a2', '{}');
SET uaef.test_now = '2026-03-01 14:00:10+00';
SELECT limit_tick();
SELECT limit_start('paced', 'b1', '{}');
SELECT limit_tick();
SELECT limit_start('paced', 'b2', '{}');
SELECT limit_tick();
SELECT limit_start('lone', 'c1', '{}');
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SELECT wake_at FROM uaef.limit_key WHERE limit_name = 'pace';
SET uaef.test_now = '2026-03-01 14:00:20+00';
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
-- nor does one that takes a start while it stands elsewhere
SET uaef.test_now = '2026-03-01 14:00:30+00';
SELECT limit_start('both', 'a3', '{}');
SELECT uaef.cancel_workflow(e) FROM limit_run WHERE key IN ('a1', 'c1');
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SELECT wake_at FROM uaef.limit_key WHERE limit_name = 'pace';
SELECT count(uaef.cancel_workflow(e)) FROM limit_run JOIN uaef.workflow_run ON e = execution_id WHERE key <> 'tick' AND status = 'running';
SELECT limit_tick();
DELETE FROM limit_run WHERE key <> 'tick';

-- Pause gives the place back, resume asks again.
SELECT uaef.create_workflow('one', '{"tasks":[{"id":"t","type":"external","queue":"one","limits":[{"concurrency":1}]}]}');
SELECT limit_start('one', 'o' || i, '{}') FROM generate_series(1, 2) i;
SELECT limit_tick();
SELECT uaef.pause_workflow(e) FROM limit_run WHERE key = 'o1';
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SELECT uaef.resume_workflow(e) FROM limit_run WHERE key = 'o1';
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
SELECT uaef.complete_task(task_id, '{}', lease_token) FROM uaef.claim_tasks('w', 'one', 5);
SELECT limit_tick();
SELECT key FROM limit_ready WHERE key <> 'tick' ORDER BY key;
-- completing what waits takes it out of the line
SELECT limit_start('one', 'o3', '{}');
SELECT uaef.complete_task(task_id) FROM uaef.task_run JOIN limit_run ON e = execution_id WHERE key = 'o3';
SELECT uaef.complete_task(task_id, '{}', lease_token) FROM uaef.claim_tasks('w', 'one', 5);
SELECT limit_tick();
SELECT count(*) AS waiters FROM uaef.limit_waiter;
SELECT count(*) AS slots FROM uaef.limit_slot JOIN limit_run r ON e = execution_id WHERE r.key <> 'tick';
DELETE FROM limit_run WHERE key <> 'tick';

-- Items of a map; SQL tasks; no worker is needed.
CREATE TABLE limit_done (n int);
SELECT uaef.create_workflow('items', '{"tasks":[{"id":"m","type":"map","config":{"over":"{{in.items}}","task":
	{"type":"sql","limits":[{"key":"{{item.k}}","concurrency":1}],
	 "config":{"sql":"INSERT INTO public.limit_done SELECT ($1->>''n'')::int"}}}}]}');
SELECT limit_start('items', 'items', '{"items":[{"k":"x","n":1},{"k":"x","n":2},{"k":"y","n":3},{"k":"x","n":4}]}');
SELECT uaef.execute_next_tasks(e) FROM limit_run WHERE key = 'items';
SELECT n FROM limit_done ORDER BY n;
SELECT status FROM uaef.workflow_run JOIN limit_run ON e = execution_id WHERE key = 'items';
SELECT count(*) AS slots FROM uaef.limit_slot;

-- A key that cannot be read fails the task; one that is too long too.
SELECT limit_start('per key', 'none', '{}');
SELECT limit_start('per key', 'long', jsonb_build_object('customer', repeat('x', 501)));
SELECT r.key, status, error->>'code' AS code FROM uaef.workflow_run JOIN limit_run r ON e = execution_id WHERE r.key IN ('none', 'long') ORDER BY 1;

-- A waiting task that has a higher priority goes first, but not for ever.
SELECT uaef.create_workflow('low', '{"tasks":[{"id":"t","type":"external","queue":"prio"}]}');
SET uaef.test_now = '2026-03-01 12:00:00+00';
INSERT INTO limit_run SELECT 'low', uaef.start_workflow('low', priority => 0);
SET uaef.test_now = '2026-03-01 12:09:59+00';
INSERT INTO limit_run SELECT 'high', uaef.start_workflow('low', priority => 10);
SET uaef.test_now = '2026-03-01 12:10:01+00';
INSERT INTO limit_run SELECT 'too late', uaef.start_workflow('low', priority => 10);
\c -
SET client_min_messages = warning;
SET uaef.test_now = '2026-03-01 12:10:01+00';
SELECT r.key FROM uaef.claim_tasks('w', 'prio', 1) c JOIN limit_run r ON e = c.execution_id;
SELECT r.key FROM uaef.claim_tasks('w', 'prio', 1) c JOIN limit_run r ON e = c.execution_id;
SELECT r.key FROM uaef.claim_tasks('w', 'prio', 1) c JOIN limit_run r ON e = c.execution_id;
-- a session that has not claimed yet begins at the front
\c -
INSERT INTO limit_run SELECT 'extreme', uaef.start_workflow('low', priority => 2147483647);
INSERT INTO limit_run SELECT 'least', uaef.start_workflow('low', priority => -2147483648);
SELECT r.key FROM uaef.claim_tasks('w', 'prio', 1) c JOIN limit_run r ON e = c.execution_id;
SELECT r.key FROM uaef.claim_tasks('w', 'prio', 1) c JOIN limit_run r ON e = c.execution_id;

-- What is refused, and where.
CREATE FUNCTION limit_try(task text, top text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	d text;
BEGIN
	PERFORM uaef.create_workflow('bad', ('{"tasks":[{"id":"t",' || task || '}]' || top || '}')::jsonb);
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ': ' || SQLERRM || CASE WHEN d = '' THEN '' ELSE ' / ' || d END;
END $$;
SELECT limit_try(t) FROM unnest(array[
	'"type":"external","limits":[]',
	'"type":"external","limits":{"concurrency":1}',
	'"type":"external","limits":[{}]',
	'"type":"external","limits":[{"key":"x"}]',
	'"type":"external","limits":[{"concurrency":0}]',
	'"type":"external","limits":[{"concurrency":1000001}]',
	'"type":"external","limits":[{"rate":"fast"}]',
	'"type":"external","limits":[{"rate":"0/min"}]',
	'"type":"external","limits":[{"rate":"-1/min"}]',
	'"type":"external","limits":[{"rate":"10/month"}]',
	'"type":"external","limits":[{"rate":"9999999999999999999999/s"}]',
	'"type":"external","limits":[{"concurrency":1,"burst":5}]',
	'"type":"external","limits":[{"concurrency":1,"keys":"x"}]',
	'"type":"external","limits":[{"concurrency":1,"key":"{{item.x}}"}]',
	'"type":"external","limits":[{"concurrency":1,"key":"{{task.u.x}}"}]',
	'"type":"external","limits":[{"limit":"nobody"}]',
	'"type":"external","limits":[{"limit":"nobody","concurrency":1}]',
	'"type":"decision","config":{"cases":[{"label":"x","when":{"in.a":1}}]},"limits":[{"concurrency":1}]',
	'"type":"map","config":{"over":"{{in.x}}","task":{"type":"external"}},"limits":[{"concurrency":1}]']) t;
SELECT limit_try('"type":"external"', t) FROM unnest(array[
	',"limits":[{"concurrency":1,"key":"{{task.t.x}}"}]',
	',"on_limit":"skip"',
	',"on_limit":"perhaps","limits":[{"concurrency":1}]']) t;
\set VERBOSITY terse
SELECT uaef.create_limit('none');
SELECT uaef.create_limit('a/b', 1);
SELECT uaef.create_limit('neg', -1);
SELECT uaef.create_limit('burst', 1, NULL, 5);
SELECT uaef.create_limit('rate', NULL, '5 per minute');
SELECT uaef.create_limit(NULL, 1);
SELECT uaef.drop_limit('none');
CREATE ROLE regress_limit;
SELECT uaef.grant_access('regress_limit', 'author');
SELECT uaef.create_limit('mine', 1);
SET ROLE regress_limit;
SELECT uaef.create_limit('mine', 2);
SELECT uaef.drop_limit('mine');
SELECT count(*) FROM uaef.limit_slot;
RESET ROLE;
SELECT uaef.drop_limit('mine');
SELECT event_type, payload FROM uaef.ledger_event WHERE event_type LIKE 'limit%' ORDER BY event_id;
SELECT uaef.revoke_access('regress_limit', 'author');
DROP ROLE regress_limit;

SELECT count(uaef.cancel_workflow(e)) FROM limit_run JOIN uaef.workflow_run ON e = execution_id WHERE status = 'running';
DROP VIEW limit_ready, limit_slots;
DROP TABLE limit_run, limit_done;
DROP FUNCTION limit_start, limit_tick, limit_try;
