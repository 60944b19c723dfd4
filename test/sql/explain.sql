--
-- Dry runs: the path is told, and nothing is left of it
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE TABLE explain_touched (n int);
CREATE FUNCTION explain_left() RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ',
    (SELECT count(*) FROM uaef.workflow_execution), (SELECT count(*) FROM uaef.task_execution),
    (SELECT count(*) FROM uaef.task_ready), (SELECT count(*) FROM uaef.task_timer),
    (SELECT count(*) FROM uaef.human_approval), (SELECT count(*) FROM uaef.workflow_signal_wait),
    (SELECT count(*) FROM uaef.delivery), (SELECT count(*) FROM uaef.policy_decision),
    (SELECT count(*) FROM uaef.compliance_result), (SELECT count(*) FROM uaef.ledger_event),
    (SELECT count(*) FROM explain_touched))
$$;
CREATE ROLE explain_boss;
SELECT uaef.create_workflow('explain_loan', $${
  "input_schema": {"type": "object", "required": ["amount"]},
  "tasks": [
    {"id": "score", "type": "sql", "retry": {"max_attempts": 3, "initial": "1s"},
     "config": {"sql": "INSERT INTO public.explain_touched VALUES (($1->>'amount')::int) RETURNING n AS points"}},
    {"id": "decide", "type": "decision",
     "config": {"cases": [{"label": "yes", "when": {"task.score.points": {"$gte": 700}}}], "default": "review"}},
    {"id": "ask", "type": "human_approval",
     "config": {"approvers": ["explain_boss"], "expires": "1d", "four_eyes": false, "description": "loan of {{in.amount}}"}},
    {"id": "sign", "type": "signal", "config": {"name": "signed", "timeout": "1h"}},
    {"id": "cool", "type": "wait", "config": {"for": "1h"}},
    {"id": "print", "type": "external"},
    {"id": "mail", "type": "map", "config": {"over": "{{in.mails}}", "task": {"type": "external"}}},
    {"id": "pay", "type": "sql", "config": {"sql": "SELECT 1 AS paid"}},
    {"id": "no", "type": "parallel"}],
  "edges": [{"from": "score", "to": "decide"}, {"from": "decide", "to": "pay", "on": "yes"},
    {"from": "decide", "to": "ask", "on": "review"}, {"from": "ask", "to": "sign", "on": "approved"},
    {"from": "ask", "to": "no", "on": "rejected"}, {"from": "sign", "to": "cool"},
    {"from": "cool", "to": "print"}, {"from": "print", "to": "mail", "when": {"in.amount": {"$gt": 10}}},
    {"from": "mail", "to": "pay"}]}$$);
SELECT explain_left() AS before \gset
CREATE FUNCTION explain_shown(workflow text, input jsonb, assume jsonb DEFAULT '{}')
RETURNS TABLE (step int, task text, outcome text, label text, detail text, tries int, output jsonb) LANGUAGE sql AS $$
  SELECT step, concat(coalesce(task, '(workflow)'), '[' || item || ']'), outcome, label,
    CASE WHEN detail ~ '^cost' THEN 'cost, rows' WHEN detail ~ '^waits until' THEN 'waits until' ELSE detail END,
    max_attempts, output
  FROM uaef.explain_workflow(workflow, input, assume) ORDER BY step
$$;

-- each way through
SELECT * FROM explain_shown('explain_loan', '{"amount": 50, "mails": ["a", "b"]}', '{"score": {"output": {"points": 600}}, "mail": {"output": {"sent": true}}}');
SELECT * FROM explain_shown('explain_loan', '{"amount": 50}', '{"score": {"output": {"points": 800}}}');
SELECT * FROM explain_shown('explain_loan', '{"amount": 5, "mails": []}', '{"score": {"output": {"points": 1}}, "ask": {"label": "rejected"}}');
SELECT * FROM explain_shown('explain_loan', '{"amount": 5, "mails": []}', '{"score": {"output": {"points": 1}}}');

