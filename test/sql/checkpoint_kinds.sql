--
-- checkpoint_kinds: the kinds of compliance checks beyond fields, thresholds
-- and conditions; what cannot be judged fails
--
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.define(definition jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.create_checkpoint('kinds', definition);
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
-- Each document with the codes of its failures.
CREATE FUNCTION pg_temp.put(VARIADIC documents text[]) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT d || ' -> ' || coalesce((SELECT string_agg(concat_ws(' ', f->>'path', f->>'code'), ', ')
		FROM jsonb_array_elements(uaef.evaluate_checkpoint('kinds', d::jsonb)->'failures') f), 'passed')
	FROM unnest(documents) WITH ORDINALITY AS u (d, n) ORDER BY n
$$;

\echo # enum
SELECT pg_temp.define('{"type":"enum","field":"a","values":["AT","DE",7,true]}');
SELECT pg_temp.put('{"a":"AT"}', '{"a":7.0}', '{"a":true}', '{"a":"at"}', '{"a":"7"}', '{"a":null}', '{"a":["AT"]}', '{}');
\echo # pattern
SELECT pg_temp.define('{"type":"pattern","field":"a","pattern":"^[A-Z]{2}[0-9]+$"}');
SELECT pg_temp.put('{"a":"DE12"}', '{"a":"DE12 "}', '{"a":12}', '{"a":null}', '{}');
\echo # cross_field
SELECT pg_temp.define('{"type":"cross_field","left":"a","op":"$lte","right":"b"}');
SELECT pg_temp.put('{"a":1,"b":1.0}', '{"a":2,"b":10}', '{"a":"2","b":"10"}', '{"a":1.00000000000000000001,"b":1}', '{"a":1,"b":"1"}', '{"a":1}', '{"a":null,"b":1}', '{"a":{},"b":1}');
SELECT pg_temp.define('{"type":"cross_field","left":"a","op":"$ne","right":"b"}');
SELECT pg_temp.put('{"a":"x","b":"y"}', '{"a":"x","b":"x"}', '{"a":true,"b":true}');
\echo # freshness
SELECT pg_temp.define('{"type":"freshness","field":"a","max_age":"30 days"}');
SET uaef.test_now = '2026-06-30 12:00:00+00';
SELECT pg_temp.put('{"a":"2026-05-31T12:00:00Z"}', '{"a":"2026-05-31T11:59:59Z"}', '{"a":"2026-06-30T14:00:00+02:00"}', '{"a":"2026-06-30T12:00:01Z"}',
	'{"a":"2026-06-30T12:00:00"}', '{"a":"2026-06-30"}', '{"a":"yesterday"}', '{"a":"infinity"}', '{"a":"2026-13-01T00:00:00Z"}', '{"a":1782820800}', '{"a":null}', '{}');
\echo # segregation of duties
SELECT pg_temp.define('{"type":"segregation_of_duties","fields":["asked","approved","paid"]}');
SELECT pg_temp.put('{"asked":"ann","approved":"bob","paid":"cid"}', '{"asked":"ann","approved":"bob","paid":"ann"}', '{"asked":"ann","approved":"ann","paid":"ann"}',
	'{"asked":"ann","approved":"","paid":"cid"}', '{"asked":"ann","approved":"bob"}', '{"asked":1,"approved":2,"paid":3}');
\echo # attestation
SELECT pg_temp.define('{"type":"attestation","field":"sign","by":["ann","bob"],"statement":"I have seen it.","max_age":"1 day"}');
SELECT pg_temp.put('{"sign":{"by":"ann","statement":"I have seen it.","at":"2026-06-30T00:00:00Z"}}', '{"sign":{"by":"eve","statement":"I have seen it.","at":"2026-06-30T00:00:00Z"}}',
	'{"sign":{"by":"ann","statement":"Maybe.","at":"2026-06-30T00:00:00Z"}}', '{"sign":{"by":"ann","statement":"I have seen it.","at":"2026-06-01T00:00:00Z"}}',
	'{"sign":{"by":"ann","statement":"I have seen it."}}', '{"sign":{}}', '{"sign":"ann"}', '{}');
\echo # expr
SELECT pg_temp.define('{"type":"expr","expr":"a / b","min":0.5,"max":2}');
SELECT pg_temp.put('{"a":1,"b":2}', '{"a":1,"b":2.0000000000000000001}', '{"a":2,"b":1}', '{"a":7,"b":3}', '{"a":1,"b":0}', '{"a":"1","b":2}', '{"a":1}');
RESET uaef.test_now;

\echo # refused
SELECT d || ' -> ' || pg_temp.define(d::jsonb) FROM unnest(ARRAY[
	'{"type":"enum","field":"a"}', '{"type":"enum","field":"a","values":[]}', '{"type":"enum","field":"a","values":[{}]}', '{"type":"enum","values":[1]}',
	'{"type":"pattern","field":"a","pattern":"("}', '{"type":"pattern","field":"a","pattern":"(a)\\1"}', '{"type":"pattern","field":"a"}',
	'{"type":"cross_field","left":"a","right":"b"}', '{"type":"cross_field","left":"a","op":"$like","right":"b"}', '{"type":"cross_field","left":"a","op":"$eq"}',
	'{"type":"freshness","field":"a"}', '{"type":"freshness","field":"a","max_age":"soon"}',
	'{"type":"segregation_of_duties","fields":["a"]}', '{"type":"attestation"}', '{"type":"attestation","field":"a","who":["b"]}',
	'{"type":"expr","expr":"a"}', '{"type":"expr","expr":"a +","min":1}', '{"type":"expr","min":1}', '{"type":"enum","field":"a","values":[1],"min":2}']) d;
DELETE FROM uaef.compliance_checkpoint WHERE name = 'kinds';
