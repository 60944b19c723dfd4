--
-- settlement_bad: every defect of a rule is refused when it is made, and named
-- with its place
--

CREATE FUNCTION pg_temp.refusal(patch jsonb, base jsonb DEFAULT
	'{"workflow":"w","currency":"EUR","amount":"in.x","recipient":"house"}')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	place text;
BEGIN
	PERFORM uaef.simulate_settlement(jsonb_strip_nulls(base || patch),
									 '{"in":{"x":1}}');
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT,
		place = PG_EXCEPTION_CONTEXT;
	place := regexp_replace(place, E'\n(SQL|PL/pgSQL).*', '');
	RETURN format('%s %s (%s)', SQLSTATE, message,
				  replace(place, E'\n', '; '));
END
$$;

-- What the cases below change is accepted as it is.
SELECT pg_temp.refusal('{}');

\pset tuples_only on
\pset format unaligned

-- The form: keys, their types, what excludes what.
SELECT pg_temp.refusal(patch) FROM (VALUES
	('{"wokflow":"w"}'::jsonb),
	('{"workflow":null}'),
	('{"workflow":""}'),
	('{"workflow":7}'),
	('{"currency":null}'),
	('{"currency":"XYZ"}'),
	('{"amount":null}'),
	('{"amount":25}'),
	('{"fixed":"25.00"}'),
	('{"round":"nearest"}'),
	('{"on_error":"ignore"}'),
	('{"on_zero":"pay"}'),
	('{"recipient":null}'),
	('{"split":{"parts":[{"to":"house","share":"rest"}]}}')) AS t (patch);
SELECT pg_temp.refusal('{}', '[]');
SELECT pg_temp.refusal('{}', '"x"');

-- Conditions: an unknown operator and an empty condition do not mean "true".
SELECT pg_temp.refusal(patch) FROM (VALUES
	('{"when":{}}'::jsonb),
	('{"when":[]}'),
	('{"when":{"in.a":{"$gtee":5}}}'),
	('{"when":{"in.a":{"$eval":"1"}}}'),
	('{"when":{"a":5}}'),
	('{"when":{"item.a":5}}')) AS t (patch);

-- Amounts: numbers are decimal texts, and no finer than the currency.
SELECT pg_temp.refusal(patch || '{"amount":null}') FROM (VALUES
	('{"fixed":"0"}'::jsonb),
	('{"fixed":"0.00"}'),
	('{"fixed":"-10"}'),
	('{"fixed":-10}'),
	('{"fixed":"NaN"}'),
	('{"fixed":"Infinity"}'),
	('{"fixed":"1e3"}'),
	('{"fixed":" 1"}'),
	('{"fixed":""}'),
	('{"fixed":true}'),
	('{"fixed":"10.001"}'),
	('{"fixed":"10.5","currency":"JPY"}'),
	('{"percentage":"2%"}'),
	('{"percentage":{"of":"in.x"}}'),
	('{"percentage":{"rate":"2%"}}'),
	('{"percentage":{"of":"in.x","rate":"2%","cap":"3"}}'),
	('{"percentage":{"of":"in.x","rate":"2%","min":"3"},"min":"4"}'),
	('{"percentage":{"of":"in.x","rate":"2%","min":"3","max":"2"}}'),
	('{"tiers":[]}'),
	('{"min":"1.001","fixed":"1"}')) AS t (patch);
SELECT pg_temp.refusal(patch) FROM (VALUES
	('{"amount":"__import__(''os'')"}'::jsonb),
	('{"amount":"data[''x''] * 0.1"}'),
	('{"amount":"x * 2"}'),
	('{"amount":"item.x"}'),
	('{"amount":"USD 5"}')) AS t (patch);

-- Splits are the whole.
SELECT pg_temp.refusal(jsonb_build_object('recipient', null, 'split', split))
FROM (VALUES
	('{}'::jsonb),
	('{"parts":{}}'),
	('{"parts":[]}'),
	('{"parts":["house"]}'),
	('{"parts":[{"to":"house","share":"rest","pct":1}]}'),
	('{"parts":[{"to":"house"}]}'),
	('{"parts":[{"to":"house","share":100}]}'),
	('{"parts":[{"to":"house","share":"100"}]}'),
	('{"parts":[{"to":"house","share":"-5%"},{"to":"house","share":"rest"}]}'),
	('{"parts":[{"to":"house","share":"NaN%"},{"to":"house","share":"rest"}]}'),
	('{"parts":[{"to":"house","share":"99.99%"}]}'),
	('{"parts":[{"to":"house","share":"100.01%"},{"to":"house","share":"rest"}]}'),
	('{"parts":[{"to":"house","share":"rest"},{"to":"house","share":"rest"}]}'),
	('{"remainder":"random","parts":[{"to":"house","share":"rest"}]}'))
	AS t (split);

