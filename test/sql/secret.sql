-- Secrets: who may, what is refused, what is recorded, and what a sealed value
-- is bound to.  The keys are those of test/uaef.conf.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE ROLE regress_secret_user;
GRANT USAGE ON SCHEMA uaef TO regress_secret_user;
CREATE FUNCTION pg_temp.sqlstate_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- Nothing is open to others; the owner of the table reads only sealed bytes.
SET ROLE regress_secret_user;
SELECT uaef.set_secret('connector', 'mail', '{"token":"x"}');
SELECT uaef.set_secret_from_file('connector', 'mail', '/etc/hostname');
SELECT uaef.drop_secret('connector', 'mail');
SELECT uaef.rotate_secrets();
SELECT uaef.encrypt_value('x');
SELECT uaef.decrypt_value('\x00');
SELECT count(*) FROM uaef.secret;
SELECT count(*) FROM uaef.secret_status;
RESET ROLE;

-- A secret that is set again gets another version and another sealing.
SELECT uaef.set_secret('agent', 'mail', '{"token":"first canary"}');
SELECT sealed AS first FROM uaef.secret \gset
SELECT uaef.set_secret('agent', 'mail', '{"token":"first canary"}');
SELECT uaef.set_secret('token_key', 'mail', '{"keys":["a","b"],"n":1.50,"x":null}');
SELECT kind, name, version, key_id, created_by = current_user AS mine, rotated_at
FROM uaef.secret_status ORDER BY kind;
SELECT count(*) AS same FROM uaef.secret WHERE sealed = :'first';
SELECT count(*) AS plain FROM uaef.secret
WHERE position('canary'::bytea IN sealed) > 0 OR position('token'::bytea IN sealed) > 0;

-- All of them are under the newest key.
SELECT uaef.rotate_secrets();

-- A key that is not there, and a row that was changed.
BEGIN;
UPDATE uaef.secret SET key_id = 'lost' WHERE kind = 'token_key';
SELECT uaef.rotate_secrets();
ROLLBACK;

-- What is refused.
SELECT pg_temp.sqlstate_of(s) FROM unnest(ARRAY[
	$$SELECT uaef.set_secret(NULL, 'a', '{}')$$,
	$$SELECT uaef.set_secret('connector', NULL, '{}')$$,
	$$SELECT uaef.set_secret('connector', 'a', NULL)$$,
	$$SELECT uaef.set_secret('', 'a', '{}')$$,
	$$SELECT uaef.set_secret('Connector', 'a', '{}')$$,
	$$SELECT uaef.set_secret('agent', '', '{}')$$,
	$$SELECT uaef.set_secret('agent', repeat('a', 201), '{}')$$,
	$$SELECT uaef.set_secret('agent', 'a', '[]')$$,
	$$SELECT uaef.set_secret('agent', 'a', '"text"')$$,
	$$SELECT uaef.set_secret('connector', 'a', '{}')$$,
	$$SELECT uaef.set_secret('agent', 'a', jsonb_build_object('a', repeat('x', 66000)))$$,
	$$SELECT uaef.drop_secret('connector', 'nothing')$$,
	$$SELECT uaef.drop_secret(NULL, 'nothing')$$,
	$$SELECT uaef.set_secret_from_file('connector', 'a', 'relative')$$,
	$$SELECT uaef.set_secret_from_file('connector', 'a', '/nowhere/at/all')$$,
	$$SELECT uaef.set_secret_from_file('connector', 'a', '/dev/null')$$,
	$$SELECT uaef.set_secret_from_file('connector', 'a', '/etc/passwd')$$,
	$$SELECT uaef.set_secret_from_file('connector', 'a', '/etc')$$]) s;
SELECT count(*) FROM uaef.secret;

-- Whoever may call it needs the right to read files too.
GRANT EXECUTE ON FUNCTION uaef.set_secret_from_file(text, text, text) TO regress_secret_user;
SET ROLE regress_secret_user;
SELECT uaef.set_secret_from_file('connector', 'a', '/dev/null');
RESET ROLE;

