--
-- A name that nothing has: the hint says which one was perhaps meant, to who may know it
--
\set SHOW_CONTEXT never
BEGIN;
CREATE ROLE regress_near_front;
SELECT uaef.grant_access('regress_near_front', 'receiver');
CREATE FUNCTION near(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, hint);
END $$;

SELECT uaef.create_workflow('near_flow', '{"tasks": [{"id": "a", "type": "parallel"}]}') AS version;
SELECT uaef.create_connector('near_hook', 'webhook', '{"url": "https://example.com/"}') > 0 AS connector;
SELECT uaef.create_webhook_source('near_source', 'github', '{"on": [{"ignore": {}}]}', '{"keys": ["a long secret"]}') > 0 AS source;
SELECT count(uaef.create_account(code, 'liability', 'EUR')) AS accounts
FROM unnest('{near:cash,near:user:17,near:anger}'::text[]) code;
SELECT uaef.create_settlement_rule('near_rule', '{"workflow": "near_flow", "currency": "EUR", "amount": "1", "recipient": "external:x"}') AS rule;
SELECT uaef.create_payout_channel('near_bank', 'manual', '{}');
SELECT uaef.create_limit('near_limit', concurrency => 1);
SELECT count(*) AS agents FROM uaef.register_agent('near_agent', 'custom');

SELECT near(statement) FROM unnest(ARRAY[
	$$SELECT uaef.start_workflow('near_flwo', '{}')$$,
	$$SELECT uaef.start_workflow('near_flow', '{}', version => 7)$$,
	$$SELECT uaef.hold_workflow('near_flo')$$,
	$$SELECT uaef.create_settlement_rule('r', '{"workflow": "Near_Flow", "currency": "EUR", "amount": "1", "recipient": "external:x"}')$$,
	$$SELECT uaef.send('near_hok', '{}')$$,
	$$SELECT uaef.pause_connector('NEAR_HOOK')$$,
	$$SELECT uaef.create_workflow('w', '{"tasks": [{"id": "t", "type": "connector", "config": {"connector": "near-hook", "payload": {}}}]}')$$,
	$$SELECT uaef.create_workflow('w', '{"tasks": [{"id": "t", "type": "parallel"}], "limits": [{"limit": "near_limitt"}]}')$$,
	$$SELECT uaef.drop_limit('near_limits')$$,
	$$SELECT uaef.pause_webhook_source('near_sourze')$$,
	$$SELECT uaef.receive_webhook('near_sourze', '{}', '')$$,
	$$SELECT uaef.post('{"debit": "near:cash", "credit": "near:cahs", "amount": 1}')$$,
	$$SELECT uaef.balance('near:angerr')$$,
	$$SELECT * FROM uaef.statement('near:chash')$$,
	$$SELECT uaef.freeze_account('near:kash', 'why')$$,
	$$SELECT uaef.hold_funds('near:cas', 1)$$,
	$$SELECT uaef.activate_settlement_rule('near_role', 1)$$,
	$$SELECT uaef.build_payouts(channel => 'near_banc')$$,
	$$SELECT uaef.set_payee('external:x', 'near_banq', '{}')$$,
	$$SELECT uaef.drop_agent('near_agents')$$]) statement;

-- nothing is near: other digits, too far, too short, too long, empty
SELECT near(format('SELECT uaef.balance(%L)', code))
FROM unnest(ARRAY['near:user:18', 'near:user:1', 'near_other', 'n', '', repeat('x', 150)]) code;
SELECT near(format('SELECT uaef.send(%L, ''{}'')', repeat('x', 300))) ~ 'create_connector' AS long;

-- a rule for what arrives may name a workflow that is made later: it is warned of
SELECT uaef.alter_webhook_source('near_source', '{"on": [{"when": {"body.a": "b"}, "ignore": {}},
	{"when": {"body.a": "c"}, "start": {"workflow": "{{body.flow}}"}}, {"start": {"workflow": "near_flaw"}}]}');
SELECT uaef.alter_webhook_source('near_source', '{"on": [{"start": {"workflow": "near_flow"}}]}');
SELECT uaef.create_connector('near_queue', 'sqs', '{"url": "https://sqs.eu-west-1.amazonaws.com/1/q",
	"receive": {"on": [{"signal": {"workflow": "other", "key": "k", "signal": "s"}}]}}') > 0 AS queue;

-- who hands webhooks in for others learns no names of sources
SET ROLE regress_near_front;
DO $$ BEGIN
	PERFORM uaef.receive_webhook('near_sourze', '{}', '');
EXCEPTION WHEN SQLSTATE 'UA440' THEN
	DECLARE
		hint text;
	BEGIN
		GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
		RAISE NOTICE '% | %', SQLERRM, hint;
	END;
END $$;
ROLLBACK;
