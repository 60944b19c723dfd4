-- Webhooks that come in: whom they are believed of, once, and what they do.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET uaef.test_now = '2026-11-23 12:00:00+00';
SELECT extract(epoch FROM '2026-11-23 12:00:00+00'::timestamptz)::bigint AS now \gset

CREATE ROLE regress_in_owner;
CREATE ROLE regress_in_front;
SELECT uaef.grant_access('regress_in_owner', 'operator');
SELECT uaef.grant_access('regress_in_owner', 'author');
SELECT uaef.grant_access('regress_in_owner', 'worker');
SELECT uaef.grant_access('regress_in_front', 'receiver');

CREATE FUNCTION pg_temp.failed(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, regexp_replace(SQLERRM, '\d+', 'N'), nullif(detail, ''));
END $$;
CREATE FUNCTION pg_temp.mac(body text, key text, hash text DEFAULT 'sha256', code text DEFAULT 'hex') RETURNS text
LANGUAGE sql AS $$ SELECT encode(hmac(convert_to(body, 'UTF8'), key::bytea, hash), code) $$;
CREATE FUNCTION pg_temp.told(answer jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', answer->>'status', answer->>'outcome', answer->>'reason',
		CASE WHEN answer ? 'execution_id' THEN 'execution' END) $$;
