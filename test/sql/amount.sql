--
-- Amounts: exact, typed, rounded once; an error is never a number.
--
CREATE FUNCTION pg_temp.try(expression text, data jsonb,
							rounding text DEFAULT 'half_even')
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	result record;
	detail text;
BEGIN
	result := uaef.evaluate_amount(expression, data, rounding);
	RETURN result.currency || ' ' || result.amount;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;

CREATE TEMP TABLE doc AS SELECT '{
	"in": {"amount": 1234.56, "base": 10, "ccy": "USD", "text": "12.34",
		   "bad": "12abc", "nil": null, "yes": true, "region": "US",
		   "regions": ["CA", "US"], "net-total": 5, "zero": 0, "neg": -10,
		   "huge": 1e40, "fine": 0.1234567890123456789, "rate": 2.5,
		   "from": "2026-01-31", "to": "2026-03-01T10:00:00Z",
		   "items": [{"qty": "2", "price": 10.005, "ok": true},
					 {"qty": "1", "price": 3, "ok": false}],
		   "none": [], "nums": [3, 1, 2], "mixed": [1, "x"]}
}'::jsonb AS data;

-- The examples of the documentation:
SELECT e AS expression, pg_temp.try(e, data) AS result
FROM doc, unnest(ARRAY[
	'EUR 25',
	'money(in.amount, "USD")',
	'min(pct(money(in.amount, "USD"), 2.5%), USD 50)',
	'max(pct(money(in.base, "USD"), 1%), USD 0.30)',
	'sum(i in in.items[max 500]: number(i.qty) * money(i.price, "EUR")) * 12%',
	'if in.region in ["US", "CA"] then USD 5 else USD 7.50',
	'let base = money(in.amount, in.ccy) in clamp(base * 2%, USD 1, base)',
	'money(default(in.tip, 0), "EUR") + EUR 1',
	'EUR 10 * days_between(in.from, in.to)',
	'pct(EUR 100, percent(in.rate))'
]) e;

-- An error was 0.00 and settled; here it is an error:
SELECT e AS expression, pg_temp.try(e, data) AS result
FROM doc, unnest(ARRAY[
	'money(in.nope, "EUR")',
	'min(pct(money(in.nope, "USD"), 2.5%), USD 50)',
	'money(in.text, "EUR")',
	'money(in.nil, "EUR")',
	'money(default(in.nil, 0), "EUR")',
	'money(in.yes, "EUR")',
	'EUR 1 / in.zero',
	'EUR 1 / (in.base - 10)',
	'EUR 1 * number(in.bad)',
	'EUR 1 * number(in.yes)',
	'money(in.huge, "EUR")',
	'money(in.fine, "EUR")',
	'EUR 1 + money(1, in.ccy)',
	'money(1, in.region)',
	'if in.amount then EUR 1 else EUR 2',
	'EUR 1 * in.items',
	'EUR 1 * in.text',
	'if in.text > 5 then EUR 1 else EUR 2',
	'if in.yes = 1 then EUR 1 else EUR 2',
	'if in.nil = 1 then EUR 1 else EUR 2',
	'if in.base in in.mixed then EUR 1 else EUR 2',
	'clamp(EUR 5, EUR 2, EUR 1)',
	'EUR 1 * days_between(in.from, "2026-02-30")'
]) e;

-- Nothing can be called but the functions of the language:
SELECT e AS expression, pg_temp.try(e, data) AS result
FROM doc, unnest(ARRAY[
	'__import__("os").system("id")',
	'pg_sleep(10)',
	'(select 1)',
	'rate("ECB")',
	'EUR 1; DROP TABLE x',
	'in.amount.__class__'
]) e;

