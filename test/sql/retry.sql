--
-- Going on with what failed: retry_workflow(), fork_workflow(), dead letters
--
\set VERBOSITY sqlstate
SELECT uaef.stop_worker() IS NOT NULL AS stopped;

-- claim one task of the queue and complete or fail it
CREATE FUNCTION ret_do(want text, good boolean DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	SELECT * INTO c FROM uaef.claim_tasks('w', 'ret_' || want);
	IF c.task_id IS NULL THEN
		RETURN 'nothing';
	END IF;
	IF good THEN
		PERFORM uaef.complete_task(c.task_id, jsonb_build_object('by', c.task, 'attempt', c.attempt), c.lease_token);
	ELSE
		PERFORM uaef.fail_task(c.task_id, 'broken', false, c.lease_token);
	END IF;
	RETURN c.task || coalesce('[' || c.item || ']', '') || ' ' || c.attempt;
END $$;
CREATE VIEW ret_task AS SELECT execution_id, task, item, status, attempt, error->>'code' AS code FROM uaef.task_run;

-- what completed stays; what failed, and was cancelled for it, runs again
SELECT uaef.create_workflow('ret_flow', $${"tasks": [
  {"id": "a", "type": "external", "queue": "ret_a"},
  {"id": "b", "type": "external", "queue": "ret_b"},
  {"id": "side", "type": "external", "queue": "ret_side"},
  {"id": "pick", "type": "decision", "config": {"cases": [{"label": "x", "when": {"in.way": "x"}}], "default": "y"}},
  {"id": "x", "type": "external", "queue": "ret_x"},
  {"id": "y", "type": "external", "queue": "ret_y"},
  {"id": "end", "type": "parallel"}],
 "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "pick"}, {"from": "pick", "to": "x", "on": "x"},
  {"from": "pick", "to": "y", "on": "y"}, {"from": "x", "to": "end"}, {"from": "y", "to": "end"}, {"from": "side", "to": "end"}],
 "output": {"a": "{{task.a}}", "b": "{{task.b}}"}}$$);
SELECT uaef.start_workflow('ret_flow', '{"way": "x"}', name => 'A first') AS e \gset
SELECT uaef.retry_workflow(:'e');
SELECT ret_do('a'), ret_do('b', false);
SELECT task, status, attempt, code FROM ret_task WHERE execution_id = :'e' ORDER BY task;
SELECT workflow, name, task, item, code, message, attempt, input FROM uaef.dead_letter WHERE execution_id = :'e';
SELECT uaef.retry_workflow(:'e', 'nobody');
SELECT uaef.retry_workflow(:'e', reason => 'mended');
SELECT status, error, completed_at, open_tasks FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT count(*) FROM uaef.dead_letter WHERE execution_id = :'e';
SELECT ret_do('a'), ret_do('b'), ret_do('side'), ret_do('y'), ret_do('x');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT task, status, attempt FROM ret_task WHERE execution_id = :'e' ORDER BY task;
SELECT payload - 'error' FROM uaef.ledger_event WHERE stream = :'e' AND event_type = 'workflow_retried';
SELECT uaef.retry_workflow(:'e');

-- from a task: it and what follows from it again, with the ways that follow now
SELECT uaef.start_workflow('ret_flow', '{"way": "y"}') AS e \gset
SELECT ret_do('a'), ret_do('b'), ret_do('side'), ret_do('y', false);
SELECT uaef.retry_workflow(:'e', 'b');
SELECT task, status, attempt FROM ret_task WHERE execution_id = :'e' ORDER BY task;
SELECT ret_do('side'), ret_do('b'), ret_do('x'), ret_do('y');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';

-- a cancelled one, and one that had not begun
SELECT uaef.start_workflow('ret_flow', '{"way": "x"}') AS e \gset
SELECT ret_do('a');
SELECT uaef.cancel_workflow(:'e', 'mistake');
SELECT uaef.retry_workflow(:'e');
SELECT ret_do('a'), ret_do('b'), ret_do('side'), ret_do('x');
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('ret_flow', '{"way": "x"}', start_at => now() + interval '1 day') AS e \gset
SELECT uaef.cancel_workflow(:'e');
SELECT uaef.retry_workflow(:'e');
SELECT ret_do('a'), ret_do('b'), ret_do('side'), ret_do('x');
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';