CREATE FUNCTION pg_temp.send(source text, headers jsonb, body text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.told(uaef.receive_webhook(source, headers, convert_to(body, 'UTF8'))) $$;

CREATE FUNCTION pg_temp.github(id text, event text, body text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.send('in_github', jsonb_build_object('X-GitHub-Delivery', id, 'x-GITHUB-event', ARRAY[event],
		'Content-Type', 'application/json; charset=utf-8', 'authorization', 'Basic eA==',
		'X-Hub-Signature-256', 'sha256=' || pg_temp.mac(body, 'It''s a Secret to Everybody')), body) $$;

-- Sources that are refused say what is wrong.
SELECT s AS config, pg_temp.failed(format('SELECT uaef.create_webhook_source(''bad'', %L, %L, ''{"keys":["long enough"]}'')', t, s))
FROM (VALUES
	('pigeon', '{}'),
	('github', '[]'),
	('github', '{"secret": 1}'),
	('github', '{"tolerance": "2 h"}'),
	('github', '{"keep": "1 day"}'),
	('github', '{"max_body": 0}'),
	('github', '{"id": "body..x"}'),
	('github', '{"on": {}}'),
	('github', '{"on": [{}]}'),
	('github', '{"on": [{"start": {"workflow": "w"}, "fail": {"task_id": 1}}]}'),
	('github', '{"on": [{"complete": {"task_id": 1, "task": "t"}}]}'),
	('github', '{"on": [{"fail": {"task_id": "{{body.t}}", "item": 1}}]}'),
	('github', '{"on": [{"complete": {"task_id": "x"}}]}'),
	('github', '{"on": [{"start": {}}]}'),
	('github', '{"on": [{"start": {"workflow": "w", "input": "{{bdy.x}}"}}]}'),
	('github', '{"on": [{"start": {"workflow": "w", "version": "first"}}]}'),
	('github', '{"on": [{"signal": {"execution": "order 7", "signal": "s"}}]}'),
	('github', '{"on": [{"fail": {"task_id": 1, "retryable": "perhaps"}}]}'),
	('github', '{"on": [{"fail": {"task_id": 1, "code": "Bad Code!"}}]}'),
	('github', '{"on": [{"ignore": {}, "when": {"body.x": 1}}, {"fail": {"task_id": 1, "code": true}}]}'),
	('github', '{"on": [{"fail": {"task_id": 1, "code": 503}}]}'),
	('github', '{"on": [{"fail": null}]}'),
	('github', '{"on": [null]}'),
	('github', '{"on": [{"ignore": {"why": "noise"}}]}'),
	('github', '{"on": [{"start": {"workflow": "w"}}, {"when": {"body.x": 1}, "ignore": {}}]}'),
	('github', '{"on": [{"start": {"workflow": "w", "inputs": {}}}]}'),
	('github', '{"on": [{"start": {"workflow": "w", "input": "{{body."}}]}'),
	('github', '{"on": [{"when": {"body.x": {"$near": 1}}, "start": {"workflow": "w"}}]}'),
	('github', '{"on": [{"when": {"bdy.x": 1}, "start": {"workflow": "w"}}]}'),
	('github', '{"on": [{"signal": {"signal": "s"}}]}'),
	('github', '{"on": [{"complete": {"execution": "{{body.id}}"}}]}'),
	('hmac', '{}'),
	('hmac', '{"header": "x", "algorithm": "md5"}'),
	('hmac', '{"header": "x", "signed": "{timestamp}.{body}"}'),
	('hmac', '{"header": "x", "timestamp_header": "t", "signed": "{body}"}'),
	('hmac', '{"header": "x", "signed": "{id}{body}"}'),
	('hmac', '{"header": "x", "signed": "{body}{body}"}'),
	('hmac', '{"header": "x", "signed": "{boy}{body}"}'),
	('hmac', '{"header": "x", "key_encoding": "hex"}'),
	('salesforce', '{"organizations": ["00D000000000000"]}'),
	('salesforce', '{"organizations": []}')) v (t, s);
SELECT s AS secret, pg_temp.failed(format('SELECT uaef.create_webhook_source(''bad'', %L, ''{}'', %L)', t, s))
FROM (VALUES
	('github', NULL), ('github', '[]'), ('github', '{"keys": []}'), ('github', '{"keys": ["short"]}'),
	('github', '{"keys": ["one long enough", "two long enough", "three long enough"]}'), ('github', '{"keys": [123456789]}'),
	('standard_webhooks', '{"keys": ["not a key of the standard"]}'),
	('standard_webhooks', '{"keys": ["whsec_c2hvcnQ="]}'), ('standard_webhooks', '{"keys": ["whpk_MDEyMzQ1Njc4OWFiY2RlZg=="]}')) v (t, s);
SELECT pg_temp.failed(format('SELECT uaef.create_webhook_source(%L, ''github'', ''{}'', ''{"keys":["long enough"]}'')', n))
FROM unnest(ARRAY['', 'a/b', repeat('x', 101)]) n;
SELECT count(*) AS sources FROM uaef.webhook_source;
SELECT count(*) AS secrets FROM uaef.secret_status WHERE kind = 'webhook_source';

SET ROLE regress_in_owner;
SELECT uaef.create_workflow('in_pr', '{"tasks": [{"id": "d", "type": "decision", "config": {"cases": [{"label": "big", "when": {"in.number": {"$gt": 10}}}], "default": "small"}}]}');
SELECT uaef.create_workflow('in_pay', '{"tasks": [
	{"id": "paid", "type": "signal", "config": {"name": "paid"}},
	{"id": "ship", "type": "external"}], "edges": [{"from": "paid", "to": "ship"}]}');

-- GitHub's own example, and what is not signed so.
SELECT uaef.create_webhook_source('in_github', 'github', '{"on": [
	{"when": {"headers.x-github-event": "pull_request", "body.action": "opened"},
	 "start": {"workflow": "in_pr", "input": {"number": "{{body.number}}", "event": "{{headers.x-github-event}}"}}}]}',
	'{"keys": ["It''s a Secret to Everybody"]}') > 0 AS made;
SELECT uaef.create_webhook_source('in_github', 'github', '{}', '{"keys": ["It''s a Secret to Everybody"]}');
SET ROLE regress_in_front;
SELECT pg_temp.told(uaef.receive_webhook('in_github',
	'{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}', 'Hello, World!'));
SELECT h, pg_temp.told(uaef.receive_webhook('in_github', h::jsonb, 'Hello, World!')) FROM unnest(ARRAY[
	NULL, '{}', '[]', '7', '{"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18"}',
	'{"x-hub-signature-256": "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}',
	'{"x-hub-signature-256": "SHA256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}',
	'{"x-hub-signature-256": "sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17"}',
	'{"x-hub-signature-256": ["sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", "sha256=00"]}',
	'{"x-hub-signature-256": {"a": "b"}}', '{"x y": "b"}', '{"x": "a\nb"}', '{"x": 7}']) h;
