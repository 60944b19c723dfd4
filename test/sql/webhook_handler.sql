-- Tokens, and the handlers of events of serverless functions.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET uaef.test_now = '2026-11-23 12:00:00+00';
CREATE FUNCTION pg_temp.failed(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.part(b bytea) RETURNS text LANGUAGE sql AS $$
	SELECT rtrim(translate(replace(encode(b, 'base64'), E'\n', ''), '+/', '-_'), '=') $$;
CREATE FUNCTION pg_temp.unpart(t text) RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(rpad(translate(t, '-_', '+/'), (length(t) + 3) / 4 * 4, '='), 'base64') $$;

-- There is no token without a key.
SELECT pg_temp.failed($$SELECT uaef.create_token('a', 'b')$$);
SELECT uaef.rotate_token_key() AS kid \gset
SELECT uaef.create_token('svc-1', 'uaef', '10 min', '{"scope": ["start"], "n": 1.50}') AS token \gset
SELECT convert_from(pg_temp.unpart(split_part(:'token', '.', 1)), 'UTF8')::jsonb - 'kid' AS header,
	convert_from(pg_temp.unpart(split_part(:'token', '.', 1)), 'UTF8')::jsonb->>'kid' = :'kid' AS kid;
SELECT uaef.verify_token(:'token', 'uaef') - 'jti' AS claims;
SELECT pg_temp.failed(s) FROM unnest(ARRAY[
	$$SELECT uaef.create_token('', 'b')$$, $$SELECT uaef.create_token('a', NULL)$$, $$SELECT uaef.create_token(repeat('a', 256), 'b')$$,
	$$SELECT uaef.create_token('a', 'b', '0')$$, $$SELECT uaef.create_token('a', 'b', '-1 h')$$, $$SELECT uaef.create_token('a', 'b', '11 years')$$,
	$$SELECT uaef.create_token('a', 'b', '1 h', '[]')$$, $$SELECT uaef.create_token('a', 'b', '1 h', '{"exp": 1}')$$,
	$$SELECT uaef.create_token('a', 'b', '1 h', jsonb_build_object('x', repeat('x', 9000)))$$,
	$$SELECT uaef.rotate_token_key('-1 h')$$]) s;

-- Time, audience, issuer.
SELECT pg_temp.failed(format('SELECT uaef.verify_token(%L, %L)', :'token', a)) FROM unnest(ARRAY['uaef', 'other', '', NULL]) a;
SET uaef.token_issuer = 'another';
SELECT pg_temp.failed(format('SELECT uaef.verify_token(%L, ''uaef'')', :'token'));
RESET uaef.token_issuer;
SET uaef.test_now = '2026-11-23 12:09:59+00';
SELECT pg_temp.failed(format('SELECT uaef.verify_token(%L, ''uaef'')', :'token')) AS just;
SET uaef.test_now = '2026-11-23 12:10:00+00';
SELECT pg_temp.failed(format('SELECT uaef.verify_token(%L, ''uaef'')', :'token')) AS over;
SET uaef.test_now = '2026-11-23 11:59:59+00';
SELECT pg_temp.failed(format('SELECT uaef.verify_token(%L, ''uaef'')', :'token')) AS early;
SET uaef.test_now = '2026-11-23 12:00:00+00';

-- What is no token, or not one of ours; h and c are its header and claims.
SELECT split_part(:'token', '.', 1) AS h, split_part(:'token', '.', 2) AS c, split_part(:'token', '.', 3) AS s \gset
SELECT n, pg_temp.failed(format('SELECT uaef.verify_token(%L, ''uaef'')', t)) FROM (VALUES
	(1, ''), (2, 'a'), (3, 'a.b'), (4, '..'), (5, :'h' || '.' || :'c' || '.'), (6, :'h' || '.' || :'c'), (7, :'token' || '.'), (8, :'token' || '='),
	(9, ' ' || :'token'), (10, :'h' || '=.' || :'c' || '.' || :'s'), (11, upper(:'token')), (12, repeat('a', 9000)),
	(13, pg_temp.part('{"alg":"none","typ":"JWT","kid":"x"}') || '.' || :'c' || '.'),
	(14, pg_temp.part('{"alg":"HS384","typ":"JWT","kid":"x"}') || '.' || :'c' || '.' || :'s'),
	(15, pg_temp.part('{"alg":"HS256","typ":"JWT"}') || '.' || :'c' || '.' || :'s'),
	(16, pg_temp.part('{"alg":"HS256","typ":"JWT","kid":"x"}') || '.' || :'c' || '.' || :'s'),
	(17, pg_temp.part('{"alg":"HS256","typ":"JWT","kid":"x","crit":[]}') || '.' || :'c' || '.' || :'s'),
	(18, pg_temp.part('{"alg":"none","alg":"HS256","typ":"JWT","kid":"x"}') || '.' || :'c' || '.' || :'s'),
	(19, pg_temp.part('["HS256"]') || '.' || :'c' || '.' || :'s'), (20, pg_temp.part('\xff') || '.' || :'c' || '.' || :'s'),
	(21, :'h' || '.' || pg_temp.part('{"sub":"admin"}') || '.' || :'s')) v (n, t) ORDER BY n;

-- Keys rotate: the one before still verifies, for as long as was said.
SELECT uaef.rotate_token_key('5 min') <> :'kid' AS another;
SELECT pg_temp.failed(format('SELECT uaef.verify_token(%L, ''uaef'')', :'token')) AS old, pg_temp.failed(format('SELECT uaef.verify_token(%L, ''uaef'')', uaef.create_token('svc', 'uaef'))) AS new;
SET uaef.test_now = '2026-11-23 12:05:00+00';
SELECT pg_temp.failed(format('SELECT uaef.verify_token(%L, ''uaef'')', :'token')) AS retired;
SELECT uaef.rotate_token_key('0') <> '' AS a_third;
SELECT count(*) AS keys, count(*) FILTER (WHERE retires_at IS NULL) AS sign FROM uaef.token_key;
SELECT count(*) AS secrets FROM uaef.secret_status WHERE kind = 'token_key';
SELECT event_type, payload - 'token_id' - 'key_id' AS payload FROM uaef.ledger_event WHERE event_type LIKE 'token%' ORDER BY event_id;
SET uaef.test_now = '2026-11-23 12:00:00+00';

-- A workflow for each shape of an event.
CREATE FUNCTION pg_temp.answer(a jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', a->>'statusCode', nullif((a->'headers') - 'content-type', '{}'), regexp_replace(((a->>'body')::jsonb
		- ARRAY['execution_id', 'inbox_id', 'error_id', 'lease_token', 'lease_expires_at', 'task_id'] #- '{result,execution_id}' #- '{result,inbox_id}' #- '{tasks,0,task_id}' #- '{tasks,0,execution_id}' #- '{tasks,0,lease_token}')::text, 'task \d+', 'task N'),
		CASE WHEN (a->>'body')::jsonb ? 'error_id' THEN 'with an id' END) $$;
SELECT uaef.create_workflow('hd_loan', '{"tasks": [{"id": "d", "type": "decision", "config": {"cases": [{"label": "big", "when": {"in.n": {"$exists": true}}}], "default": "small"}}],
	"input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}');
SELECT pg_temp.answer(uaef.handle_workflow_trigger(e)) FROM (VALUES
	('{"definition_id": "hd_loan", "input_data": {"n": 1}, "name": "mine", "initiated_by": "user-1"}'::jsonb),
	('{"workflow": "hd_loan", "input": {"n": 1}}'),
	('{"version": "2.0", "headers": {"content-type": "application/json"}, "requestContext": {"requestId": "r1"}, "body": "{\"definition_id\": \"hd_loan\", \"name\": \"v2\"}", "isBase64Encoded": false}'),
	('{"httpMethod": "POST", "headers": {"a": "b"}, "multiValueHeaders": {"a": ["a", "b"]}, "body": "eyJkZWZpbml0aW9uX2lkIjogImhkX2xvYW4iLCAibmFtZSI6ICJ2MSJ9", "isBase64Encoded": true}'),
	('{"body": {"definition_id": "hd_loan"}}'),
	('{"version": "0", "id": "7f0a", "detail-type": "Loan asked for", "source": "app.loans", "time": "2026-11-23T11:00:00Z", "detail": {"definition_id": "hd_loan", "name": "bus"}}')) v (e);
SELECT r.name, k.idempotency_key FROM uaef.workflow_run r LEFT JOIN uaef.workflow_start_key k USING (execution_id) WHERE r.workflow = 'hd_loan' ORDER BY r.name;
SELECT payload FROM uaef.ledger_event WHERE event_type = 'request_received' ORDER BY payload->>'request_id';
-- An event of EventBridge that comes twice starts once; a key in a header, too.
SELECT count(DISTINCT (a->>'body')::jsonb->>'execution_id') AS executions FROM generate_series(1, 3) i, LATERAL uaef.handle_workflow_trigger(
	jsonb_build_object('id', '7f0b', 'detail-type', 'x', 'detail', '{"definition_id": "hd_loan"}'::jsonb, 'i', i)) a;
SELECT count(DISTINCT (a->>'body')::jsonb->>'execution_id') AS executions FROM generate_series(1, 3) i, LATERAL uaef.handle_workflow_trigger(
	jsonb_build_object('headers', '{"Idempotency-Key": "k1"}'::jsonb, 'body', '{"definition_id": "hd_loan"}', 'i', i)) a;

-- What is wrong is answered, and leaves nothing.
SELECT pg_temp.answer(uaef.handle_workflow_trigger(e)) FROM (VALUES
	('7'::jsonb), ('[]'), ('{}'), ('{"definition_id": ""}'), ('{"definition_id": 7}'), ('{"definition_id": "hd_nothing"}'), ('{"definition_id": "hd_loan", "version": 9}'),
	('{"definition_id": "hd_loan", "input_data": []}'), ('{"definition_id": "hd_loan", "input_data": {"n": "x"}}'), ('{"definition_id": "hd_loan", "priority": 1.5}'),
	('{"body": "no json"}'), ('{"body": null}'), ('{"body": "[]"}'), ('{"body": "!", "isBase64Encoded": true}'), ('{"headers": {"a": {}}, "body": "{}"}'), ('{"headers": 7, "body": "{}"}'),
	('{"detail-type": "x", "detail": "y"}'), ('{"headers": {"idempotency-key": "k1"}, "body": "{\"definition_id\": \"hd_loan\", \"input\": {\"n\": 2}}"}'),
	('{"definition_id": "hd_loan", "idempotency_key": "uaef.schedule/1"}')) v (e);
SELECT pg_temp.failed('SELECT uaef.handle_workflow_trigger(NULL)');
CREATE ROLE regress_hd_user;
SELECT uaef.grant_access('regress_hd_user', 'operator');

-- Tokens, where they are asked for: the setting goes before the argument.
SELECT uaef.create_token('svc', 'loans') AS t \gset
SELECT pg_temp.answer(uaef.handle_workflow_trigger(jsonb_build_object('body', '{"definition_id": "hd_loan", "name": "with token"}', 'headers', h), 'loans')) FROM (VALUES
	('{}'::jsonb), ('{"authorization": "Basic x"}'), ('{"Authorization": "Bearer x"}'), (jsonb_build_object('AUTHORIZATION', 'bearer ' || :'t')), (jsonb_build_object('authorization', ARRAY['Bearer ' || :'t', 'Bearer x'])),
	(jsonb_build_object('authorization', 'Bearer ' || uaef.create_token('svc', 'other')))) v (h);
SET uaef.handler_audience = 'uaef';
SET ROLE regress_hd_user;
SELECT pg_temp.answer(uaef.handle_workflow_trigger(jsonb_build_object('definition_id', 'hd_loan', 'authorization', 'Bearer ' || :'t'), 'loans')) AS not_its_choice,
	pg_temp.answer(uaef.handle_workflow_trigger('{"definition_id": "hd_loan"}', '')) AS nor_none, pg_temp.answer(uaef.handle_schedule('{"definition_id": "hd_loan"}')) AS schedule, pg_temp.answer(uaef.handle_task_execution('{"queue": "q"}')) AS task;
RESET ROLE;
RESET uaef.handler_audience;
SELECT payload - 'token_id' FROM uaef.ledger_event WHERE event_type = 'request_received' AND payload ? 'subject';

-- Schedules.
SELECT pg_temp.answer(uaef.handle_schedule(e)) FROM (VALUES
	('{"schedule_name": "daily-report", "definition_id": "hd_loan", "input_data": {"n": 1}, "metadata": {"schedule": "rate(1 day)", "last_run": "2025-01-19T00:00:00Z"}}'::jsonb),
	('{"schedule_name": "daily-report"}'), ('{"definition_id": "hd_loan"}'),
	('{"id": "t1", "detail-type": "Scheduled Event", "source": "aws.scheduler", "time": "2026-11-23T09:00:00Z", "detail": {"schedule_name": "nightly", "definition_id": "hd_loan"}}'),
	('{"id": "t1", "detail-type": "Scheduled Event", "source": "aws.scheduler", "time": "2026-11-23T09:00:00Z", "detail": {"schedule_name": "nightly", "definition_id": "hd_loan"}}')) v (e);
SELECT name, input FROM uaef.workflow_run WHERE workflow = 'hd_loan' AND input ? '_schedule' ORDER BY name;
-- A time is cut between characters.
SELECT uaef.handle_schedule('{"schedule_name": "odd", "definition_id": "hd_loan", "time": "2026-11-23T09:0\u00e4\u00e4"}')->>'statusCode' AS odd;
SELECT name, octet_length(name) FROM uaef.workflow_run WHERE workflow = 'hd_loan' AND name LIKE 'odd%';

-- Tasks: claimed, kept, completed, failed; and an execution that is run here.
SELECT uaef.create_workflow('hd_work', '{"tasks": [{"id": "a", "type": "external", "config": {"input": {"n": "{{in.n}}"}}, "queue": "hd"}]}');
SELECT uaef.start_workflow('hd_work', '{"n": 1}') AS one, uaef.start_workflow('hd_work', '{"n": 2}') AS two \gset
SELECT (uaef.handle_task_execution('{"queue": "hd", "worker": "lambda", "max_tasks": 1, "lease": "1min"}')->>'body')::jsonb->'tasks'->0 AS claim \gset
SELECT :'claim'::jsonb - ARRAY['task_id', 'execution_id', 'lease_token'] AS claim, :'claim'::jsonb->>'execution_id' = :'one' AS first;
SELECT pg_temp.answer(uaef.handle_task_execution(:'claim'::jsonb || e)) FROM (VALUES ('{"extend": "5min"}'::jsonb), ('{}'), ('{"output": {}, "error": "no paper"}'), ('{"lease_token": "0190b1a0-0000-7000-8000-000000000000", "output": {}}'), ('{"output": {"ok": true}}'), ('{"output": {"ok": true}}'), ('{"output": {"ok": false}}')) v (e);
SELECT pg_temp.answer(uaef.handle_task_execution(jsonb_build_object('task_id', task_id::text, 'error', 'no paper', 'retryable', false))) FROM uaef.task_run WHERE execution_id = :'two';
SELECT execution_id = :'one' AS one, status, output, error->>'message' AS error FROM uaef.task_run WHERE execution_id IN (:'one', :'two') ORDER BY task_id;
SELECT uaef.create_workflow('hd_sql', '{"tasks": [{"id": "s", "type": "sql", "config": {"sql": "SELECT 1 AS one"}}]}');
SELECT uaef.start_workflow('hd_sql', '{}') AS three \gset
SELECT pg_temp.answer(uaef.handle_task_execution(jsonb_build_object('body', jsonb_build_object('execution_id', :'three')::text)));
SELECT pg_temp.answer(uaef.handle_task_execution(e)) FROM (VALUES ('{}'::jsonb), ('{"execution_id": "x"}'), ('{"execution_id": "0190b1a0-0000-7000-8000-000000000000"}'), ('{"task_id": 1.5, "output": 1}'), ('{"task_id": -1, "output": 1}'), ('{"queue": "hd"}')) v (e);
SET ROLE regress_hd_user;
SELECT pg_temp.answer(uaef.handle_task_execution(jsonb_build_object('execution_id', :'three'))) AS of_another;
RESET ROLE;

-- Webhooks.
SELECT uaef.create_webhook_source('hd_hook', 'hmac', '{"header": "x-sign", "on": [{"start": {"workflow": "hd_loan"}}]}', '{"keys": ["a key of mine"]}') > 0 AS made;
SELECT pg_temp.answer(uaef.handle_webhook(e || '{"pathParameters": {"source": "hd_hook"}}')) FROM (VALUES
	(jsonb_build_object('headers', jsonb_build_object('X-Sign', encode(hmac('{"n": 1}', 'a key of mine', 'sha256'), 'hex')), 'body', '{"n": 1}')),
	(jsonb_build_object('multiValueHeaders', jsonb_build_object('X-Sign', ARRAY[encode(hmac('{"n": 1}', 'a key of mine', 'sha256'), 'hex')]), 'body', encode('{"n": 1}', 'base64'), 'isBase64Encoded', true)),
	('{"headers": {"x-sign": "00"}, "body": "{}"}'), ('{"headers": {}, "body": "{}"}'), ('{"headers": {}, "body": {"n": 1}}')) v (e);
SELECT pg_temp.answer(uaef.handle_webhook(e)) FROM (VALUES ('{"headers": {"X-Webhook-Source": "hd_hook"}, "body": "x"}'::jsonb), ('{"headers": {"X-Webhook-Source": "nobody"}, "body": "x"}'), ('{"headers": {}, "body": "x"}'), ('{"queryStringParameters": {"source": "hd_hook"}, "body": "x"}'), ('{"source": "hd_hook"}')) v (e);

-- What is ours to know is not told.
CREATE FUNCTION pg_temp.boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the secret name of a table'; END $$;
BEGIN;
CREATE TRIGGER boom BEFORE INSERT ON uaef.workflow_start_key FOR EACH ROW EXECUTE FUNCTION pg_temp.boom();
SELECT pg_temp.answer(uaef.handle_workflow_trigger('{"definition_id": "hd_loan", "idempotency_key": "k2"}'));
ROLLBACK;

SELECT uaef.drop_webhook_source('hd_hook');
SELECT uaef.drop_secret('token_key', key_id) FROM uaef.token_key;
DELETE FROM uaef.token_key;
SELECT uaef.revoke_access('regress_hd_user', 'operator');
SELECT count(*) AS problems FROM uaef.verify_ledger();
RESET uaef.test_now;
