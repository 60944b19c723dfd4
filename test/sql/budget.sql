--
-- budget: budgets, checkpoints that must be passed, reviews by people
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT uaef.stop_worker() IS NOT NULL AS stopped;

CREATE ROLE regress_budget_ann;
CREATE ROLE regress_budget_bob;
SELECT uaef.grant_access(r, 'approver') FROM unnest('{regress_budget_ann,regress_budget_bob}'::regrole[]) r;
SELECT uaef.create_workflow('bud', '{"tasks":[{"id":"a","type":"parallel"}]}');
SET uaef.rule_activation = 'any';
SELECT uaef.create_settlement_rule('bud', '{"workflow":"bud","currency":"DKK",
	"amount":"in.x","recipient":"external:{{in.to}}",
	"approval":{"bands":[{"to":"1000.00","need":0},{"need":1}]}}');
SELECT uaef.activate_settlement_rule('bud', 1);
CREATE FUNCTION pg_temp.run(name text, x numeric, payee text DEFAULT 'p', extra jsonb DEFAULT '{}')
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.start_workflow('bud', jsonb_build_object('x', x, 'to', payee) || extra, name => run.name);
	RETURN (SELECT s.status || coalesce(' ' || (SELECT string_agg(coalesce(b->>'budget', b->>'checkpoint', 'review ' || (b->>'status')), ', ') FROM jsonb_array_elements(s.blocked) b), '')
		FROM uaef.settlement_signal s JOIN uaef.workflow_execution e USING (execution_id) WHERE e.name = run.name);
END
$$;
CREATE FUNCTION pg_temp.id(execution text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
	SELECT signal_id FROM uaef.settlement_signal JOIN uaef.workflow_execution USING (execution_id) WHERE name = execution
$$;
CREATE FUNCTION pg_temp.again(execution text) RETURNS integer LANGUAGE sql AS $$
	SELECT uaef.reevaluate_settlement(execution_id, 'look again') FROM uaef.workflow_execution WHERE name = execution
$$;
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE statement INTO answer;
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '(signal|review) \d+', '\1 N');
END
$$;
CREATE VIEW pg_temp.used AS SELECT name, subject, per, used, cap, remaining, used_count, max_count, enforcement
	FROM uaef.budget_status ORDER BY name, subject;

-- What is wrong with a budget is said at once.
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK')$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'XXY', 5)$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK', -1)$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK', 'NaN')$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK', 1.001)$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK', 1, -1)$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK', 1, per => 'fortnight')$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK', 1, scope => 'planet')$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK', 1, subject => 'x')$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK', 1, timezone => 'Mars')$$);
SELECT pg_temp.try($$SELECT uaef.create_budget('b', 'DKK', 1, enforcement => 'maybe')$$);
SELECT pg_temp.try($$SELECT uaef.drop_budget('b')$$);

-- Up to the cap, and not a cent more; what is refused counts against nothing.
SELECT uaef.create_budget('month', 'DKK', 100);
SELECT uaef.create_budget('each', 'DKK', 60, per => 'total', scope => 'recipient');
SELECT uaef.create_budget('velocity', 'DKK', max_count => 3, per => '1 hour');
SELECT uaef.create_budget('other', 'DKK', 1, scope => 'workflow', subject => 'another');
SELECT pg_temp.run('a', 60);
SELECT pg_temp.run('b', 0.01);
SELECT pg_temp.run('c', 40.01, 'q');
SELECT pg_temp.run('d', 40, 'q');
SELECT * FROM pg_temp.used;
SELECT status, blocked FROM uaef.settlement WHERE signal_id = pg_temp.id('c');

-- What is cancelled is free again, and what was refused can be looked at again.
SELECT pg_temp.again('b');
SELECT uaef.cancel_settlement(pg_temp.id('a'), 'wrong');
SELECT pg_temp.again('b');
SELECT pg_temp.again('c');
SELECT uaef.drop_budget('each');
SELECT pg_temp.again('c');
SELECT * FROM pg_temp.used;
SELECT pg_temp.run('e', 1, 'r');
SELECT code, balance FROM uaef.account_balance WHERE code LIKE '%:DKK' AND balance <> 0 ORDER BY 1;

