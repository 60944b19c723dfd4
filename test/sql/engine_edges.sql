--
-- Where parts of the engine meet: retries with keys and holds, changes of what
-- waits for a limit or undoes, policies over agents, roles that are gone, and
-- input that is too long, too deep or unknown
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SELECT uaef.create_workflow('edge', '{"tasks": [{"id": "x", "type": "external", "queue": "edge"}]}');
CREATE FUNCTION edge_code(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE command;
  RETURN 'done';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9a-f]{8}-[-0-9a-f]{27}', 'ID', 'g');
END $$;
CREATE FUNCTION edge_due() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM uaef.task_timer WHERE kind = 'start' AND due_at = 'infinity'
$$;

-- a retry does not make a second execution of a singleton key
SELECT uaef.start_workflow('edge', singleton_key => 'one') AS first \gset
SELECT uaef.cancel_workflow(:'first');
SELECT uaef.start_workflow('edge', singleton_key => 'one') AS second \gset
SELECT edge_code(format('SELECT uaef.retry_workflow(%L)', :'first'));
SELECT status FROM uaef.workflow_run WHERE execution_id = :'first';
SELECT uaef.cancel_workflow(:'second');
SELECT uaef.retry_workflow(:'first');
SELECT uaef.start_workflow('edge', singleton_key => 'one') = :'first' AS same;
SELECT edge_code(format('SELECT uaef.retry_workflow(%L)', :'second'));
SELECT uaef.cancel_workflow(:'first');

-- a retry and a fork of a workflow that is held wait for its release
SELECT uaef.create_workflow('edge_two', $${"tasks": [{"id": "a", "type": "external", "queue": "edge"}, {"id": "b", "type": "external", "queue": "edge"}],
  "edges": [{"from": "a", "to": "b"}]}$$);
SELECT uaef.start_workflow('edge_two') AS e \gset
SELECT uaef.complete_task(task_id, '{"a": 1}') FROM uaef.claim_tasks('w', 'edge');
SELECT uaef.cancel_workflow(:'e');
SELECT uaef.hold_workflow('edge_two');
SELECT uaef.retry_workflow(:'e');
SELECT uaef.fork_workflow(:'e', 'b') AS f \gset
SELECT status, started_at FROM uaef.workflow_run WHERE execution_id IN (:'e', :'f');
SELECT edge_due() AS held;
SELECT uaef.release_workflow('edge_two');
SELECT edge_due() AS held;

-- who changes a task that waits for a limit changes its place in the line
SELECT uaef.create_workflow('edge_limit', '{"tasks": [{"id": "x", "type": "external", "queue": "edge_slow", "limits": [{"concurrency": 1}]}]}');
SELECT uaef.start_workflow('edge_limit', name => 'zl' || i) AS started FROM generate_series(1, 3) i \g /dev/null
SELECT execution_id AS last FROM uaef.workflow_run WHERE name = 'zl3' \gset
SELECT uaef.alter_task(:'last', 'x', priority => 100);
SELECT uaef.alter_task(:'last', 'x', queue => 'edge_fast');
SELECT count(*) AS waiting FROM uaef.limit_waiter;
SELECT uaef.execute_next_tasks(:'last');
SELECT count(*) FROM uaef.claim_tasks('w', 'edge_slow');
SELECT execution_id = :'last' AS the_last FROM uaef.claim_tasks('w', 'edge_fast');
SELECT count(uaef.cancel_workflow(execution_id)) FROM uaef.workflow_run WHERE workflow = 'edge_limit';
SELECT count(*) AS waiting FROM uaef.limit_waiter;

-- who changes a map leaves what undoes it alone
SELECT uaef.create_workflow('edge_undo', $${"tasks": [
  {"id": "m", "type": "map", "config": {"over": [], "task": {"type": "external", "queue": "edge"}},
   "compensate": {"type": "external", "queue": "edge_undo"}},
  {"id": "x", "type": "external", "queue": "edge_none"}], "edges": [{"from": "m", "to": "x"}]}$$);
