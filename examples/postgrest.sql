-- PostgREST in front of uaef: webhooks at POST /rpc/github and the like, and
-- POST /rpc/start for who has a token.  Run it as a superuser, then start
-- postgrest postgrest.conf.
--
-- A function with one parameter without a name gets the body as it was sent:
-- json keeps every byte of it, and that is what senders sign.
CREATE ROLE web_authenticator LOGIN NOINHERIT;
CREATE ROLE web_anon;
CREATE ROLE web_starter;
GRANT web_anon TO web_authenticator;

-- Whoever comes may hand in webhooks, and nothing else.
SELECT uaef.grant_access('web_anon', 'receiver');
SELECT uaef.grant_access('web_starter', 'operator');

CREATE SCHEMA api;
GRANT USAGE ON SCHEMA api TO web_anon;
CREATE DOMAIN api."*/*" AS bytea;

-- An answer as PostgREST gives it.
CREATE FUNCTION api._answer(status text, content_type text, body text) RETURNS api."*/*"
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('response.status', status, true);
	PERFORM set_config('response.headers', json_build_array(json_build_object('Content-Type', content_type))::text, true);
	RETURN convert_to(body, 'UTF8');
END $$;

CREATE FUNCTION api._receive(source text, body bytea) RETURNS api."*/*"
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT api._answer(a ->> 'status', a ->> 'content_type', coalesce(a ->> 'body', ''))
	FROM uaef.receive_webhook(source, current_setting('request.headers')::jsonb, body) a
$$;

-- One function for each source and content type that it sends.
CREATE FUNCTION api.github(json) RETURNS api."*/*"
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT api._receive('github', convert_to($1::text, 'UTF8')) $$;

CREATE FUNCTION api.salesforce(xml) RETURNS api."*/*"
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT api._receive('salesforce', convert_to($1::text, 'UTF8')) $$;

CREATE FUNCTION api.device(bytea) RETURNS api."*/*"
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT api._receive('device', $1) $$;

-- Workflows are started as web_starter, by tokens: uaef.create_token('who', 'api').
CREATE FUNCTION api.start(json) RETURNS api."*/*"
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT api._answer(a ->> 'statusCode', a #>> '{headers,content-type}', a ->> 'body')
	FROM uaef.handle_workflow_trigger(json_build_object('headers', current_setting('request.headers')::json, 'body', $1::text)::jsonb, 'api') a
$$;
ALTER FUNCTION api.start(json) OWNER TO web_starter;
GRANT USAGE ON SCHEMA api TO web_starter;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO web_anon;
GRANT EXECUTE ON FUNCTION api._answer(text, text, text) TO web_starter;
