--
-- Compensation: what was done is undone before an execution fails or is cancelled
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE TABLE co_log (n int GENERATED ALWAYS AS IDENTITY, what text);

-- an execution's tasks in one line; * is a compensation
CREATE FUNCTION co_tasks(execution uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(task || CASE WHEN compensates THEN '*' ELSE '' END || ' ' || status, ', ' ORDER BY task, compensates, item NULLS FIRST)
  FROM uaef.task_run WHERE execution_id = execution
$$;
CREATE FUNCTION co_run(execution uuid) RETURNS text LANGUAGE sql AS $$
  SELECT status || coalesce(', ending ' || ending, '') || coalesce(' ' || (error - 'message')::text, '')
  FROM uaef.workflow_run WHERE execution_id = execution
$$;
CREATE FUNCTION co_log() RETURNS text LANGUAGE sql AS $$
  WITH gone AS (DELETE FROM co_log RETURNING *) SELECT string_agg(what, ', ' ORDER BY n) FROM gone
$$;

SELECT uaef.create_workflow('co_trip', $${"tasks": [
  {"id": "flight", "type": "sql", "config": {"sql": "INSERT INTO co_log (what) VALUES ('flight') RETURNING 71 AS seat"},
   "compensate": {"type": "sql", "config": {"sql": "INSERT INTO co_log (what) SELECT 'no flight ' || ($1->>'seat') || ' for ' || ($1->>'who')",
     "input": {"seat": "{{task.flight.seat}}", "who": "{{in.who}}"}}}},
  {"id": "hotel", "type": "sql", "config": {"sql": "INSERT INTO co_log (what) VALUES ('hotel') RETURNING 5 AS room"},
   "compensate": {"type": "sql", "config": {"sql": "INSERT INTO co_log (what) SELECT 'no hotel ' || ($1->>'room') || ' after ' || ($1->>'seat')",
     "input": {"room": "{{task.hotel.room}}", "seat": "{{task.flight.seat}}"}}}},
  {"id": "mail", "type": "sql", "config": {"sql": "INSERT INTO co_log (what) VALUES ('mail')"}},
  {"id": "pay", "type": "external", "queue": "co_pay"}],
  "edges": [{"from": "flight", "to": "hotel"}, {"from": "hotel", "to": "mail"}, {"from": "mail", "to": "pay"}]}$$);

-- nothing is compensated where all went well
SELECT uaef.start_workflow('co_trip', '{"who": "ada"}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.complete_task(task_id) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'pay';
SELECT co_run(:'e'), co_tasks(:'e'), co_log();

-- a failure: in reverse order, one after the other, with what the tasks gave
SELECT uaef.start_workflow('co_trip', '{"who": "bob"}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.fail_task(task_id, 'no money', false) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'pay';
SELECT co_run(:'e'), co_tasks(:'e');
SELECT task, type, status, compensates FROM uaef.task_run WHERE execution_id = :'e' AND status = 'queued';
SELECT uaef.execute_next_tasks(:'e');
SELECT co_run(:'e'), co_tasks(:'e');
SELECT co_log();
SELECT event_type, payload->>'task' AS task, payload->>'compensates' AS compensates, payload->>'queued' AS queued
FROM uaef.ledger_event WHERE stream = :'e' ORDER BY stream_seq;
SELECT uaef.workflow_graph(:'e'::uuid);

-- cancel compensates too; unless it is told not to
SELECT uaef.start_workflow('co_trip', '{"who": "eve"}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.cancel_workflow(:'e', 'stay here');
SELECT co_run(:'e'), co_tasks(:'e');
-- meanwhile nothing else begins, and a second cancel is refused
\set VERBOSITY sqlstate
SELECT uaef.complete_task(task_id) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'pay';
SELECT uaef.cancel_workflow(:'e');
\set VERBOSITY default
-- it can be paused
SELECT uaef.pause_workflow(:'e');
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.resume_workflow(:'e');
SELECT uaef.execute_next_tasks(:'e');
SELECT co_run(:'e'), co_tasks(:'e'), co_log();
SELECT uaef.start_workflow('co_trip', '{"who": "eve"}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.cancel_workflow(:'e', compensate => false);
SELECT co_run(:'e'), co_tasks(:'e'), co_log();
-- a compensation that takes too long can be stopped
SELECT uaef.start_workflow('co_trip', '{"who": "eve"}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.cancel_workflow(:'e', 'stay here');
SELECT uaef.cancel_workflow(:'e', 'at once', compensate => false);
SELECT co_run(:'e'), co_tasks(:'e'), co_log();
SELECT uaef.cancel_workflow(:'e', compensate => NULL);
\set VERBOSITY sqlstate
SELECT uaef.cancel_workflow(:'e');
\set VERBOSITY default
SELECT uaef.execute_next_tasks(:'e');

-- nothing completed yet: the execution ends as without compensation
SELECT uaef.start_workflow('co_trip', '{"who": "eve"}') AS e \gset
SELECT uaef.cancel_workflow(:'e');
SELECT co_run(:'e'), co_tasks(:'e');

-- paused: a cancel does not wait for the end of the pause
SELECT uaef.start_workflow('co_trip', '{"who": "eve"}') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.pause_workflow(:'e');
SELECT uaef.cancel_workflow(:'e');
SELECT co_run(:'e');
SELECT uaef.execute_next_tasks(:'e');
SELECT co_run(:'e'), co_log();

-- one that fails: the others run, and the error names it; retries are its own
SELECT uaef.create_workflow('co_bad', $${"tasks": [
  {"id": "a", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "INSERT INTO co_log (what) VALUES ('not a')"}}},
  {"id": "b", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "SELECT 1 / ($1->>'zero')::int"}}},
  {"id": "c", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "SELECT 1", "input": {"x": "{{in.missing}}"}}}},
  {"id": "d", "type": "parallel", "compensate": {"type": "external", "queue": "co_undo", "retry": {"max_attempts": 2, "initial": "1 hour", "jitter": 0},
     "config": {"input": {"undo": "d"}}}},
  {"id": "e", "type": "external", "queue": "co_pay"}],
  "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "c"}, {"from": "c", "to": "d"}, {"from": "d", "to": "e"}]}$$);
SELECT uaef.start_workflow('co_bad', '{"zero": 0}') AS e \gset
SELECT uaef.fail_task(task_id, 'no', false) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'e';
SELECT co_run(:'e'), co_tasks(:'e');
SELECT c.task, c.item, c.input, uaef.fail_task(c.task_id, 'try again', true, c.lease_token) FROM uaef.claim_tasks('w', 'co_undo') c;
SELECT t.kind, t.item, t.attempt FROM uaef.task_timer t WHERE execution_id = :'e' AND kind = 'retry';
-- the retry, as its timer would
SELECT co_tasks(:'e');
SELECT uaef.cancel_workflow(:'e', compensate => false);
SELECT co_run(:'e');

SELECT uaef.create_workflow('co_bad', $${"tasks": [
  {"id": "a", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "INSERT INTO co_log (what) VALUES ('not a')"}}},
  {"id": "b", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "SELECT 1 / ($1->>'zero')::int"}}},
  {"id": "c", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "SELECT 1", "input": {"x": "{{in.missing}}"}}}},
  {"id": "e", "type": "external", "queue": "co_pay"}],
  "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "c"}, {"from": "c", "to": "e"}]}$$);
