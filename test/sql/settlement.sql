--
-- settlement: what rules say at the end of an execution, and what people
-- decide about it
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';

--
-- The commission of a loan: marginal tiers, bounds, half-even, three parts.
--
\set commission '{"workflow":"settle_loan","currency":"EUR","when":{"task.decide.decision":"approve"},"tiers":{"mode":"marginal","on":"in.amount","bands":[{"to":"5000","rate":"1.5%"},{"to":"15000","rate":"1.0%"},{"rate":"0.5%"}]},"min":"25.00","max":"300.00","round":"half_even","split":{"remainder":"largest","parts":[{"name":"broker","to":"external:{{in.broker}}","share":"70%"},{"name":"officers","to":"pool:officers","share":"20%"},{"name":"house","to":"house","share":"rest"}]}}'

SELECT a AS amount, s.part, s.recipient, s.amount, s.currency, s.result
FROM unnest('{100,1666.66,5000,5000.01,12345.67,15000,40000,40000000}'::numeric[]) a,
	uaef.simulate_settlement(:'commission', jsonb_build_object(
		'in', jsonb_build_object('amount', a, 'broker', 'b7'),
		'task', '{"decide":{"decision":"approve"}}'::jsonb)) s
ORDER BY a, s.part;

-- The same in integers: a is in cents, x in thousandths of a cent.  No row is
-- shown where both agree.
WITH loan AS (
	SELECT (random() * 3000000)::bigint AS a FROM generate_series(1, 300)
	UNION SELECT n * 100 + d
	FROM unnest('{0,25,1666,1667,5000,15000,32500,35000}'::bigint[]) n,
		unnest('{1,2,50,99}'::bigint[]) d
), exact AS (
	SELECT a, least(greatest(15 * least(a, 500000)
		+ 10 * least(greatest(a - 500000, 0), 1000000)
		+ 5 * greatest(a - 1500000, 0), 2500000), 30000000) AS x
	FROM loan
), total AS (
	SELECT a, x / 1000 + CASE WHEN x % 1000 > 500 OR
		x % 1000 = 500 AND x / 1000 % 2 = 1 THEN 1 ELSE 0 END AS t
	FROM exact
), share AS (
	SELECT a, t, i, t * w / 100 AS q,
		t - sum(t * w / 100) OVER (PARTITION BY a) AS units,
		row_number() OVER (PARTITION BY a ORDER BY t * w % 100 DESC, i) AS place
	FROM total, unnest('{70,20,10}'::bigint[]) WITH ORDINALITY AS p (w, i)
), got AS (
	SELECT a, array_agg(s.amount * 100 ORDER BY s.part) AS parts
	FROM loan, uaef.simulate_settlement(:'commission', jsonb_build_object(
		'in', jsonb_build_object('amount', a / 100.0, 'broker', 'b7'),
		'task', '{"decide":{"decision":"approve"}}'::jsonb)) s
	GROUP BY a
)
SELECT a, parts, want
FROM (SELECT a, array_agg((q + (place <= units)::int)::numeric ORDER BY i) AS want
	FROM share GROUP BY a) w
FULL JOIN got USING (a)
WHERE parts IS DISTINCT FROM want;

--
-- Each way to say how much, and each way to say to whom.
--
CREATE FUNCTION pg_temp.say(patch jsonb, data jsonb, at timestamptz DEFAULT NULL)
RETURNS TABLE (part integer, recipient text, amount numeric, currency text,
	result text, code text, path text)
LANGUAGE sql AS $$
	SELECT part, recipient, amount, currency, result, error->>'code',
		error->>'path'
	FROM uaef.simulate_settlement(jsonb_strip_nulls('{"workflow":"w",
		"currency":"EUR","amount":"in.x","recipient":"house"}' || patch),
		data, at)
$$;

SELECT * FROM pg_temp.say('{"amount":null,"fixed":"25.00"}', '{}');
SELECT * FROM pg_temp.say('{"amount":null,"fixed":25}', '{}');
SELECT * FROM pg_temp.say('{"amount":null,"percentage":{"of":"in.x",
	"rate":"2.5%","min":"1","max":"10.00"}}', '{"in":{"x":123.45}}');
