------------------------------------------------------------------------
-- Tokens: JSON Web Tokens, signed by HS256
------------------------------------------------------------------------

-- The bytes of the keys are in the store of secrets, under their ids.
CREATE TABLE uaef.token_key (
	key_id			text PRIMARY KEY,
	created_by		regrole NOT NULL,
	created_at		timestamptz NOT NULL,
	retires_at		timestamptz
);
COMMENT ON TABLE uaef.token_key IS
	'keys of tokens: the one that does not retire signs, the others verify until they do';
REVOKE ALL ON uaef.token_key FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('uaef.token_key', '');

--
-- create_token(), verify_token(), rotate_token_key()
--
CREATE FUNCTION uaef.create_token(
	subject text,
	audience text,
	expires interval DEFAULT '1 hour',
	claims jsonb DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_create_token'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.create_token(text, text, interval, jsonb) IS
	'make a JSON Web Token for somebody (subject), to be shown to somebody (audience), with claims of yours; raises UA454 when there is no key';
REVOKE ALL ON FUNCTION uaef.create_token(text, text, interval, jsonb) FROM PUBLIC;

CREATE FUNCTION uaef.verify_token(token text, audience text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_verify_token'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.verify_token(text, text) IS
	'return the claims of a token; raises UA450 for what is none, UA451 for its signature, UA452 for its time, UA453 for its audience or issuer';
REVOKE ALL ON FUNCTION uaef.verify_token(text, text) FROM PUBLIC;

CREATE FUNCTION uaef.rotate_token_key(overlap interval DEFAULT '1 day')
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_rotate_token_key'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.rotate_token_key(interval) IS
	'make a new key that signs tokens from now on, and return its id; tokens of the one before are valid for the overlap at most';
REVOKE ALL ON FUNCTION uaef.rotate_token_key(interval) FROM PUBLIC;
