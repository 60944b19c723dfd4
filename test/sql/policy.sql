--
-- Policies: making them, where they apply, and what they do before an attempt
--
SET client_min_messages = warning;
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SELECT uaef.create_workflow('pol_loan', '{"context": {"limit": 10}, "tasks": [
	{"id": "score", "type": "decision", "config": {"cases": [{"label": "yes", "when": {"in.n": {"$gt": 0}}}], "default": "no"}},
	{"id": "pay", "type": "sql", "config": {"sql": "SELECT 1 AS paid"}},
	{"id": "each", "type": "map", "config": {"over": "{{in.list}}", "task": {"type": "external"}}}],
	"edges": [{"from": "score", "to": "pay"}, {"from": "score", "to": "each"}]}');

-- bad input, refused with its place
\set VERBOSITY terse
SELECT uaef.create_policy('', 'approval', '{}');
SELECT uaef.create_policy('p', 'taste', '{}');
SELECT uaef.create_policy('p', 'approval', '{"approvers": ["postgres"]}', 'gently');
SELECT uaef.create_policy(NULL, 'approval', '{}');
SELECT uaef.create_policy('p', 'approval', '[]');
SELECT uaef.create_policy('p', 'approval', '"x"');
SELECT uaef.create_policy('p', 'approval', '{}');
SELECT uaef.create_policy('p', 'approval', '{"approvers": []}');
SELECT uaef.create_policy('p', 'approval', '{"approvers": ["regress_pol_nobody"]}');
SELECT uaef.create_policy('p', 'approval', '{"approvers": ["regress_pol_nobody"], "need": 0}');
SELECT uaef.create_policy('p', 'approval', '{"approvers": ["x"], "whom": 1}');
SELECT uaef.create_policy('p', 'approval', '{"approvers": ["x"], "description": "{{nowhere.x}}"}');
SELECT uaef.create_policy('p', 'rate_limit', '{"max": 1}');
SELECT uaef.create_policy('p', 'rate_limit', '{"window": "1s"}');
SELECT uaef.create_policy('p', 'rate_limit', '{"max": 0, "window": "1s"}');
SELECT uaef.create_policy('p', 'rate_limit', '{"max": 1, "window": "soon"}');
SELECT uaef.create_policy('p', 'rate_limit', '{"max": 1, "window": "1s", "over": "board"}');
SELECT uaef.create_policy('p', 'compliance', '{}');
SELECT uaef.create_policy('p', 'compliance', '{"require": {"in.n": {"$above": 1}}}');
SELECT uaef.create_policy('p', 'data_access', '{}');
SELECT uaef.create_policy('p', 'data_access', '{"tables": ["a"]}');
SELECT uaef.create_policy('p', 'data_access', '{"tables": {"a": ["select"]}}');
SELECT uaef.create_policy('p', 'data_access', '{"tables": {"a.b": ["look"]}}');
SELECT uaef.create_policy('p', 'data_access', '{"tables": {"a.b": [1]}}');
SELECT uaef.create_policy('p', 'data_access', '{"tables": {"a.b": 1}}');
SELECT uaef.create_policy('p', 'data_access', '{"tables": {"a.b": {"select": []}}}');
SELECT uaef.create_policy('p', 'data_access', '{"tables": {"a.b": {"delete": ["x"]}}}');
SELECT uaef.create_policy('p', 'data_access', '{"functions": ["f"]}');
SELECT uaef.create_policy('p', 'data_access', '{"max_rows": -1}');
SELECT uaef.create_policy('p', 'compliance', '{"require": {"in.n": 1}}', scope => '{"color": "red"}');
SELECT uaef.create_policy('p', 'compliance', '{"require": {"in.n": 1}}', scope => '{"task_type": "sqll"}');
SELECT uaef.create_policy('p', 'compliance', '{"require": {"in.n": 1}}', scope => '{"workflow": []}');
SELECT uaef.create_policy('p', 'compliance', '{"require": {"in.n": 1}}', scope => '{"workflow": 1}');
SELECT uaef.create_policy('p', 'compliance', '{"require": {"in.n": 1}}', scope => '{"named": true, "task": "x"}');
SELECT uaef.enable_policy('p');
SELECT uaef.disable_policy('p');
SELECT uaef.drop_policy('p');
SELECT uaef.create_workflow('pol_bad', '{"policies": ["p"], "tasks": [{"id": "t", "type": "external"}]}');
SELECT uaef.create_workflow('pol_bad', '{"tasks": [{"id": "t", "type": "external", "policies": ["p"]}]}');
SELECT uaef.create_workflow('pol_bad', '{"tasks": [{"id": "t", "type": "external", "policies": "p"}]}');
SELECT uaef.explain_policies('pol_none');
SELECT uaef.explain_policies('pol_loan', 'pol_none');
SELECT count(*) FROM uaef.policy;
\set VERBOSITY default

