--
-- Splits: no minor unit is lost, and none is made.
--
CREATE FUNCTION pg_temp.try(amount numeric, shares numeric[], currency text,
							remainder text DEFAULT 'largest')
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN uaef.allocate(amount, shares, currency, remainder);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END $$;

-- The cent goes to the part that is cut the most, ties to the earlier one:
SELECT a, s, pg_temp.try(a, s, 'EUR') AS largest,
	   pg_temp.try(a, s, 'EUR', 'first') AS first,
	   pg_temp.try(a, s, 'EUR', 'last') AS last
FROM (VALUES
	(99.99, '{75, 25}'::numeric[]),
	(0.01, '{10, 20, 70}'),
	(0.05, '{70, 20, 10}'),
	(100, '{1, 1, 1}'),
	(100, '{33.3, 33.3, 33.4}'),
	(0.02, '{1, 1, 1, 1}'),
	(10, '{0, 1, 0, 2}'),
	(0.01, '{0, 1}'),
	(0, '{1, 2}'),
	(5, '{7}'),
	(9999999999999999999999999999999999.99, '{1, 1, 1}')
) v(a, s);

-- Minor units are the currency's own:
SELECT c, pg_temp.try(100, '{1, 1, 1}', c) FROM unnest(ARRAY['JPY', 'EUR', 'KWD', 'CLF']) c;

-- What cannot be split is refused:
SELECT a, s, c, pg_temp.try(a, s, c)
FROM (VALUES
	(0.001, '{1, 1}'::numeric[], 'EUR'),
	(0.5, '{1, 1}', 'JPY'),
	(-1, '{1, 1}', 'EUR'),
	('NaN', '{1, 1}', 'EUR'),
	('Infinity', '{1, 1}', 'EUR'),
	(1, '{}', 'EUR'),
	(1, '{0, 0}', 'EUR'),
	(1, '{1, -1}', 'EUR'),
	(1, '{1, NaN}', 'EUR'),
	(1, '{1, NULL}', 'EUR'),
	(1, '{{1, 2}, {3, 4}}', 'EUR'),
	(1, '{1, 1}', 'EURO'),
	(1e38, '{1, 1}', 'EUR')
) v(a, s, c);
SELECT pg_temp.try(1, '{1, 1}', 'EUR', 'random');

-- Exhaustive for small cases: the sum is exact, each part is within one unit
-- of its exact share, and parts with a larger share never get less.
SELECT count(*) AS cases,
	   count(*) FILTER (WHERE parts[1] + parts[2] + parts[3] <> a) AS sum_wrong,
	   count(*) FILTER (WHERE EXISTS (
			SELECT FROM generate_series(1, 3) i
			WHERE abs(parts[i] - a::numeric * s[i] / (s[1] + s[2] + s[3])) >= 1)) AS far_off,
	   count(*) FILTER (WHERE s[1] >= s[2] AND parts[1] < parts[2]) AS unfair
FROM generate_series(0, 40) a, generate_series(0, 6) w1, generate_series(0, 6) w2,
	 generate_series(1, 6) w3,
	 LATERAL (SELECT ARRAY[w1, w2, w3]::numeric[] AS s) s,
	 LATERAL (SELECT uaef.allocate(a, s, 'JPY') AS parts) p;
