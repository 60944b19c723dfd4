-- Starts of which only one execution may come: singletons and debounce.
SET client_min_messages = warning;
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SELECT uaef.create_workflow('once', '{"tasks":[{"id":"t","type":"external","queue":"once"}]}');
CREATE TABLE once_run (name text PRIMARY KEY, e uuid);

-- While the first has not ended, its id is returned.
INSERT INTO once_run SELECT 's1', uaef.start_workflow('once', '{"n":1}', singleton_key => 'k');
INSERT INTO once_run SELECT 's2', uaef.start_workflow('once', '{"n":2}', singleton_key => 'k');
INSERT INTO once_run SELECT 's3', uaef.start_workflow('once', '{"n":3}', singleton_key => 'other');
SELECT count(DISTINCT e) AS executions FROM once_run;
SELECT input FROM uaef.workflow_run JOIN once_run ON e = execution_id WHERE once_run.name = 's2';
SELECT uaef.complete_task(task_id) FROM uaef.task_run JOIN once_run ON e = execution_id WHERE once_run.name = 's1';
INSERT INTO once_run SELECT 's4', uaef.start_workflow('once', '{"n":4}', singleton_key => 'k');
SELECT count(DISTINCT e) AS executions FROM once_run;
SELECT input, status FROM uaef.workflow_run JOIN once_run ON e = execution_id WHERE once_run.name = 's4';
-- keys belong to their workflow
SELECT uaef.create_workflow('once too', '{"tasks":[{"id":"t","type":"external","queue":"once"}]}');
INSERT INTO once_run SELECT 's5', uaef.start_workflow('once too', singleton_key => 'k');
SELECT count(DISTINCT e) AS executions FROM once_run;
-- and to the role that used them
CREATE ROLE regress_once;
SELECT uaef.grant_access('regress_once', 'operator');
\set VERBOSITY terse
SET ROLE regress_once;
SELECT uaef.start_workflow('once', singleton_key => 'k');
RESET ROLE;

-- Debounce: each start puts the one execution off, and replaces its input.
SET uaef.test_now = '2026-03-01 12:00:00+00';
INSERT INTO once_run SELECT 'd1', uaef.start_workflow('once', '{"n":1}', name => 'first', debounce_key => 'd', debounce => '10 s');
SET uaef.test_now = '2026-03-01 12:00:05+00';
INSERT INTO once_run SELECT 'd2', uaef.start_workflow('once', '{"n":2}', name => 'second', debounce_key => 'd', debounce => '10 s');
SELECT count(DISTINCT e) AS executions FROM once_run WHERE name LIKE 'd%';
SELECT r.name, status, input, priority FROM uaef.workflow_run r JOIN once_run o ON e = execution_id WHERE o.name = 'd1';
SELECT kind, key, due_at AT TIME ZONE 'UTC' AS due_at FROM uaef.workflow_start_once WHERE kind = 'debounce';
SELECT kind, due_at AT TIME ZONE 'UTC' AS due_at FROM uaef.task_timer JOIN once_run ON e = execution_id WHERE name = 'd1';
SELECT event_type, payload ->> 'start_at' AS start_at FROM uaef.ledger_event JOIN once_run ON e = stream WHERE name = 'd1' ORDER BY event_id;
SET ROLE regress_once;
SELECT uaef.start_workflow('once', debounce_key => 'd', debounce => '1 s');
RESET ROLE;
-- one that was cancelled makes place for the next
SELECT uaef.cancel_workflow(e) FROM once_run WHERE name = 'd1';
INSERT INTO once_run SELECT 'd3', uaef.start_workflow('once', '{"n":3}', debounce_key => 'd', debounce => '10 s');
SELECT count(DISTINCT e) AS executions FROM once_run WHERE name LIKE 'd%';
RESET uaef.test_now;

-- What does not go together, and bad values.
SELECT uaef.start_workflow('once', idempotency_key => 'i', singleton_key => 's');
SELECT uaef.start_workflow('once', debounce_key => 'i', debounce => '1 s', singleton_key => 's');
SELECT uaef.start_workflow('once', debounce_key => 'i');
SELECT uaef.start_workflow('once', debounce => '1 s');
SELECT uaef.start_workflow('once', debounce_key => 'i', debounce => '-1 s');
SELECT uaef.start_workflow('once', debounce_key => 'i', debounce => '11 years');
SELECT uaef.start_workflow('once', debounce_key => 'i', debounce => '178000000 years');
SELECT uaef.start_workflow('once', debounce_key => 'i', debounce => '1 s', start_at => now() + '1 h');
SELECT uaef.start_workflow('once', singleton_key => '');
SELECT uaef.start_workflow('once', singleton_key => repeat('x', 501));
SELECT uaef.start_workflow('once', idempotency_key => '');
SELECT uaef.start_workflow('once', idempotency_key => repeat('x', 2001));
SELECT count(*) AS started FROM uaef.workflow_start_once WHERE workflow LIKE 'once%';

SELECT count(uaef.cancel_workflow(execution_id)) FROM uaef.workflow_run WHERE workflow LIKE 'once%' AND status IN ('running', 'pending');
SELECT uaef.revoke_access('regress_once', 'operator');
DROP ROLE regress_once;
DELETE FROM uaef.workflow_start_once;
DELETE FROM uaef.task_timer;
DROP TABLE once_run;