SELECT uaef.start_workflow('edge_undo') AS e \gset
SELECT uaef.cancel_workflow(:'e');
SELECT task_id, lease_token FROM uaef.claim_tasks('w', 'edge_undo') \gset
SELECT uaef.complete_task(:task_id, '{}', :'lease_token');
SELECT task, compensates, status FROM uaef.task_run WHERE execution_id = :'e' ORDER BY task, compensates;

-- policies over agents: of a task that names one, or that one of them can take
SELECT count(*) FROM uaef.register_agent('edge-bot', 'custom', capabilities => '{edge.read}', configuration => '{"model": "m"}');
SELECT uaef.create_policy('edge agents', 'compliance', '{"require": {"in.n": {"$gt": 5}}}', scope => '{"agent": "edge-*"}');
SELECT uaef.create_workflow('edge_agent', '{"tasks": [{"id": "a", "type": "agent", "config": {"agent": "edge-bot"}}]}');
SELECT uaef.create_workflow('edge_capable', '{"tasks": [{"id": "a", "type": "agent", "config": {"capability": "edge.read"}}, {"id": "x", "type": "external"}]}');
SELECT task_id, policy, applies_by FROM uaef.explain_policies('edge_agent');
SELECT task_id, policy, applies_by FROM uaef.explain_policies('edge_capable');
SELECT uaef.start_workflow('edge_agent', '{"n": 1}') AS e \gset
SELECT status, error->>'code' AS code FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('edge_agent', '{"n": 9}') AS e \gset
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.update_agent('edge-bot', capabilities => '{edge.write}');
SELECT task_id, policy FROM uaef.explain_policies('edge_capable');
SELECT uaef.drop_policy('edge agents');

-- a task of an agent that its limits let run stands where agents look, without a timer
SELECT uaef.create_workflow('edge_agent_limit', '{"tasks": [{"id": "a", "type": "agent", "config": {"agent": "edge-bot"}, "limits": [{"concurrency": 1}]}]}');
SELECT uaef.start_workflow('edge_agent_limit') AS e \gset
SELECT uaef.execute_next_tasks(:'e');
SELECT queue, (SELECT count(*) FROM uaef.task_timer WHERE kind = 'granted') AS timers FROM uaef.task_ready WHERE execution_id = :'e';
SELECT uaef.cancel_workflow(:'e');

-- policies that name a checkpoint
SELECT edge_code($$SELECT uaef.create_policy('edge check', 'compliance', '{"checkpoint": "edge"}')$$);
SELECT uaef.create_checkpoint('edge', '{"type": "threshold", "field": "in.n", "min": 5}');
SELECT uaef.create_policy('edge check', 'compliance', '{"checkpoint": "edge"}', scope => '{"workflow": "edge"}');
SELECT uaef.start_workflow('edge', '{"n": 1}') AS e \gset
SELECT status, error->>'code' AS code, error->>'detail' AS detail FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('edge', '{"n": 7}') AS f \gset
SELECT status FROM uaef.workflow_run WHERE execution_id = :'f';
SELECT checkpoint, passed FROM uaef.checkpoint_run WHERE execution_id IN (:'e', :'f') ORDER BY evaluated_at;
SELECT uaef.create_policy('edge check', 'compliance', '{"checkpoint": "edge", "data": {"in": {"n": "{{in.m}}"}}, "reason": "too small"}', scope => '{"workflow": "edge"}');
SELECT uaef.start_workflow('edge', '{"m": 1}') AS e \gset
SELECT status, error->>'detail' AS detail FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT edge_code($$SELECT uaef.create_policy('edge check', 'compliance', '{"checkpoint": "edge", "require": {"in.n": 1}}')$$);
SELECT edge_code($$SELECT uaef.create_policy('edge check', 'compliance', '{"data": {}, "require": {"in.n": 1}}')$$);
SELECT edge_code($$SELECT uaef.create_policy('edge check', 'compliance', '{}')$$);
SELECT uaef.drop_policy('edge check');

