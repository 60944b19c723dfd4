--
-- Tasks that run workflows: trees, loops, and what is refused
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;

-- shows an execution's tasks in one line
CREATE FUNCTION wt_tasks(execution uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(task || coalesce('[' || item || ']', '') || CASE WHEN compensates THEN '*' ELSE '' END
    || ' ' || status, ', ' ORDER BY task, item, task_id)
  FROM uaef.task_run WHERE execution_id = execution
$$;
-- the tree below an execution
CREATE FUNCTION wt_tree(execution uuid) RETURNS SETOF text LANGUAGE sql AS $$
  WITH RECURSIVE tree AS (
    SELECT execution_id, workflow, version, status, depth, ARRAY[0::bigint] AS path, execution_id AS run
    FROM uaef.workflow_run WHERE execution_id = execution
    UNION ALL
    SELECT r.execution_id, r.workflow, r.version, r.status, r.depth, path || r.parent_task_id, r.execution_id
    FROM uaef.workflow_run r JOIN tree t ON r.parent_execution_id = t.execution_id)
  SELECT repeat('  ', depth) || workflow || ' ' || status FROM tree ORDER BY path, run
$$;
-- what stands in the ledger about an execution
CREATE FUNCTION wt_events(execution uuid) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT event_type || coalesce(' ' || (payload->>'task'), '') || coalesce(' run ' || (payload->>'run'), '')
    || coalesce(', depth ' || (payload->>'depth'), '') || coalesce(', queued ' || (payload->>'queued'), '')
    || coalesce(', cancelled ' || (payload->>'cancelled'), '') || coalesce(', ending ' || (payload->>'ending'), '')
  FROM uaef.ledger_event WHERE stream = execution ORDER BY stream_seq
$$;

-- a tree of pure workflows ends in the transaction that starts it
SELECT uaef.create_workflow('wt_leaf', $${"tasks": [
  {"id": "d", "type": "decision", "config": {"cases": [{"label": "big", "when": {"in.n": {"$gte": 10}}}], "default": "small"}}],
  "output": {"size": "{{task.d.decision}}", "n": "{{in.n}}"}}$$);
SELECT uaef.create_workflow('wt_middle', $${"tasks": [
  {"id": "a", "type": "workflow", "config": {"workflow": "wt_leaf", "input": {"n": "{{in.n}}"}}},
  {"id": "b", "type": "workflow", "config": {"workflow": "wt_leaf"}}],
  "edges": [{"from": "a", "to": "b", "when": {"task.a.size": "big"}}],
  "output": {"a": "{{task.a.size}}"}}$$);
SELECT uaef.create_workflow('wt_top', $${"tasks": [
  {"id": "m", "type": "workflow", "config": {"workflow": "wt_middle", "version": 1}},
  {"id": "each", "type": "map", "config": {"over": "{{in.list}}", "concurrency": 2,
    "task": {"type": "workflow", "config": {"workflow": "wt_leaf", "input": {"n": "{{item}}"}}}}}],
  "edges": [{"from": "m", "to": "each"}]}$$);
SELECT uaef.start_workflow('wt_top', '{"n": 12, "list": [1, 20, 3]}') AS e \gset
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT wt_tasks(:'e');
SELECT wt_tree(:'e');
SELECT wt_events(:'e');
SELECT wt_events(child_execution_id) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'm';
-- parent and child know each other; ids sort downwards
SELECT bool_and(c.parent_task_id = t.task_id AND c.execution_id > t.execution_id AND c.initiated_by = current_user::regrole)
FROM uaef.task_run t JOIN uaef.workflow_run c ON c.execution_id = t.child_execution_id WHERE t.execution_id = :'e';
SELECT uaef.workflow_graph('wt_top');
SELECT replace(uaef.workflow_graph(child_execution_id), :'e', '(parent)') AS graph FROM uaef.task_run WHERE execution_id = :'e' AND task = 'm';
SELECT uaef.workflow_graph('wt_top', 'mermaid');

-- a child waits for the outside, and its end goes up
SELECT uaef.create_workflow('wt_ask', $${"tasks": [{"id": "x", "type": "external", "queue": "wt"}],
  "output": {"got": "{{task.x.v}}"}}$$);
SELECT uaef.create_workflow('wt_asks', $${"tasks": [
  {"id": "c", "type": "workflow", "retry": {"max_attempts": 2, "initial": "1s", "jitter": 0}, "config": {"workflow": "wt_ask"}},
  {"id": "after", "type": "parallel"}], "edges": [{"from": "c", "to": "after"}], "output": {"got": "{{task.c.got}}"}}$$);
SELECT uaef.start_workflow('wt_asks') AS e \gset
SELECT wt_tree(:'e');
SELECT uaef.complete_task(task_id, '{"v": 7}') FROM uaef.task_run WHERE status = 'queued' AND workflow = 'wt_ask';
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';

-- a child that fails fails the attempt; the retry starts a new one
SELECT uaef.start_workflow('wt_asks') AS e \gset
SELECT uaef.fail_task(task_id, 'no luck', false) FROM uaef.task_run WHERE status = 'queued' AND workflow = 'wt_ask';
SELECT wt_tasks(:'e');
SELECT error - 'detail' FROM uaef.task_run WHERE execution_id = :'e';
SELECT kind, attempt FROM uaef.task_timer WHERE execution_id = :'e';
SELECT uaef.cancel_workflow(:'e');

-- where it is not transient, the parent fails with the child's error
SELECT uaef.create_workflow('wt_strict', $${"tasks": [{"id": "d", "type": "decision",
  "config": {"cases": [{"label": "a", "when": {"in.x": 1}}]}}]}$$);
SELECT uaef.create_workflow('wt_fails', $${"tasks": [
  {"id": "c", "type": "workflow", "retry": {"max_attempts": 3}, "config": {"workflow": "wt_strict"}}]}$$);
SELECT uaef.start_workflow('wt_fails', '{"x": 2}') AS e \gset
SELECT status, error - 'detail' AS error, error->>'detail' LIKE 'task "d" of execution %' AS detail
FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.create_workflow('wt_lenient', $${"tasks": [
  {"id": "c", "type": "workflow", "on_failure": "continue", "config": {"workflow": "wt_strict"}}]}$$);
SELECT uaef.start_workflow('wt_lenient', '{"x": 2}') AS e \gset
SELECT status, output->'c'->'error'->>'code' AS code FROM uaef.workflow_run WHERE execution_id = :'e';

-- cancel takes the whole tree; a child that is cancelled by itself fails its task for good
SELECT uaef.create_workflow('wt_deep', $${"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_asks"}},
  {"id": "d", "type": "map", "config": {"over": [1, 2], "task": {"type": "workflow", "config": {"workflow": "wt_ask", "input": {}}}}}]}$$);