-- A connector has a secret of its name, and never that of one before it.
SELECT uaef.create_connector('secretive', 'webhook', '{"url":"https://example.com/"}', '{"headers":{"X-Key":"left over"}}') > 0 AS made;
DELETE FROM uaef.connector WHERE name = 'secretive';
SELECT uaef.create_connector('secretive', 'webhook', '{"url":"https://example.com/"}') > 0 AS made;
SELECT count(*) FROM uaef.secret_status WHERE name = 'secretive';
SELECT uaef.create_connector('secretive', 'webhook', '{"url":"https://example.com/"}', '{"headers":{}}');
SELECT uaef.create_connector('broken', 'webhook', '{"url":"https://example.com/"}', '[1]');
SELECT uaef.create_connector('broken', 'webhook', '{"url":"https://example.com/"}', '{"canary":"y"}');
SELECT uaef.create_connector('broken', 'webhook', '{"url":"https://example.com/"}', '{"token":1}');
SELECT uaef.create_connector('broken', 'webhook', '{"url":"https://example.com/"}', '{"headers":{}, "token":{"headers": "x"}}');
SELECT uaef.create_connector('broken', 'webhook', '{"url":"https://example.com/"}', '{"headers":"canary"}');
SELECT uaef.create_connector('broken', 'webhook', '{"url":"https://example.com/"}', '{"headers":{"X-Key":"canary\r\nHost: a"}}');
SELECT uaef.create_connector('broken', 'webhook', '{"url":"https://example.com/"}', '{"headers":{"Host":"canary"}}');
SELECT uaef.set_connector_secret('secretive', '{"headers":{"X-Key":"y"}}');
SELECT uaef.set_secret('connector', 'secretive', '{"headers":{"X-Key":"z"}}');
SELECT uaef.set_secret('connector', 'secretive', '{"canary":"z"}');
SELECT uaef.set_connector_secret('nothing', '{"headers":{}}');
SELECT name, version FROM uaef.secret_status WHERE kind = 'connector' ORDER BY name;
SELECT uaef.set_connector_secret('secretive', NULL);
SELECT uaef.set_connector_secret('secretive', NULL);
SELECT uaef.drop_secret('connector', 'secretive');

-- Each change is an event, which does not tell the secret.
SELECT event_type, actor_id = current_user AS mine, payload FROM uaef.ledger_event
WHERE event_type LIKE 'secret%' ORDER BY event_id;

-- A sealed value opens with its context only, and not when it was changed.
SELECT uaef.encrypt_value('Grüße', 'row 1') AS sealed \gset
SELECT uaef.decrypt_value(:'sealed', 'row 1');
SELECT uaef.encrypt_value('Grüße', 'row 1') = :'sealed' AS same, length(:'sealed'::bytea) AS length;
SELECT uaef.decrypt_value(uaef.encrypt_value('')) = '' AS empty;
SELECT uaef.decrypt_value(NULL) IS NULL AS nothing;
SELECT uaef.decrypt_value(:'sealed', 'row 2');
SELECT uaef.decrypt_value(:'sealed');
SELECT uaef.decrypt_value(set_byte(:'sealed'::bytea, 1, ascii('T')), 'row 1');
SELECT count(*) AS changed, count(*) FILTER (WHERE pg_temp.sqlstate_of(format(
		'SELECT uaef.decrypt_value(%L, %L)', set_bit(:'sealed'::bytea, i, 1 - get_bit(:'sealed'::bytea, i)), 'row 1'))
	~ '^UA41[12] ') AS refused
FROM generate_series(0, 8 * length(:'sealed'::bytea) - 1) i;
SELECT count(*) AS cut, count(*) FILTER (WHERE pg_temp.sqlstate_of(format(
		'SELECT uaef.decrypt_value(%L, %L)', substr(:'sealed'::bytea, 1, i), 'row 1'))
	~ '^UA41[12] ') AS refused
FROM generate_series(0, length(:'sealed'::bytea) - 1) i;

-- A secret's bytes are no value's.
SELECT pg_temp.sqlstate_of(format('SELECT uaef.decrypt_value(%L)', '\x04' || convert_to('test', 'UTF8') || sealed))
FROM uaef.secret WHERE kind = 'token_key';

SELECT uaef.drop_secret(kind, name) FROM uaef.secret_status;
DELETE FROM uaef.connector;
REVOKE ALL ON FUNCTION uaef.set_secret_from_file(text, text, text) FROM regress_secret_user;
REVOKE USAGE ON SCHEMA uaef FROM regress_secret_user;
DROP ROLE regress_secret_user;