-- Another hour; another month.
BEGIN;
SET LOCAL uaef.test_now = '2099-01-31 23:59:59+00';
SELECT pg_temp.run('f', 100, 's');
SELECT pg_temp.run('g', 1, 's');
SET LOCAL uaef.test_now = '2099-02-01 00:00:00+00';
SELECT pg_temp.run('h', 1, 's');
ROLLBACK;

-- Of one call all count together; an amount that is adjusted counts as it is.
SELECT uaef.drop_budget('velocity');
SELECT uaef.create_budget('month', 'DKK', 2000, enforcement => 'strict');
SELECT pg_temp.run('i', 1500, 't');
SELECT * FROM pg_temp.used WHERE name = 'month';
SELECT pg_temp.try(format('SELECT uaef.adjust_settlement(%s, 2000.01, ''more'')', pg_temp.id('i')));
SELECT pg_temp.try(format('SELECT uaef.adjust_settlement(%s, 1999.99, ''more'')', pg_temp.id('i')));
SELECT * FROM pg_temp.used WHERE name = 'month';
SELECT uaef.reject_settlement(pg_temp.id('i'), 'no');
SELECT * FROM pg_temp.used WHERE name = 'month';

-- Warn and log let it pass, and say so.
SELECT uaef.create_budget('month', 'DKK', 1, enforcement => 'warn');
SET client_min_messages = error;
SELECT pg_temp.run('j', 2) AS warned;
SET client_min_messages = warning;
SELECT uaef.create_budget('month', 'DKK', 1, enforcement => 'log');
SELECT pg_temp.run('k', 2) AS logged;
SELECT payload->>'enforcement' AS enforcement, payload->>'budget' AS budget, payload->>'used' AS used FROM uaef.ledger_event WHERE event_type = 'budget_exceeded' ORDER BY event_id;
SELECT uaef.drop_budget('month');
SELECT uaef.drop_budget('other');

--
-- Checkpoints: settled only if they are passed.
--
SELECT uaef.create_checkpoint('kyc', '{"type":"condition","when":{"in.kyc":"passed"}}');
SELECT pg_temp.try($$SELECT uaef.require_checkpoint('bud', 'none')$$);
SELECT pg_temp.try($$SELECT uaef.require_checkpoint('none', 'kyc')$$);
SELECT pg_temp.try($$SELECT uaef.require_checkpoint('bud', 'kyc', 'shrug')$$);
SET ROLE regress_budget_ann;
SELECT pg_temp.try($$SELECT uaef.require_checkpoint('bud', 'kyc')$$);
RESET ROLE;
SELECT uaef.require_checkpoint('bud', 'kyc');
SELECT pg_temp.run('l', 5, extra => '{"kyc":"passed"}');
SELECT pg_temp.run('m', 5, extra => '{"kyc":"failed"}');
SELECT pg_temp.run('n', 5);
SELECT blocked->0->'failures' AS failures FROM uaef.settlement WHERE signal_id = pg_temp.id('n');
SELECT checkpoint, passed, task FROM uaef.checkpoint_run WHERE checkpoint = 'kyc' ORDER BY evaluated_at, passed DESC;
SELECT pg_temp.again('m');
SELECT uaef.require_checkpoint('bud', 'kyc', 'log');
SELECT pg_temp.again('m');
SELECT uaef.unrequire_checkpoint('bud', 'kyc');
SELECT pg_temp.try($$SELECT uaef.unrequire_checkpoint('bud', 'kyc')$$);