SELECT * FROM pg_temp.say('{"amount":null,"percentage":{"of":"in.x",
	"rate":"2.5%","min":"1","max":"10.00"}}', '{"in":{"x":1000}}');
SELECT * FROM pg_temp.say('{"round":"down"}', '{"in":{"x":1.239}}');
SELECT * FROM pg_temp.say('{"recipient":"agent:{{in.a}}-{{in.b}}"}',
	'{"in":{"x":1,"a":"x","b":7}}');

-- One cent in three parts, and a third of the parts of nothing.
SELECT * FROM pg_temp.say('{"recipient":null,"split":{"parts":[
	{"to":"pool:a","share":"10%"},{"to":"pool:b","share":"20%"},
	{"to":"pool:c","share":"70%"}]}}', '{"in":{"x":0.01}}');
SELECT * FROM pg_temp.say('{"recipient":null,"split":{"parts":[
	{"to":"pool:a","share":"33.3333%"},{"to":"pool:b","share":"33.3333%"},
	{"to":"pool:c","share":"rest"}]}}', '{"in":{"x":100}}');

-- Who must approve depends on the whole amount.
SELECT x, s.result FROM unnest('{99.99,100,100.01}'::numeric[]) x,
	pg_temp.say('{"approval":{"bands":[{"to":"100.00","need":0},{"need":1}]}}',
		jsonb_build_object('in', jsonb_build_object('x', x))) s;

-- A rule is in force from its first instant to before its last.
SELECT t, s.result FROM unnest('{2025-12-31 23:59:59.999999,2026-01-01,
	2026-12-31 23:59:59.999999,2027-01-01}'::timestamptz[]) t,
	pg_temp.say('{"effective":["2026-01-01","2027-01-01"]}',
		'{"in":{"x":1}}', t) s;
SELECT result FROM pg_temp.say('{"effective":[null,null]}', '{"in":{"x":1}}');

--
-- Fault 2: what cannot be computed is held; it is never zero, never approved.
--
SELECT * FROM pg_temp.say('{}', '{"in":{}}');
SELECT * FROM pg_temp.say('{}', '{"in":{"x":null}}');
SELECT * FROM pg_temp.say('{}', '{}');
SELECT * FROM pg_temp.say('{"amount":"in.x / in.y"}', '{"in":{"x":1,"y":0}}');

--
-- Fault 3: money is addressed to somebody, or held.
--
SELECT d AS data, s.* FROM unnest(ARRAY['{"x":1}', '{"x":1,"to":null}',
	'{"x":1,"to":""}', '{"x":1,"to":"  "}', '{"x":1,"to":true}',
	'{"x":1,"to":["a"]}', '{"x":1,"to":"a\nb"}', '{"x":1,"to":" a"}']::jsonb[])
	d, pg_temp.say('{"recipient":"agent:{{in.to}}"}',
		jsonb_build_object('in', d)) s;
SELECT * FROM pg_temp.say('{"recipient":"agent:{{in.to}}"}',
	jsonb_build_object('in', jsonb_build_object('x', 1, 'to', repeat('x', 300))));

-- What looks like nothing is nothing: spaces and invisible characters of every
-- kind, as the whole id, before it and behind it.  Inside they are the id's.
SELECT to_hex(c) AS character, array_agg(s.code ORDER BY n) AS codes
FROM unnest('{85,a0,ad,34f,61c,1680,180e,2003,200b,200e,2028,202f,205f,2060,
	2066,3000,3164,feff,fffb,e0020}'::text[]) hex,
	LATERAL (SELECT ('x' || lpad(hex, 8, '0'))::bit(32)::integer) i (c),
	LATERAL unnest(ARRAY[chr(c), chr(c) || 'a', 'a' || chr(c),
		'a' || chr(c) || 'b']) WITH ORDINALITY AS t (id, n),
	pg_temp.say('{"recipient":"agent:{{in.to}}"}', jsonb_build_object('in',
		jsonb_build_object('x', 1, 'to', id))) s
GROUP BY c ORDER BY c;
SELECT id, s.result FROM unnest('{Zoë,東京,é}'::text[]) id,
	pg_temp.say('{"recipient":"agent:{{in.to}}"}', jsonb_build_object('in',
		jsonb_build_object('x', 1, 'to', id))) s;

