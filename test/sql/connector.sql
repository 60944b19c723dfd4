-- Egress rules, connectors, and what is refused before anything is sent.
-- The connectors are paused, so that no test here reaches the network.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE ROLE regress_connector_user;
CREATE ROLE regress_connector_group;
CREATE ROLE regress_connector_other;
GRANT USAGE ON SCHEMA uaef TO regress_connector_user, regress_connector_other;

-- Nothing is granted to everyone.
SET ROLE regress_connector_user;
SELECT uaef.send('hook', '{}');
SELECT uaef.allow_egress('example.com');
SELECT count(*) FROM uaef.delivery;
RESET ROLE;
GRANT EXECUTE ON FUNCTION uaef.send(text, jsonb, text, text, integer, timestamptz)
	TO regress_connector_user, regress_connector_other;

-- A connector's config is checked whole when it is made.
SELECT uaef.create_connector('hook', 'pigeon', '{"url":"https://example.com/"}');
SELECT uaef.create_connector('', 'webhook', '{"url":"https://example.com/"}');
SELECT uaef.create_connector('hook', 'webhook', '[]');
SELECT uaef.create_connector('hook', 'webhook', '{}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","retries":3}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","method":"TRACE"}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","headers":{"X-Key":1}}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","headers":{"X-Key":"a\r\nb: c"}}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","headers":{"X Key":"a"}}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","headers":{"Transfer-encoding":"chunked"}}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","headers":{"Proxy-Authorization":"x"}}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","timeout":30}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","idempotent":"yes"}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","retry":{"max_attempts":0}}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","retry":{"backoff":"linear"}}');
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/","retry":{"tries":3}}');
SELECT uaef.create_connector('hook', NULL, '{"url":"https://example.com/"}');

-- What becomes of messages is said as it is for webhooks.
SELECT uaef.create_connector('q', 'sqs', '{"url":"https://sqs.eu-west-1.amazonaws.com/1/q","receive":{"start":{"workflow":"w"}}}');
SELECT uaef.create_connector('q', 'sqs', '{"url":"https://sqs.eu-west-1.amazonaws.com/1/q","receive":[]}');
SELECT uaef.create_connector('q', 'sqs', '{"url":"https://sqs.eu-west-1.amazonaws.com/1/q","receive":{"wait":1}}');
SELECT uaef.create_connector('q', 'sqs', '{"url":"https://sqs.eu-west-1.amazonaws.com/1/q","receive":{"on":[]}}');
SELECT uaef.create_connector('q', 'sqs', '{"url":"https://sqs.eu-west-1.amazonaws.com/1/q","receive":{"on":[{"start":{"workflow":"{{headers.x}}"}}]}}');
SELECT uaef.create_connector('q', 'sqs', '{"url":"https://sqs.eu-west-1.amazonaws.com/1/q","receive":{"on":[{"fail":{"task_id":1,"code":"Bad Code!"}}]}}');
SELECT uaef.create_connector('q', 'sqs', '{"url":"https://sqs.eu-west-1.amazonaws.com/1/q","receive":{"wait":"1","on":[{"ignore":{}}]}}');