-- Money mixes with its own currency only, and a type is never guessed:
SELECT e AS expression, pg_temp.try(e, data) AS result
FROM doc, unnest(ARRAY[
	'EUR 1 + USD 1',
	'min(EUR 1, USD 1)',
	'if true then EUR 1 else USD 1',
	'if EUR 1 > USD 1 then EUR 1 else EUR 2',
	'EUR 1 + 1',
	'EUR 1 + in.base',
	'EUR 1 * EUR 1',
	'1 / EUR 1',
	'EUR 6 / EUR 4 * EUR 1',
	'in.amount',
	'2.5%',
	'"EUR 1"',
	'true',
	'pct(EUR 1, 2.5)',
	'pct(EUR 1, in.rate)',
	'default(in.nope, EUR 1)',
	'default(in.nope, 2%)',
	'EUR 1 * "2"',
	'not EUR 1',
	'XAU 1',
	'EUR',
	'money(1, "EURO")',
	'money(5%, "EUR")',
	'abs(EUR 1, EUR 2)',
	'[EUR 1]'
]) e;

-- Syntax errors have their position:
SELECT e AS expression, pg_temp.try(e, data) AS result
FROM doc, unnest(ARRAY[
	'', 'EUR', 'EUR 1 +', '(EUR 1', 'EUR 1)', 'EUR 1 2', 'EUR .5', 'EUR 5.',
	'EUR 1e5', 'EUR 1 ** 2', 'min(EUR 1 EUR 2)', 'if true then EUR 1',
	'let x = 1 EUR 2', 'let = 1 in EUR 2', 'EUR 1 * "x', 'sum(i in in.nums)',
	'sum(i in in.nums [max 0]: i)', 'avg(i in in.nums: i)', 'in..x', '5x',
	'EUR 1 # 2', '1 < 2 < 3', 'in.net-total', 'EUR 1 * in.base-1', 'é'
]) e;

-- A hyphen belongs to a quoted name, or is a minus among blanks:
SELECT e AS expression, pg_temp.try(e, data) AS result
FROM doc, unnest(ARRAY[
	'EUR 1 * in."net-total"', 'EUR 1 * (in.base - 1)', 'let a = 9 in EUR 1 * (a-1)'
]) e;

-- Operators bind as in school, and stop where the result is known:
SELECT e AS expression, pg_temp.try(e, data) AS result
FROM doc, unnest(ARRAY[
	'EUR 1 + EUR 2 * 3',
	'(EUR 1 + EUR 2) * 3',
	'EUR 10 - EUR 3 - EUR 2',
	'EUR 12 / 3 / 2',
	'-EUR 5 + EUR 7',
	'EUR 1 * -2',
	'if true or in.nope then EUR 1 else EUR 2',
	'if false and in.nope then EUR 1 else EUR 2',
	'if in.nope or true then EUR 1 else EUR 2',
	'if not in.yes or 1 < 2 and 2 < 1 then EUR 1 else EUR 2',
	'if exists(in.nope) then EUR 1 * in.nope else EUR 3',
	'if exists(in.nil) then EUR 1 else EUR 2',
	'if false then EUR 1 else if true then EUR 2 else EUR 3',
	'let a = 2 in let b = a * a in let a = 10 in EUR 1 * (a + b)',
	'let a = EUR 6 / sum(n in in.nums: EUR 1 * n) in EUR 1 * a',
	'let a = (if in.region in in.regions then 1 else 2) in EUR 1 * a',
	'if in.region != "US" then EUR 1 else EUR 2',
	'if EUR 1 >= EUR 1.00 then EUR 1 else EUR 2',
	'if 10% = 0.1 then EUR 1 else EUR 2'
]) e;

-- Sums and their like over lists:
SELECT e AS expression, pg_temp.try(e, data) AS result
FROM doc, unnest(ARRAY[
	'EUR 1 * sum(n in in.nums: n)',
	'EUR 1 * min(n in in.nums: n)',
	'EUR 1 * max(n in in.nums: n * n)',
	'EUR 1 * count(i in in.items: i.ok)',
	'if any(i in in.items: i.price > 10) then EUR 1 else EUR 2',
	'if all(i in in.items: i.price > 10) then EUR 1 else EUR 2',
	'EUR 1 * sum(i in in.none: i)',
	'sum(i in in.none: money(i, "EUR"))',
	'sum(i in in.none: money(i, in.ccy))',
	'EUR 1 * min(i in in.none: i)',
	'if all(i in in.none: i) then EUR 1 else EUR 2',
	'sum(i in in.items: sum(n in in.nums: money(n * i.price, "EUR")))',
	'EUR 1 * sum(n in in.mixed: n)',
	'sum(i in in.items: money(i.cost, "EUR"))',
	'EUR 1 * sum(n in in.nums[max 2]: n)',
	'EUR 1 * sum(n in in.amount: n)'
]) e;