-- One part without a recipient holds the whole, not only the part.
SELECT * FROM pg_temp.say('{"recipient":null,"split":{"parts":[
	{"to":"house","share":"50%"},{"to":"agent:{{in.to}}","share":"rest"}]}}',
	'{"in":{"x":100}}');

--
-- Faults 4 and 5: a condition that cannot be judged is neither true nor
-- false.
--
SELECT d AS data, s.* FROM unnest(ARRAY['{"x":1,"a":6}', '{"x":1,"a":5}',
	'{"x":1,"a":"9"}', '{"x":1,"a":null}', '{"x":1}']::jsonb[]) d,
	pg_temp.say('{"when":{"in.a":{"$gt":5}}}', jsonb_build_object('in', d)) s;

--
-- Fault 7: numbers are numbers, not negative, and as fine as the currency.
--
SELECT d AS data, s.* FROM unnest(ARRAY['{"x":"12.00"}', '{"x":true}',
	'{"x":"NaN"}', '{"x":-10}', '{"x":-0.001}', '{"x":0}', '{"x":0.004}',
	'{"x":1e40}']::jsonb[]) d, pg_temp.say('{}', jsonb_build_object('in', d)) s;
SELECT * FROM pg_temp.say('{"min":"25.00"}', '{"in":{"x":-10}}');
SELECT * FROM pg_temp.say('{"min":"25.00"}', '{"in":{"x":0}}');
SELECT * FROM pg_temp.say('{"on_zero":"skip"}', '{"in":{"x":0}}');
SELECT * FROM pg_temp.say('{"currency":"JPY"}', '{"in":{"x":1234.5}}');
SELECT * FROM pg_temp.say('{"currency":"KWD"}', '{"in":{"x":1.2345}}');
SELECT * FROM pg_temp.say('{}',
	'{"in":{"x":999999999999999999999999999999999999.99}}');
SELECT * FROM pg_temp.say('{}',
	'{"in":{"x":1000000000000000000000000000000000000}}');

--
-- Executions: a workflow that decides at once, and the rule of above.
--
CREATE ROLE regress_settle_flow;
CREATE ROLE regress_settle_author IN ROLE regress_settle_flow;
CREATE ROLE regress_settle_starter;
CREATE ROLE regress_settle_boss;
CREATE ROLE regress_settle_ann IN ROLE regress_settle_boss;
CREATE ROLE regress_settle_bob IN ROLE regress_settle_boss;
CREATE ROLE regress_settle_dormant NOINHERIT
	IN ROLE regress_settle_boss, regress_settle_starter;
CREATE ROLE regress_settle_stranger;
GRANT regress_settle_boss TO regress_settle_starter, regress_settle_author;
GRANT USAGE ON SCHEMA uaef TO regress_settle_flow, regress_settle_author,
	regress_settle_starter, regress_settle_boss, regress_settle_dormant,
	regress_settle_stranger;
GRANT SELECT ON uaef.settlement TO regress_settle_author,
	regress_settle_starter, regress_settle_boss, regress_settle_dormant,
	regress_settle_stranger;
GRANT EXECUTE ON FUNCTION uaef.create_workflow TO regress_settle_flow;
GRANT EXECUTE ON FUNCTION uaef.create_settlement_rule,
	uaef.activate_settlement_rule, uaef.deactivate_settlement_rule
	TO regress_settle_author, regress_settle_stranger;
GRANT EXECUTE ON FUNCTION uaef.start_workflow TO regress_settle_starter;
GRANT EXECUTE ON FUNCTION uaef.approve_settlement, uaef.reject_settlement,
	uaef.cancel_settlement, uaef.explain_settlement
	TO regress_settle_boss, regress_settle_dormant, regress_settle_stranger;

SET ROLE regress_settle_flow;
SELECT uaef.create_workflow('settle_loan', '{"context":{"payee":"honest"},
	"tasks":[{"id":"decide","type":"decision","config":{"cases":[
	{"label":"approve","when":{"in.status":"good"}}],"default":"decline"}}]}');
RESET ROLE;