-- URLs that two parsers might read differently are refused.
CREATE FUNCTION pg_temp.try_url(url text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text;
BEGIN
	PERFORM uaef.create_connector('probe', 'webhook', jsonb_build_object('url', url));
	DELETE FROM uaef.connector WHERE name = 'probe';
	RETURN 'accepted';
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;
SELECT url, pg_temp.try_url(url) FROM unnest(ARRAY[
	'https://example.com', 'HTTPS://Example.COM:8443/a?b=c',
	'https://[2001:db8::1]:8443/', 'http://127.0.0.1:80/', 'https://example.com?x=1',
	'ftp://example.com/', 'file:///etc/passwd', '//example.com/', 'example.com',
	'https://user:secret@example.com/', 'https://example.com\@evil.example/',
	'https://example.com#@evil.example/', 'https://example.com/a b',
	E'https://example.com/\r\nX: y', 'https://ex%61mple.com/', 'https://exämple.com/',
	'https://example.com:0/', 'https://example.com:65536/', 'https://example.com:/',
	'https://example.com:80a/', 'https:///path', 'https://[::1/', 'https://[example]/']) url;

-- What no rule allows is refused, and the message says what to do.
SELECT uaef.create_connector('hook', 'webhook',
	'{"url":"https://Hooks.Example.com/in?key=1","headers":{"X-App":"a"}}') > 0 AS made;
SELECT uaef.create_connector('hook', 'webhook', '{"url":"https://example.com/"}');
SELECT uaef.pause_connector('hook');
SELECT uaef.pause_connector('nothing');
SELECT uaef.send('nothing', '{}');
SET ROLE regress_connector_user;
SELECT uaef.send('hook', '{}');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

-- A rule must match host, port, scheme and role.
CREATE FUNCTION pg_temp.allowed(host text, port int, scheme text, network cidr, role regrole)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE rule bigint := uaef.allow_egress(host, port, scheme, network, role);
BEGIN
	BEGIN
		PERFORM uaef.send('hook', '{}');
		RAISE EXCEPTION USING ERRCODE = 'P0001';
	EXCEPTION
		WHEN SQLSTATE 'UA401' THEN PERFORM uaef.deny_egress(rule); RETURN false;
		WHEN SQLSTATE 'P0001' THEN PERFORM uaef.deny_egress(rule); RETURN true;
	END;
END $$;
SELECT * FROM (VALUES
	('hooks.example.com', NULL::int, 'https', NULL::regrole),
	('HOOKS.example.com', 443, 'https', NULL),
	('*.example.com', NULL, 'https', NULL),
	('*.com', NULL, 'https', NULL),
	('example.com', NULL, 'https', NULL),
	('*.hooks.example.com', NULL, 'https', NULL),
	('*.xample.com', NULL, 'https', NULL),
	('hooks.example.com', 8443, 'https', NULL),
	('hooks.example.com', NULL, 'http', NULL)) r(host, port, scheme, role),
	LATERAL pg_temp.allowed(host, port, scheme, NULL, role);
SELECT uaef.allow_egress('hooks.example.com', role => 'regress_connector_group') > 0 AS made;
SET ROLE regress_connector_user;
SELECT uaef.send('hook', '{}');
RESET ROLE;
GRANT regress_connector_group TO regress_connector_user, regress_connector_other;
SET ROLE regress_connector_user;
SELECT uaef.send('hook', '{"a":1}', 'order-1') > 0 AS sent;

-- The same key: the same delivery, or an error; of another role: another one.
SELECT uaef.send('hook', '{"a":1}', 'order-1') = max(id) AS same
FROM (SELECT uaef.send('hook', '{"a":1}', 'order-1') AS id) s;
SELECT uaef.send('hook', '{"a":2}', 'order-1');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.send('hook', '{"a":2}', E'x\r\ny');
SELECT uaef.send('hook', NULL);
SET ROLE regress_connector_other;
SELECT uaef.send('hook', '{"a":2}', 'order-1') > 0 AS sent;
RESET ROLE;

-- It is in the table as it will be sent, and waits as long as the connector.
SELECT connector, role, method, url, headers, body, idempotent, idempotency_key,
	retry - 'on' AS retry, status, attempt
FROM uaef.delivery ORDER BY delivery_id;
SELECT status, connector, url, attempt, max_attempts, error FROM uaef.delivery_status
ORDER BY delivery_id;

-- A role sees what it may act for, and no query, which may be a secret; whoever
-- says where requests may go sees all.
GRANT SELECT ON uaef.delivery_status
	TO regress_connector_user, regress_connector_other;
ALTER ROLE regress_connector_other NOINHERIT;
GRANT regress_connector_user TO regress_connector_other;
SET ROLE regress_connector_user;
SELECT role, url FROM uaef.delivery_status;
SET ROLE regress_connector_other;
SELECT role, url FROM uaef.delivery_status;
RESET ROLE;
REVOKE regress_connector_user FROM regress_connector_other;
ALTER ROLE regress_connector_other INHERIT;
GRANT regress_connector_user TO regress_connector_other;
SET ROLE regress_connector_other;
SELECT role, url FROM uaef.delivery_status ORDER BY role;
RESET ROLE;
REVOKE regress_connector_user FROM regress_connector_other;
GRANT EXECUTE ON FUNCTION uaef.allow_egress(text, integer, text, cidr, regrole, text, text[])
	TO regress_connector_user;
SET ROLE regress_connector_user;
SELECT role, url FROM uaef.delivery_status ORDER BY role;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION uaef.allow_egress(text, integer, text, cidr, regrole, text, text[])
	FROM regress_connector_user;
REVOKE SELECT ON uaef.delivery_status
	FROM regress_connector_user, regress_connector_other;

-- Of a transaction that rolls back nothing is sent.
BEGIN;
SELECT uaef.send('hook', '{"a":3}') > 0 AS sent;
ROLLBACK;
SELECT count(*) FROM uaef.delivery;

-- Of two headers whose names differ in case only, one is sent; and what the
-- connector says stands, whatever a task says.
SELECT uaef.create_connector('signed', 'webhook', '{"url":"https://hooks.example.com/",
	"headers":{"X-App":"a","Authorization":"theirs"}}') > 0 AS made;
SELECT uaef.pause_connector('signed');
SELECT uaef.allow_egress('hooks.example.com') > 0 AS made;
SELECT uaef.create_workflow('regress_headers', '{"tasks":[{"id":"call","type":"http","config":
	{"connector":"signed","headers":{"authorization":"mine","X-APP":"b","X-App":"c","X-Own":"{{in.own}}"}}}]}') > 0 AS made;
