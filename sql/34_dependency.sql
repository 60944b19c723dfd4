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
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
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

--
-- missing_role: no command that drops a role comes to an event trigger, so what
-- names one that is gone is looked for here.
--
CREATE VIEW uaef.missing_role WITH (security_barrier) AS
WITH live AS (
	SELECT d.name, d.version, d.definition, d.created_by,
		d.version = pg_catalog.max(d.version) OVER (PARTITION BY d.name) AS newest,
		EXISTS (SELECT FROM uaef.workflow_execution e
			WHERE e.definition_id = d.definition_id
				AND e.status IN ('pending', 'running', 'paused')) AS runs
	FROM uaef.workflow_definition d),
named AS (
	SELECT DISTINCT 'workflow' AS kind, l.name, l.version, NULL::text AS task,
		'approver' AS named_as, r AS role
	FROM live l, pg_catalog.jsonb_array_elements_text(
		pg_catalog.jsonb_path_query_array(l.definition,
			'$.tasks[*].** ? (@.type == "human_approval").config.** ? (@.type() == "object").keyvalue() ? (@.key == "approvers" || @.key == "to").value[*] ? (@.type() == "string")')) r
	WHERE (l.newest OR l.runs) AND r NOT LIKE '%{{%'
	UNION ALL
	SELECT 'approval', a.approval_id::text, NULL, a.task, 'approver', r
	FROM uaef.human_approval a, pg_catalog.unnest(a.approvers) r
	WHERE a.status = 'pending'
	UNION ALL
	SELECT 'policy', p.name, p.version, NULL, 'approver', r
	FROM uaef.policy p,
		pg_catalog.jsonb_array_elements_text(p.rules -> 'approvers') r
	WHERE p.type = 'approval' AND p.enabled AND NOT p.dropped
		AND NOT EXISTS (SELECT FROM uaef.policy n
			WHERE n.name = p.name AND n.version > p.version))
SELECT n.kind, n.name, n.version, n.task, n.named_as, n.role
FROM named n
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = n.role)
UNION ALL
SELECT o.kind, o.name, o.version, NULL, o.named_as, o.role::text
FROM (SELECT 'workflow' AS kind, l.name, l.version, 'owner' AS named_as,
		l.created_by AS role
	FROM live l WHERE l.newest
	UNION ALL
	SELECT 'schedule', s.name, s.version, 'owner', s.created_by
	FROM uaef.schedule s
	UNION ALL
	SELECT DISTINCT 'executions', d.name, d.version, 'starter', e.initiated_by
	FROM uaef.workflow_execution e
	JOIN uaef.workflow_definition d USING (definition_id)
	WHERE e.status IN ('pending', 'running', 'paused')) o
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = o.role);
COMMENT ON VIEW uaef.missing_role IS
	'roles that workflows, approvals, policies, schedules and open executions name, and that do not exist any more';
COMMENT ON COLUMN uaef.missing_role.role IS
	'name of the role; the number that is left of one that owned or started something';
REVOKE ALL ON uaef.missing_role FROM PUBLIC;
