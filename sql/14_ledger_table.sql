------------------------------------------------------------------------
-- Ledgered tables: row changes of an app's tables as events
------------------------------------------------------------------------

CREATE TABLE uaef.ledger_table (
	table_id	bigint PRIMARY KEY,
	relation	regclass,
	name		text NOT NULL,
	columns		name[],
	key			name[],
	definition	jsonb NOT NULL,
	attached_at	timestamptz NOT NULL,
	detached_at	timestamptz
);
COMMENT ON TABLE uaef.ledger_table IS
	'tables whose row changes are events of the ledger, and those that were';
COMMENT ON COLUMN uaef.ledger_table.table_id IS
	'number of the attachment; a table that is attached again gets another';
COMMENT ON COLUMN uaef.ledger_table.relation IS
	'the table; null when it is attached no more';
COMMENT ON COLUMN uaef.ledger_table.name IS 'its name, with its schema, as it was last';
COMMENT ON COLUMN uaef.ledger_table.columns IS
	'the columns that were chosen; null for all, also those to come';
COMMENT ON COLUMN uaef.ledger_table.key IS
	'the columns that name a row; null when rows have no name';
COMMENT ON COLUMN uaef.ledger_table.definition IS
	'the recorded columns and the partitions, as the last event on them says';
COMMENT ON COLUMN uaef.ledger_table.attached_at IS 'when it was attached';
COMMENT ON COLUMN uaef.ledger_table.detached_at IS
	'when it was detached or dropped; null while it is attached';
CREATE UNIQUE INDEX ledger_table_relation ON uaef.ledger_table (relation);

CREATE SEQUENCE uaef.ledger_table_id OWNED BY uaef.ledger_table.table_id;
COMMENT ON SEQUENCE uaef.ledger_table_id IS 'numbers of ledgered tables';

-- Each role sees the tables that it may read; an auditor sees all.
CREATE VIEW uaef.ledgered_table WITH (security_barrier) AS
SELECT t.relation AS "table",
	t.table_id,
	(SELECT pg_catalog.array_agg(c ->> 'name' ORDER BY (c ->> 'number')::integer)
	 FROM pg_catalog.jsonb_array_elements(t.definition -> 'columns') AS c) AS columns,
	t.key,
	t.columns IS NULL AS all_columns,
	t.attached_at
FROM uaef.ledger_table AS t
WHERE t.relation IS NOT NULL
	AND (pg_catalog.has_table_privilege(t.relation, 'SELECT')
		OR pg_catalog.has_table_privilege('uaef.ledger_event', 'SELECT'));
COMMENT ON VIEW uaef.ledgered_table IS
	'tables whose row changes are recorded, with the recorded columns and the key, for who may read the table';

CREATE FUNCTION uaef.ledger_row() RETURNS trigger
AS 'MODULE_PATHNAME', 'uaef_ledger_row'
LANGUAGE C;
COMMENT ON FUNCTION uaef.ledger_row() IS
	'trigger: records a row change of a ledgered table; its argument is the table_id';

CREATE FUNCTION uaef.ledger_truncate() RETURNS trigger
AS 'MODULE_PATHNAME', 'uaef_ledger_truncate'
LANGUAGE C SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.ledger_truncate() IS
	'trigger: records a TRUNCATE of a ledgered table; its argument is the table_id';

CREATE FUNCTION uaef.ledger_ddl() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'uaef_ledger_ddl'
LANGUAGE C SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.ledger_ddl() IS
	'event trigger: records what DDL does to ledgered tables';

CREATE EVENT TRIGGER uaef_ledger_ddl ON ddl_command_end
	WHEN TAG IN ('ALTER TABLE', 'ALTER SCHEMA', 'ALTER TYPE', 'ALTER DOMAIN',
				 'ALTER TRIGGER', 'CREATE TABLE', 'CREATE TRIGGER',
				 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE',
				 'ALTER INDEX', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW',
				 'CREATE SCHEMA')
	EXECUTE FUNCTION uaef.ledger_ddl();
CREATE EVENT TRIGGER uaef_ledger_drop ON sql_drop
	EXECUTE FUNCTION uaef.ledger_ddl();
CREATE EVENT TRIGGER uaef_ledger_rewrite ON table_rewrite
	EXECUTE FUNCTION uaef.ledger_ddl();
ALTER EVENT TRIGGER uaef_ledger_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER uaef_ledger_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER uaef_ledger_rewrite ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER uaef_ledger_ddl IS
	'records what DDL does to ledgered tables';
COMMENT ON EVENT TRIGGER uaef_ledger_drop IS
	'records what a DROP does to ledgered tables';
COMMENT ON EVENT TRIGGER uaef_ledger_rewrite IS
	'sees to it that rows which DDL rewrites are recorded anew';

CREATE FUNCTION uaef._missing_value("table" regclass, number integer)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_missing_value_sql'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef._missing_value(regclass, integer) IS
	'what the rows have in a column that are older than it, as it is recorded';

--
-- attach_ledger(), detach_ledger()
--
CREATE FUNCTION uaef.attach_ledger("table" regclass,
	columns name[] DEFAULT NULL, key name[] DEFAULT NULL,
	existing boolean DEFAULT true)
RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_attach_ledger'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.attach_ledger(regclass, name[], name[], boolean) IS
	'record every row change of a table in the ledger, and the rows that are there unless existing is false; columns chooses columns, key names those of a unique index if there is no primary key; returns the table_id';

CREATE FUNCTION uaef.detach_ledger("table" regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_detach_ledger'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.detach_ledger(regclass) IS
	'record no more changes of a table; what was recorded stays';

--
-- row_history()
--
CREATE FUNCTION uaef.row_history("table" regclass, key jsonb)
RETURNS TABLE (event_id bigint, recorded_at timestamptz, tx xid8,
	operation text, old jsonb, new jsonb, role text, session_role text,
	application_name text, partition text, stream uuid, stream_seq bigint)
AS 'MODULE_PATHNAME', 'uaef_row_history_sql'
LANGUAGE C STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.row_history(regclass, jsonb) IS
	'what happened to a row of a ledgered table, oldest first; the key is an object by column, or the value itself where it is one column';

--
-- verify_table()
--
CREATE FUNCTION uaef.verify_table("table" regclass)
RETURNS TABLE (severity text, code text, stream uuid, stream_seq bigint,
	event_id bigint, leaf_index bigint, block_no bigint, ctid tid,
	expected text, actual text, detail text)
AS 'MODULE_PATHNAME', 'uaef_verify_table_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp SET jit = off;
COMMENT ON FUNCTION uaef.verify_table(regclass) IS
	'problems of a ledgered table, none if its rows are what the ledger says and its triggers are as they were made';

REVOKE ALL ON TABLE uaef.ledger_table, uaef.ledgered_table FROM PUBLIC;
REVOKE ALL ON SEQUENCE uaef.ledger_table_id FROM PUBLIC;
REVOKE ALL ON FUNCTION
	uaef.ledger_row(),
	uaef.ledger_truncate(),
	uaef.ledger_ddl(),
	uaef._missing_value(regclass, integer),
	uaef.attach_ledger(regclass, name[], name[], boolean),
	uaef.detach_ledger(regclass),
	uaef.row_history(regclass, jsonb),
	uaef.verify_table(regclass)
	FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_table', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.ledger_table_id', '');