SELECT uaef.start_workflow('wt_deep') AS e \gset
SELECT wt_tree(:'e');
SELECT uaef.cancel_workflow(:'e', 'enough');
SELECT wt_tree(:'e');
SELECT count(*) AS ready FROM uaef.task_ready WHERE queue = 'wt';
SELECT uaef.start_workflow('wt_asks') AS e \gset
SELECT uaef.cancel_workflow(child_execution_id, 'not this one') FROM uaef.task_run WHERE execution_id = :'e' AND task = 'c';
SELECT status, error - 'detail' AS error FROM uaef.workflow_run WHERE execution_id = :'e';

-- a failure of the parent takes its children along
SELECT uaef.create_workflow('wt_side', $${"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_ask"}},
  {"id": "x", "type": "external", "queue": "side"}]}$$);
SELECT uaef.start_workflow('wt_side') AS e \gset
SELECT uaef.fail_task(task_id, 'broken', false) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'x';
SELECT wt_tree(:'e');

-- pausing holds back what the parent would begin; its children go on
SELECT uaef.create_workflow('wt_two', $${"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_ask"}},
  {"id": "d", "type": "workflow", "config": {"workflow": "wt_ask"}}], "edges": [{"from": "c", "to": "d"}]}$$);
SELECT uaef.start_workflow('wt_two') AS e \gset
SELECT uaef.pause_workflow(:'e');
SELECT uaef.complete_task(task_id, '{"v": 1}') FROM uaef.task_run WHERE status = 'queued' AND workflow = 'wt_ask';
SELECT wt_tasks(:'e');
SELECT wt_tree(:'e');
SELECT uaef.resume_workflow(:'e');
SELECT wt_tree(:'e');
SELECT uaef.complete_task(task_id, '{"v": 2}') FROM uaef.task_run WHERE status = 'queued' AND workflow = 'wt_ask';
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';