-- what fails is shown: a path that leads nowhere, an assumed error, a time that is over
SELECT task, outcome, detail FROM explain_shown('explain_loan', '{"amount": 5}');
SELECT task, outcome, detail FROM explain_shown('explain_loan', '{"amount": 5}', '{"score": {"error": "no such table"}}');
SELECT task, outcome, label, detail FROM explain_shown('explain_loan', '{"amount": 50, "mails": 1}',
  '{"score": {"output": {"points": 1}}, "ask": {"output": {"decision": "approved"}}}') WHERE outcome = 'failed';
SELECT explain_left() = :'before' AS nothing_left;

-- other types: requests are checked as ever, checkpoints are evaluated, SQL that broke is told, not all has a plan
SELECT uaef.create_checkpoint('explain_check', '{"type": "threshold", "field": "in.n", "min": 5}') IS NOT NULL AS made;
CREATE TABLE explain_gone (n int);
SELECT uaef.create_workflow('explain_types', $${"tasks": [
  {"id": "http", "type": "http", "on_failure": "continue", "config": {"url": "http://192.0.2.1/{{in.n}}", "method": "GET"}},
  {"id": "check", "type": "checkpoint", "config": {"checkpoint": "explain_check"}},
  {"id": "gone", "type": "sql", "on_failure": "continue", "config": {"sql": "SELECT n FROM public.explain_gone"}},
  {"id": "empty", "type": "sql", "config": {"sql": "TRUNCATE public.explain_touched"}},
  {"id": "until", "type": "wait", "timeout": "1h", "config": {"query": "SELECT true", "every": "1s"}},
  {"id": "late", "type": "parallel"}],
  "edges": [{"from": "check", "to": "late", "on": "failed"}, {"from": "until", "to": "late", "on": "timeout"}]}$$);
DROP TABLE explain_gone;
SELECT explain_left() AS before \gset
SELECT * FROM explain_shown('explain_types', '{"n": 1}', '{"until": {"label": "timeout"}}');
SELECT explain_left() = :'before' AS nothing_left;

-- maps: items beyond the hundredth are counted only; one that fails is told
SELECT uaef.create_workflow('explain_map', $${"tasks": [{"id": "m", "type": "map", "config":
  {"over": "{{in.list}}", "concurrency": 3, "task": {"type": "sql", "config": {"sql": "SELECT $1", "input": "{{item}}"}}}}]}$$);
SELECT explain_left() AS before \gset
SELECT count(*), count(*) FILTER (WHERE task = 'm' AND item IS NULL) AS maps, max(detail) FILTER (WHERE task = 'm' AND item IS NULL) AS detail
FROM uaef.explain_workflow('explain_map', jsonb_build_object('list', (SELECT jsonb_agg(i) FROM generate_series(1, 250) i)));
SELECT task, outcome, detail FROM explain_shown('explain_map', '{"list": [1, 2]}', '{"m": {"error": "no"}}');

SELECT explain_left() = :'before' AS nothing_left;

-- policies are told; those that must hold are checked
BEGIN;
SELECT uaef.create_policy('explain_rule', 'compliance', '{"require": {"in.n": {"$lt": 10}}}', 'strict', '{"workflow": "explain_map"}');
SELECT uaef.create_policy('explain_four', 'approval', '{"approvers": ["explain_boss"]}', 'strict', '{"workflow": "explain_map"}');
SELECT task, item, outcome, detail, policies FROM uaef.explain_workflow('explain_map', '{"n": 1, "list": [1]}');
SELECT task, item, outcome, detail FROM uaef.explain_workflow('explain_map', '{"n": 10, "list": [1]}');
SELECT policy, decision FROM uaef.policy_decision WHERE policy LIKE 'explain%';
ROLLBACK;
SELECT explain_left() AS before \gset

-- limits hold nothing up
SELECT uaef.create_workflow('explain_limit', '{"tasks": [{"id": "a", "type": "external", "limits": [{"key": "explain {{in.k}}", "concurrency": 1}]}]}');
SELECT task, outcome, detail FROM uaef.explain_workflow('explain_limit', '{"k": "x"}');
SELECT task, outcome, detail FROM uaef.explain_workflow('explain_limit');
SELECT explain_left() AS before \gset