SELECT pg_temp.failed($$SELECT uaef.receive_webhook('nobody', '{}', '')$$);
SELECT pg_temp.failed($$SELECT uaef.receive_webhook('in_github', '{}', NULL)$$);

-- A receiver may receive, and nothing else.
SELECT pg_temp.failed(s) FROM unnest(ARRAY['SELECT uaef.start_workflow(''in_pr'', ''{}'')', 'SELECT uaef.replay_webhook(1)',
	'SELECT * FROM uaef.webhook_delivery', 'SELECT * FROM uaef.webhook_inbox', 'SELECT uaef.drop_webhook_source(''in_github'')',
	'SELECT uaef.create_webhook_source(''x'', ''github'')', 'SELECT uaef.create_token(''a'', ''b'')']) s;

-- A delivery starts once, whoever sends it again and however.
SELECT pg_temp.github('d-1', 'pull_request', '{"action": "opened", "number": 7}');
SELECT pg_temp.github('d-1', 'pull_request', '{"action": "opened", "number": 7}') AS again;
SELECT pg_temp.github('d-2', 'pull_request', '{"action": "opened", "number": 7}') AS same_bytes_with_another_id;
SELECT pg_temp.github('d-3', 'ping', '{"zen": "Half measures are as bad as nothing at all."}') AS no_rule;
SELECT pg_temp.github('d-4', 'pull_request', '{"action": "opened"}') AS no_number;
SELECT pg_temp.github('d-5', 'pull_request', '{"action": "opened",') AS no_json;
RESET ROLE;
SELECT e.initiated_by, e.session_role::regrole, e.input, e.status FROM uaef.workflow_execution e JOIN uaef.workflow_definition d USING (definition_id) WHERE d.name = 'in_pr';
SET ROLE regress_in_owner;
SELECT delivery_id, status, rule, action, execution_id IS NOT NULL AS execution, error_code, error, attempts, headers, body
FROM uaef.webhook_delivery WHERE source = 'in_github' ORDER BY inbox_id;

-- What failed is tried again when it comes again, and by replay_webhook().
SELECT pg_temp.github('d-4', 'pull_request', '{"action": "opened"}') AS still_no_number;
SELECT inbox_id AS failed FROM uaef.webhook_delivery WHERE source = 'in_github' AND status = 'failed' \gset
SELECT pg_temp.told(uaef.replay_webhook(:failed));
SELECT uaef.alter_webhook_source('in_github', '{"on": [{"start": {"workflow": "in_pr", "input": {"number": 11}}}]}');
SELECT pg_temp.told(uaef.replay_webhook(:failed)) AS mended;
SELECT status, attempts, error, headers, body FROM uaef.webhook_delivery WHERE inbox_id = :failed;
SELECT pg_temp.failed(format('SELECT uaef.replay_webhook(%s)', i)) FROM unnest(ARRAY[0, (SELECT inbox_id FROM uaef.webhook_delivery WHERE delivery_id = 'd-3')]) i;
SELECT pg_temp.failed('SELECT uaef.replay_webhook(NULL)');
-- A rule that cannot be carried out is not the sender's fault.
SELECT uaef.alter_webhook_source('in_github', '{"on": [{"start": {"workflow": "in_nothing"}}]}');
SELECT pg_temp.github('d-6', 'pull_request', '{"action": "opened", "number": 6}');
SELECT error_code, error FROM uaef.webhook_delivery WHERE delivery_id = 'd-6';
RESET ROLE;
SELECT uaef.revoke_access('regress_in_owner', 'operator');
SELECT uaef.revoke_access('regress_in_owner', 'author');
SELECT pg_temp.github('d-7', 'pull_request', '{"action": "opened", "number": 7.5}') AS the_owner_may_not_start;
SELECT error_code, error FROM uaef.webhook_delivery WHERE delivery_id = 'd-7';
SELECT uaef.grant_access('regress_in_owner', 'operator');
SELECT uaef.grant_access('regress_in_owner', 'author');
SET ROLE regress_in_owner;

