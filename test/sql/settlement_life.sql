--
-- settlement_life: what becomes of signals after they were made: expiry, holds,
-- adjustments, payouts by hand, reversals, disputes; the tables of states
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT uaef.stop_worker() IS NOT NULL AS stopped;

CREATE ROLE regress_life_boss;
CREATE ROLE regress_life_ann IN ROLE regress_life_boss;
CREATE ROLE regress_life_bob IN ROLE regress_life_boss;
CREATE ROLE regress_life_payee;
CREATE ROLE regress_life_broker IN ROLE regress_life_boss, regress_life_payee;
CREATE ROLE regress_life_worker;
SELECT uaef.grant_access(r, a) FROM (VALUES
	('regress_life_ann'::regrole, 'approver'), ('regress_life_bob', 'approver'),
	('regress_life_broker', 'approver'), ('regress_life_broker', 'operator'),
	('regress_life_ann', 'operator'), ('regress_life_worker', 'worker'))
	AS g (r, a) ORDER BY r::text, a;

SELECT uaef.create_workflow('life', '{"tasks":[{"id":"a","type":"parallel"}]}');
-- Rules are made and activated by one person here.
SET uaef.rule_activation = 'any';
CREATE FUNCTION pg_temp.rule(patch jsonb) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	version integer := uaef.create_settlement_rule('life', '{"workflow":"life",
		"currency":"CHF","amount":"in.x","recipient":"external:{{in.to}}"}'
		|| patch);
BEGIN
	PERFORM uaef.activate_settlement_rule('life', version);
	RETURN version;
END
$$;
CREATE FUNCTION pg_temp.run(name text, x numeric, payee text DEFAULT 'p1')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.start_workflow('life', jsonb_build_object('x', x, 'to', payee),
		name => run.name);
END
$$;
CREATE FUNCTION pg_temp.id(execution text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER AS $$
	SELECT max(signal_id) FROM uaef.settlement_signal
	JOIN uaef.workflow_execution USING (execution_id) WHERE name = execution
$$;
-- What a statement gives, or the code and text of its error.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE statement INTO answer;
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || regexp_replace(regexp_replace(SQLERRM,
		'[0-9a-f-]{36}', 'U'), 'signal \d+', 'signal N');
END
$$;
CREATE VIEW pg_temp.now_is AS
	SELECT e.name, s.part_no AS part, s.run, s.recipient, s.amount, s.status,
		v.seed_status, s.approvals AS yes, v.reversed, s.hold_reason
	FROM uaef.settlement_signal s JOIN uaef.workflow_execution e USING (execution_id)
	JOIN uaef.settlement v USING (signal_id) ORDER BY e.name, s.signal_id;
CREATE VIEW pg_temp.balances AS
	SELECT code, balance, held FROM uaef.account_balance
	WHERE code LIKE '%:CHF' AND (balance <> 0 OR held <> 0) ORDER BY code COLLATE "C";

-- Due: after the delay, on a day with work.
SELECT uaef.create_calendar('life_days', '{sat,sun}');
SELECT uaef.exclude_days('life_days', '2030-01-01', '2030-01-01');
SELECT pg_temp.rule('{"schedule":{"delay":"1 day","business_days":2,
	"calendar":"life_days","timezone":"Europe/Paris"}}');
SET uaef.test_now = '2029-12-28 10:00:00+00';	-- a Friday
SELECT pg_temp.run('due', 5);
SELECT due_at FROM uaef.settlement WHERE signal_id = pg_temp.id('due');
RESET uaef.test_now;
SELECT pg_temp.try($$SELECT pg_temp.rule('{"schedule":{"business_days":2}}')$$);
SELECT pg_temp.try($$SELECT pg_temp.rule('{"schedule":{"delay":"-1 day"}}')$$);
SELECT pg_temp.try($$SELECT pg_temp.rule('{"schedule":{"when":"soon"}}')$$);
SELECT pg_temp.try($$SELECT pg_temp.rule('{"schedule":{"timezone":"Mars"}}')$$);
-- A calendar that is gone holds the money; it is not paid at once.
SELECT uaef.drop_calendar('life_days');
SELECT pg_temp.run('nodays', 5);
SELECT status, error FROM uaef.settlement WHERE signal_id = pg_temp.id('nodays');