-- workflows that tasks run are followed, and agents told
SELECT count(*) FROM uaef.register_agent('explain-bot', 'custom', capabilities => '{explain.read}');
SELECT uaef.create_workflow('explain_low', $${"input_schema": {"required": ["n"]}, "tasks": [
  {"id": "size", "type": "decision", "config": {"cases": [{"label": "big", "when": {"in.n": {"$gt": 5}}}], "default": "small"}},
  {"id": "ask", "type": "human_approval", "config": {"approvers": ["explain_boss"], "four_eyes": false}},
  {"id": "read", "type": "agent", "config": {"capability": "explain.read"}}],
  "edges": [{"from": "size", "to": "ask", "on": "big"}, {"from": "ask", "to": "read"}], "output": {"size": "{{task.size.decision}}"}}$$);
SELECT uaef.create_workflow('explain_high', $${"tasks": [
  {"id": "one", "type": "workflow", "config": {"workflow": "explain_low", "version": 1, "input": {"n": "{{in.n}}"}}},
  {"id": "each", "type": "map", "config": {"over": [1, 9], "task": {"type": "workflow",
    "config": {"workflow": "explain_low", "input": {"n": "{{item}}"}}}}},
  {"id": "bot", "type": "agent", "config": {"agent": "explain-bot", "prompt": "look at {{task.one.size}}"}}],
  "edges": [{"from": "one", "to": "each"}, {"from": "each", "to": "bot", "when": {"task.one.size": "big"}}]}$$);
SELECT explain_left() AS before \gset
SELECT * FROM explain_shown('explain_high', '{"n": 7}');
SELECT explain_left() = :'before' AS nothing_left;
SELECT task, outcome, detail FROM explain_shown('explain_high', '{"n": 7}', '{"one/ask": {"label": "rejected"}}');
SELECT task, outcome, detail FROM explain_shown('explain_high', '{"n": 2}', '{"one": {"output": {"size": "big"}}, "each/ask": {"error": "nobody is there"}}');
SELECT task, outcome, detail FROM explain_shown('explain_high', '{"n": "x"}');
SELECT uaef.create_workflow('explain_deep', '{"tasks": [{"id": "x", "type": "parallel"}]}');
SELECT uaef.create_workflow('explain_deep', '{"tasks": [{"id": "w", "type": "workflow", "config": {"workflow": "explain_deep"}}]}');
SELECT max(length(task)), count(*) FROM explain_shown('explain_deep', '{}');
SELECT detail FROM explain_shown('explain_deep', '{}') WHERE task LIKE '(workflow)%';
SELECT uaef.create_workflow('explain_wide', $${"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.list}}",
  "task": {"type": "workflow", "config": {"workflow": "explain_map"}}}}]}$$);
SELECT explain_left() AS before \gset
SELECT count(*) < 20000 AS bounded, count(*) FILTER (WHERE detail LIKE 'not followed%') AS not_followed
FROM uaef.explain_workflow('explain_wide', (SELECT jsonb_build_object('list', jsonb_agg(jsonb_build_object('list', l)))
  FROM generate_series(1, 90), (SELECT jsonb_agg(i) AS l FROM generate_series(1, 90) i) x));
SELECT explain_left() = :'before' AS nothing_left;
\set VERBOSITY sqlstate
SELECT * FROM uaef.explain_workflow('explain_high', '{"n": 1}', '{"one/nobody": {}}');
SELECT * FROM uaef.explain_workflow('explain_high', '{"n": 1}', '{"bot/ask": {}}');
SELECT * FROM uaef.explain_workflow('explain_high', '{"n": 1}', '{"one/size": {}}');
\set VERBOSITY default
SELECT uaef.drop_agent('explain-bot');
SELECT explain_left() AS before \gset

-- bad input
\set VERBOSITY sqlstate
SELECT * FROM uaef.explain_workflow('explain_none');
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}', version => 99);
SELECT * FROM uaef.explain_workflow('explain_loan', '[]');
SELECT * FROM uaef.explain_workflow('explain_loan', '{}');
SELECT * FROM uaef.explain_workflow('explain_loan', NULL);
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}', '[]');
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}', '{"nobody": {}}');
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}', '{"decide": {}}');
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}', '{"ask": 1}');
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}', '{"ask": {"label": "maybe"}}');
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}', '{"score": {"label": "approved"}}');
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}', '{"ask": {"lable": "approved"}}');
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}', '{"ask": {"error": 1}}');
\set VERBOSITY default
SELECT explain_left() = :'before' AS nothing_left;

