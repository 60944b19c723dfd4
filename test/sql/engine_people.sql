--
-- External tasks under leases, approvals, waits, pause and resume
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SELECT uaef.create_workflow('eng_ext', $${"tasks": [
  {"id": "t", "type": "external", "queue": "robots", "config": {"input": {"part": "{{in.part}}"}},
   "retry": {"max_attempts": 2, "initial": "1h", "jitter": 0}}]}$$);

-- claimed in the order of priority and age, with the input filled in
SELECT uaef.start_workflow('eng_ext', '{"part": "a"}') AS a \gset
SELECT uaef.start_workflow('eng_ext', '{"part": "b"}', priority => 5) AS b \gset
SELECT uaef.start_workflow('eng_ext', '{"part": "c"}') AS c \gset
SELECT count(*) FROM uaef.claim_tasks('w1', 'nobody');
SELECT task_id AS id, lease_token AS token FROM uaef.claim_tasks('w1', 'robots') \gset
SELECT task, status, attempt, worker, execution_id = :'b' AS is_b FROM uaef.task_run WHERE task_id = :id;
CREATE TABLE eng_claim AS SELECT * FROM uaef.claim_tasks('w2', 'robots', 10, '1 minute');
SELECT task, attempt, input, workflow, item, lease_expires_at > now() AS leased FROM eng_claim ORDER BY task_id;

-- a wrong token, a late one, a second completion
\set VERBOSITY sqlstate
SELECT uaef.complete_task(:id, '{}', '00000000-0000-0000-0000-000000000000');
\set VERBOSITY default
SELECT uaef.heartbeat_task(:id, :'token', '2 minutes') > now() AS extended;
SELECT uaef.complete_task(:id, '{"done": 1}', :'token');
\set VERBOSITY sqlstate
SELECT uaef.complete_task(:id, '{"done": 2}', :'token');
\set VERBOSITY default
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'b';
SELECT uaef.complete_task(-1);
\echo :LAST_ERROR_SQLSTATE

-- failure: once more after the backoff, then for good
SELECT uaef.fail_task(task_id, 'no paper', true, lease_token) FROM eng_claim ORDER BY task_id LIMIT 1;
SELECT status, attempt, error FROM uaef.task_run WHERE execution_id = :'a';
SELECT uaef.fail_task(task_id, 'broken', false, lease_token) FROM eng_claim ORDER BY task_id DESC LIMIT 1;
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'c';

-- without a lease only who started it may complete, also before a claim
SELECT uaef.start_workflow('eng_ext', '{"part": "d"}') AS d \gset
SELECT uaef.complete_task(task_id, '{"by": "hand"}') FROM uaef.task_run WHERE execution_id = :'d';
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'d';
SELECT count(*) FROM uaef.claim_tasks('w1', 'robots', 10);

-- pause holds back what has not begun; resume gives it out again
SELECT uaef.start_workflow('eng_ext', '{"part": "p"}') AS p \gset
SELECT uaef.pause_workflow(:'p', 'lunch');
\set VERBOSITY sqlstate
SELECT uaef.pause_workflow(:'p');
\set VERBOSITY default
SELECT count(*) FROM uaef.claim_tasks('w1', 'robots', 10);
SELECT uaef.resume_workflow(:'p');
\set VERBOSITY sqlstate
SELECT uaef.resume_workflow(:'p');
\set VERBOSITY default
SELECT task_id AS id, lease_token AS token FROM uaef.claim_tasks('w1', 'robots', 10) \gset
SELECT uaef.pause_workflow(:'p');
SELECT uaef.complete_task(:id, '{"part": "done while paused"}', :'token');
SELECT status, output FROM uaef.workflow_run WHERE execution_id = :'p';
\set VERBOSITY sqlstate
SELECT uaef.cancel_workflow(:'p');
\set VERBOSITY default

-- approvals
CREATE ROLE regress_eng_clerk;
CREATE ROLE regress_eng_boss;
CREATE ROLE regress_eng_boss2 IN ROLE regress_eng_boss;
CREATE ROLE regress_eng_dormant NOINHERIT IN ROLE regress_eng_clerk, regress_eng_boss;
GRANT USAGE ON SCHEMA uaef TO regress_eng_clerk, regress_eng_boss, regress_eng_dormant;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO regress_eng_clerk, regress_eng_boss, regress_eng_dormant;
GRANT SELECT ON uaef.pending_approval, uaef.workflow_run, uaef.task_run
	TO regress_eng_clerk, regress_eng_boss, regress_eng_dormant;