-- Rounding happens once, by the mode that is asked for:
SELECT a, pg_temp.try('money(a, "EUR")', d, 'half_even') AS half_even,
	   pg_temp.try('money(a, "EUR")', d, 'half_up') AS half_up,
	   pg_temp.try('money(a, "EUR")', d, 'half_down') AS half_down,
	   pg_temp.try('money(a, "EUR")', d, 'up') AS up,
	   pg_temp.try('money(a, "EUR")', d, 'down') AS down,
	   pg_temp.try('money(a, "EUR")', d, 'ceil') AS ceil,
	   pg_temp.try('money(a, "EUR")', d, 'floor') AS floor
FROM unnest(ARRAY[2.345, 2.355, -2.345, -2.355, 2.341, -2.349, 2.34, 0.005, -0.005]) a,
	 jsonb_build_object('a', a) d;
SELECT pg_temp.try('EUR 10 / 3 * 3', '{}'), pg_temp.try('EUR 1', '{}', 'nearest');

-- Minor units are the currency's own:
SELECT c AS currency, uaef.currency_exponent(c), pg_temp.try('money(1234.56785, c)', jsonb_build_object('c', c))
FROM unnest(ARRAY['EUR', 'JPY', 'KWD', 'CLF', 'ISK']) c;
SELECT uaef.currency_exponent('XTS');
\echo :LAST_ERROR_SQLSTATE

-- Rounding within an expression is said in it:
SELECT e AS expression, pg_temp.try(e, data) AS result
FROM doc, unnest(ARRAY[
	'round(EUR 1.005) * 100',
	'round(EUR 1.005, "up") * 100',
	'round(EUR 1.0055, 3) * 100',
	'round(EUR 1.0055, 3, "down") * 100',
	'floor(EUR 1.999)',
	'ceil(EUR 1.001)',
	'EUR 1 * round(2.5)',
	'EUR 1 * floor(-2.5)',
	'EUR 1 * ceil(2.01, 1)',
	'round(EUR 1, 19)',
	'round(EUR 1, "sideways")',
	'round(JPY 10.5)'
]) e;

-- Numbers near the edges of their representations are exact:
SELECT a, pg_temp.try('money(a, "JPY") * 3 / 3 + JPY 1', jsonb_build_object('a', a))
FROM unnest(ARRAY[2147483647, 9007199254740993, 9223372036854775806, 9223372036854775807,
	9223372036854775808, -9223372036854775808, 170141183460469231731687303715884105727,
	99999999999999999999999999999999999998,
	99999999999999999999999999999999999999]) a;
SELECT pg_temp.try('let a = 99999999999999999999 in let b = a*a*a*a in let c = b*b*b in EUR 1 * c', '{}');
SELECT pg_temp.try('EUR 123456789012345678901234567890123456789', '{}');

-- Everything has a bound:
SELECT regexp_replace(pg_temp.try(repeat('(', 70) || 'EUR 1' || repeat(')', 70), '{}'), '^.*\|', '');
SELECT left(pg_temp.try(repeat(' ', 8192) || 'EUR 1', '{}'), 40);
SELECT pg_temp.try('sum(i in a[max 5000]: EUR 1 * i)', '{"a": []}');
SELECT pg_temp.try('sum(i in a: EUR 1 * i)',
	(SELECT jsonb_build_object('a', jsonb_agg(1)) FROM generate_series(1, 5000)));
SELECT pg_temp.try('if 0 in a then EUR 1 else EUR 2',
	(SELECT jsonb_build_object('a', jsonb_agg(1)) FROM generate_series(1, 11000)));