-- Two keys, of which the old one goes.
SELECT uaef.alter_webhook_source('in_github', '{"on": null}', '{"keys": ["the new key", "It''s a Secret to Everybody"]}');
SELECT pg_temp.github('d-8', 'ping', '"by the old key"') AS old_key,
	pg_temp.send('in_github', jsonb_build_object('x-hub-signature-256', 'sha256=' || pg_temp.mac('new', 'the new key')), 'new') AS new_key;
SELECT uaef.alter_webhook_source('in_github', secret => '{"keys": ["the new key"]}');
SELECT pg_temp.github('d-9', 'ping', '"by the old key again"') AS old_key,
	pg_temp.send('in_github', jsonb_build_object('x-hub-signature-256', 'sha256=' || pg_temp.mac('new 2', 'the new key')), 'new 2') AS new_key;
SELECT pg_temp.failed($$SELECT uaef.alter_webhook_source('in_github', '{"on": 7}')$$);
SELECT pg_temp.failed($$SELECT uaef.alter_webhook_source('in_github', '7')$$);
SELECT pg_temp.failed($$SELECT uaef.alter_webhook_source('in_github', secret => '{"keys": 7}')$$);

-- Size and pause.
SELECT uaef.alter_webhook_source('in_github', '{"max_body": 1}');
SELECT pg_temp.send('in_github', jsonb_build_object('x-hub-signature-256', 'sha256=' || pg_temp.mac(repeat('x', n), 'the new key')), repeat('x', n)) FROM generate_series(1024, 1025) n;
SELECT uaef.pause_webhook_source('in_github');
SELECT pg_temp.send('in_github', '{}', 'x');
SELECT uaef.resume_webhook_source('in_github');
SELECT pg_temp.send('in_github', '{}', 'x');

-- Refusals are counted, and told of once a minute.
SELECT name, accepted, ignored, failed, refused FROM uaef.webhook_source_status;
SELECT pg_temp.send('in_github', '{}', 'x') AS same_minute, count(*) FROM generate_series(1, 20) n GROUP BY pg_temp.send('in_github', jsonb_build_object('n', n::text), 'x');
RESET ROLE;
SET uaef.test_now = '2026-11-23 12:01:01+00';
SELECT pg_temp.send('in_github', '{}', 'x');
SELECT e.payload FROM uaef.ledger_event e WHERE e.event_type = 'webhook_refused' AND payload->>'source' LIKE 'in\_%' ORDER BY e.event_id;
SELECT count(*) AS rows_left FROM uaef.webhook_refusal;
SET uaef.test_now = '2026-11-23 12:00:00+00';
SET ROLE regress_in_owner;

-- Stripe: time on both sides, several signatures, a payload that was changed.
SELECT uaef.create_webhook_source('in_stripe', 'stripe', '{"on": [{"when": {"body.type": "paid"},
	"signal": {"workflow": "in_pay", "key": "{{body.data.order}}", "signal": "paid", "payload": {"amount": "{{body.data.amount}}"}}}]}',
	'{"keys": ["whsec_stripe_new", "whsec_stripe_old"]}') > 0 AS made;