-- failures that the definition provides for: "continue" is a result, "skip" is not
SELECT uaef.create_workflow('ret_let', $${"tasks": [
  {"id": "c", "type": "external", "queue": "ret_c", "on_failure": "continue"},
  {"id": "s", "type": "external", "queue": "ret_s", "on_failure": "skip"},
  {"id": "t", "type": "external", "queue": "ret_t"},
  {"id": "z", "type": "external", "queue": "ret_z"}],
 "edges": [{"from": "s", "to": "t"}], "output": {}}$$);
SELECT uaef.start_workflow('ret_let') AS e \gset
SELECT ret_do('c', false), ret_do('s', false), ret_do('z', false);
SELECT uaef.retry_workflow(:'e');
SELECT ret_do('c'), ret_do('s'), ret_do('z'), ret_do('t');
SELECT task, status, attempt FROM ret_task WHERE execution_id = :'e' ORDER BY task;

-- maps: only the items that failed or were cancelled, within the concurrency
SELECT uaef.create_workflow('ret_map', $${"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.list}}", "concurrency": 2,
  "task": {"type": "external", "queue": "ret_m"}}}]}$$);
SELECT uaef.start_workflow('ret_map', '{"list": [1, 2, 3, 4, 5]}') AS e \gset
SELECT ret_do('m'), ret_do('m'), ret_do('m', false);
SELECT task, item, status, attempt FROM ret_task WHERE execution_id = :'e' ORDER BY item NULLS FIRST;
SELECT uaef.retry_workflow(:'e');
SELECT task, item, status, attempt FROM ret_task WHERE execution_id = :'e' ORDER BY item NULLS FIRST;
SELECT ret_do('m'), ret_do('m');
SELECT items_total, items_started, items_completed, items_failed FROM uaef.task_run WHERE execution_id = :'e' AND item IS NULL;
SELECT ret_do('m'), ret_do('m');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('ret_map', '{"list": [1, 2, 3]}') AS e \gset
SELECT ret_do('m'), ret_do('m', false);
SELECT uaef.retry_workflow(:'e', 'm');
SELECT ret_do('m'), ret_do('m'), ret_do('m'), ret_do('m');
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';

-- a join of one: several items that failed, and room for one at a time
SELECT uaef.create_workflow('ret_any', $${"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.list}}", "concurrency": 1, "join": "any",
  "task": {"type": "external", "queue": "ret_any"}}}]}$$);
SELECT uaef.start_workflow('ret_any', '{"list": [1, 2, 3]}') AS e \gset
SELECT ret_do('any', false), ret_do('any', false), ret_do('any', false);
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.retry_workflow(:'e');
SELECT ret_do('any', false), ret_do('any', false), ret_do('any'), ret_do('any');
SELECT task, item, status, attempt FROM ret_task WHERE execution_id = :'e' ORDER BY item NULLS FIRST;

-- an output that cannot be filled in, and an edge that cannot be judged
SELECT uaef.create_workflow('ret_edge', $${"tasks": [{"id": "a", "type": "external", "queue": "ret_a"}, {"id": "b", "type": "parallel"}],
 "edges": [{"from": "a", "to": "b", "when": {"$nor": [{"task.a.nowhere": 1}]}}]}$$);
SELECT uaef.start_workflow('ret_edge') AS e \gset
SELECT ret_do('a');
SELECT task, code, attempt FROM uaef.dead_letter WHERE execution_id = :'e';
SELECT uaef.retry_workflow(:'e');
SELECT status, error->>'code' AS code FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.retry_workflow(:'e', 'a');
SELECT ret_do('a');
SELECT status, error->>'code' AS code FROM uaef.workflow_run WHERE execution_id = :'e';

