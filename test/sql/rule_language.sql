--
-- rule_language: decision tables, tables that rules read, and explanations
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';
\set VERBOSITY terse

--
-- Decision tables: each hit policy.
--
\set table '{"inputs":["in.region",{"path":"in.amount","min":0}],"on":"in.amount","rows":[["US",{"$lt":1000},"1.5%"],["US",{"$gte":1000},"1%"],[["CA","MX"],"*","EUR 7"],[{"$nin":["US","CA","MX"]},"*","2%"]]}'
SELECT d, hit, uaef.evaluate_table(:'table'::jsonb || hit, 'EUR', d) AS amount
FROM unnest(ARRAY['{"hit":"unique"}', '{"hit":"first"}', '{"hit":"any"}',
		'{"hit":"collect","collect":"sum"}',
		'{"hit":"collect","collect":"count"}']::jsonb[]) hit,
	unnest(ARRAY['{"in":{"region":"US","amount":999.99}}',
		'{"in":{"region":"US","amount":1000}}',
		'{"in":{"region":"MX","amount":1000}}',
		'{"in":{"region":"DE","amount":1000}}']::jsonb[]) d;

CREATE FUNCTION pg_temp.say(t jsonb, d jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN uaef.evaluate_table(t, 'EUR', d);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN format('%s %s: %s', SQLSTATE, SQLERRM, detail);
END
$$;

-- Several rows match.
SELECT x, pg_temp.say('{"hit":"collect","collect":"sum","inputs":["x"],
	"rows":[["*",1],[{"$gte":10},2],[{"$gte":20},4]]}', jsonb_build_object('x', x)),
	pg_temp.say('{"hit":"collect","collect":"max","inputs":["x"],
	"rows":[["*",1],[{"$gte":10},2],[{"$gte":20},4]]}', jsonb_build_object('x', x)),
	pg_temp.say('{"hit":"first","inputs":["x"],
	"rows":[[{"$gte":20},4],[{"$gte":10},2],["*",1]]}', jsonb_build_object('x', x))
FROM unnest('{9,10,20}'::int[]) x;

-- Data that a cell cannot judge are an error, and so is data without a row.
SELECT pg_temp.say(:'table'::jsonb || '{"hit":"first"}', d)
FROM unnest(ARRAY['{"in":{"region":"US","amount":"1"}}',
	'{"in":{"region":"US"}}', '{"in":{"region":null,"amount":1}}',
	'{"in":{"region":"US","amount":-1}}']::jsonb[]) d;
SELECT pg_temp.say('{"hit":"first","inputs":[{"path":"x","values":["a"]}],
	"rows":[["a",1]]}', '{"x":"b"}');
SELECT pg_temp.say('{"hit":"any","inputs":["x"],"rows":[["*","y"],[{"$gt":5},"z"]]}',
	'{"x":6,"y":1,"z":2}');
SELECT pg_temp.say('{"hit":"first","inputs":["x"],"rows":[["a",1]],"default":2}',
	'{"x":"b"}');

-- What is wrong with a table is told when it is made: gaps, overlaps, rows
-- that never count, all of them at once.
SELECT pg_temp.say(t) FROM unnest(ARRAY[
	'{"hit":"first","inputs":["x"],"rows":[["a",1]]}',
	'{"hit":"unique","inputs":["x"],"rows":[["a",1],["*",2]]}',
	'{"hit":"unique","inputs":["x"],"rows":[[{"$lt":5},1],[{"$gt":5},2]]}',
	'{"hit":"unique","inputs":["x"],"rows":[[{"$lte":5},1],[{"$gte":5},2]]}',
	'{"hit":"unique","inputs":[{"path":"x","min":0,"max":10}],"rows":[[{"$between":[0,4]},1],[{"$gt":4},2]]}',
	'{"hit":"unique","inputs":[{"path":"x","min":0,"max":10}],"rows":[[{"$between":[1,4]},1],[{"$gt":6},2]]}',
	'{"hit":"first","inputs":["x","y"],"rows":[["*",true,1],["*",false,2],["a","*",3]]}',
	'{"hit":"any","inputs":["x"],"rows":[["*",1],["a",2]]}',
	'{"hit":"any","inputs":["x"],"rows":[["*",1],["a",1.00]]}',
	'{"hit":"first","inputs":[{"path":"x","values":["a","b"]}],"rows":[["a",1],["c",2]]}',
	'{"hit":"first","inputs":["x"],"rows":[[{"$regex":"^a"},1]]}',
	'{"hit":"unique","inputs":["x","y"],"rows":[["a",{"$lt":0},1],["a",{"$gte":0},2],["b","*",3],[{"$nin":["a","b"]},{"$lt":100},4]]}'
	]::jsonb[]) t;

-- Its form.
SELECT pg_temp.say(t) FROM unnest(ARRAY['[]', '{}', '{"hit":"last","inputs":["x"],"rows":[["*",1]]}',
	'{"hit":"collect","inputs":["x"],"rows":[["*",1]]}',
	'{"hit":"first","collect":"sum","inputs":["x"],"rows":[["*",1]]}',
	'{"hit":"first","inputs":[],"rows":[["*",1]]}',
	'{"hit":"first","inputs":["x"],"rows":[]}',
	'{"hit":"first","inputs":["x"],"rows":[[1]]}',
	'{"hit":"first","inputs":["x"],"rows":[["*","1%"]]}',
	'{"hit":"first","inputs":["x"],"rows":[["*","\"a\""]]}',
	'{"hit":"first","inputs":["x"],"rows":[["*","USD 1"]]}',
	'{"hit":"first","inputs":["x"],"rows":[[{"$gtee":1},1]]}',
	'{"hit":"first","inputs":["x y"],"rows":[["*",1]]}',
	'{"hit":"first","inputs":[{"path":"x","min":2,"max":1}],"rows":[["*",1]]}',
	'{"hit":"first","inputs":[{"path":"x","vales":[1]}],"rows":[["*",1]]}',
	'{"hit":"first","input":["x"],"rows":[["*",1]]}']::jsonb[]) t;

--
-- Rates: valid at a time, and known at a time.
--
CREATE FUNCTION pg_temp.at(expression text, data jsonb, at timestamptz,
	known_at timestamptz DEFAULT 'infinity') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN uaef.evaluate_amount_at(expression, data, at, known_at);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN format('%s %s %s', SQLSTATE, SQLERRM, detail);
END
$$;
SET uaef.test_now = '2026-01-10T00:00:00Z';
SELECT uaef.set_fx_rate('ECB', 'JPY', 'USD', 0.0064, '2026-01-01', '2026-02-01');
SELECT uaef.set_fx_rate('ECB', 'JPY', 'USD', 0.0065, '2026-02-01');
SET uaef.test_now = '2026-01-20T00:00:00Z';
SELECT uaef.set_fx_rate('ECB', 'JPY', 'USD', 0.0063, '2026-01-01', '2026-01-05');
RESET uaef.test_now;

SELECT at, known, pg_temp.at('convert(money(x, "JPY"), "USD", "ECB")', '{"x":10000}', at, known)
FROM unnest('{2025-12-31,2026-01-01,2026-01-05,2026-01-31 23:59:59.999,2026-02-01}'::timestamptz[]) at,
	unnest('{2026-01-09,2026-01-15,infinity}'::timestamptz[]) known;
SELECT pg_temp.at(e, '{"t":"2026-01-03T12:00:00Z","d":"2026-02-03","bad":"yesterday"}', '2026-01-10')
FROM unnest(ARRAY['USD 1 * rate("ECB", "JPY", "USD", t) * 10000',
	'USD 1 * rate("ECB", "JPY", "USD", d) * 10000',
	'USD 1 * rate("ECB", "JPY", "USD", bad)',
	'USD 1 * rate("ECB", "USD", "JPY")',
	'USD 1 * rate("Fed", "JPY", "USD")',
	'USD 1 * rate("ECB", "USD", "USD")',
	'convert(USD 5, "USD", "none")',
	'round(convert(money(12345, "JPY"), "USD", "ECB"), "down")',
	'convert(5, "USD", "ECB")', 'convert(USD 5, "XXQ", "ECB")',
	'rate("ECB", "JPY", "USD")']) e;

-- A function that is immutable reads no table.
SELECT uaef.evaluate_amount('convert(money(x, "JPY"), "USD", "ECB")', '{"x":1}');
-- What is no rate.
SELECT uaef.set_fx_rate('ECB', 'JPY', 'USD', r) FROM unnest('{NaN,0,-1,Infinity}'::numeric[]) r LIMIT 1;
SELECT uaef.set_fx_rate('ECB', 'JPY', 'USD', 0);
SELECT uaef.set_fx_rate('ECB', 'JPY', 'USD', 1e-19);
SELECT uaef.set_fx_rate('ECB', 'JPY', 'JPY', 1);
SELECT uaef.set_fx_rate('ECB', 'JPY', 'QQQ', 1);
SELECT uaef.set_fx_rate('ECB', 'JPY', 'USD', 1, '2026-01-01', '2026-01-01');
SELECT uaef.set_fx_rate('', 'JPY', 'USD', 1);

--
-- Look-ups and pools.
--
SELECT uaef.set_lookup('vat', '{DE}', '0.19', '2020-01-01');
SELECT uaef.set_lookup('vat', '{DE}', '0.16', '2020-07-01', '2021-01-01');
SELECT uaef.set_lookup('vat', '{DE,food}', '{"rate":0.07,"name":"reduced"}', '2020-01-01');
SELECT uaef.set_lookup('fee', '{7}', '"1.25"', '2020-01-01');
SELECT uaef.drop_lookup('vat', '{DE}', '2030-01-01');
SELECT uaef.set_pool_points('reviewers', 'ann', 3, '2020-01-01');
SELECT uaef.set_pool_points('reviewers', 'bob', 1.5, '2020-01-01');
SELECT uaef.set_pool_points('reviewers', 'bob', 0, '2026-01-01');

SELECT e, at::date, pg_temp.at(e, '{"c":"DE","x":100,"n":7,"who":"bob"}', at)
FROM unnest(ARRAY['EUR 1 * x * lookup("vat", c)',
	'let v = lookup("vat", c, "food") in EUR 1 * x * v.rate',
	'EUR 1 * number(lookup("fee", n))', 'EUR 1 * lookup("vat", "FR")',
	'EUR 1 * default(lookup("vat", "FR"), 0.2)',
	'if exists(lookup("vat", c)) then EUR 1 else EUR 2',
	'EUR 1 * lookup("vat", c, "food")', 'EUR 1 * lookup("fee", n / 2)',
	'EUR 90 * pool_points("reviewers", who) / pool_points("reviewers")',
	'EUR 1 * pool_points("none")', 'EUR 1 * lookup("vat")']) WITH ORDINALITY AS e (e, n),
	unnest('{2020-08-01,2026-08-01,2030-08-01}'::timestamptz[]) at
ORDER BY n, 2;

-- What each costs is bounded.
SELECT pg_temp.at('sum(i in x [max 900]: lookup("fee", 7) * EUR 1)', '{"x":[1]}', now());
-- Each is in the ledger.
SELECT event_type, payload FROM uaef.ledger_event
WHERE event_type IN ('fx_rate_set', 'lookup_set', 'lookup_removed', 'pool_points_set')
AND payload->>'valid_from' ~ '^20[23]' ORDER BY event_id;

-- A source belongs to who recorded its first rate.
CREATE ROLE regress_rule_feed;
GRANT USAGE ON SCHEMA uaef TO regress_rule_feed;
GRANT EXECUTE ON FUNCTION uaef.set_fx_rate, uaef.set_lookup, uaef.set_pool_points TO regress_rule_feed;
SET ROLE regress_rule_feed;
SELECT uaef.set_fx_rate('ECB', 'EUR', 'USD', 2);
SELECT uaef.set_lookup('vat', '{FR}', '0');
SELECT uaef.set_pool_points('reviewers', 'eve', 1000);
SELECT uaef.set_fx_rate('own', 'EUR', 'USD', 2);
RESET ROLE;

--
-- Explanations.
--
SELECT c, uaef.explain_condition(c::jsonb, '{"a":{"n":99.99,"s":"x"},"b":true}')
FROM unnest(ARRAY['{"a.n":{"$gte":100}}',
	'{"a.n":{"$lt":100},"b":true}',
	'{"$or":[{"a.n":{"$gt":200},"b":false},{"a.s":"y"}]}',
	'{"$nor":[{"a.n":{"$between":[90,100]}},{"b":true}]}',
	'{"a.n":{"$between":[100,200]},"a.missing":{"$exists":true}}',
	'{"$not":{"a.n":{"$gte":5},"a.s":{"$in":["x","y"]}}}',
	'{"a.none":5}', '{"a.s":{"$gt":5}}']) c;
SELECT uaef.explain_amount('min(pct(money(x, "USD"), 2.5%), USD 50)', '{"x":1234.56}');
SELECT uaef.explain_amount('if x > 10 then EUR 1 / 3 else EUR 2', '{"x":11}');
SELECT uaef.explain_amount('EUR 1 * x / y', '{"x":11,"y":0}');

DELETE FROM uaef.fx_rate;
DELETE FROM uaef.rule_lookup;
DELETE FROM uaef.pool_point;
DROP OWNED BY regress_rule_feed;
DROP ROLE regress_rule_feed;