-- versions; where each policy applies
SELECT uaef.create_policy('by name', 'compliance', '{"require": {"in.n": 1}}', 'log', '{"named": true}');
SELECT uaef.create_policy('by name', 'compliance', '{"require": {"in.n": 1}}', 'log', '{"named": true}');
SELECT uaef.create_policy('by name', 'compliance', '{"require": {"in.n": 2}}', 'log', '{"named": true}');
SELECT uaef.create_policy('by name', 'rate_limit', '{"max": 1, "window": "1s"}');
SELECT uaef.create_policy('by flow', 'compliance', '{"require": {"in.n": 1}}', 'log', '{"workflow": ["x", "pol_*n"]}');
SELECT uaef.create_policy('by type', 'compliance', '{"require": {"in.n": 1}}', 'log', '{"task_type": ["sql", "external"], "workflow": "pol_*"}');
SELECT uaef.create_policy('by task', 'compliance', '{"require": {"in.n": 1}}', 'log', '{"task": "p*", "workflow": "pol_*"}');
SELECT uaef.create_policy('by agent', 'compliance', '{"require": {"in.n": 1}}', 'log', '{"agent": "x"}');
SELECT * FROM uaef.explain_policies('pol_loan');
SELECT uaef.create_workflow('pol_named', '{"policies": ["by name"], "tasks": [{"id": "a", "type": "parallel"}, {"id": "b", "type": "parallel", "policies": ["by name", "by agent"]}]}');
SELECT * FROM uaef.explain_policies('pol_named');
SELECT * FROM uaef.explain_policies('pol_named', 'b', 1);
SELECT uaef.drop_policy('by name');
SELECT uaef.disable_policy('by name');
SELECT count(*) FROM uaef.explain_policies('pol_named', 'a');
SELECT uaef.enable_policy('by name');
SELECT count(*) FROM uaef.explain_policies('pol_named', 'a');
SELECT uaef.create_workflow('pol_named', '{"tasks": [{"id": "a", "type": "parallel"}]}');
SELECT uaef.drop_policy(name) FROM uaef.policy_status;
SELECT name, version, enabled, dropped FROM uaef.policy ORDER BY 1, 2;
SELECT uaef.create_policy('by name', 'compliance', '{"require": {"in.n": 2}}', 'log', '{"named": true}');
SELECT uaef.drop_policy('by name');
SELECT event_type, payload->>'policy' AS policy, payload->>'version' AS version FROM uaef.ledger_event WHERE event_type LIKE 'policy%' ORDER BY event_id DESC LIMIT 3;

-- another session's change counts from its commit on, a rollback never did
BEGIN;
SELECT uaef.create_policy('gone', 'compliance', '{"require": {"in.n": 99}}', 'strict', '{"workflow": "pol_loan"}');
SELECT count(*) FROM uaef.explain_policies('pol_loan');
ROLLBACK;
SELECT count(*) FROM uaef.explain_policies('pol_loan');

-- compliance, in each enforcement; what cannot be evaluated does not hold
SELECT uaef.create_policy('small', 'compliance', '{"require": {"in.n": {"$lte": 5}, "task.score.decision": "yes", "ctx.limit": 10}, "reason": "too much"}', 'strict', '{"workflow": "pol_loan", "task": "pay"}');
CREATE FUNCTION pol_run(input jsonb) RETURNS TABLE (task text, status text, attempt int, code text, detail text) LANGUAGE plpgsql AS $$
DECLARE id uuid := uaef.start_workflow('pol_loan', input);
BEGIN
	PERFORM uaef.execute_next_tasks(id);
	RETURN QUERY SELECT t.task, t.status, t.attempt, t.error->>'code', t.error->>'detail' FROM uaef.task_run t
		WHERE execution_id = id ORDER BY 1, 2;