-- Expiry: by the timer, to expired or rejected.
SELECT pg_temp.rule('{"approval":{"bands":[{"need":1,"of":"regress_life_boss"}],"expires":"72h"}}');
SELECT pg_temp.run('late', 5);
SELECT pg_temp.rule('{"approval":{"bands":[{"need":1,"of":"regress_life_boss"}],"expires":"1h","on_expiry":"reject"}}');
SELECT pg_temp.run('late2', 5);
SELECT kind, count(*) FROM uaef.task_timer WHERE kind = 'settlement' GROUP BY 1;
SELECT pg_temp.try($$SELECT pg_temp.rule('{"approval":{"bands":[{"need":1}],"on_expiry":"pay"}}')$$);

-- Two of two; neither who is paid, nor twice; bound to what was approved.
SELECT pg_temp.rule('{"approval":{"bands":[{"need":2,"of":"regress_life_boss"}]}}');
SELECT uaef.set_payee('external:p1', 'manual', '{}', 'regress_life_payee');
SELECT pg_temp.run('two', 100);
SET SESSION AUTHORIZATION regress_life_broker;
SELECT pg_temp.try(format('SELECT uaef.approve_settlement(%s)', pg_temp.id('two')));
SET SESSION AUTHORIZATION regress_life_ann;
SELECT pg_temp.try(format('SELECT uaef.approve_settlement(%s)', pg_temp.id('two')));
SELECT pg_temp.try(format('SELECT uaef.approve_settlement(%s)', pg_temp.id('two')));
RESET SESSION AUTHORIZATION;
-- The trace is part of what is approved.
UPDATE uaef.rule_evaluation SET trace = trace || '{"x":1}'
WHERE execution_id = (SELECT execution_id FROM uaef.workflow_execution WHERE name = 'two');
SET SESSION AUTHORIZATION regress_life_bob;
SELECT pg_temp.try(format('SELECT uaef.approve_settlement(%s)', pg_temp.id('two')));
SET SESSION AUTHORIZATION regress_life_ann;
SELECT pg_temp.try(format('SELECT uaef.approve_settlement(%s)', pg_temp.id('two')));

-- Another amount: the approvals are void, and who gave it does not approve it.
SELECT pg_temp.try(format('SELECT uaef.adjust_settlement(%s, 90.001, ''less'')', pg_temp.id('two')));
SELECT pg_temp.try(format('SELECT uaef.adjust_settlement(%s, 0, ''less'')', pg_temp.id('two')));
SELECT pg_temp.try(format('SELECT uaef.adjust_settlement(%s, ''NaN'', ''less'')', pg_temp.id('two')));
SELECT pg_temp.try(format('SELECT uaef.adjust_settlement(%s, 90, '''')', pg_temp.id('two')));
SELECT pg_temp.try(format('SELECT uaef.adjust_settlement(%s, 90, ''less'')', pg_temp.id('two')));
SELECT pg_temp.try(format('SELECT uaef.approve_settlement(%s)', pg_temp.id('two')));
SET SESSION AUTHORIZATION regress_life_bob;
SELECT pg_temp.try(format('SELECT uaef.approve_settlement(%s)', pg_temp.id('two')));
RESET SESSION AUTHORIZATION;
SELECT * FROM pg_temp.now_is WHERE name = 'two';

-- A hold keeps it from being paid; it is not lifted twice.
SELECT pg_temp.rule('{}');
SELECT pg_temp.run('paid', 100);
SELECT * FROM pg_temp.balances;
SET SESSION AUTHORIZATION regress_life_ann;
SELECT pg_temp.try(format('SELECT uaef.hold_settlement(%s, ''look'')', pg_temp.id('paid')));
RESET SESSION AUTHORIZATION;
SELECT uaef.hold_settlement(pg_temp.id('paid'), 'look');
SELECT pg_temp.try(format('SELECT uaef.hold_settlement(%s, ''again'')', pg_temp.id('paid')));
SELECT pg_temp.try(format('SELECT uaef.process_settlement(%s, ''TX1'')', pg_temp.id('paid')));
SELECT uaef.build_payouts() IS NULL AS nothing;
SELECT pg_temp.try(format('SELECT uaef.release_settlement(%s, NULL)', pg_temp.id('paid')));
SELECT uaef.release_settlement(pg_temp.id('paid'), 'fine');
SELECT pg_temp.try(format('SELECT uaef.release_settlement(%s, ''fine'')', pg_temp.id('paid')));

-- Paid by hand, with a reference, and not by who is paid; once.
SET SESSION AUTHORIZATION regress_life_broker;
SELECT pg_temp.try(format('SELECT uaef.process_settlement(%s, ''TX1'')', pg_temp.id('paid')));
SET SESSION AUTHORIZATION regress_life_ann;
SELECT pg_temp.try(format('SELECT uaef.process_settlement(%s, '''')', pg_temp.id('paid')));
SELECT pg_temp.try(format('SELECT uaef.process_settlement(%s, ''TX1'')', pg_temp.id('paid')));
SELECT pg_temp.try(format('SELECT uaef.process_settlement(%s, ''TX1'')', pg_temp.id('paid')));
RESET SESSION AUTHORIZATION;
SELECT * FROM pg_temp.balances;