CREATE FUNCTION pg_temp.stripe(at bigint, body text, key text DEFAULT 'whsec_stripe_new', form text DEFAULT 't=%s,v1=%s') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.send('in_stripe', jsonb_build_object('Stripe-Signature', format(form, at, pg_temp.mac(at || '.' || body, key))), body) $$;
SELECT uaef.start_workflow('in_pay', '{}', idempotency_key => 'order-1') AS pay \gset
SELECT d, pg_temp.stripe(:now + d, format('{"id": "evt_%s", "type": "other"}', d)) FROM unnest(ARRAY[-301, -300, 0, 300, 301, 86400]) d;
SELECT pg_temp.stripe(:now, '{"id": "evt_old", "type": "other"}', 'whsec_stripe_old') AS old_key, pg_temp.stripe(:now, '{"id": "evt_x"}', 'whsec_stripe_xxx') AS no_key;
SELECT f, pg_temp.stripe(:now, format('{"id": "%s"}', md5(f)), form => f) FROM unnest(ARRAY['t=%s,v1=00,v1=%s', 't=%s, v0=x,v1=%s', 't=%s,v0=%s', 'v1=%2$s', 't=%s,t=1,v1=%s', 't=%sx,v1=%s', '%s', '']) f;
SELECT pg_temp.stripe(:now, '{"id": "evt_1", "type": "paid", "data": {"order": "order-1", "amount": 12.50}}') AS paid;
SELECT pg_temp.stripe(:now + 5, '{"id": "evt_1", "type": "paid", "data": {"order": "order-1", "amount": 12.50}}') AS sent_again;
SELECT pg_temp.stripe(:now, '{"id": "evt_2", "type": "paid", "data": {"order": "order-2", "amount": 1}}') AS nobody_waits;
SELECT task, status, output - 'signal_id' AS output FROM uaef.task_run WHERE execution_id = :'pay' ORDER BY task_id;

-- Standard Webhooks: a shared key, and a key pair.
SELECT uaef.create_webhook_source('in_standard', 'standard_webhooks', '{"on": [
	{"when": {"body.type": "shipped"}, "complete": {"execution": "{{body.execution}}", "task": "ship", "output": {"parcel": "{{body.parcel}}"}}},
	{"when": {"body.type": "lost"}, "fail": {"task_id": "{{body.task}}", "error": "the parcel is lost", "code": "{{body.code}}"}}]}',
	'{"keys": ["whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "whpk_1VlvNphIXoXSbtmDPZh8SANCmPwjpF8aOHJ8GhpATgk="]}') > 0 AS made;