-- people look at a task of one execution before it begins
CREATE ROLE regress_edge_eye;
SELECT uaef.start_workflow('edge_two', '{"n": 1}') AS e \gset
SELECT uaef.require_task_review(:'e', 'a', '{regress_edge_eye}', 'looks odd', four_eyes => false);
SELECT uaef.require_task_review(:'e', 'b', '{regress_edge_eye}', four_eyes => false);
SELECT task, status, attempt FROM uaef.task_run WHERE execution_id = :'e' ORDER BY task;
SELECT count(*) FROM uaef.claim_tasks('w', 'edge');
SELECT approval_id, task, description, shown->'review'->>'reason' AS reason, uaef.approve(approval_id) FROM uaef.pending_approval WHERE execution_id = :'e' \gset
\echo :task :reason :approve
SELECT task_id, attempt, uaef.complete_task(task_id) FROM uaef.claim_tasks('w', 'edge') \gset
\echo :attempt
SELECT task, status, attempt FROM uaef.task_run WHERE execution_id = :'e' ORDER BY task;
SELECT approval_id, uaef.reject(approval_id, 'no') FROM uaef.pending_approval WHERE execution_id = :'e' \gset
SELECT status, error->>'code' AS code, error->>'message' AS message FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT policy, version, decision, reason FROM uaef.policy_decision WHERE execution_id = :'e' ORDER BY decision_id;
SELECT event_type, payload->>'task' AS task FROM uaef.ledger_event WHERE stream = :'e' AND event_type LIKE 'task_review%';
SELECT uaef.start_workflow('edge_two') AS e \gset
SELECT count(*) FROM uaef.claim_tasks('w', 'edge');
SELECT edge_code(format('SELECT uaef.require_task_review(%L, ''a'', ''{regress_edge_eye}'')', :'e'));
SELECT edge_code(format('SELECT uaef.require_task_review(%L, ''c'', ''{regress_edge_eye}'')', :'e'));
SELECT edge_code(format('SELECT uaef.require_task_review(%L, ''b'', ''{regress_edge_none}'')', :'e'));
SELECT edge_code(format('SELECT uaef.require_task_review(%L, ''b'', ''{}'')', :'e'));
SELECT edge_code(format('SELECT uaef.require_task_review(%L, ''b'', ''{regress_edge_eye}'', need => 0)', :'e'));
SELECT edge_code(format('SELECT uaef.require_task_review(%L, NULL, ''{regress_edge_eye}'')', :'e'));
DROP ROLE regress_edge_eye;

-- an agent's configuration is for those who registered it
CREATE ROLE regress_edge;
SELECT uaef.grant_access('regress_edge', 'viewer');
SELECT configuration FROM uaef.agent_registry WHERE name = 'edge-bot';
SET ROLE regress_edge;
SELECT configuration FROM uaef.agent_registry WHERE name = 'edge-bot';
RESET ROLE;
SELECT count(uaef.cancel_workflow(execution_id)) FROM uaef.workflow_run WHERE workflow = 'edge_agent' AND status = 'running';
SELECT uaef.drop_agent('edge-bot');

-- roles that are gone
CREATE ROLE regress_edge_boss;
CREATE ROLE "Regress edge" ROLE regress_edge_boss;
SELECT uaef.create_workflow('edge_ask', $${"tasks": [
  {"id": "ask", "type": "human_approval", "config": {"approvers": ["regress_edge_boss", "{{in.who}}"],
    "escalate": [{"after": "1d", "to": ["Regress edge"]}], "expires": "2d"}},
  {"id": "two", "type": "human_approval", "config": {"stages": [{"groups": [{"approvers": ["Regress edge"]}]}]}},
  {"id": "mail", "type": "http", "config": {"url": "http://192.0.2.1/", "method": "POST", "body": {"to": "nobody", "approvers": ["nobody"]}}}],
  "edges": [{"from": "two", "to": "mail"}]}$$);
