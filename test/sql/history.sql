-- Executions go when they have been kept long enough, with all their rows; their
-- events stay.
SELECT uaef.create_workflow('quick', '{"tasks":[{"id":"a","type":"condition","config":{"when":{"in.n":{"$gte":0}}}}]}');
SELECT uaef.create_workflow('ask', '{"tasks":[{"id":"a","type":"human_approval","config":{"four_eyes":false}}]}');
SELECT uaef.create_workflow('kept', '{"tasks":[{"id":"a","type":"condition","config":{"when":{"in.n":{"$gte":0}}}}]}');
SELECT count(uaef.start_workflow('quick', jsonb_build_object('n', n), 'key ' || n)) FROM generate_series(1, 700) n;
SELECT count(uaef.start_workflow('ask', '{}')) FROM generate_series(1, 3);
SELECT count(uaef.start_workflow('kept', '{"n":1}')) FROM generate_series(1, 2);
SELECT uaef.approve(approval_id) FROM uaef.pending_approval ORDER BY approval_id LIMIT 1;
SELECT uaef.cancel_workflow(execution_id) FROM uaef.workflow_run WHERE workflow = 'ask' AND status = 'running' ORDER BY created_at LIMIT 1;

SELECT count(*) AS orphans FROM uaef.task_execution WHERE execution_id NOT IN (SELECT execution_id FROM uaef.workflow_execution) \gset
-- nothing is old enough
SELECT uaef.purge_executions(now() - interval '1 hour');
-- some, of one workflow; what is open stays
SET uaef.test_now = '2100-01-01';
SELECT uaef.purge_executions('2099-01-01', 'quick', max_executions => 10);
SELECT uaef.purge_executions('2099-01-01', 'quick');
SELECT uaef.purge_executions('2099-01-01', 'ask', ARRAY['failed', 'cancelled']);
SELECT uaef.purge_executions('2099-01-01', 'ask');
SELECT workflow, status, count(*) FROM uaef.workflow_run WHERE workflow IN ('quick', 'ask', 'kept') GROUP BY 1, 2 ORDER BY 1;
SELECT (SELECT count(*) FROM uaef.task_execution WHERE execution_id NOT IN (SELECT execution_id FROM uaef.workflow_execution)) - :orphans AS tasks,
	(SELECT count(*) FROM uaef.human_approval WHERE execution_id NOT IN (SELECT execution_id FROM uaef.workflow_execution)) AS approvals,
	(SELECT count(*) FROM uaef.human_approval_vote WHERE approval_id NOT IN (SELECT approval_id FROM uaef.human_approval)) AS votes,
	(SELECT count(*) FROM uaef.workflow_start_key WHERE workflow = 'quick') AS keys;
RESET uaef.test_now;
SELECT payload - 'first' - 'last' FROM uaef.ledger_event WHERE event_type = 'executions_purged' AND payload->>'workflow' IN ('quick', 'ask') ORDER BY event_id;
-- a key may be used again
SELECT uaef.start_workflow('quick', '{"n": -1}', 'key 1') IS NOT NULL AS started;
SELECT count(*) FROM uaef.verify_ledger();

-- rules
SELECT uaef.set_retention('30 days');
SELECT uaef.set_retention('1 year', 'kept', ARRAY['completed']);
SELECT uaef.set_retention('20 days');
SELECT workflow, keep, statuses, purged FROM uaef.retention ORDER BY workflow;
SELECT uaef.drop_retention('kept');
SELECT uaef.drop_retention();

-- bad input
SELECT uaef.set_retention(NULL);
SELECT uaef.set_retention('-1 day');
SELECT uaef.set_retention('1 day', 'quick', ARRAY['running']);
SELECT uaef.set_retention('1 day', 'quick', ARRAY[NULL]);
SELECT uaef.drop_retention('none');
SELECT uaef.drop_retention();
SELECT uaef.purge_executions(NULL);
SELECT uaef.purge_executions(now(), max_executions => 0);

-- only an administrator may
CREATE ROLE history_operator;
SELECT uaef.grant_access('history_operator', 'operator');
SET ROLE history_operator;
SELECT count(*) FROM uaef.retention;
SELECT uaef.set_retention('1 day');
SELECT uaef.purge_executions(now());
RESET ROLE;
SELECT uaef.revoke_access('history_operator', 'operator');
DROP ROLE history_operator;
SELECT uaef.cancel_workflow(execution_id) FROM uaef.workflow_run WHERE workflow = 'ask' AND status = 'running';
