-- What may go through a connector, and care for deliveries: everything but the
-- sending itself.
SELECT coalesce(max(event_id), 0) AS before FROM uaef.ledger_event \gset
SELECT uaef.allow_egress('hooks.example.com') > 0 AS allowed;

-- Limits of a connector.
SELECT uaef.create_connector('a', 'webhook', '{"url":"https://hooks.example.com/","max_concurrent":0}');
SELECT uaef.create_connector('a', 'webhook', '{"url":"https://hooks.example.com/","max_concurrent":"2"}');
SELECT uaef.create_connector('a', 'webhook', '{"url":"https://hooks.example.com/","max_concurrent":2.5}');
SELECT uaef.create_connector('a', 'webhook', '{"url":"https://hooks.example.com/","rate":100}');
SELECT uaef.create_connector('a', 'webhook', '{"url":"https://hooks.example.com/","rate":"100/fortnight"}');
SELECT uaef.create_connector('a', 'webhook', '{"url":"https://hooks.example.com/","burst":5}');
SELECT uaef.create_connector('a', 'webhook', '{"url":"https://hooks.example.com/","breaker":true}');
SELECT uaef.create_connector('a', 'webhook', '{"url":"https://hooks.example.com/","breaker":{"failures":-1}}');
SELECT uaef.create_connector('a', 'webhook', '{"url":"https://hooks.example.com/","breaker":{"open":"0s"}}');
SELECT uaef.create_connector('a', 'webhook',
	'{"url":"https://hooks.example.com/in","max_concurrent":2,"rate":"100/min","burst":5,
	"breaker":{"failures":3,"open":"1min"},"headers":{"authorization":"Bearer s3cret"}}') > 0 AS made;
SELECT uaef.create_connector('b', 'webhook', '{"url":"https://hooks.example.com/b","breaker":false}') > 0 AS made;

-- What a call would send; secrets are not shown.
SELECT jsonb_pretty(uaef.test_connector('a', '{"order":1}'));
SELECT uaef.test_connector('a', operation => 'receive');
SELECT uaef.test_connector('nowhere');
SELECT uaef.alter_connector('b', '{"url":"https://elsewhere.example.com/"}');
SELECT uaef.test_connector('b') - 'headers' - 'reason' AS test;

-- Altering checks as making does, and keeps the old config when it is wrong.
SELECT uaef.alter_connector('a', '{"url":"https://hooks.example.com/in","maximum":2}');
SELECT uaef.alter_connector('nowhere', '{"url":"https://hooks.example.com/in"}');
SELECT uaef.alter_connector(NULL, '{}');
SELECT config ->> 'max_concurrent' AS max_concurrent FROM uaef.connector WHERE name = 'a';

-- Limits of hosts.
SELECT uaef.limit_host('hooks.example.com');
SELECT uaef.limit_host('hooks example', rate => '1/s');
SELECT uaef.limit_host('hooks.example.com', 0, '1/s');
SELECT uaef.limit_host('hooks.example.com', rate => 'often');
SELECT uaef.limit_host('hooks.example.com', rate => '1/s', burst => 0);
SELECT uaef.limit_host('Hooks.Example.com', rate => '10/s', burst => 3);
SELECT host, rate, burst, max_concurrent FROM uaef.host_limit;
SELECT uaef.unlimit_host('hooks.example.com');
SELECT uaef.unlimit_host('hooks.example.com');

-- Nothing leaves this machine.
SELECT uaef.pause_connector('a');
-- Sending: priority and time.
SELECT uaef.send('a', '{}', priority => 101);
SELECT uaef.send('a', '{}', operation => 'receive');
SELECT uaef.send('a', '{}', 'key-1', priority => 5, send_at => 'infinity') > 0 AS queued;
SELECT lane, rank, next_attempt_at FROM uaef.delivery;

-- Care for deliveries.  Numbers of deliveries are not the same in every run.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '[0-9]+', 'N');
END $$;
SELECT pg_temp.try(format('SELECT uaef.replay_delivery(%s)', delivery_id)) FROM uaef.delivery;
SELECT uaef.replay_delivery(NULL);
SELECT uaef.replay_delivery(-1);
SELECT uaef.resolve_delivery(-1, true, 'nothing');
SELECT uaef.replay_deliveries(status => NULL);
SELECT uaef.replay_deliveries(max_deliveries => 0);
SELECT uaef.replay_deliveries(status => '{succeeded,pending}');
SELECT uaef.replay_deliveries(status => '{failed,NULL}');
SELECT uaef.replay_deliveries('nobody');
-- A connector that is needed stays.
SELECT pg_temp.try($$SELECT uaef.drop_connector('a')$$);
UPDATE uaef.delivery SET status = 'failed', finished_at = now(), error = '{"code":"http_500"}';
SELECT pg_temp.try(format('SELECT uaef.resolve_delivery(%s, true, %L)', delivery_id, 'seen')) FROM uaef.delivery;
CREATE ROLE regress_delivery_other;
SET ROLE regress_delivery_other;
SELECT uaef.replay_delivery(1);
RESET ROLE;
GRANT USAGE ON SCHEMA uaef TO regress_delivery_other;
GRANT EXECUTE ON FUNCTION uaef.replay_delivery(bigint), uaef.replay_deliveries(text, text[], timestamptz, timestamptz, text, integer)
	TO regress_delivery_other;
SELECT delivery_id AS id FROM uaef.delivery \gset
SET ROLE regress_delivery_other;
-- Another role's delivery is not there.
SELECT uaef.replay_deliveries();
SELECT pg_temp.try(format('SELECT uaef.replay_delivery(%s)', :id));
RESET ROLE;
SELECT uaef.replay_deliveries('a', error_code => 'http_404');
SELECT uaef.replay_deliveries('a', error_code => 'http_500');
SELECT status, attempts_before FROM uaef.delivery;
UPDATE uaef.delivery SET status = 'failed', finished_at = now();
SELECT uaef.drop_connector('a');
SELECT uaef.drop_connector('a');
SELECT uaef.drop_connector('b');

SELECT event_type, payload - 'delivery_id' - 'deliveries' AS payload FROM uaef.ledger_event
WHERE event_id > :before AND event_type ~ 'connector|host|deliver' ORDER BY event_id;

DELETE FROM uaef.delivery;
DELETE FROM uaef.egress_rule;
REVOKE ALL ON FUNCTION uaef.replay_delivery(bigint), uaef.replay_deliveries(text, text[], timestamptz, timestamptz, text, integer)
	FROM regress_delivery_other;
REVOKE USAGE ON SCHEMA uaef FROM regress_delivery_other;
DROP ROLE regress_delivery_other;