-- the transaction goes on as if it had not been, also after an error
BEGIN;
SELECT count(*) FROM uaef.explain_workflow('explain_map', '{"list": [1]}');
SAVEPOINT s;
SELECT * FROM uaef.explain_workflow('explain_none');
ROLLBACK TO s;
SELECT uaef.start_workflow('explain_loan', '{"amount": 50, "mails": ["a", "b", "c"]}') AS e \gset
SELECT count(*) FROM uaef.explain_workflow('explain_map', '{"list": [1]}');
COMMIT;
SELECT count(*) FROM uaef.ledger_event WHERE stream = :'e';

-- only for who may start, and SQL is planned as that role
CREATE ROLE explain_author;
CREATE ROLE explain_viewer;
SELECT uaef.grant_access('explain_author', 'author');
SELECT uaef.grant_access('explain_viewer', 'viewer');
SET ROLE explain_viewer;
SELECT * FROM uaef.explain_workflow('explain_loan', '{"amount": 1}');
SET ROLE explain_author;
SELECT task, outcome, detail FROM uaef.explain_workflow('explain_map', '{"list": []}');
SELECT current_user;

-- progress: a map counts as its items; only for who started it
\set VERBOSITY sqlstate
SELECT * FROM uaef.workflow_progress(:'e');
\set VERBOSITY default
RESET ROLE;
SELECT done, total, running, waiting, percent, started_at IS NOT NULL AS started, estimated_end FROM uaef.workflow_progress(:'e');
SELECT uaef.execute_next_tasks(:'e');
SELECT uaef.workflow_graph(:'e'::uuid);
SELECT uaef.approve(approval_id) IS NOT NULL AS approved FROM uaef.pending_approval WHERE execution_id = :'e';
SELECT done, total, running, waiting, percent FROM uaef.workflow_progress(:'e');
SELECT uaef.workflow_graph(:'e'::uuid, 'mermaid') ~ 'waiting_input for signal signed' AS shown;
SELECT uaef.cancel_workflow(:'e') IS NOT NULL AS cancelled;
SELECT done, total, running, waiting, percent, estimated_end IS NOT NULL AS ended FROM uaef.workflow_progress(:'e');
SELECT uaef.start_workflow('explain_map', '{"list": [1, 2, 3, 4, 5, 6, 7, 8]}') AS m \gset
SELECT done, total, running, waiting, percent FROM uaef.workflow_progress(:'m');
SELECT uaef.execute_next_tasks(:'m');
SELECT done, total, running, waiting, percent FROM uaef.workflow_progress(:'m');
SELECT uaef.create_workflow('explain_out', '{"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.list}}", "task": {"type": "external", "queue": "explain_q"}}}, {"id": "after", "type": "parallel"}], "edges": [{"from": "m", "to": "after"}]}');
SELECT uaef.start_workflow('explain_out', '{"list": [1, 2, 3, 4]}') AS o \gset
SELECT uaef.complete_task(task_id) FROM uaef.claim_tasks('w', 'explain_q', max_tasks => 1);
SELECT done, total, running, waiting, percent, estimated_end > started_at AS estimated FROM uaef.workflow_progress(:'o');
SELECT uaef.workflow_graph(:'o'::uuid);
SELECT uaef.cancel_workflow(:'o') IS NOT NULL AS cancelled;
SELECT uaef.workflow_progress('01900000-0000-7000-8000-000000000000');

SELECT uaef.verify_ledger() AS problem;
SELECT uaef.revoke_access('explain_author', 'author'), uaef.revoke_access('explain_viewer', 'viewer');
DROP FUNCTION explain_left(), explain_shown(text, jsonb, jsonb);
DROP TABLE explain_touched;
DROP ROLE explain_boss, explain_author, explain_viewer;