-- loops: the next run reads what the last one gave
SELECT uaef.create_workflow('wt_count', $${"tasks": [{"id": "d", "type": "condition", "config": {"when": {"in.list": {"$size": 3}}}}],
  "output": {"done": "{{task.d.result}}", "list": ["{{in.list}}"]}}$$);
SELECT uaef.create_workflow('wt_page', $${"tasks": [{"id": "x", "type": "external", "queue": "wt",
  "config": {"input": {"cursor": "{{in.cursor}}"}}}], "output": {"cursor": "{{task.x.cursor}}"}}$$);
SELECT uaef.create_workflow('wt_pages', $${"tasks": [{"id": "l", "type": "workflow", "config": {"workflow": "wt_page",
  "input": {"cursor": "{{last.cursor}}"},
  "repeat": {"first": {"cursor": 0}, "until": {"last.cursor": null}, "max": 5}}}]}$$);
SELECT uaef.start_workflow('wt_pages') AS e \gset
SELECT input FROM uaef.claim_tasks('w', 'wt') AS c, uaef.complete_task(c.task_id, '{"cursor": 10}', c.lease_token);
SELECT input FROM uaef.claim_tasks('w', 'wt') AS c, uaef.complete_task(c.task_id, '{"cursor": 20}', c.lease_token);
SELECT status, runs, output FROM uaef.task_run WHERE execution_id = :'e';
SELECT uaef.workflow_graph(:'e'::uuid);
SELECT input FROM uaef.claim_tasks('w', 'wt') AS c, uaef.complete_task(c.task_id, '{"cursor": null}', c.lease_token);
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT wt_events(:'e');
SELECT count(*) AS tasks, count(DISTINCT c.execution_id) AS runs
FROM uaef.task_run t JOIN uaef.workflow_run c ON c.parent_task_id = t.task_id WHERE t.execution_id = :'e';

-- a loop of pure runs ends at once; one that never holds fails at its limit
SELECT uaef.create_workflow('wt_spin', $${"tasks": [{"id": "l", "type": "workflow", "config": {"workflow": "wt_leaf",
  "input": {"n": 3}, "repeat": {"until": {"last.size": "big"}, "max": 50}}}]}$$);
SELECT uaef.start_workflow('wt_spin') AS e \gset
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT count(*) FROM uaef.workflow_run WHERE parent_execution_id = :'e';
-- what the runs before gave is not the output of a loop that failed
SELECT uaef.create_workflow('wt_spin', $${"tasks": [{"id": "l", "type": "workflow", "on_failure": "skip", "config": {"workflow": "wt_leaf",
  "input": {"n": 3}, "repeat": {"until": {"last.size": "big"}, "max": 2}}}]}$$);
SELECT uaef.start_workflow('wt_spin') AS e \gset
SELECT r.status, r.output, t.status, t.output FROM uaef.workflow_run r JOIN uaef.task_run t USING (execution_id) WHERE execution_id = :'e';
-- a pause holds the next run, the delay of a loop is a timer
SELECT uaef.create_workflow('wt_slow', $${"tasks": [{"id": "l", "type": "workflow", "config": {"workflow": "wt_leaf",
  "repeat": {"until": {"last.size": "big"}, "delay": "1 hour"}}}]}$$);
SELECT uaef.start_workflow('wt_slow', '{"n": 1}') AS e \gset
SELECT wt_tasks(:'e'), kind, due_at > now() + interval '59 min' AS later FROM uaef.task_timer WHERE execution_id = :'e';
SELECT uaef.cancel_workflow(:'e');
SELECT uaef.start_workflow('wt_pages') AS e \gset
SELECT uaef.pause_workflow(:'e');
SELECT input FROM uaef.claim_tasks('w', 'wt') AS c, uaef.complete_task(c.task_id, '{"cursor": 10}', c.lease_token);
SELECT wt_tasks(:'e');
SELECT uaef.resume_workflow(:'e');
SELECT wt_tasks(:'e');
SELECT input FROM uaef.claim_tasks('w', 'wt') AS c, uaef.complete_task(c.task_id, '{"cursor": null}', c.lease_token);
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
-- "until" that cannot be evaluated
SELECT uaef.create_workflow('wt_blind', $${"tasks": [{"id": "l", "type": "workflow", "config": {"workflow": "wt_leaf",
  "repeat": {"until": {"last.nothing": 1}}}}]}$$);