SELECT uaef.create_workflow('eng_ask', $${"tasks": [
  {"id": "ask", "type": "human_approval",
   "config": {"description": "pay {{in.amount}}?", "approvers": ["regress_eng_boss"], "need": 2,
              "show": {"amount": "{{in.amount}}"}}},
  {"id": "yes", "type": "parallel"}, {"id": "no", "type": "parallel"}],
  "edges": [{"from": "ask", "to": "yes", "on": "approved"}, {"from": "ask", "to": "no", "on": "rejected"}]}$$);
SELECT uaef.create_workflow('eng_gate', $${"tasks": [
  {"id": "gate", "type": "human_approval", "config": {"four_eyes": false}}]}$$);
SET SESSION AUTHORIZATION regress_eng_clerk;
SELECT uaef.start_workflow('eng_ask', '{"amount": 10}') AS e \gset
SELECT approval_id AS id FROM uaef.pending_approval WHERE execution_id = :'e' \gset
\set VERBOSITY sqlstate
SELECT uaef.approve(:id);
\set VERBOSITY default
-- views and functions agree on who would have to SET ROLE first
SET SESSION AUTHORIZATION regress_eng_dormant;
SELECT (SELECT count(*) FROM uaef.workflow_run) AS runs, (SELECT count(*) FROM uaef.task_run) AS tasks,
	(SELECT count(*) FROM uaef.pending_approval) AS approvals;
\set VERBOSITY sqlstate
SELECT uaef.approve(:id);
\set VERBOSITY default
SET SESSION AUTHORIZATION regress_eng_boss;
SELECT task, description, shown, need, approved, approvers FROM uaef.pending_approval WHERE approval_id = :id;
SELECT uaef.approve(:id, 'fine');
\set VERBOSITY sqlstate
SELECT uaef.approve(:id, 'fine again');
\set VERBOSITY default
SET SESSION AUTHORIZATION regress_eng_boss2;
SELECT uaef.approve(:id, 'me too', '{"code": 7}');
\set VERBOSITY sqlstate
SELECT uaef.approve(:id);
\set VERBOSITY default
RESET SESSION AUTHORIZATION;
SELECT status, eng.tasks FROM uaef.workflow_run,
	LATERAL (SELECT string_agg(task || ' ' || status, ', ' ORDER BY task) AS tasks
			 FROM uaef.task_run t WHERE t.execution_id = :'e') eng
WHERE execution_id = :'e';
SELECT output - 'approval_id' AS output FROM uaef.task_run WHERE execution_id = :'e' AND task = 'ask';
SELECT approver, decision, reason, response,
	shown_digest = sha256(convert_to('{"amount":10}', 'UTF8')) AS bound
FROM uaef.human_approval_vote WHERE approval_id = :id ORDER BY decided_at;
-- SET ROLE does not make one person two
SET SESSION AUTHORIZATION regress_eng_clerk;
SELECT uaef.start_workflow('eng_ask', '{"amount": 20}') AS e \gset
SET SESSION AUTHORIZATION regress_eng_boss2;
SELECT approval_id AS id FROM uaef.pending_approval WHERE execution_id = :'e' \gset
SELECT uaef.approve(:id);
SET ROLE regress_eng_boss;
\set VERBOSITY sqlstate
SELECT uaef.approve(:id);
\set VERBOSITY default
SET SESSION AUTHORIZATION regress_eng_boss;
SELECT uaef.approve(:id);
RESET SESSION AUTHORIZATION;
SELECT approver, session_role, decision FROM uaef.human_approval_vote WHERE approval_id = :id ORDER BY decided_at;
-- one rejection decides; where no edge has labels, it fails the workflow
SELECT uaef.start_workflow('eng_gate') AS e \gset
SELECT uaef.reject(approval_id, 'not like this') FROM uaef.pending_approval WHERE execution_id = :'e';
SELECT status, error FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.approve(-1);
\echo :LAST_ERROR_SQLSTATE
-- cancelling withdraws the question
SELECT uaef.start_workflow('eng_gate') AS e \gset
SELECT uaef.cancel_workflow(:'e');
SELECT a.status FROM uaef.human_approval a WHERE execution_id = :'e';

SELECT * FROM uaef.verify_ledger() WHERE severity <> 'info';
DROP TABLE eng_claim;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA uaef FROM regress_eng_clerk, regress_eng_boss, regress_eng_dormant;
DROP OWNED BY regress_eng_clerk, regress_eng_boss, regress_eng_boss2, regress_eng_dormant;
DROP ROLE regress_eng_dormant, regress_eng_boss2, regress_eng_boss, regress_eng_clerk;