SELECT uaef.start_workflow('regress_headers', '{"own":"d"}') AS headers \gset
SELECT headers FROM uaef.delivery WHERE execution_id = :'headers';
SELECT uaef.cancel_workflow(:'headers');
DELETE FROM uaef.task_execution WHERE execution_id = :'headers';
DELETE FROM uaef.workflow_execution WHERE execution_id = :'headers';
DELETE FROM uaef.workflow_definition WHERE name = 'regress_headers';

-- A rule of a role that is gone is not dumped.
CREATE ROLE regress_connector_gone;
SELECT uaef.allow_egress('gone.example.com', role => 'regress_connector_gone') > 0 AS made;
SELECT 'SELECT host FROM uaef.egress_rule ' || c.condition AS dumped
FROM pg_extension x, unnest(x.extconfig, x.extcondition) c (relation, condition)
WHERE x.extname = 'uaef' AND c.relation = 'uaef.egress_rule'::regclass \gset
:dumped ORDER BY 1;
DROP ROLE regress_connector_gone;
:dumped ORDER BY 1;

-- A rule may be for some methods only; check_egress() tells without sending.
DELETE FROM uaef.egress_rule;
SELECT uaef.allow_egress('api.example.com', methods => '{get,Head}') > 0 AS made;
SELECT uaef.allow_egress('erp.example.com', 8443, network => '10.1.0.0/16') > 0 AS made;
SELECT methods FROM uaef.egress_rule ORDER BY rule_id;
SELECT payload - 'rule_id' AS payload FROM uaef.ledger_event WHERE event_type = 'egress_allowed' ORDER BY event_id DESC LIMIT 2;
SELECT url, method, address, uaef.check_egress(url, method, address) FROM (VALUES
	('https://api.example.com/x', 'GET', NULL::inet), ('https://api.example.com/x', 'head', NULL),
	('https://api.example.com/x', 'POST', NULL), ('https://api.example.com:8443/', 'GET', NULL),
	('https://api.example.com/x', 'GET', '93.184.216.34'), ('https://api.example.com/x', 'GET', '127.0.0.1'),
	('https://api.example.com/x', 'GET', '::ffff:10.1.2.3'), ('https://api.example.com/x', 'GET', '2606:4700::1'),
	('https://erp.example.com:8443/', 'POST', '10.1.255.255'), ('https://erp.example.com:8443/', 'POST', '10.2.0.0'),
	('https://erp.example.com:8443/', 'POST', '10.1.2.3/8'), ('https://erp.example.com:8443/', 'POST', '::ffff:10.1.2.3')) c(url, method, address);