END $$;
SELECT * FROM pol_run('{"n": 5, "list": []}');
SELECT * FROM pol_run('{"n": 6, "list": []}');
SELECT uaef.create_policy('small', 'compliance', '{"require": {"in.n": {"$lte": 5}}, "reason": "too much"}', 'warn', '{"workflow": "pol_loan", "task": "pay"}');
SELECT * FROM pol_run('{"n": 6, "list": []}');
SELECT uaef.create_policy('small', 'compliance', '{"require": {"in.n": {"$lte": 5}}, "reason": "too much"}', 'log', '{"workflow": "pol_loan", "task": "pay"}');
SELECT * FROM pol_run('{"n": 6, "list": []}');
SELECT policy, version, enforcement, decision, reason FROM uaef.policy_decision WHERE policy = 'small' ORDER BY decision_id;
SELECT uaef.drop_policy('small');

-- a task that may fail goes on as if it had failed by itself
SELECT uaef.create_workflow('pol_on', '{"tasks": [{"id": "a", "type": "external", "on_failure": "continue"}, {"id": "b", "type": "parallel"}], "edges": [{"from": "a", "to": "b"}], "output": "{{task.a.error.code}}"}');
SELECT uaef.create_policy('never', 'compliance', '{"require": {"in.x": 1}}', 'strict', '{"workflow": "pol_on", "task": "a"}');
SELECT uaef.start_workflow('pol_on') AS id \gset
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'id';
SELECT reason FROM uaef.policy_decision WHERE execution_id = :'id';
SELECT uaef.drop_policy('never');

-- so does one that is denied when its worker gives it back
SELECT uaef.start_workflow('pol_on') AS id \gset
SELECT task_id AS t, lease_token AS token FROM uaef.claim_tasks('w', 'default') WHERE execution_id = :'id' \gset
SELECT uaef.create_policy('never', 'compliance', '{"require": {"in.x": 1}}', 'strict', '{"workflow": "pol_on", "task": "a"}');
SELECT uaef.release_task(:t, :'token');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'id';
SELECT uaef.drop_policy('never');

-- items of a map are judged one by one, and the next one takes the place of one that is denied
SELECT uaef.create_workflow('pol_map', '{"tasks": [{"id": "m", "type": "map", "config": {"over": "{{in.list}}", "concurrency": 1, "join": 2,
	"task": {"type": "external", "queue": "pol"}}}]}');
SELECT uaef.create_policy('item', 'compliance', '{"require": {"item": {"$lte": 2}}}', 'strict', '{"workflow": "pol_map", "task_type": "external"}');
SELECT uaef.start_workflow('pol_map', '{"list": [5, 6, 1, 7, 2, 3]}') AS id \gset
SELECT item, status, error->>'code' AS code FROM uaef.task_run WHERE execution_id = :'id' ORDER BY item NULLS FIRST;
SELECT uaef.complete_task(task_id, '1') FROM uaef.task_run WHERE execution_id = :'id' AND status = 'queued';
SELECT item, status, error->>'code' AS code FROM uaef.task_run WHERE execution_id = :'id' ORDER BY item NULLS FIRST;
SELECT uaef.cancel_workflow(:'id');
SELECT uaef.drop_policy('item');

-- approval: of roles, before the task, for the map and not for each item
CREATE ROLE regress_pol_boss;
CREATE ROLE regress_pol_clerk;
GRANT USAGE ON SCHEMA uaef TO regress_pol_boss, regress_pol_clerk;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO regress_pol_boss, regress_pol_clerk;
SELECT uaef.create_policy('boss', 'approval', '{"approvers": ["regress_pol_boss"], "description": "pay {{in.n}}?"}', 'strict', '{"workflow": "pol_loan", "task": ["pay", "each"]}');
SELECT uaef.start_workflow('pol_loan', '{"n": 7, "list": [1, 2]}') AS id \gset
SELECT task, status, attempt FROM uaef.task_run WHERE execution_id = :'id' ORDER BY task_id;
SELECT task, description, policy, policy_version, shown - 'version' AS shown, status FROM uaef.human_approval WHERE execution_id = :'id' ORDER BY approval_id;
SELECT approval_id AS pay FROM uaef.human_approval WHERE execution_id = :'id' AND task = 'pay' \gset
SELECT approval_id AS each FROM uaef.human_approval WHERE execution_id = :'id' AND task = 'each' \gset
SET SESSION AUTHORIZATION regress_pol_clerk;
\set VERBOSITY sqlstate
SELECT uaef.approve(:pay);
\set VERBOSITY default
SET SESSION AUTHORIZATION regress_pol_boss;
SELECT uaef.approve(:pay);
SELECT uaef.approve(:each);
RESET SESSION AUTHORIZATION;
SELECT uaef.execute_next_tasks(:'id');
SELECT task, item, status, attempt FROM uaef.task_run WHERE execution_id = :'id' ORDER BY task_id;
SELECT task, decision FROM uaef.policy_decision WHERE execution_id = :'id' ORDER BY decision_id;
-- cancelled: the question is withdrawn
SELECT uaef.start_workflow('pol_loan', '{"n": 7, "list": []}') AS id \gset
SELECT uaef.cancel_workflow(:'id');
SELECT task, status FROM uaef.human_approval WHERE execution_id = :'id' ORDER BY 1;
-- rejected
SELECT uaef.start_workflow('pol_loan', '{"n": 7, "list": []}') AS id \gset
SELECT approval_id AS pay FROM uaef.human_approval WHERE execution_id = :'id' AND task = 'pay' \gset
SET SESSION AUTHORIZATION regress_pol_boss;
SELECT uaef.reject(:pay, 'not today');
RESET SESSION AUTHORIZATION;
SELECT task, status, error FROM uaef.task_run WHERE execution_id = :'id' ORDER BY task_id;
-- warn and log do not ask
SELECT uaef.create_policy('boss', 'approval', '{"approvers": ["regress_pol_boss"]}', 'warn', '{"workflow": "pol_on", "task": "a"}');
SELECT uaef.start_workflow('pol_on') AS id \gset
SELECT task, status FROM uaef.task_run WHERE execution_id = :'id';
SELECT uaef.drop_policy('boss');