SELECT uaef.start_workflow('co_bad', '{"zero": 0}') AS e \gset
SELECT uaef.fail_task(task_id, 'no', false) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'e';
SELECT uaef.execute_next_tasks(:'e');
SELECT co_run(:'e'), co_tasks(:'e'), co_log();
SELECT task, error->>'code' AS code FROM uaef.task_run WHERE execution_id = :'e' AND compensates ORDER BY task;

-- all of it in one step: pure tasks, the last of which fails
SELECT uaef.create_workflow('co_pure', $${"tasks": [
  {"id": "a", "type": "parallel", "compensate": {"type": "workflow", "config": {"workflow": "co_undo_a", "input": {"id": "{{sys.workflow}}"}}}},
  {"id": "d", "type": "decision", "config": {"cases": [{"label": "x", "when": {"in.x": 1}}]}}],
  "edges": [{"from": "a", "to": "d"}]}$$);
SELECT uaef.create_workflow('co_undo_a', '{"tasks": [{"id": "u", "type": "parallel"}]}');
SELECT uaef.create_workflow('co_pure', $${"tasks": [
  {"id": "a", "type": "parallel", "compensate": {"type": "workflow", "config": {"workflow": "co_undo_a", "input": {"id": "{{sys.workflow}}"}}}},
  {"id": "d", "type": "decision", "config": {"cases": [{"label": "x", "when": {"in.x": 1}}]}}],
  "edges": [{"from": "a", "to": "d"}]}$$);
SELECT uaef.start_workflow('co_pure', '{"x": 2}') AS e \gset
SELECT co_run(:'e'), co_tasks(:'e');
SELECT workflow, status, input, depth FROM uaef.workflow_run WHERE parent_execution_id = :'e';