--
-- Tier tables
--
CREATE FUNCTION pg_temp.try_tiers(tiers jsonb, data jsonb, currency text DEFAULT 'USD')
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN uaef.evaluate_tiers(tiers, currency, data);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;

SELECT gmv,
	   pg_temp.try_tiers('{"mode": "marginal", "on": "in.gmv", "bands": [{"to": "1000", "rate": "2.9%"}, {"to": 10000, "rate": "2.5%"}, {"rate": "2.0%"}]}', d) AS marginal,
	   pg_temp.try_tiers('{"mode": "slab", "on": "in.gmv", "bands": [{"to": "1000", "rate": "2.9%"}, {"to": 10000, "rate": "2.5%"}, {"rate": "2.0%"}]}', d) AS slab,
	   pg_temp.try_tiers('{"mode": "marginal", "on": "money(in.gmv, \"USD\")", "ccy": "USD", "min": "25", "max": "300", "bands": [{"to": "1000", "rate": "2.9%"}, {"to": 10000, "rate": "2.5%"}, {"rate": "2.0%"}]}', d) AS bounded
FROM unnest(ARRAY[0, 1, 999.99, 1000, 1000.01, 10000, 10000.01, 1000000, -1]) gmv,
	 jsonb_build_object('in', jsonb_build_object('gmv', gmv)) d;

SELECT t AS tiers, pg_temp.try_tiers(t::jsonb, '{"a": 5}') AS result
FROM unnest(ARRAY[
	'[]',
	'{"on": "a", "bands": [{"rate": "1%"}]}',
	'{"mode": "other", "on": "a", "bands": [{"rate": "1%"}]}',
	'{"mode": "slab", "bands": [{"rate": "1%"}]}',
	'{"mode": "slab", "on": "a"}',
	'{"mode": "slab", "on": "a", "bands": []}',
	'{"mode": "slab", "on": "a", "bands": [{"to": 5, "rate": "1%"}]}',
	'{"mode": "slab", "on": "a", "bands": [{"rate": "1%"}, {"rate": "2%"}]}',
	'{"mode": "slab", "on": "a", "bands": [{"to": 5, "rate": "1%"}, {"to": 5, "rate": "1%"}, {"rate": "2%"}]}',
	'{"mode": "slab", "on": "a", "bands": [{"to": 5, "rate": "1%"}, {"to": 4, "rate": "1%"}, {"rate": "2%"}]}',
	'{"mode": "slab", "on": "a", "bands": [{"to": 0, "rate": "1%"}, {"rate": "2%"}]}',
	'{"mode": "slab", "on": "a", "bands": [{"to": true, "rate": "1%"}, {"rate": "2%"}]}',
	'{"mode": "slab", "on": "a", "bands": [{"rate": 0.01}]}',
	'{"mode": "slab", "on": "a", "bands": [{"rate": "0.01"}]}',
	'{"mode": "slab", "on": "a", "bands": [{"rate": "-1%"}]}',
	'{"mode": "slab", "on": "a", "bands": [{"rate": "1%", "flat": 1}]}',
	'{"mode": "slab", "on": "a", "bands": [{"rate": "1%"}], "cap": 5}',
	'{"mode": "slab", "on": "a", "bands": [{"rate": "1%"}], "min": 5, "max": 4}',
	'{"mode": "slab", "on": "a", "bands": [{"rate": "1%"}], "ccy": "EUR"}',
	'{"mode": "slab", "on": "EUR 5", "bands": [{"rate": "1%"}]}',
	'{"mode": "slab", "on": "b", "bands": [{"rate": "1%"}]}',
	'{"mode": "slab", "on": "a +", "bands": [{"rate": "1%"}]}'
]) t;

-- A call site keeps its program only for the same table and currency.
SELECT c, uaef.evaluate_tiers('{"mode": "slab", "on": "a", "bands": [{"rate": "1%"}]}', c, '{"a": 150}')
FROM unnest(ARRAY['USD', 'JPY', 'KWD']) c;

DROP TABLE doc;
