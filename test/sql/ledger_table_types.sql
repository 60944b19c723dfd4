--
-- Values in events of ledgered tables are the same under any settings
--
\set SHOW_CONTEXT never
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE TYPE ltt_color AS ENUM ('red', 'green');
CREATE DOMAIN ltt_positive AS int CHECK (VALUE > 0);
CREATE TYPE ltt_pair AS (a int, b timestamptz);
CREATE TABLE ltt (id timestamptz PRIMARY KEY, i2 smallint, i8 bigint, n numeric, r real, d float8, b boolean,
	t text, c char(4), v varchar(9), nm name, bin bytea, j json, jb jsonb, dt date, ts timestamp, tz timestamptz,
	tm time, tmz timetz, iv interval, u uuid, net inet, m money, e ltt_color, p ltt_positive, pair ltt_pair,
	ia int[], ta text[], tza timestamptz[], low int[], rg tstzrange, pt point, x xml, bits bit(3), rc regclass,
	g numeric GENERATED ALWAYS AS (n * 2) STORED);
SELECT uaef.attach_ledger('ltt') > 0 AS attached;
CREATE FUNCTION ltt_write(id timestamptz) RETURNS void LANGUAGE sql AS $$
INSERT INTO public.ltt VALUES ($1, -7, 9007199254740993, 1.50, 0.1, 1e-7, true, E'a"\\\t\u20ac', 'ab', 'x', 'Name',
	'\x00ff', '{"b": 1,  "a": "\u0000"}', '{"b": 1.10, "a": [null]}', '2026-03-01', '2026-03-01 04:05:06.789',
	'2026-03-01 04:05:06+02', '04:05:06', '04:05:06+02', '1 year 2 days 03:04:05', '00000000-0000-0000-0000-00000000000a',
	'10.0.0.1/8', '12.5'::numeric::money, 'green', 5, ROW(1, '2026-03-01 00:00+02'), '{{1,2},{3,NULL}}', '{"",a b,NULL}',
	'{2026-03-01 04:05:06+02}', '[0:1]={7,8}', '[2026-03-01 00:00+02,)', '(0.1,2)', '<a/>', '101', 'public.ltt');
$$;
SET TimeZone = 'UTC';
SELECT ltt_write('2026-01-01 00:00+00');
SET TimeZone = 'America/Lima';
SET DateStyle = 'German';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = -10;
SET bytea_output = 'escape';
SET xmlbinary = 'hex';
SET search_path = pg_catalog;
SET client_encoding = 'LATIN1';
SELECT public.ltt_write('2026-01-02 00:00+00');
-- the settings are as they were
SHOW DateStyle;
SHOW TimeZone;
-- a key is found however it is written
SELECT count(*) FROM uaef.row_history('public.ltt', '"2026-01-01 19:00:00-05"');
SELECT count(*) FROM uaef.row_history('public.ltt', '{"id": "1.1.2026 19:00"}');
RESET ALL;
SET client_min_messages = warning;
SELECT count(DISTINCT payload->'new') AS one FROM uaef.ledger_event WHERE payload->>'table' = 'public.ltt' AND event_type = 'row_inserted';
SELECT key, value FROM uaef.row_history('ltt', '"2026-01-02 00:00+00"'), jsonb_each(new);
SELECT * FROM uaef.verify_table('ltt');

-- what is no number, no date, nothing
INSERT INTO ltt (id, n, r, d, ts, dt, ia, iv, pair) VALUES ('-infinity', 'NaN', '-Infinity', 'NaN', 'infinity', '0044-03-15 BC', '{}', NULL, ROW(NULL, NULL));
SELECT payload->'key' AS key, key AS column, value FROM uaef.ledger_event, jsonb_each(payload->'new')
WHERE payload->>'table' = 'public.ltt' AND payload->'key'->>'id' = '-infinity' AND value <> 'null';
SELECT count(*) FROM uaef.row_history('ltt', '{"id": "-infinity"}');
UPDATE ltt SET n = 2 WHERE id = '-infinity';
SELECT old, new FROM uaef.row_history('ltt', '"-infinity"') WHERE operation = 'UPDATE';
SELECT * FROM uaef.verify_table('ltt');

-- a value too large for an event is told by its digest; what is stored apart
-- and not touched is not recorded again
CREATE TABLE ltt_big (id int PRIMARY KEY, t text, b bytea, j jsonb, n int);
ALTER TABLE ltt_big ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
SELECT uaef.attach_ledger('ltt_big') > 0 AS attached;
SET uaef.max_payload_size = '8kB';
INSERT INTO ltt_big VALUES (1, repeat('é', 10000), decode(repeat('00ff', 5000), 'hex'), jsonb_build_object('k', repeat('x', 9000)), 1), (2, 'small', NULL, NULL, 1);
SELECT new, new->'t'->>'sha256' = encode(sha256(convert_to(repeat('é', 10000), 'UTF8')), 'hex') AS text,
	new->'b'->>'sha256' = encode(sha256(decode(repeat('00ff', 5000), 'hex')), 'hex') AS bytes
FROM uaef.row_history('ltt_big', '1');
SELECT payload->'digested' FROM uaef.ledger_event WHERE payload->>'table' = 'public.ltt_big' AND event_type = 'row_inserted' ORDER BY event_id;
UPDATE ltt_big SET n = 2;
SELECT new FROM uaef.row_history('ltt_big', '1') WHERE operation = 'UPDATE';
RESET uaef.max_payload_size;
SELECT * FROM uaef.verify_table('ltt_big');
ALTER TABLE ltt_big DISABLE TRIGGER uaef_ledger_row;
UPDATE ltt_big SET t = t || '!', b = b || '\x00' WHERE id = 1;
ALTER TABLE ltt_big ENABLE ALWAYS TRIGGER uaef_ledger_row;
SELECT code, detail FROM uaef.verify_table('ltt_big');

SELECT count(*) AS bad FROM uaef.ledger_event WHERE payload <> payload::text::jsonb;
SELECT code FROM uaef.verify_ledger();
DROP TABLE ltt, ltt_big;
DROP FUNCTION ltt_write;
DROP TYPE ltt_pair, ltt_color;
DROP DOMAIN ltt_positive;
