--
-- Traps of the engine: what must not go wrong
--
\set SHOW_CONTEXT never
SELECT uaef.stop_worker() IS NOT NULL AS stopped;

-- a task that cancels its own execution: that stands, and nothing follows
SELECT uaef.create_workflow('trap_cancel', $${"tasks": [
  {"id": "a", "type": "sql", "config": {"sql": "SELECT uaef.cancel_workflow(($1->>'id')::uuid, 'by itself')",
                                        "input": {"id": "{{sys.execution_id}}"}}},
  {"id": "b", "type": "parallel"}], "edges": [{"from": "a", "to": "b"}]}$$);
SELECT uaef.start_workflow('trap_cancel') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT event_type FROM uaef.ledger_event WHERE stream = :'e' ORDER BY stream_seq;

-- tasks do not run tasks
SELECT uaef.create_workflow('trap_nest', $${"tasks": [
  {"id": "a", "type": "sql", "config": {"sql": "SELECT uaef.execute_next_tasks(($1->>'id')::uuid)",
                                        "input": {"id": "{{sys.execution_id}}"}}}]}$$);
SELECT uaef.start_workflow('trap_nest') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, error->>'code' AS code FROM uaef.workflow_run WHERE execution_id = :'e';

-- a timeout of the session is the session's, and stops the call
SELECT uaef.create_workflow('trap_slow', $${"tasks": [
  {"id": "a", "type": "sql", "on_failure": "continue", "config": {"sql": "SELECT pg_sleep(30)"}}]}$$);
SELECT uaef.start_workflow('trap_slow') AS e \gset
SET statement_timeout = '50ms';
SELECT uaef.execute_next_tasks(:'e');
RESET statement_timeout;
SELECT status FROM uaef.task_run WHERE execution_id = :'e';

-- SET ROLE does not let a task back to who is logged in
CREATE ROLE regress_trap;
GRANT USAGE ON SCHEMA uaef TO regress_trap;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO regress_trap;
GRANT SELECT ON uaef.workflow_run TO regress_trap;
SELECT uaef.create_workflow('trap_role', $${"tasks": [
  {"id": "a", "type": "sql", "config": {"sql": "SELECT set_config('role', 'none', true)"}}]}$$);
SET ROLE regress_trap;
SELECT uaef.start_workflow('trap_role') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT status, error->>'code' AS code FROM uaef.workflow_run WHERE execution_id = :'e';

-- the key of one role is not another's
SELECT uaef.start_workflow('trap_role', idempotency_key => 'mine') IS NOT NULL AS started;
RESET ROLE;
CREATE ROLE regress_trap2;
GRANT USAGE ON SCHEMA uaef TO regress_trap2;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO regress_trap2;
SET ROLE regress_trap2;
SELECT uaef.start_workflow('trap_role', idempotency_key => 'mine');
RESET ROLE;

-- items that fail at once need no deep recursion
SELECT uaef.create_workflow('trap_deep', $${"tasks": [
  {"id": "m", "type": "map", "config": {"over": "{{in.l}}", "concurrency": 1, "join": 1,
   "task": {"type": "wait", "config": {"until": "{{item}}"}}}}]}$$);
SELECT uaef.start_workflow('trap_deep', jsonb_build_object('l', jsonb_agg('x'::text))) AS e
FROM generate_series(1, 20000) \gset
SELECT status, error->>'code' AS code FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT items_total, items_started, items_failed FROM uaef.task_run WHERE execution_id = :'e' AND item IS NULL;

-- inputs are objects
SELECT uaef.start_workflow('trap_role', '[1]');

-- nobody waits for what his own transaction holds back
BEGIN;
SELECT uaef.start_workflow('trap_slow') AS e \gset
\set VERBOSITY sqlstate
SELECT uaef.wait_for_workflow(:'e');
\set VERBOSITY default
ROLLBACK;

-- priorities add up to no overflow
SELECT uaef.create_workflow('trap_priority', $${"tasks": [
  {"id": "t", "type": "external", "queue": "trap", "priority": 5}]}$$);
SELECT uaef.start_workflow('trap_priority', name => 'z low', priority => 1) IS NOT NULL AS low,
	uaef.start_workflow('trap_priority', name => 'z high', priority => 2147483647) IS NOT NULL AS high;
CREATE TABLE trap_claim AS SELECT * FROM uaef.claim_tasks('w', 'trap');
SELECT name FROM uaef.workflow_run JOIN trap_claim USING (execution_id);

-- a completion may be repeated, but not changed; a heartbeat may shorten
SELECT count(uaef.complete_task(task_id, '{"n": 1}', lease_token)) AS once FROM trap_claim;
SELECT count(uaef.complete_task(task_id, '{"n": 1.0}', lease_token)) AS again FROM trap_claim;
\set VERBOSITY sqlstate
SELECT count(uaef.complete_task(task_id, '{"n": 2}', lease_token)) AS changed FROM trap_claim;
\set VERBOSITY default
SELECT task_id AS id, lease_token AS token, execution_id AS e FROM uaef.claim_tasks('w', 'trap', 1, '1 hour') \gset
SELECT uaef.heartbeat_task(:id, :'token', '1 second') < now() + interval '1 minute' AS shorter;
SELECT count(*) FROM uaef.task_timer WHERE execution_id = :'e' AND kind = 'lease' AND due_at < now() + interval '1 minute';

-- an execution that somebody deleted is an error, not a crash
CREATE TABLE trap_gone AS SELECT :'e'::uuid AS e;
DELETE FROM uaef.workflow_execution WHERE execution_id = :'e';
\set VERBOSITY sqlstate
SELECT uaef.complete_task(:id, '{}', :'token');
SELECT uaef.heartbeat_task(:id, :'token');
SELECT uaef.wait_for_workflow(:'e');
\set VERBOSITY default
DELETE FROM uaef.task_execution WHERE execution_id = :'e';

-- texts from outside are cut, documents refused
SELECT uaef.start_workflow('trap_priority') AS e \gset
SELECT task_id AS id, lease_token AS token FROM uaef.claim_tasks('w', 'trap') \gset
SELECT uaef.fail_task(:id, repeat('x', 1000000), false, :'token');
SELECT length(error->>'message') FROM uaef.workflow_run WHERE execution_id = :'e';

-- the extension does not move into a house that somebody else has built
CREATE DATABASE regress_trap;
\c regress_trap
CREATE SCHEMA uaef;
CREATE FUNCTION uaef.start_workflow(text, jsonb) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';
SET client_min_messages = warning;
CREATE EXTENSION uaef CASCADE;
\c uaef_regress
DROP DATABASE regress_trap;
DROP TABLE trap_claim, trap_gone;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA uaef FROM regress_trap, regress_trap2;
DROP OWNED BY regress_trap, regress_trap2;
DROP ROLE regress_trap, regress_trap2;