-- Recipients: a kind that stands in the rule, and an id.
SELECT pg_temp.refusal(patch) FROM (VALUES
	('{"recipient":"unknown"}'::jsonb),
	('{"recipient":"agent"}'),
	('{"recipient":"agent:"}'),
	('{"recipient":"bank:x"}'),
	('{"recipient":"{{in.to}}"}'),
	('{"recipient":"agent:{{in.to"}'),
	('{"recipient":"agent: x"}'),
	('{"recipient":"agent:{{in.to}} "}'),
	('{"recipient":"agent:\u00a0{{in.to}}"}'),
	('{"recipient":"agent:{{in.to}}\u200b"}'),
	('{"recipient":"agent:{{to}}"}'),
	('{"recipient":"agent:{{item.to}}"}')) AS t (patch);

-- Approvals: bands ascend, and the last has no end.
SELECT pg_temp.refusal(jsonb_build_object('approval', approval))
FROM (VALUES
	('{}'::jsonb),
	('[]'),
	('{"bands":[]}'),
	('{"bands":[{"need":1}],"until":"72h"}'),
	('{"bands":[{"to":"10","need":1}]}'),
	('{"bands":[{"need":0},{"need":1}]}'),
	('{"bands":[{"to":"10","need":0},{"to":"10","need":1},{"need":2}]}'),
	('{"bands":[{"to":"1.001","need":0},{"need":2}]}'),
	('{"bands":[{}]}'),
	('{"bands":[{"need":-1}]}'),
	('{"bands":[{"need":1.5}]}'),
	('{"bands":[{"need":"many"}]}'),
	('{"bands":[{"need":99999999999}]}'),
	('{"bands":[{"need":1,"of":""}]}'),
	('{"bands":[{"need":1,"distinct_from":["friend"]}]}'),
	('{"bands":[{"need":1,"distinct_from":"initiator"}]}')) AS t (approval);

-- Periods.
SELECT pg_temp.refusal(jsonb_build_object('effective', period))
FROM (VALUES
	('"2026-01-01"'::jsonb),
	('["2026-01-01"]'),
	('["2026-01-01", 7]'),
	('["2026-01-01", "2026-01-01"]'),
	('["2027-01-01", "2026-01-01"]'),
	('["2026-13-01", null]'),
	('["infinity", null]')) AS t (period);

\pset tuples_only off
\pset format aligned

-- What is there when a rule is stored: the workflow, its tasks, the approvers.
SELECT uaef.create_workflow('settle_bad', '{"tasks":[{"id":"a",
	"type":"decision","config":{"cases":[{"label":"x","when":{"in.x":1}}]}}]}');
SELECT uaef.create_settlement_rule('bad', '{"workflow":"settle_bda",
	"currency":"EUR","amount":"in.x","recipient":"house"}');
SELECT uaef.create_settlement_rule('bad', '{"workflow":"settle_bad",
	"currency":"EUR","amount":"task.b.x","recipient":"house"}');
SELECT uaef.create_settlement_rule('bad', '{"workflow":"settle_bad",
	"currency":"EUR","amount":"in.x","recipient":"house",
	"approval":{"bands":[{"need":1,"of":"regress_settle_nobody"}]}}');
SELECT uaef.create_settlement_rule('', '{"workflow":"settle_bad",
	"currency":"EUR","amount":"in.x","recipient":"house"}');
SELECT uaef.create_settlement_rule('bad', jsonb_build_object('workflow',
	'settle_bad', 'currency', 'EUR', 'amount', 'in.x', 'recipient', 'house',
	'when', jsonb_build_object('in.x', repeat('x', 2000000))));
SELECT count(*) FROM uaef.settlement_rule WHERE name = 'bad';

-- A name stays with its workflow.
SELECT uaef.create_workflow('settle_bad_2', '{"tasks":[{"id":"a",
	"type":"decision","config":{"cases":[{"label":"x","when":{"in.x":1}}]}}]}');
SELECT uaef.create_settlement_rule('bad', '{"workflow":"settle_bad",
	"currency":"EUR","amount":"in.x","recipient":"house"}');
SELECT uaef.create_settlement_rule('bad', '{"workflow":"settle_bad_2",
	"currency":"EUR","amount":"in.x","recipient":"house"}');

-- What does not exist.
SELECT uaef.deactivate_settlement_rule('badd');
SELECT uaef.deactivate_settlement_rule('bad', 7);
SELECT uaef.deactivate_settlement_rule(NULL);
SELECT uaef.approve_settlement(-1);
SELECT uaef.approve_settlement(NULL);
SELECT uaef.explain_settlement('00000000-0000-0000-0000-000000000000');
SELECT uaef.simulate_settlement(NULL, '{}');
SELECT uaef.simulate_settlement('{"workflow":"w","currency":"EUR",
	"amount":"in.x","recipient":"house"}', '[]');

DELETE FROM uaef.settlement_rule WHERE name = 'bad';
DELETE FROM uaef.workflow_definition WHERE name LIKE 'settle_bad%';