-- an output that cannot be given fails the execution when all is done
SELECT uaef.create_workflow('co_output', $${"tasks": [
  {"id": "a", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "INSERT INTO co_log (what) VALUES ('not a')"}}}],
  "output": {"x": "{{in.x}}"}}$$);
SELECT uaef.start_workflow('co_output') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT co_run(:'e'), co_tasks(:'e'), co_log();

-- a map is compensated as one task
SELECT uaef.create_workflow('co_map', $${"tasks": [
  {"id": "m", "type": "map", "config": {"over": "{{in.list}}", "task": {"type": "external", "queue": "co_map"}},
   "compensate": {"type": "sql", "config": {"sql": "INSERT INTO co_log (what) SELECT 'not ' || ($1->>'all')", "input": {"all": "{{task.m}}"}}}},
  {"id": "e", "type": "external", "queue": "co_pay"}], "edges": [{"from": "m", "to": "e"}]}$$);
SELECT uaef.start_workflow('co_map', '{"list": [1, 2]}') AS e \gset
SELECT count(uaef.complete_task(task_id, item_value)) FROM uaef.claim_tasks('w', 'co_map', 2) c JOIN uaef.task_run t USING (task_id);
SELECT uaef.cancel_workflow(:'e');
SELECT uaef.execute_next_tasks(:'e');
SELECT co_run(:'e'), co_tasks(:'e'), co_log();

-- a child compensates what it did itself, and its parent waits for its end
SELECT uaef.create_workflow('co_outer', $${"tasks": [
  {"id": "p", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "INSERT INTO co_log (what) VALUES ('not p')"}}},
  {"id": "c", "type": "workflow", "config": {"workflow": "co_trip"}}], "edges": [{"from": "p", "to": "c"}]}$$);
SELECT uaef.start_workflow('co_outer', '{"who": "kim"}') AS e \gset
SELECT child_execution_id AS c FROM uaef.task_run WHERE execution_id = :'e' AND task = 'c' \gset
SELECT uaef.execute_next_tasks(:'c');
SELECT uaef.fail_task(task_id, 'no money', false) FROM uaef.task_run WHERE execution_id = :'c' AND task = 'pay';
SELECT co_run(:'c'), co_run(:'e');
SELECT uaef.execute_next_tasks(:'c');
SELECT co_run(:'c'), uaef.execute_next_tasks(:'e');
SELECT co_run(:'e') LIKE 'failed%' AS failed, co_log();
-- cancel of the parent without compensation: neither has any
SELECT uaef.start_workflow('co_outer', '{"who": "kim"}') AS e \gset
SELECT child_execution_id AS c FROM uaef.task_run WHERE execution_id = :'e' AND task = 'c' \gset
SELECT uaef.execute_next_tasks(:'c');
SELECT uaef.cancel_workflow(:'e', compensate => false);
SELECT co_run(:'c'), co_run(:'e'), co_log();
-- and with: both
SELECT uaef.start_workflow('co_outer', '{"who": "kim"}') AS e \gset
SELECT child_execution_id AS c FROM uaef.task_run WHERE execution_id = :'e' AND task = 'c' \gset
SELECT uaef.execute_next_tasks(:'c');
SELECT uaef.cancel_workflow(:'e');
SELECT co_run(:'c'), co_run(:'e');
SELECT uaef.execute_next_tasks(:'c'), uaef.execute_next_tasks(:'e');
SELECT co_run(:'c'), co_run(:'e'), co_log();

-- what is refused
SELECT uaef.create_workflow('co_no', '{"tasks": [{"id": "a", "type": "parallel", "compensate": {"type": "wait", "config": {"for": "1s"}}}]}');
SELECT uaef.create_workflow('co_no', '{"tasks": [{"id": "a", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "SELECT 1"}, "join": "any"}}]}');
SELECT uaef.create_workflow('co_no', '{"tasks": [{"id": "a", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "SELECT nothing"}}}]}');
SELECT uaef.create_workflow('co_no', '{"tasks": [{"id": "a", "type": "parallel", "compensate": {"type": "sql", "config": {"sql": "SELECT 1", "input": "{{task.b}}"}}}, {"id": "b", "type": "parallel"}], "edges": [{"from": "a", "to": "b"}]}');
SELECT uaef.create_workflow('co_no', '{"tasks": [{"id": "m", "type": "map", "config": {"over": [1], "task": {"type": "sql", "config": {"sql": "SELECT 1"}, "compensate": {"type": "sql", "config": {"sql": "SELECT 1"}}}}}]}');

SELECT * FROM uaef.verify_ledger() WHERE severity <> 'info';
DROP FUNCTION co_log();
DROP FUNCTION co_run(uuid);
DROP FUNCTION co_tasks(uuid);
DROP TABLE co_log;