-- Taken back in parts, once for each key, never more than was paid.
SELECT pg_temp.try(format('SELECT uaef.reverse_settlement(%s, 100.01, ''no'', ''k'')', pg_temp.id('paid')));
SELECT uaef.reverse_settlement(pg_temp.id('paid'), 30, 'clawback', 'k1') IS NOT NULL AS done;
SELECT uaef.reverse_settlement(pg_temp.id('paid'), 30, 'clawback', 'k1') IS NOT NULL AS same;
SELECT pg_temp.try(format('SELECT uaef.reverse_settlement(%s, 31, ''clawback'', ''k1'')', pg_temp.id('paid')));
SELECT pg_temp.try(format('SELECT uaef.reverse_settlement(%s, 70.01, ''no'', ''k2'')', pg_temp.id('paid')));
SELECT pg_temp.try(format('SELECT uaef.reverse_settlement(%s, -1, ''no'', ''k2'')', pg_temp.id('paid')));
SELECT * FROM pg_temp.now_is WHERE name = 'paid';
SELECT uaef.dispute_settlement(pg_temp.id('paid'), 'says he got nothing');
SELECT code, balance FROM pg_temp.balances WHERE code LIKE '%disput%';
SELECT uaef.uphold_settlement(pg_temp.id('paid'), 'bank confirms');
SELECT uaef.reverse_settlement(pg_temp.id('paid'), NULL, 'all of it', 'k3') IS NOT NULL AS done;
SELECT * FROM pg_temp.now_is WHERE name = 'paid';
SELECT pg_temp.try(format('SELECT uaef.reverse_settlement(%s, NULL, ''more'', ''k4'')', pg_temp.id('paid')));
SELECT * FROM pg_temp.balances;
SELECT * FROM uaef.audit_money();

-- What is reversed is netted with the next payment; not before it is enough.
SELECT pg_temp.run('next', 60);
SELECT uaef.build_payouts() IS NULL AS too_little;
SELECT pg_temp.run('next2', 50.5);
SELECT uaef.build_payouts() IS NOT NULL AS built;
SELECT channel, recipient, amount, currency, status, signals FROM uaef.payout_status ORDER BY created_at;
SELECT item, why, amount FROM uaef.payout_open_item;
SELECT name, status FROM pg_temp.now_is WHERE name LIKE 'next%';

-- Refused: the money is owed again, and goes with another payout.
SET SESSION AUTHORIZATION regress_life_ann;
SELECT pg_temp.try(format('SELECT uaef.fail_settlement(%s, ''wrong account'')', pg_temp.id('next')));
RESET SESSION AUTHORIZATION;
SELECT name, status FROM pg_temp.now_is WHERE name LIKE 'next%';
SELECT * FROM pg_temp.balances;
SELECT uaef.reschedule_settlement(pg_temp.id('next'), 'right account now');
SELECT uaef.reschedule_settlement(pg_temp.id('next2'), 'right account now');
SELECT uaef.build_payouts() IS NOT NULL AS built;
SELECT amount, status, hold_reason FROM uaef.payout_status ORDER BY created_at;
SELECT uaef.process_settlement(pg_temp.id('next'), 'TX2');
SELECT name, status FROM pg_temp.now_is WHERE name LIKE 'next%';

