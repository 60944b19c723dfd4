------------------------------------------------------------------------
-- What workflows need of the database, and what DDL breaks
------------------------------------------------------------------------

-- OIDs mean nothing elsewhere, so neither table is dumped: what is missing is
-- found out again, and system_identifier tells that it is missing.
CREATE TABLE uaef.workflow_plan (
	definition_id	integer PRIMARY KEY,
	system_identifier bigint NOT NULL,
	broken			boolean NOT NULL
);
COMMENT ON TABLE uaef.workflow_plan IS
	'versions of workflows whose SQL has been planned here, and whether it can be';
REVOKE ALL ON uaef.workflow_plan FROM PUBLIC;

CREATE TABLE uaef.workflow_dependency (
	definition_id	integer NOT NULL,
	task			text NOT NULL,
	classid			oid NOT NULL,
	objid			oid NOT NULL,
	objsubid		integer NOT NULL
);
COMMENT ON TABLE uaef.workflow_dependency IS
	'what versions of workflows need of the database, as pg_depend has it';
REVOKE ALL ON uaef.workflow_dependency FROM PUBLIC;
CREATE INDEX workflow_dependency_object
	ON uaef.workflow_dependency (objid, classid);
CREATE INDEX workflow_dependency_definition
	ON uaef.workflow_dependency (definition_id);

--
-- workflow_dependencies()
--
CREATE FUNCTION uaef.workflow_dependencies(name text)
RETURNS TABLE (task text, kind text, object text)
AS 'MODULE_PATHNAME', 'uaef_workflow_dependencies'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.workflow_dependencies(text) IS
	'the tables, columns, functions, types, schemas and roles that the tasks of a workflow''s newest version name';
REVOKE ALL ON FUNCTION uaef.workflow_dependencies(text) FROM PUBLIC;

--
-- Event triggers
--
CREATE FUNCTION uaef.workflow_ddl() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'uaef_workflow_ddl'
LANGUAGE C SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.workflow_ddl() IS
	'event trigger: tells of workflows that a command breaks';
REVOKE ALL ON FUNCTION uaef.workflow_ddl() FROM PUBLIC;

CREATE EVENT TRIGGER uaef_workflow_before ON ddl_command_start
	WHEN TAG IN ('ALTER TABLE', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER FOREIGN TABLE',
				 'ALTER FUNCTION', 'ALTER PROCEDURE', 'ALTER ROUTINE', 'ALTER AGGREGATE',
				 'ALTER SCHEMA', 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER SEQUENCE',
				 'CREATE VIEW', 'DROP TABLE', 'DROP VIEW', 'DROP MATERIALIZED VIEW',
				 'DROP FOREIGN TABLE', 'DROP FUNCTION', 'DROP PROCEDURE', 'DROP ROUTINE',
				 'DROP AGGREGATE', 'DROP SCHEMA', 'DROP TYPE', 'DROP DOMAIN', 'DROP SEQUENCE',
				 'DROP EXTENSION', 'DROP OWNED')
	EXECUTE FUNCTION uaef.workflow_ddl();
CREATE EVENT TRIGGER uaef_workflow_ddl ON ddl_command_end
	WHEN TAG IN ('ALTER TABLE', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER FOREIGN TABLE',
				 'ALTER FUNCTION', 'ALTER PROCEDURE', 'ALTER ROUTINE', 'ALTER AGGREGATE',
				 'ALTER SCHEMA', 'ALTER TYPE', 'ALTER DOMAIN', 'ALTER SEQUENCE',
				 'CREATE VIEW')
	EXECUTE FUNCTION uaef.workflow_ddl();
CREATE EVENT TRIGGER uaef_workflow_drop ON sql_drop
	EXECUTE FUNCTION uaef.workflow_ddl();
COMMENT ON EVENT TRIGGER uaef_workflow_before IS
	'finds out what workflows need, where that is not known yet';
COMMENT ON EVENT TRIGGER uaef_workflow_ddl IS
	'tells of workflows that a change of a table, function or type breaks';
COMMENT ON EVENT TRIGGER uaef_workflow_drop IS
	'tells of workflows that a DROP breaks';