-- attempts for max_attempts begin anew, numbers of attempts go on
SELECT uaef.create_workflow('ret_twice', $${"tasks": [{"id": "t", "type": "external", "queue": "ret_2",
  "retry": {"max_attempts": 2, "initial": "1h"}}]}$$);
SELECT uaef.start_workflow('ret_twice') AS e \gset
CREATE FUNCTION ret_fail(want text, code text DEFAULT 'task_error', retryable boolean DEFAULT true) RETURNS text LANGUAGE sql AS
	$$SELECT uaef.fail_task(task_id, 'no', retryable, lease_token, code) FROM uaef.claim_tasks('w', 'ret_' || want)$$;
SELECT ret_fail('2');
SELECT task_id AS t FROM uaef.task_run WHERE execution_id = :'e' \gset
SELECT uaef.retry_task_now(:t);
SELECT uaef.retry_task_now(:t);
SELECT ret_fail('2');
SELECT uaef.retry_workflow(:'e');
SELECT ret_fail('2');
SELECT status, attempt FROM ret_task WHERE execution_id = :'e';
SELECT uaef.cancel_workflow(:'e');
SELECT uaef.retry_task_now(-1);

-- fork: begins at a task, with what came before it
SELECT execution_id AS e FROM uaef.workflow_run WHERE name = 'A first' \gset
SELECT uaef.fork_workflow(:'e', 'b', '{"way": "y"}', name => 'A again', reason => 'other way') AS f \gset
SELECT task, status, attempt FROM ret_task WHERE execution_id = :'f' ORDER BY task;
SELECT ret_do('a'), ret_do('side'), ret_do('b'), ret_do('x'), ret_do('y');
SELECT status, output, forked_from = :'e' AS forked, input FROM uaef.workflow_run WHERE execution_id = :'f';
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT payload - ARRAY['execution_id', 'input_sha256', 'forked_from', 'initiated_by'] FROM uaef.ledger_event WHERE stream = :'f' AND event_type = 'workflow_started';
SELECT count(*) FROM uaef.ledger_event WHERE stream = :'e' AND event_type = 'workflow_forked';

-- into another version, where tasks are found by their ids
SELECT uaef.create_workflow('ret_flow', $${"tasks": [
  {"id": "new", "type": "external", "queue": "ret_new"},
  {"id": "b", "type": "external", "queue": "ret_b"},
  {"id": "a", "type": "external", "queue": "ret_a"}],
 "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "new"}],
 "output": {"a": "{{task.a.by}}", "b": "{{task.b.by}}"}}$$);
SELECT uaef.fork_workflow(:'e', 'new', version => 2) AS f \gset
SELECT ret_do('a'), ret_do('b'), ret_do('new');
SELECT version, status, output FROM uaef.workflow_run WHERE execution_id = :'f';
SELECT uaef.create_workflow('ret_flow', $${"tasks": [{"id": "b", "type": "wait", "config": {"for": "1h"}}, {"id": "c", "type": "parallel"}]}$$);
SELECT uaef.fork_workflow(:'e', 'c', version => 3);
SELECT uaef.fork_workflow(:'e', 'b', '[]');
SELECT uaef.fork_workflow(:'e', 'nobody');
SELECT uaef.fork_workflow('00000000-0000-0000-0000-000000000000', 'b');
SELECT uaef.fork_workflow(:'e', 'b', version => 9);

-- only for those who may
CREATE ROLE ret_other;
SELECT uaef.grant_access('ret_other', 'operator');
SET ROLE ret_other;
SELECT uaef.retry_workflow(:'e');
SELECT uaef.fork_workflow(:'e', 'b');
SELECT uaef.alter_task(:'e', 'b', priority => 1);
SELECT uaef.retry_task_now(:t);
SELECT count(*) FROM uaef.dead_letter;
RESET ROLE;
SELECT uaef.revoke_access('ret_other', 'operator');
DROP ROLE ret_other;

SELECT * FROM uaef.verify_ledger();
DROP VIEW ret_task;
DROP FUNCTION ret_do(text, boolean), ret_fail(text, text, boolean);
