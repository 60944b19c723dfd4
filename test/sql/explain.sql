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
     "config": {"approvers": ["explain_boss"], "expires": "1d", "description": "loan of {{in.amount}}"}},
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