CREATE FUNCTION pg_temp.standard(id text, at bigint, body text, signature text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.send('in_standard', jsonb_build_object('webhook-id', id, 'webhook-timestamp', at::text, 'webhook-signature',
		coalesce(signature, 'v1,' || pg_temp.mac(id || '.' || at || '.' || body, '0123456789abcdef', 'sha256', 'base64'))), body) $$;
SELECT d, pg_temp.standard('msg_' || d + 1000, :now + d, '{}') FROM unnest(ARRAY[-301, -300, 300, 301]) d;
SELECT pg_temp.standard('msg.1', :now, '{}') AS id_with_point, pg_temp.standard('', :now, '{}') AS no_id, pg_temp.standard('msg_s', :now, '{}', 'v2,xx v1,') AS bad;
SELECT pg_temp.standard('msg_1', :now, format('{"type": "shipped", "execution": "%s", "parcel": "P1"}', :'pay'));
SELECT pg_temp.standard('msg_1', :now, format('{"type": "shipped", "execution": "%s", "parcel": "P2"}', :'pay')) AS same_id;
SELECT status, output FROM uaef.task_run WHERE execution_id = :'pay' AND task = 'ship';
SELECT pg_temp.standard('msg_2', :now, format('{"type": "shipped", "execution": "%s", "parcel": "P2"}', :'pay')) AS already_shipped;
SELECT pg_temp.standard('msg_3', :now, '{"type": "shipped", "execution": "no", "parcel": "P2"}') AS no_execution;
SELECT uaef.start_workflow('in_pay', '{}') AS pay2 \gset
SELECT uaef.signal_workflow(:'pay2', 'paid', '{}');
SELECT task_id AS ship FROM uaef.task_run WHERE execution_id = :'pay2' AND task = 'ship' \gset
SELECT pg_temp.standard('msg_0', :now, format('{"type": "lost", "task": %s, "code": "Lost, alas"}', :ship)) AS no_code;
SELECT pg_temp.standard('msg_4', :now, format('{"type": "lost", "task": %s, "code": "lost_in_post"}', :ship)) AS lost;
SELECT status, error->>'code' AS code, error->>'message' AS error FROM uaef.task_run WHERE task_id = :ship;
SELECT delivery_id, status, action, error_code, regexp_replace(error, '\d+', 'N') AS error FROM uaef.webhook_delivery WHERE source = 'in_standard' AND action IS NOT NULL ORDER BY inbox_id;

-- Slack: the challenge, an event, a command as a form.
SELECT uaef.create_webhook_source('in_slack', 'slack', '{"on": [{"when": {"body.command": "/deploy"}, "start": {"workflow": "in_pr", "input": {"number": 1, "what": "{{body.text}}"}}}], "keep_content": "all"}',
	'{"keys": ["8f742231b10e8888abcd99yyyzzz85a5"]}') > 0 AS made;
-- Slack's own example.
SET ROLE NONE;
SET uaef.test_now = '2018-10-19 17:20:07+00';
SELECT pg_temp.send('in_slack', '{"X-Slack-Request-Timestamp": "1531420618", "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}',
	'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c') AS too_old;
SET uaef.test_now = '2018-07-12 18:37:00+00';
SELECT pg_temp.send('in_slack', '{"X-Slack-Request-Timestamp": "1531420618", "Content-Type": "application/x-www-form-urlencoded", "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}',
	'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c') AS in_time;
SET uaef.test_now = '2026-11-23 12:00:00+00';
SET ROLE regress_in_owner;
CREATE FUNCTION pg_temp.slack(type text, body text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT uaef.receive_webhook('in_slack', jsonb_build_object('x-slack-request-timestamp', '1795435200', 'content-type', type,
		'x-slack-signature', 'v0=' || pg_temp.mac('v0:1795435200:' || body, '8f742231b10e8888abcd99yyyzzz85a5')), convert_to(body, 'UTF8')) $$;
SELECT pg_temp.slack('application/json', '{"type": "url_verification", "challenge": "3eZbrw1aB"}');
SELECT a - 'execution_id' - 'inbox_id' FROM pg_temp.slack('application/x-www-form-urlencoded', 'command=%2Fdeploy&text=caf%C3%A9+%2B+1&a=1&a=2&=&trigger_id=7.8') a;
SELECT pg_temp.told(pg_temp.slack(t, b)) FROM (VALUES ('application/x-www-form-urlencoded', 'payload=%7B%22type%22%3A%22block%22%2C%22trigger_id%22%3A%22t1%22%7D'),
	('application/x-www-form-urlencoded', 'a=%zz'), ('application/x-www-form-urlencoded', 'a=%00'), ('application/x-www-form-urlencoded', 'payload=no'), ('application/json', '{"a":"\u0000"}')) v (t, b);
SELECT delivery_id, status, body FROM uaef.webhook_delivery WHERE source = 'in_slack' AND delivery_id ~ '^[7t]' ORDER BY inbox_id;

-- Anybody's HMAC.
SELECT uaef.create_webhook_source('in_hmac', 'hmac', '{"header": "X-Sign", "algorithm": "sha512", "encoding": "base64", "prefix": "s=", "separator": ",", "key_encoding": "hex",
	"timestamp_header": "X-Time", "timestamp_unit": "milliseconds", "id_header": "X-Id", "signed": "{id}|{timestamp}|{header:X-Tenant}|{body}",
	"on": [{"start": {"workflow": "in_pr", "input": {"number": "{{body.n}}"}}}]}', '{"keys": ["30313233343536373839"]}') > 0 AS made;
CREATE FUNCTION pg_temp.hmac_send(id text, at bigint, body text, tenant text DEFAULT 'acme') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.send('in_hmac', jsonb_build_object('x-id', id, 'x-time', at::text, 'x-tenant', tenant,
		'x-sign', 's=00, s=' || replace(pg_temp.mac(id || '|' || at || '|acme|' || body, '0123456789', 'sha512', 'base64'), E'\n', '')), body) $$;
SELECT pg_temp.hmac_send('1', :now::bigint * 1000 + 299999, '{"n": 1}'), pg_temp.hmac_send('2', :now::bigint * 1000 + 301000, '{"n": 1}') AS too_new,
	pg_temp.hmac_send('3', :now::bigint * 1000 - 301000, '{"n": 1}') AS too_old, pg_temp.hmac_send('4', :now::bigint * 1000, '{"n": 1}', 'other') AS other_tenant,
	pg_temp.hmac_send('1', :now::bigint * 1000, '{"n": 2}') AS same_id;
SELECT uaef.create_webhook_source('in_sha1', 'hmac', '{"header": "X-Sign", "algorithm": "sha1", "encoding": "upper_hex", "id": "body.order.no"}', '{"keys": ["0123456789"]}') > 0 AS made;
SELECT pg_temp.send('in_sha1', jsonb_build_object('x-sign', upper(pg_temp.mac(b, '0123456789', 'sha1'))), b)
FROM unnest(ARRAY['{"order": {"no": 17}}', '{"order": {"no": 17}, "again": 1}', '{"order": {"no": "A"}}', '{"none": 1}', '{"none": 1}', '{"none": 2}', E'\x01\x7f']) b;
SELECT pg_temp.told(uaef.receive_webhook('in_sha1', jsonb_build_object('x-sign', upper(encode(hmac(b, '0123456789', 'sha1'), 'hex')), 'content-type', t), b))
FROM (VALUES ('\xff00fe'::bytea, 'application/octet-stream'), ('\xff00fe', 'application/json'), (convert_to(repeat('[', 100000), 'UTF8'), 'application/json'), ('', 'text/plain')) v (b, t);
SELECT delivery_id, status FROM uaef.webhook_delivery WHERE source = 'in_sha1' ORDER BY inbox_id;

-- As many placeholders as there may be, with something around each of them.
SELECT uaef.create_webhook_source('in_parts', 'hmac', '{"header": "X-Sign", "signed": "<{header:a}-{header:b}-{header:c}-{header:d}-{header:e}-{header:f}-{header:g}-{body}>"}', '{"keys": ["0123456789"]}') > 0 AS made;
SELECT pg_temp.send('in_parts', jsonb_object_agg(h, h) || jsonb_build_object('x-sign', pg_temp.mac(signed, '0123456789')), '{"n": 1}')
FROM unnest('{a,b,c,d,e,f,g}'::text[]) h, unnest(ARRAY['<a-b-c-d-e-f-g-{"n": 1}>', '<a-b-c-d-e-f-g-{"n": 1}']) signed GROUP BY signed ORDER BY signed DESC;

-- Salesforce: no signature, several notifications in one message.
SELECT uaef.create_webhook_source('in_sales', 'salesforce', '{"organizations": ["00D000000000001"], "require_headers": {"X-Client-Verify": "SUCCESS"},
	"on": [{"when": {"body.Notification.sObject.type": "Opportunity"}, "start": {"workflow": "in_pr", "input": {"number": 3, "name": "{{body.Notification.sObject.Name}}"}}}], "keep_content": "all"}') > 0 AS made;
CREATE FUNCTION pg_temp.sales(org text, notifications text, verify text DEFAULT 'SUCCESS', head text DEFAULT '<?xml version="1.0" encoding="UTF-8"?>') RETURNS jsonb LANGUAGE sql AS $$
	SELECT uaef.receive_webhook('in_sales', jsonb_build_object('Content-Type', 'text/xml', 'X-Client-Verify', verify), convert_to(head || '
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <!-- ask --> <soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>' || org || '</OrganizationId><ActionId>04k</ActionId>
 <SessionId>canary session</SessionId>' || notifications || '</notifications></soapenv:Body></soapenv:Envelope>', 'UTF8')) $$;
SELECT pg_temp.told(a), a->>'body' AS body FROM pg_temp.sales('00D000000000001AAA', '<Notification><Id>04l1</Id><sObject xsi:type="sf:Opportunity"><sf:Id>006</sf:Id><sf:Name>Ben &amp; J&#233;rry &lt;3</sf:Name><sf:Gone xsi:nil="true"/><sf:Note><![CDATA[a<b]]></sf:Note></sObject></Notification>') a;
SELECT body FROM uaef.webhook_delivery WHERE source = 'in_sales';
SELECT pg_temp.told(a), jsonb_array_length(a->'messages'), jsonb_path_query_array(a->'messages', '$.outcome') FROM pg_temp.sales('00D000000000001',
	'<Notification><Id>04l1</Id><sObject xsi:type="sf:Opportunity"/></Notification><Notification><Id>04l2</Id><sObject xsi:type="sf:Opportunity"><sf:Name>x</sf:Name></sObject></Notification><Notification><Id>04l3</Id><sObject xsi:type="sf:Opportunity"><sf:Nom/></sObject></Notification>') a;
SELECT pg_temp.told(a), a->>'body' ~ '<Ack>false</Ack>' AS ack_false FROM pg_temp.sales('00D000000000001', '<Notification><Id>04l3</Id><sObject xsi:type="sf:Opportunity"><sf:Nom/></sObject></Notification>') a;
SELECT pg_temp.told(pg_temp.sales(o, n, v, h)) FROM (VALUES ('00D000000000002', '<Notification><Id>1</Id></Notification>', 'SUCCESS', ''), ('00D000000000001', '<Notification><Id>1</Id></Notification>', 'NONE', ''),
	('00D000000000001', '', 'SUCCESS', ''), ('00D000000000001', '<Notification><NoId/></Notification>', 'SUCCESS', ''), ('00D000000000001', '<Notification>', 'SUCCESS', ''),
	('00D000000000001', '&x;', 'SUCCESS', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), ('00D000000000001', repeat('<a>', 100) || repeat('</a>', 100), 'SUCCESS', ''),
	('00D000000000001', '<a b=c/>', 'SUCCESS', ''), ('00D000000000001', '<a>&#0;</a>', 'SUCCESS', ''), ('00D000000000001', '</b>', 'SUCCESS', '')) v (o, n, v, h);

-- Only its owner changes a source; what is kept goes after its time.
SET ROLE NONE;
CREATE ROLE regress_in_other;
SELECT uaef.grant_access('regress_in_other', 'operator');
SET ROLE regress_in_other;
SELECT pg_temp.failed(s) FROM unnest(ARRAY[$$SELECT uaef.alter_webhook_source('in_hmac', '{}')$$, $$SELECT uaef.drop_webhook_source('in_hmac')$$,
	$$SELECT uaef.pause_webhook_source('in_hmac')$$, $$SELECT uaef.drop_webhook_source('nothing')$$, $$SELECT uaef.create_webhook_source('in_sales', 'github', '{}', '{"keys": ["of somebody else"]}')$$]) s;
SELECT count(*) AS sources FROM uaef.webhook_source_status;
SELECT count(*) AS deliveries FROM uaef.webhook_delivery;
RESET ROLE;
SELECT uaef.purge_webhook_inbox();
SET uaef.test_now = '2026-12-24 12:00:00+00';
SELECT uaef.purge_webhook_inbox('in_slack'), uaef.purge_webhook_inbox('in_hmac', '100 days');
SELECT uaef.purge_webhook_inbox() > 10 AS more;
SELECT count(*) AS remain FROM uaef.webhook_inbox;
RESET uaef.test_now;

-- No key and no credential is in the ledger.
SELECT count(*) AS leaks FROM uaef.ledger_event WHERE payload::text ~ 'Secret to Everybody|whsec_|canary|MDEyMzQ1|8f742231';
SELECT event_type, count(*) FROM uaef.ledger_event WHERE event_type LIKE 'webhook%' AND event_type <> 'webhook_refused' AND payload->>'source' LIKE 'in\_%' GROUP BY 1 ORDER BY 1;

SET ROLE regress_in_owner;
SELECT uaef.drop_webhook_source(name) FROM uaef.webhook_source_status ORDER BY name;
RESET ROLE;
SELECT count(*) AS inbox FROM uaef.webhook_inbox;
SELECT count(*) AS secrets FROM uaef.secret_status WHERE kind = 'webhook_source';
SELECT count(*) AS problems FROM uaef.verify_ledger();
SELECT uaef.revoke_access(r::regrole, a) FROM (VALUES ('regress_in_owner', 'operator'), ('regress_in_owner', 'author'), ('regress_in_owner', 'worker'), ('regress_in_front', 'receiver'), ('regress_in_other', 'operator')) v (r, a);
DROP ROLE regress_in_front, regress_in_other;