-- It comes back, and is written off, or paid again.
SELECT uaef.resolve_payout(payout_id, 'returned', '{"reference":"R1"}')
FROM uaef.payout WHERE status = 'settled' AND amount = 10.50;
SELECT name, status FROM pg_temp.now_is WHERE name LIKE 'next%';
SELECT uaef.write_off_settlement(pg_temp.id('next'), 'account closed');
SELECT * FROM pg_temp.balances;
SELECT * FROM uaef.audit_money();

-- Held rules are evaluated again, by the version that is in force now.
SELECT pg_temp.rule('{"amount":"in.y"}');
SELECT pg_temp.run('held', 7);
SELECT * FROM pg_temp.now_is WHERE name = 'held';
SELECT uaef.reevaluate_settlement(execution_id, 'once more') FROM uaef.workflow_execution WHERE name = 'held';
SELECT pg_temp.rule('{"amount":"in.x"}');
SELECT uaef.reevaluate_settlement(execution_id, 'mended') FROM uaef.workflow_execution WHERE name = 'held';
SELECT uaef.reevaluate_settlement(execution_id, 'mended') FROM uaef.workflow_execution WHERE name = 'held';
SELECT * FROM pg_temp.now_is WHERE name = 'held';
SELECT run, result FROM uaef.rule_evaluation JOIN uaef.workflow_execution USING (execution_id) WHERE name = 'held' ORDER BY run;
SELECT event_type, payload->>'run' AS run FROM uaef.ledger_event l
JOIN uaef.workflow_execution e ON e.execution_id = l.stream
WHERE e.name = 'held' AND event_type LIKE 'settlement%' ORDER BY stream_seq;