-- rate limits: deny, by key; what is denied takes no place
SELECT uaef.create_policy('rate', 'rate_limit', '{"max": 2, "window": "1h", "key": "{{in.who}}", "over": "deny"}', 'strict', '{"workflow": "pol_on", "task": "a"}');
DO $$ BEGIN FOR i IN 1..3 LOOP PERFORM uaef.start_workflow('pol_on', '{"who": "ann"}'); END LOOP; END $$;
DO $$ BEGIN FOR i IN 1..3 LOOP PERFORM uaef.start_workflow('pol_on', '{"who": "bob"}'); END LOOP; END $$;
SELECT uaef.start_workflow('pol_on') AS id \gset
SELECT error FROM uaef.task_run WHERE execution_id = :'id' AND task = 'a';
SELECT r.input->>'who' AS who, t.status, t.error->>'detail' AS detail, count(*) FROM uaef.task_execution t
	JOIN uaef.workflow_execution r USING (execution_id) JOIN uaef.policy_decision d USING (execution_id)
	WHERE t.task = 'a' AND d.policy = 'rate' GROUP BY 1, 2, 3 ORDER BY 1;
SELECT key, count(*) FROM uaef.policy_use WHERE policy = 'rate' GROUP BY key ORDER BY key;
-- delay: each that is put off has its place
SELECT uaef.create_policy('rate', 'rate_limit', '{"max": 2, "window": "1h"}', 'strict', '{"workflow": "pol_on", "task": "a"}');
DO $$ BEGIN FOR i IN 1..5 LOOP PERFORM uaef.start_workflow('pol_on'); END LOOP; END $$;
SELECT decision, round(extract(epoch FROM until - decided_at) / 3600) AS hours FROM uaef.policy_decision WHERE policy = 'rate' AND decision = 'put_off' ORDER BY decision_id;
SELECT count(*) FROM uaef.task_timer WHERE kind = 'policy';
SELECT name, version, denied, warned, logged, put_off, asked, approved FROM uaef.policy_status;
SELECT uaef.drop_policy('rate');

-- nobody undoes another's policy
SELECT uaef.create_policy('mine', 'compliance', '{"require": {"in.n": 1}}', 'log', '{"named": true}');
SET ROLE regress_pol_clerk;
\set VERBOSITY terse
SELECT uaef.create_policy('mine', 'compliance', '{"require": {"in.n": 2}}', 'log');
SELECT uaef.disable_policy('mine');
SELECT uaef.drop_policy('mine');
SELECT * FROM uaef.policy;
\set VERBOSITY default
RESET ROLE;
SELECT uaef.drop_policy('mine');

SELECT count(*) FROM uaef.verify_ledger();
DO $$ BEGIN PERFORM uaef.cancel_workflow(execution_id) FROM uaef.workflow_run WHERE workflow LIKE 'pol\_%' AND status = 'running'; END $$;
DROP FUNCTION pol_run;
DROP OWNED BY regress_pol_boss, regress_pol_clerk;
DROP ROLE regress_pol_boss, regress_pol_clerk;