SELECT uaef.check_egress('https://api.example.com/', 'GET', role => 'regress_connector_user');
SELECT uaef.check_egress('https://api.example.com@127.0.0.1/', 'GET');
SELECT uaef.check_egress('https://api.example.com/', 'TRACE');
SELECT uaef.allow_egress('api.example.com', methods => '{TRACE}');
SELECT uaef.allow_egress('api.example.com', methods => '{}');
SELECT uaef.allow_egress('api.example.com', methods => '{GET,NULL}');

-- TLS identity and proxy of a connector.
CREATE FUNCTION pg_temp.try_config(more jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE said text;
BEGIN
	PERFORM uaef.create_connector('probe', 'webhook', '{"url":"https://example.com/"}' || more);
	DELETE FROM uaef.connector WHERE name = 'probe';
	RETURN 'accepted';
EXCEPTION WHEN invalid_parameter_value OR insufficient_privilege THEN
	GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
	RETURN SQLERRM || ': ' || said;
END $$;
SELECT more, pg_temp.try_config(more::jsonb) FROM unnest(ARRAY[
	'{"proxy":"http://proxy.example.com:3128"}', '{"proxy":"none"}', '{"proxy":"https://proxy.example.com:3128"}',
	'{"proxy":"http://user:word@proxy.example.com:3128"}', '{"proxy":"http://proxy.example.com:3128/x"}', '{"proxy":"socks5://a"}', '{"proxy":1}',
	'{"tls":{"ca_file":"/ca.pem","cert_file":"/c.pem","key_file":"/k.pem"}}', '{"tls":[]}', '{"tls":{"verify":false}}',
	'{"tls":{"ca_file":"ca.pem"}}', '{"tls":{"ca":"x"}}', '{"tls":{"ca":"-----BEGIN CERTIFICATE-----\nx"}}',
	'{"tls":{"cert":"-----BEGIN PRIVATE KEY-----\nx"}}', '{"tls":{"key_file":"/k.pem"}}', '{"tls":{"ca":"-----BEGIN CERTIFICATE-----","ca_file":"/a"}}']) more;
GRANT EXECUTE ON FUNCTION uaef.create_connector(text, text, jsonb, jsonb) TO regress_connector_user;
SET ROLE regress_connector_user;
SELECT uaef.create_connector('probe', 'webhook', '{"url":"https://example.com/","tls":{"ca_file":"/ca.pem"}}');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION uaef.create_connector(text, text, jsonb, jsonb) FROM regress_connector_user;

-- Rules that say nothing are refused.
SELECT uaef.allow_egress('https://example.com/');
SELECT uaef.allow_egress('*');
SELECT uaef.allow_egress('a*.example.com');
SELECT uaef.allow_egress('');
SELECT uaef.allow_egress('example.com', 70000);
SELECT uaef.allow_egress('example.com', scheme => 'ftp');
SELECT uaef.allow_egress(NULL);
SELECT uaef.allow_egress('127.0.0.1', 8080, 'http') IS NOT NULL AS made;
SELECT uaef.deny_egress(-1);

DELETE FROM uaef.delivery;
DELETE FROM uaef.connector;
DELETE FROM uaef.egress_rule;
REVOKE ALL ON FUNCTION uaef.send(text, jsonb, text, text, integer, timestamptz) FROM regress_connector_user, regress_connector_other;
REVOKE USAGE ON SCHEMA uaef FROM regress_connector_user, regress_connector_other;
DROP ROLE regress_connector_user, regress_connector_group,
	regress_connector_other;