--
-- Every status with every action is in the table, or refused.
--
SELECT machine, count(*), count(next) AS legal, count(DISTINCT status) AS statuses
FROM uaef.settlement_transitions() GROUP BY 1 ORDER BY 1;
CREATE FUNCTION pg_temp.try_action(was text, act text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	n bigint := pg_temp.id('held');
	answer text;
BEGIN
	DELETE FROM uaef.settlement_approval WHERE signal_id = n;
	UPDATE uaef.settlement_signal SET status = was,
		part_no = CASE WHEN was IN ('error', 'superseded') THEN 0 ELSE 1 END,
		recipient = CASE WHEN was NOT IN ('error', 'superseded') THEN 'external:p9' END,
		error = CASE WHEN was IN ('error', 'superseded') THEN '{}'::jsonb END,
		amount_minor = CASE WHEN was IN ('error', 'superseded') THEN NULL
			WHEN was = 'zero_skipped' THEN 0 ELSE 100 END,
		amount = CASE WHEN was IN ('error', 'superseded') THEN NULL
			WHEN was = 'zero_skipped' THEN 0 ELSE 1 END,
		blocked = CASE WHEN was = 'blocked' THEN '[]'::jsonb END,
		approval = CASE WHEN was = 'pending_approval' THEN '{"need":1}'::jsonb END,
		held_by = CASE WHEN act = 'release' THEN current_user::regrole END,
		held_at = CASE WHEN act = 'release' THEN now() END,
		hold_reason = CASE WHEN act = 'release' THEN 'x' END
	WHERE signal_id = n;
	PERFORM CASE act
		WHEN 'approve' THEN uaef.approve_settlement(n)
		WHEN 'reject' THEN uaef.reject_settlement(n, 'r')
		WHEN 'cancel' THEN uaef.cancel_settlement(n, 'r')
		WHEN 'adjust' THEN uaef.adjust_settlement(n, 2, 'r')
		WHEN 'hold' THEN uaef.hold_settlement(n, 'r')
		WHEN 'release' THEN uaef.release_settlement(n, 'r')
		WHEN 'schedule' THEN uaef.reschedule_settlement(n, 'r')
		WHEN 'dispute' THEN uaef.dispute_settlement(n, 'r')
		WHEN 'uphold' THEN uaef.uphold_settlement(n, 'r')
		WHEN 'reverse_part' THEN uaef.reverse_settlement(n, 0.5, 'r', 'k')::text
		WHEN 'reverse' THEN uaef.reverse_settlement(n, NULL, 'r', 'k')::text
		WHEN 'write_off' THEN uaef.write_off_settlement(n, 'r')
	END;
	SELECT status INTO answer FROM uaef.settlement_signal WHERE signal_id = n;
	RAISE EXCEPTION USING MESSAGE = answer, ERRCODE = 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN SQLERRM;
WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
-- No row: each gives what the table says, or UA321.  (A disputed signal is not
-- reversed in part.)
SELECT t.status, t.action, t.next, a.answer
FROM uaef.settlement_transitions() t, pg_temp.try_action(t.status, t.action) AS a (answer)
WHERE t.machine = 'signal' AND t.action NOT IN ('supersede', 'block', 'ask', 'clear', 'expire', 'reserve', 'pay', 'fail', 'return')
AND a.answer IS DISTINCT FROM t.next AND (t.next IS NOT NULL OR a.answer NOT LIKE 'UA321 %');

--
-- Rights: a worker does not touch amounts, and nobody changes what is recorded.
--
SET SESSION AUTHORIZATION regress_life_worker;
SELECT pg_temp.try('SELECT uaef.adjust_settlement(1, 1, ''x'')');
SELECT pg_temp.try('SELECT uaef.approve_settlement(1)');
SELECT pg_temp.try('SELECT uaef.build_payouts()');
SELECT pg_temp.try('UPDATE uaef.settlement_signal SET amount = 1');
SELECT pg_temp.try('UPDATE uaef.payout SET amount = 1');
SELECT pg_temp.try('DELETE FROM uaef.payout_evidence');
SET SESSION AUTHORIZATION regress_life_ann;
SELECT pg_temp.try('UPDATE uaef.settlement_approval SET decision = ''approved''');
SELECT pg_temp.try('DELETE FROM uaef.settlement_reversal');
SELECT pg_temp.try('DELETE FROM uaef.journal');
RESET SESSION AUTHORIZATION;
SELECT pg_temp.try('UPDATE uaef.ledger_event SET payload = NULL');
SELECT pg_temp.try('DELETE FROM uaef.ledger_event');
SELECT pg_temp.try('UPDATE uaef.journal SET kind = kind');
SELECT pg_temp.try('DELETE FROM uaef.journal');
SELECT pg_temp.try('DELETE FROM uaef.posting');

--
-- Clean up.
--
SELECT uaef.deactivate_settlement_rule('life');
DELETE FROM uaef.payout_evidence;
DELETE FROM uaef.payout_leg;
DELETE FROM uaef.payout;
DELETE FROM uaef.payout_batch;
DELETE FROM uaef.payee;
DELETE FROM uaef.settlement_reversal;
DELETE FROM uaef.settlement_approval;
DELETE FROM uaef.settlement_signal;
DELETE FROM uaef.rule_evaluation;
DELETE FROM uaef.settlement_run;
DELETE FROM uaef.settlement_rule;
DELETE FROM uaef.task_timer WHERE kind = 'settlement';
DELETE FROM uaef.task_execution t USING uaef.workflow_execution e, uaef.workflow_definition d
WHERE d.name = 'life' AND e.definition_id = d.definition_id AND t.execution_id = e.execution_id;
DELETE FROM uaef.workflow_execution e USING uaef.workflow_definition d
WHERE d.name = 'life' AND e.definition_id = d.definition_id;
DELETE FROM uaef.workflow_definition WHERE name = 'life';
SELECT uaef.revoke_access(role, access) FROM uaef.access_grant
WHERE role::text LIKE 'regress_life%' ORDER BY role::text, access;
DROP OWNED BY regress_life_boss, regress_life_ann, regress_life_bob,
	regress_life_payee, regress_life_broker, regress_life_worker;
DROP ROLE regress_life_boss, regress_life_ann, regress_life_bob,
	regress_life_payee, regress_life_broker, regress_life_worker;