SELECT uaef.start_workflow('wt_blind', '{"n": 1}') AS e \gset
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';

-- recursion, and mutual recursion, to a depth
SELECT uaef.create_workflow('wt_self', $${"tasks": [{"id": "more", "type": "condition", "config": {"when": {"in.n": {"$gt": 0}}}},
  {"id": "again", "type": "workflow", "config": {"workflow": "wt_self", "input": {"n": 0}}}],
  "edges": [{"from": "more", "to": "again", "on": "true"}]}$$);
SELECT uaef.start_workflow('wt_self', '{"n": 1}') AS e \gset
SELECT wt_tree(:'e');
SELECT uaef.create_workflow('wt_ping', '{"tasks": [{"id": "f", "type": "parallel"}]}');
SELECT uaef.create_workflow('wt_pong', '{"tasks": [{"id": "p", "type": "workflow", "config": {"workflow": "wt_ping"}}]}');
SELECT uaef.create_workflow('wt_ping', '{"tasks": [{"id": "p", "type": "workflow", "config": {"workflow": "wt_pong"}}]}');
SELECT uaef.start_workflow('wt_ping') AS e \gset
SELECT status, error->>'code' AS code, error->>'message' AS message FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT max(depth) FROM uaef.workflow_run WHERE workflow IN ('wt_ping', 'wt_pong');
SET uaef.max_depth = 0;
SELECT uaef.start_workflow('wt_top', '{"n": 1, "list": []}') AS e \gset
SELECT error->>'message' AS message FROM uaef.workflow_run WHERE execution_id = :'e';
RESET uaef.max_depth;
-- a bomb: what one step does is bounded, the rest is left to the worker
SET uaef.max_depth = 3;
SELECT uaef.create_workflow('wt_bomb', $${"tasks": [{"id": "m", "type": "map", "on_failure": "skip", "config": {"over": "{{in.list}}",
  "task": {"type": "workflow", "config": {"workflow": "wt_bomb", "input": {"list": "{{in.list}}"}}}}}]}$$);
SELECT uaef.start_workflow('wt_bomb', jsonb_build_object('list', (SELECT jsonb_agg(i) FROM generate_series(1, 200) i))) AS e \gset
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT count(*) < 21000 AS bounded FROM uaef.task_run WHERE workflow = 'wt_bomb';
SELECT kind, count(*) > 0 AS left FROM uaef.task_timer WHERE kind IN ('child', 'start') GROUP BY kind ORDER BY kind;
RESET uaef.max_depth;
SELECT uaef.cancel_workflow(:'e');

-- a number of executions below one: those in its own row, and those further down
SELECT uaef.create_workflow('wt_pair', $${"tasks": [{"id": "a", "type": "workflow", "on_failure": "continue", "config": {"workflow": "wt_leaf", "input": {"n": 1}}},
  {"id": "b", "type": "workflow", "on_failure": "continue", "config": {"workflow": "wt_leaf", "input": {"n": 2}}}],
  "edges": [{"from": "a", "to": "b"}]}$$);
SELECT uaef.create_workflow('wt_pairs', $${"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.list}}", "concurrency": 1,
  "task": {"type": "workflow", "config": {"workflow": "wt_pair", "input": {}}}}}]}$$);
SET uaef.max_descendants = 5;
SELECT uaef.start_workflow('wt_pairs', '{"list": [1, 2, 3]}') AS e \gset
SELECT workflow, count(*), count(DISTINCT root_execution_id) AS roots FROM uaef.workflow_run WHERE root_execution_id = :'e' GROUP BY workflow ORDER BY workflow;
SELECT workflow, t.error->>'code' AS code, replace(t.error->>'message', :'e', 'E') AS message, count(*) FROM uaef.task_run t JOIN uaef.workflow_run r USING (execution_id, workflow)
  WHERE coalesce(root_execution_id, execution_id) = :'e' AND t.error IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT e.children, f.descendants FROM uaef.workflow_execution e LEFT JOIN uaef.workflow_family f ON f.root_execution_id = e.execution_id WHERE execution_id = :'e';
