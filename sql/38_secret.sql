------------------------------------------------------------------------
-- Secrets: sealed with keys that are outside of the database
------------------------------------------------------------------------

-- Nobody but the owner reads it, and he reads nothing without the key.
CREATE TABLE uaef.secret (
	kind			text COLLATE "C",
	name			text COLLATE "C",
	version			integer NOT NULL,
	key_id			text COLLATE "C" NOT NULL,
	sealed			bytea NOT NULL,
	created_by		regrole NOT NULL,
	created_at		timestamptz NOT NULL,
	rotated_at		timestamptz,
	PRIMARY KEY (kind, name)
);
-- Random bytes do not get smaller.
ALTER TABLE uaef.secret ALTER COLUMN sealed SET STORAGE EXTERNAL;
COMMENT ON TABLE uaef.secret IS
	'secrets of connectors and others, each sealed by AES-256-GCM under one of the keys of uaef.secret_key_file';
COMMENT ON COLUMN uaef.secret.version IS
	'how often the secret was set since it was not there';
COMMENT ON COLUMN uaef.secret.key_id IS
	'the key that opens it';
SELECT pg_catalog.pg_extension_config_dump('uaef.secret', '');

--
-- set_secret(), set_secret_from_file(), drop_secret()
--
CREATE FUNCTION uaef.set_secret(kind text, name text, secret jsonb)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_set_secret'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.set_secret(text, text, jsonb) IS
	'keep a JSON object sealed, in place of the one before; give it as a parameter of the statement, not in its text';

CREATE FUNCTION uaef.set_secret_from_file(kind text, name text, path text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_set_secret_from_file'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.set_secret_from_file(text, text, text) IS
	'keep the JSON object that a file of the server holds sealed; for members of pg_read_server_files';

CREATE FUNCTION uaef.drop_secret(kind text, name text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_drop_secret'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.drop_secret(text, text) IS
	'delete a secret; UA413 if there is none';

--
-- set_connector_secret()
--
CREATE FUNCTION uaef.set_connector_secret(name text, secret jsonb)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_set_connector_secret'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.set_connector_secret(text, jsonb) IS
	'set the secret of a connector, or with null remove it';

--
-- rotate_secrets()
--
CREATE FUNCTION uaef.rotate_secrets()
RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_rotate_secrets'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.rotate_secrets() IS
	'seal with the newest key what is sealed with an older one, and return how many secrets that were; sending goes on meanwhile';

--
-- encrypt_value(), decrypt_value()
--
CREATE FUNCTION uaef.encrypt_value(value text, context text DEFAULT '')
RETURNS bytea
AS 'MODULE_PATHNAME', 'uaef_encrypt_value'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.encrypt_value(text, text) IS
	'seal a text with the newest key; it opens only with the same context, such as the key of its row';

CREATE FUNCTION uaef.decrypt_value(sealed bytea, context text DEFAULT '')
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_decrypt_value'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.decrypt_value(bytea, text) IS
	'the text that encrypt_value() sealed with this context; UA411 if its key is not there, UA412 if it was changed';

--
-- secret_status
--
CREATE VIEW uaef.secret_status WITH (security_barrier) AS
SELECT kind, name, version, key_id, created_by::text, created_at, rotated_at
FROM uaef.secret;
COMMENT ON VIEW uaef.secret_status IS
	'which secrets there are, and the key that each needs; never what they say';

REVOKE ALL ON uaef.secret, uaef.secret_status FROM PUBLIC;
REVOKE ALL ON FUNCTION
	uaef.set_secret(text, text, jsonb),
	uaef.set_secret_from_file(text, text, text),
	uaef.drop_secret(text, text),
	uaef.set_connector_secret(text, jsonb),
	uaef.rotate_secrets(),
	uaef.encrypt_value(text, text),
	uaef.decrypt_value(bytea, text)
FROM PUBLIC;