SELECT uaef.create_policy('edge people', 'approval', '{"approvers": ["Regress edge"]}', 'log', '{"named": true}');
SELECT uaef.start_workflow('edge_ask', '{"who": "regress_edge_boss"}') AS e \gset
CREATE ROLE regress_edge_payer;
SET uaef.rule_activation = 'any';
SELECT uaef.create_settlement_rule('edge rule', '{"workflow": "edge_ask", "currency": "EUR", "fixed": "1", "recipient": "house",
  "approval": {"bands": [{"to": "5", "need": 1, "of": "Regress edge"}, {"need": 2, "of": "regress_edge_boss"}]}}'),
  uaef.activate_settlement_rule('edge rule', 1);
SELECT uaef.create_payout_channel('edge channel', 'worker', '{"idempotency": "native", "key_ttl": "1d"}', role => 'regress_edge_payer');
SELECT uaef.set_payee('external:edge', 'edge channel', '{"name": "E"}', owner => 'regress_edge_payer');
SELECT * FROM uaef.missing_role WHERE name LIKE 'edge%';
DROP ROLE regress_edge_boss, "Regress edge", regress_edge_payer;
SELECT kind, CASE WHEN kind <> 'approval' THEN name END AS name, version, task, named_as, regexp_replace(role, '^\d+$', 'gone') AS role FROM uaef.missing_role WHERE kind = 'approval' OR name LIKE '%edge%' ORDER BY kind, name, task, role;
DELETE FROM uaef.payee WHERE recipient = 'external:edge';
DELETE FROM uaef.payout_channel WHERE name = 'edge channel';
DELETE FROM uaef.settlement_rule WHERE name = 'edge rule';
SELECT uaef.drop_policy('edge people');
SELECT uaef.cancel_workflow(:'e');
SELECT uaef.create_workflow('edge_ask', '{"tasks": [{"id": "x", "type": "parallel"}]}');

-- too long, too deep, unknown
SELECT uaef.start_workflow('edge') AS e \gset
SELECT edge_code(format('SELECT uaef.signal_workflow(%L, ''s'', idempotency_key => repeat(md5(''x''), 100))', :'e'));
SELECT edge_code(format('SELECT uaef.signal_workflow(%L, ''s'', idempotency_key => '''')', :'e'));
SELECT edge_code($$SELECT uaef.start_workflow('edge', name => repeat('n', 1001))$$);
SELECT edge_code($$SELECT uaef.start_workflow('edge', ('{"a": ' || repeat('[', 1000) || repeat(']', 1000) || '}')::jsonb)$$);
SELECT edge_code($$SELECT uaef.start_workflow('edge', ('{"a": ' || repeat('[', 900) || repeat(']', 900) || '}')::jsonb)$$);
SELECT edge_code($$SELECT uaef.cancel_workflows(filter => '{"status": ["running"], "stat": 1}')$$);
SELECT edge_code($$SELECT uaef.set_retention('1 day', 'edgy')$$);
SELECT edge_code($$SELECT uaef.purge_executions(now(), 'edgy')$$);
SELECT edge_code($$SELECT uaef.complete_tasks('[1]')$$);
SELECT edge_code($$SELECT uaef.complete_tasks('[{"task_id": 1}, {"task": 1}]')$$);
SELECT edge_code($$SELECT uaef.complete_tasks('{}')$$);
SELECT edge_code($$SELECT uaef.complete_tasks('7')$$);
SELECT completed, code FROM uaef.complete_tasks('[{"task_id": 0}]');
SELECT task_id, lease_token FROM uaef.claim_tasks('w', 'edge') \gset
SELECT completed, code FROM uaef.complete_tasks(jsonb_build_array(jsonb_build_object('task_id', :task_id, 'lease_token', :'lease_token', 'output', '{"n": 1}'::jsonb)));

SELECT count(*) FROM uaef.verify_ledger() WHERE severity <> 'info';
DO $$ BEGIN PERFORM uaef.cancel_workflow(execution_id) FROM uaef.workflow_run WHERE workflow LIKE 'edge%' AND status IN ('running', 'pending'); END $$;
DELETE FROM uaef.task_timer WHERE kind = 'start';
DELETE FROM uaef.policy WHERE name LIKE 'edge%';
SELECT uaef.revoke_access('regress_edge', 'viewer');
DROP ROLE regress_edge;
DROP FUNCTION edge_code(text), edge_due();