RESET uaef.max_descendants;
-- counted over several steps
SELECT uaef.create_workflow('wt_step', $${"tasks": [{"id": "x", "type": "external", "queue": "wt"},
  {"id": "c", "type": "workflow", "config": {"workflow": "wt_leaf", "input": {"n": 1}}}], "edges": [{"from": "x", "to": "c"}]}$$);
SELECT uaef.create_workflow('wt_steps', $${"tasks": [{"id": "m", "type": "map", "config": {"over": [1, 2, 3],
  "task": {"type": "workflow", "config": {"workflow": "wt_step", "input": {}}}}}]}$$);
SET uaef.max_descendants = 5;
SELECT uaef.start_workflow('wt_steps') AS e \gset
SELECT uaef.complete_task(task_id) FROM uaef.claim_tasks('w', 'wt');
SELECT uaef.complete_task(task_id) FROM uaef.claim_tasks('w', 'wt');
SELECT descendants FROM uaef.workflow_family WHERE root_execution_id = :'e';
SELECT uaef.complete_task(task_id) FROM uaef.claim_tasks('w', 'wt');
SELECT status, error->>'code' AS code, count(*) FROM uaef.workflow_run WHERE parent_execution_id = :'e' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
RESET uaef.max_descendants;
-- who is below one that has ended begins nothing, though nobody has told it yet
SELECT uaef.create_workflow('wt_above', $${"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_step"}}]}$$);
SELECT uaef.start_workflow('wt_above') AS e \gset
SELECT execution_id AS below FROM uaef.workflow_run WHERE parent_execution_id = :'e' \gset
UPDATE uaef.task_execution SET status = 'cancelled' WHERE execution_id = :'e';
SELECT uaef.complete_task(task_id) FROM uaef.claim_tasks('w', 'wt');
SELECT status, error->>'message' AS message FROM uaef.workflow_run WHERE execution_id = :'below';
SELECT count(*) AS below FROM uaef.workflow_run WHERE parent_execution_id = :'below';
UPDATE uaef.workflow_execution SET status = 'cancelled', open_tasks = 0 WHERE execution_id = :'e';

-- input: an object, of a size; in a map the item
SELECT uaef.create_workflow('wt_item', $${"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.list}}",
  "task": {"type": "workflow", "config": {"workflow": "wt_leaf"}}}}]}$$);
SELECT uaef.start_workflow('wt_item', '{"list": [{"n": 1}, {"n": 11}]}') AS e \gset
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('wt_item', '{"list": [1]}') AS e \gset
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.create_workflow('wt_list', $${"tasks": [{"id": "c", "type": "workflow",
  "config": {"workflow": "wt_leaf", "input": ["{{in.n}}"]}}]}$$);
SELECT uaef.start_workflow('wt_list', '{"n": 1}') AS e \gset
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';

-- what is refused
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow"}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_none"}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_leaf", "version": 2}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_leaf", "version": 0}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_leaf", "inputs": {}}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_leaf", "input": {"a": "{{last.x}}"}}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_leaf", "input": {"a": "{{last.x}}"},
  "repeat": {"until": {"last.x": 1}}}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_leaf", "repeat": {"max": 3}}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_leaf", "repeat": {"until": {"last.x": 1}, "max": 0}}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "workflow", "config": {"workflow": "wt_leaf", "repeat": {"until": {"last.x": 1}, "first": "{{last.x}}"}}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "sql", "config": {"sql": "SELECT 1", "input": {"a": "{{last.x}}"}}}]}');
SELECT uaef.create_workflow('wt_bad', '{"tasks": [{"id": "c", "type": "parallel"}], "output": {"a": "{{last.x}}"}}');

SELECT * FROM uaef.verify_ledger() WHERE severity <> 'info';
DELETE FROM uaef.task_timer WHERE execution_id IN (SELECT execution_id FROM uaef.workflow_run WHERE workflow = 'wt_bomb');
DROP FUNCTION wt_events(uuid);
DROP FUNCTION wt_tree(uuid);
DROP FUNCTION wt_tasks(uuid);
