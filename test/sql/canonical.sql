--
-- Canonical JSON: RFC 8785, and exact decimals where a double loses digits
--

-- numbers, as ECMAScript writes them
SELECT n, uaef.canonical_json(n::jsonb)
FROM unnest(ARRAY['0', '-0', '-0.0', '1.50', '100', '1e20', '1e21', '123456789012345680000',
	'1234567890123456800000', '0.000001', '0.0000001', '1e-7', '-1.5e-10', '333333333.3333333',
	'4.35', '9007199254740991', '9007199254740992', '1.7976931348623157e308',
	'2.2250738585072014e-308', '5e-324', '5.684341886080802e-14', '0.1']) AS n;

-- numbers that a double would change are written out
SELECT n, uaef.canonical_json(n::jsonb)
FROM unnest(ARRAY['9007199254740993', '-9007199254740993.10', '12345678901234567890',
	'0.10000000000000000555', '5.6843418860808015e-14', '1.00000000000000000000001', '123e-25']) AS n;

-- also where a double ends: no digit is lost, none is made up
SELECT length(uaef.canonical_json('1e400')) AS large,
	length(uaef.canonical_json('1e-400')) AS small,
	uaef.canonical_json('1e309') = '1' || repeat('0', 309) AS just_too_large,
	uaef.canonical_json('1e-324') = '0.' || repeat('0', 323) || '1' AS just_too_small;

-- equal values have equal texts
SELECT uaef.canonical_json('[1.0, 1.00, 1e0, 10e-1]');

-- keys are in the order of UTF-16: U+1F602 is a surrogate pair, below U+FB33
-- (as bytes, because versions of psql differ in how wide that is)
SELECT encode(convert_to(uaef.canonical_json('{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude02":5,"\u0080":6,"\u00f6":7,"aa":8,"b":9,"":10}'),
	'UTF8'), 'escape');

-- only what must be escaped is, in the shortest way
SELECT uaef.canonical_json('"\u0001\u001f\b\t\n\f\r\"\\\/\u007f\u00e9"');

-- nesting and the other values
SELECT uaef.canonical_json('{"b":[{"z":null,"y":[]},true,{}],"a":false}'),
	uaef.canonical_json('"text"'), uaef.canonical_json('null'), uaef.canonical_json('[[[]]]');

-- as deep as jsonb itself
SELECT uaef.canonical_json((repeat('[', 3000) || repeat(']', 3000))::jsonb) = repeat('[', 3000) || repeat(']', 3000) AS deep;

-- objects too, nearly
CREATE FUNCTION pg_temp.deep_objects() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	depth int := 1000;
BEGIN
	LOOP
		BEGIN
			PERFORM (repeat('{"a":', 2 * depth) || 1 || repeat('}', 2 * depth))::jsonb;
		EXCEPTION WHEN statement_too_complex THEN
			EXIT;
		END;
		depth := 2 * depth;
	END LOOP;
	depth := depth * 3 / 4;
	RETURN uaef.canonical_json((repeat('{"a":', depth) || 1 || repeat('}', depth))::jsonb) =
		repeat('{"a":', depth) || 1 || repeat('}', depth);
END $$;
SELECT pg_temp.deep_objects();