-- People look at what did not pass, and are not those whose execution it is.
SELECT uaef.require_checkpoint('bud', 'kyc', 'review');
SELECT pg_temp.run('o', 2000, extra => '{"kyc":"failed"}');
SELECT workflow, checkpoint, reason FROM uaef.pending_review;
SELECT pg_temp.try(format('SELECT uaef.decide_review(%s, true, ''mine'')', review_id)) FROM uaef.pending_review;
SET SESSION AUTHORIZATION regress_budget_ann;
SELECT pg_temp.try(format('SELECT uaef.decide_review(%s, true, '''')', review_id)) FROM uaef.pending_review;
SELECT pg_temp.try(format('SELECT uaef.decide_review(%s, true, ''seen the papers'')', review_id)) FROM uaef.pending_review;
RESET SESSION AUTHORIZATION;
SELECT status FROM uaef.settlement WHERE signal_id = pg_temp.id('o');
SELECT pg_temp.run('p', 5, extra => '{"kyc":"failed"}');
SET SESSION AUTHORIZATION regress_budget_ann;
SELECT pg_temp.try(format('SELECT uaef.decide_review(%s, false, ''forged'')', review_id)) FROM uaef.pending_review;
RESET SESSION AUTHORIZATION;
SELECT pg_temp.again('p');
SELECT status, blocked->0->>'status' AS review FROM uaef.settlement WHERE signal_id = pg_temp.id('p');
SELECT uaef.unrequire_checkpoint('bud', 'kyc');

-- Asked for by a person, of what was approved already: the money stops.
SELECT pg_temp.run('q', 5);
SELECT uaef.require_human_review(execution_id, 'odd', 'regress_budget_bob') IS NOT NULL AS asked FROM uaef.workflow_execution WHERE name = 'q';
SELECT status FROM uaef.settlement WHERE signal_id = pg_temp.id('q');
SET SESSION AUTHORIZATION regress_budget_ann;
SELECT count(*) FROM uaef.pending_review;
RESET SESSION AUTHORIZATION;
SELECT review_id AS q_review FROM uaef.compliance_review WHERE status = 'open' \gset
SET SESSION AUTHORIZATION regress_budget_ann;
SELECT pg_temp.try(format('SELECT uaef.decide_review(%s, true, ''fine'')', :q_review));
SET SESSION AUTHORIZATION regress_budget_bob;
SELECT pg_temp.try(format('SELECT uaef.decide_review(%s, true, ''fine'')', :q_review));
SELECT pg_temp.try(format('SELECT uaef.decide_review(%s, false, ''no'')', :q_review));
RESET SESSION AUTHORIZATION;
SELECT status FROM uaef.settlement WHERE signal_id = pg_temp.id('q');
SELECT event_type, count(*) FROM uaef.ledger_event WHERE event_type LIKE 'review%' GROUP BY 1 ORDER BY 1;
SELECT * FROM uaef.audit_money();

--
-- Clean up.
--
DELETE FROM uaef.compliance_review;
DELETE FROM uaef.compliance_result;
DELETE FROM uaef.compliance_checkpoint;
DELETE FROM uaef.budget_entry;
DELETE FROM uaef.budget_use;
DELETE FROM uaef.budget;
DELETE FROM uaef.settlement_approval;
DELETE FROM uaef.settlement_signal;
DELETE FROM uaef.rule_evaluation;
DELETE FROM uaef.settlement_run;
DELETE FROM uaef.settlement_rule;
DELETE FROM uaef.task_execution t USING uaef.workflow_execution e, uaef.workflow_definition d
WHERE d.name = 'bud' AND e.definition_id = d.definition_id AND t.execution_id = e.execution_id;
DELETE FROM uaef.workflow_execution e USING uaef.workflow_definition d
WHERE d.name = 'bud' AND e.definition_id = d.definition_id;
DELETE FROM uaef.workflow_definition WHERE name = 'bud';
SELECT uaef.revoke_access(role, access) FROM uaef.access_grant WHERE role::text LIKE 'regress_budget%';
DROP OWNED BY regress_budget_ann, regress_budget_bob;
DROP ROLE regress_budget_ann, regress_budget_bob;