CREATE FUNCTION pg_temp.run(name text, input jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.start_workflow('settle_loan', input, name => name);
END
$$;
CREATE VIEW settle_result AS
	SELECT e.name, e.status AS execution, r.outcome, r.rules_evaluated AS rules,
		u.name AS rule, u.version, s.part_no, s.recipient, s.amount, s.currency,
		s.status, s.error->>'code' AS code
	FROM uaef.workflow_execution e
	LEFT JOIN uaef.settlement_run r USING (execution_id)
	LEFT JOIN uaef.settlement_signal s USING (execution_id)
	LEFT JOIN uaef.settlement_rule u USING (rule_id)
	ORDER BY e.name, u.name, s.part_no;

-- Rules are made and activated by one person here; test rule_life has two.
SET uaef.rule_activation = 'any';
CREATE FUNCTION pg_temp.make(name text, definition jsonb) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	version integer := uaef.create_settlement_rule(name, definition);
BEGIN
	PERFORM uaef.activate_settlement_rule(name, version);
	RETURN version;
END
$$;

-- Without a rule there is no run.
SELECT pg_temp.run('a', '{"status":"good","amount":1000,"broker":"b7"}');
SELECT * FROM settle_result WHERE name = 'a';

-- Made after that, the rule is seen at once, and each part is a signal.
SELECT pg_temp.make('commission', :'commission');
SELECT pg_temp.run('b', '{"status":"good","amount":12345.67,"broker":"b7"}');
SELECT pg_temp.run('c', '{"status":"bad","amount":12345.67,"broker":"b7"}');
SELECT * FROM settle_result WHERE name IN ('b', 'c');

-- Why.
SELECT jsonb_pretty(uaef.explain_settlement(execution_id)
	- '{execution_id,completed_at}'::text[])
FROM uaef.workflow_execution WHERE name IN ('b', 'c') ORDER BY name;
-- Why not: the smallest change that would have had a rule fire, which takes
-- the cheapest way through a choice; nothing of one that fired.
SELECT pg_temp.make('big', '{"workflow":"settle_loan","currency":"EUR","fixed":"5.00","recipient":"house",
	"when":{"in.amount":{"$gte":1000},"$or":[{"in.region":{"$in":["US","CA"]},"in.score":{"$gt":5}},{"in.vip":true}]}}');
SELECT pg_temp.run('why', '{"status":"bad","amount":999.99,"broker":"b7","region":"DE","vip":false,"score":1}');
SELECT pg_temp.run('why2', '{"status":"bad","amount":1000,"broker":"b7","region":"DE","vip":true,"score":1}');
SELECT e.name, r->>'rule' AS rule, r->>'result' AS result, c AS would_fire_with
FROM uaef.workflow_execution e, jsonb_array_elements(uaef.explain_settlement(execution_id)->'rules') r
	LEFT JOIN jsonb_array_elements(r->'would_fire_with') c ON true
WHERE e.name IN ('why', 'why2') ORDER BY 1, 2, c->>'path';
SELECT uaef.deactivate_settlement_rule('big');
SELECT e.name, l.event_type, l.actor_type, l.payload
FROM uaef.ledger_event l
JOIN uaef.workflow_execution e ON e.execution_id = l.stream
WHERE l.event_type LIKE 'settlement%' AND e.name IN ('b', 'c')
ORDER BY e.name, l.stream_seq;

-- Fault 5: an error of a rule is held in one signal, and the execution is
-- complete.  Other rules are not held up by it.
SELECT pg_temp.make('bonus', '{"workflow":"settle_loan",
	"currency":"EUR","when":{"in.score":{"$gt":5}},"fixed":"5.00",
	"recipient":"agent:{{ctx.payee}}"}');
SELECT pg_temp.run('d', '{"status":"good","amount":1000,"broker":"b7","score":"9"}');
SELECT * FROM settle_result WHERE name = 'd';
SELECT l.event_type, l.payload
FROM uaef.ledger_event l
JOIN uaef.workflow_execution e ON e.execution_id = l.stream
WHERE l.event_type LIKE 'settlement%' AND e.name = 'd'
ORDER BY l.stream_seq;

-- Fault 6: input cannot pass for what the definition or the system says.
SELECT pg_temp.run('e', '{"status":"bad","amount":1000,"broker":"b7","score":9,
	"payee":"mallory","ctx":{"payee":"mallory"},"context":{"payee":"mallory"},
	"task":{"decide":{"decision":"approve"}},"sys":{"workflow":"other"},
	"settlement_amount":9999}');
SELECT * FROM settle_result WHERE name = 'e';
SELECT uaef.deactivate_settlement_rule('bonus');

-- What rolls back leaves nothing.
BEGIN;
SELECT pg_temp.run('f', '{"status":"good","amount":1000,"broker":"b7"}');
SELECT count(*) FROM settle_result WHERE name = 'f';
ROLLBACK;
SELECT count(*) FROM settle_result WHERE name = 'f';

--
-- Versions: the newest one that is active and in force.
--
SELECT pg_temp.make('commission', :'commission');
SELECT pg_temp.make('commission',
	:'commission'::jsonb || '{"max":"30.00"}');
SELECT pg_temp.run('g', '{"status":"good","amount":12345.67,"broker":"b7"}');
SELECT uaef.deactivate_settlement_rule('commission', 2);
SELECT uaef.activate_settlement_rule('commission', 1);
SELECT pg_temp.run('h', '{"status":"good","amount":12345.67,"broker":"b7"}');
SELECT uaef.activate_settlement_rule('commission', 2);
SELECT pg_temp.make('commission', :'commission'::jsonb
	|| '{"max":"40.00","effective":["2030-01-01",null]}');
SELECT pg_temp.run('i', '{"status":"good","amount":12345.67,"broker":"b7"}');
SET uaef.test_now = '2030-01-01 00:00:00+00';
SELECT pg_temp.run('j', '{"status":"good","amount":12345.67,"broker":"b7"}');
RESET uaef.test_now;
SELECT name, version, sum(amount) FROM settle_result
WHERE name IN ('g', 'h', 'i', 'j') GROUP BY 1, 2 ORDER BY 1;

-- A rule whose transaction is rolled back, whole or in part, was never there.
BEGIN;
SELECT pg_temp.make('commission',
	:'commission'::jsonb || '{"max":"31.00"}');
SELECT pg_temp.run('k', '{"status":"good","amount":12345.67,"broker":"b7"}');
SELECT DISTINCT name, version FROM settle_result WHERE name = 'k';
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT uaef.deactivate_settlement_rule('commission');
SELECT pg_temp.run('k', '{"status":"good","amount":12345.67,"broker":"b7"}');
SELECT DISTINCT name, version FROM settle_result WHERE name = 'k';
ROLLBACK TO s;
SELECT pg_temp.run('k', '{"status":"good","amount":12345.67,"broker":"b7"}');
COMMIT;
SELECT DISTINCT name, version FROM settle_result WHERE name = 'k';

-- A stored rule that does not compile any more is an error of the rule.
BEGIN;
UPDATE uaef.settlement_rule SET definition = definition || '{"max":"x"}'
WHERE name = 'commission';
SELECT pg_temp.run('l', '{"status":"good","amount":12345.67,"broker":"b7"}');
SELECT * FROM settle_result WHERE name = 'l';
SELECT s.error FROM uaef.settlement_signal s
JOIN uaef.workflow_execution USING (execution_id) WHERE name = 'l';
ROLLBACK;
SELECT uaef.deactivate_settlement_rule('commission');

-- A rule belongs to the role that made its first version.
SET ROLE regress_settle_stranger;
\set VERBOSITY terse
SELECT uaef.deactivate_settlement_rule('commission');
SELECT pg_temp.make('commission',
	:'commission'::jsonb || '{"max":"299.00"}');

-- So does the workflow, and who pays for it is for its owner to say.
SELECT pg_temp.make('mine', '{"workflow":"settle_loan",
	"currency":"EUR","fixed":"1000000.00","recipient":"external:mallory"}');
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.make('mine', '{"workflow":"settle_loan",
	"currency":"EUR","amount":"task.none.x","recipient":"external:mallory"}');
\echo :LAST_ERROR_SQLSTATE

-- Whoever could once, and cannot any more, does not switch rules either.
SET ROLE regress_settle_author;
SELECT pg_temp.make('once', '{"workflow":"settle_loan",
	"currency":"EUR","fixed":"1.00","recipient":"house"}');
SELECT uaef.deactivate_settlement_rule('once');
RESET ROLE;
REVOKE regress_settle_flow FROM regress_settle_author;
SET ROLE regress_settle_author;
SELECT uaef.activate_settlement_rule('once', 1);
SELECT uaef.deactivate_settlement_rule('once');
SELECT pg_temp.make('once', '{"workflow":"settle_loan",
	"currency":"EUR","fixed":"1.00","recipient":"house"}');
RESET ROLE;
GRANT regress_settle_flow TO regress_settle_author;
\set VERBOSITY default
SELECT name, version, active FROM uaef.settlement_rule
WHERE name IN ('mine', 'once');

--
-- Fault 8: approval is for others, counts once, and nothing is decided twice.
--
SET ROLE regress_settle_author;
SELECT pg_temp.make('pay', '{"workflow":"settle_loan",
	"currency":"EUR","amount":"in.amount","recipient":"external:{{in.broker}}",
	"approval":{"bands":[{"to":"100.00","need":0},
	{"to":"1000.00","need":1,"of":"regress_settle_boss"},
	{"need":2,"of":"regress_settle_boss"}]}}');
SET ROLE regress_settle_starter;
SELECT pg_temp.run('m', '{"status":"good","amount":100.00,"broker":"b7"}');
SELECT pg_temp.run('n', '{"status":"good","amount":100.01,"broker":"b7"}');
SELECT pg_temp.run('o', '{"status":"good","amount":1000.01,"broker":"b7"}');
SELECT pg_temp.run('p', '{"status":"good","amount":-1,"broker":"b7"}');
RESET ROLE;
SELECT name, execution, recipient, amount, status, code FROM settle_result
WHERE name IN ('m', 'n', 'o', 'p');

CREATE FUNCTION pg_temp.signal(execution text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER AS $$
	SELECT s.signal_id FROM uaef.settlement_signal s
	JOIN uaef.workflow_execution e USING (execution_id)
	JOIN uaef.settlement_rule r USING (rule_id)
	WHERE e.name = execution AND r.name = 'pay'
$$;
CREATE FUNCTION pg_temp.decide(decision text, execution text,
	reason text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	signal bigint := pg_temp.signal(execution);
BEGIN
	CASE decision
		WHEN 'approve' THEN RETURN uaef.approve_settlement(signal, reason);
		WHEN 'reject' THEN RETURN uaef.reject_settlement(signal, reason);
		WHEN 'cancel' THEN RETURN uaef.cancel_settlement(signal, reason);
	END CASE;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || replace(SQLERRM, signal::text, 'N');
END
$$;

-- Neither who started it, nor who wrote the rule, nor who is no approver.
SET SESSION AUTHORIZATION regress_settle_starter;
SELECT pg_temp.decide('approve', 'n');
SET SESSION AUTHORIZATION regress_settle_author;
SELECT pg_temp.decide('approve', 'n');
SET SESSION AUTHORIZATION regress_settle_stranger;
SELECT pg_temp.decide('approve', 'n');
SELECT pg_temp.decide('reject', 'n', 'mine');

SELECT pg_temp.decide('cancel', 'n', 'mine');

-- Whoever is asked sees it; a stranger does not, nor who would have to SET
-- ROLE first.
SELECT count(*) FROM uaef.settlement;
RESET SESSION AUTHORIZATION;
SELECT execution_id AS n_id FROM uaef.workflow_execution WHERE name = 'n' \gset
SET SESSION AUTHORIZATION regress_settle_stranger;
SELECT uaef.explain_settlement(:'n_id');
SET SESSION AUTHORIZATION regress_settle_dormant;
SELECT count(*) FROM uaef.settlement;
SELECT uaef.explain_settlement(:'n_id');
SELECT pg_temp.decide('approve', 'n');
SET SESSION AUTHORIZATION regress_settle_ann;
SELECT workflow, rule, version, recipient, amount, status, approvals_needed,
	approvals, approvers
FROM uaef.settlement ORDER BY amount;
SELECT uaef.explain_settlement(:'n_id')->'outcome' AS outcome;

-- One of one.
SELECT pg_temp.decide('approve', 'n', 'seen');
SELECT pg_temp.decide('approve', 'n');

-- Two of two, who must be two.
SELECT pg_temp.decide('approve', 'o');
SELECT pg_temp.decide('approve', 'o');
SELECT pg_temp.decide('reject', 'o', 'on second thoughts');
SET SESSION AUTHORIZATION regress_settle_bob;
SELECT pg_temp.decide('approve', 'o');
RESET SESSION AUTHORIZATION;

-- SET ROLE makes nobody another person: neither for a second vote, nor to hide
-- who started the execution or wrote the rule.
SET SESSION AUTHORIZATION regress_settle_starter;
SELECT pg_temp.run('s', '{"status":"good","amount":5000,"broker":"b7"}');
SET ROLE regress_settle_boss;
SELECT pg_temp.decide('approve', 's');
SET SESSION AUTHORIZATION regress_settle_author;
SET ROLE regress_settle_boss;
SELECT pg_temp.decide('approve', 's');
SET SESSION AUTHORIZATION regress_settle_ann;
SELECT pg_temp.decide('approve', 's');
SET ROLE regress_settle_boss;
SELECT pg_temp.decide('approve', 's');
SELECT pg_temp.decide('reject', 's', 'on second thoughts');
SET SESSION AUTHORIZATION regress_settle_bob;
SET ROLE regress_settle_boss;
SELECT pg_temp.decide('approve', 's');
-- the role first: minor releases of before 2024-11 do not forget its name
RESET ROLE;
RESET SESSION AUTHORIZATION;
SELECT approver, session_role, decision FROM uaef.settlement_approval
WHERE signal_id = pg_temp.signal('s') ORDER BY decided_at;

-- An approver of one rule is told of that rule; who started it, of all.
SELECT pg_temp.make('fee', '{"workflow":"settle_loan",
	"currency":"EUR","fixed":"1.00","recipient":"house"}');
SET SESSION AUTHORIZATION regress_settle_starter;
SELECT pg_temp.run('t', '{"status":"good","amount":500,"broker":"b7"}');
RESET SESSION AUTHORIZATION;
SELECT uaef.deactivate_settlement_rule('fee');
SELECT execution_id AS t_id FROM uaef.workflow_execution WHERE name = 't' \gset
CREATE FUNCTION pg_temp.told(id uuid) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(r->>'rule', ' ')
	FROM jsonb_array_elements(uaef.explain_settlement(id)->'rules') r
$$;
SELECT pg_temp.told(:'t_id');
SET SESSION AUTHORIZATION regress_settle_starter;
SELECT pg_temp.told(:'t_id');
SET SESSION AUTHORIZATION regress_settle_ann;
SELECT pg_temp.told(:'t_id');

-- Cancelling is for who is asked to approve, who started the execution and
-- whose rule it is; 'm' and 'p' ask nobody.
SELECT pg_temp.decide('cancel', 't', 'not due');
SELECT pg_temp.decide('cancel', 'm', 'not due');
SELECT pg_temp.decide('cancel', 'p', 'not due');
SET SESSION AUTHORIZATION regress_settle_starter;
SELECT pg_temp.decide('cancel', 'm', 'not due');
SET SESSION AUTHORIZATION regress_settle_author;
SELECT pg_temp.decide('cancel', 'p', 'not due');
RESET SESSION AUTHORIZATION;

-- All of it is in the execution's stream.
SELECT e.name, l.event_type, l.actor_id,
	l.payload - '{signal_id,digest}'::text[] AS payload
FROM uaef.ledger_event l
JOIN uaef.workflow_execution e ON e.execution_id = l.stream
WHERE l.event_type LIKE 'settlement%' AND e.name IN ('n', 'o')
ORDER BY e.name, l.stream_seq;

-- An approval counts for what was approved, not for what became of it.
SET SESSION AUTHORIZATION regress_settle_starter;
SELECT pg_temp.run('q', '{"status":"good","amount":5000,"broker":"b7"}');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_settle_ann;
SELECT pg_temp.decide('approve', 'q');
RESET SESSION AUTHORIZATION;
UPDATE uaef.settlement_signal SET recipient = 'external:mallory'
WHERE signal_id = pg_temp.signal('q');
SET SESSION AUTHORIZATION regress_settle_bob;
SELECT pg_temp.decide('approve', 'q');
RESET SESSION AUTHORIZATION;

-- Every status with every decision: what is not legal is UA321.
SET SESSION AUTHORIZATION regress_settle_starter;
SELECT pg_temp.run('r', '{"status":"good","amount":500,"broker":"b7"}');
RESET SESSION AUTHORIZATION;
CREATE FUNCTION pg_temp.try(was text, decision text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	UPDATE uaef.settlement_signal SET status = was,
		part_no = CASE was WHEN 'error' THEN 0 ELSE 1 END,
		recipient = CASE WHEN was <> 'error' THEN 'house' END,
		error = CASE WHEN was = 'error' THEN '{}'::jsonb END,
		amount_minor = CASE was WHEN 'error' THEN NULL
			WHEN 'zero_skipped' THEN 0 ELSE 100 END,
		amount = CASE was WHEN 'error' THEN NULL
			WHEN 'zero_skipped' THEN 0 ELSE 1 END
	WHERE signal_id = pg_temp.signal('r');
	SET LOCAL ROLE regress_settle_ann;
	answer := split_part(pg_temp.decide(decision, 'r', 'because'), ' ', 1);
	RAISE EXCEPTION '%', answer;
EXCEPTION WHEN raise_exception THEN
	RETURN SQLERRM;
END
$$;
SELECT status, pg_temp.try(status, 'approve') AS approve,
	pg_temp.try(status, 'reject') AS reject,
	pg_temp.try(status, 'cancel') AS cancel
FROM unnest('{error,zero_skipped,pending_approval,approved,rejected,cancelled}'::text[])
	status;

-- Money is not withheld without a word.
SELECT pg_temp.decide('cancel', 'r');
SELECT pg_temp.decide('reject', 'r', '');

-- The table itself refuses amounts that are none.
\set VERBOSITY terse
UPDATE uaef.settlement_signal SET amount_minor = 'NaN' WHERE signal_id = pg_temp.signal('r');
UPDATE uaef.settlement_signal SET amount_minor = 0 WHERE signal_id = pg_temp.signal('r');
UPDATE uaef.settlement_signal SET amount_minor = -1 WHERE signal_id = pg_temp.signal('r');
UPDATE uaef.settlement_signal SET amount_minor = NULL WHERE signal_id = pg_temp.signal('r');
UPDATE uaef.settlement_signal SET amount = 'NaN' WHERE signal_id = pg_temp.signal('r');
\set VERBOSITY default

-- One run for one execution.
SELECT count(*) AS executions, count(r.execution_id) AS runs
FROM uaef.workflow_execution e
LEFT JOIN uaef.settlement_run r USING (execution_id)
WHERE e.name BETWEEN 'b' AND 't';

--
-- Clean up.
--
DROP VIEW settle_result;
DELETE FROM uaef.settlement_approval;
DELETE FROM uaef.settlement_signal;
DELETE FROM uaef.rule_evaluation;
DELETE FROM uaef.settlement_run;
DELETE FROM uaef.settlement_rule;
DELETE FROM uaef.task_execution t
USING uaef.workflow_execution e, uaef.workflow_definition d
WHERE d.name = 'settle_loan' AND e.definition_id = d.definition_id
AND t.execution_id = e.execution_id;
DELETE FROM uaef.workflow_execution e USING uaef.workflow_definition d
WHERE d.name = 'settle_loan' AND e.definition_id = d.definition_id;
DELETE FROM uaef.workflow_definition WHERE name = 'settle_loan';
DROP OWNED BY regress_settle_flow, regress_settle_author,
	regress_settle_starter, regress_settle_boss, regress_settle_dormant,
	regress_settle_stranger;
DROP ROLE regress_settle_flow, regress_settle_author, regress_settle_starter,
	regress_settle_boss, regress_settle_ann, regress_settle_bob,
	regress_settle_dormant, regress_settle_stranger;
