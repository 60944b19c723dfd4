------------------------------------------------------------------------
-- Workflow definitions: create, look at, draw
------------------------------------------------------------------------

--
-- create_workflow()
--
CREATE FUNCTION uaef.create_workflow(
	name text,
	definition jsonb,
	description text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'uaef_create_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.create_workflow(text, jsonb, text) IS
	'check a workflow definition, store it as the newest version, and return its version; a definition equal to the newest version is not stored again';
REVOKE ALL ON FUNCTION uaef.create_workflow(text, jsonb, text) FROM PUBLIC;

--
-- workflow_graph()
--
CREATE FUNCTION uaef.workflow_graph(workflow text, format text DEFAULT 'text')
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_workflow_graph'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.workflow_graph(text, text) IS
	'draw the newest version of a workflow as text, mermaid or dot';
REVOKE ALL ON FUNCTION uaef.workflow_graph(text, text) FROM PUBLIC;

CREATE FUNCTION uaef.workflow_graph(execution_id uuid, format text DEFAULT 'text')
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_execution_graph'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.workflow_graph(uuid, text) IS
	'draw an execution as text, mermaid or dot, with the status of each task';
REVOKE ALL ON FUNCTION uaef.workflow_graph(uuid, text) FROM PUBLIC;

--
-- export_workflow()
--
CREATE FUNCTION uaef.export_workflow(name text, version integer DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_export_workflow_script'
LANGUAGE C STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.export_workflow(text, integer) IS
	'a script that makes this version of a workflow (the newest by default) elsewhere, the very same document; run twice it makes it once';
REVOKE ALL ON FUNCTION uaef.export_workflow(text, integer) FROM PUBLIC;

--
-- compare_workflow()
--
CREATE FUNCTION uaef.compare_workflow(
	name text,
	old_version integer DEFAULT NULL,
	new_version integer DEFAULT NULL)
RETURNS TABLE (part text, path text, change text, old jsonb, new jsonb)
AS 'MODULE_PATHNAME', 'uaef_compare_versions'
LANGUAGE C STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.compare_workflow(text, integer, integer) IS
	'what differs between two versions of a workflow, by task, edge and JSON pointer; by default between the newest and the one before';
REVOKE ALL ON FUNCTION uaef.compare_workflow(text, integer, integer) FROM PUBLIC;

--
-- workflow
--
CREATE VIEW uaef.workflow AS
	SELECT DISTINCT ON (name)
		name,
		version,
		jsonb_array_length(definition->'tasks') AS tasks,
		description,
		created_by,
		created_at,
		EXISTS (SELECT FROM uaef.workflow_hold h
				WHERE h.workflow = workflow_definition.name) AS held
	FROM uaef.workflow_definition
	ORDER BY name, version DESC;
COMMENT ON VIEW uaef.workflow IS
	'workflows: the newest version of each, its number of tasks, and whether its starts are held back';
REVOKE ALL ON uaef.workflow FROM PUBLIC;

--
-- create_checkpoint(), evaluate_checkpoint()
--
CREATE FUNCTION uaef.create_checkpoint(
	name text,
	definition jsonb,
	description text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'uaef_create_checkpoint'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.create_checkpoint(text, jsonb, text) IS
	'check a compliance checkpoint, store it as the newest version, and return its version; a definition equal to the newest version is not stored again; the newest version counts, for executions that run already too';
REVOKE ALL ON FUNCTION uaef.create_checkpoint(text, jsonb, text) FROM PUBLIC;

CREATE FUNCTION uaef.evaluate_checkpoint(name text, data jsonb)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'uaef_evaluate_checkpoint'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION uaef.evaluate_checkpoint(text, jsonb) IS
	'put a document to a compliance checkpoint, whose paths begin with its keys: whether it passed, and its failures; nothing is recorded';
REVOKE ALL ON FUNCTION uaef.evaluate_checkpoint(text, jsonb) FROM PUBLIC;

--
-- checkpoint, checkpoint_run
--
CREATE VIEW uaef.checkpoint AS
	SELECT DISTINCT ON (name)
		name,
		version,
		definition,
		description,
		created_by,
		created_at
	FROM uaef.compliance_checkpoint
	ORDER BY name, version DESC;
COMMENT ON VIEW uaef.checkpoint IS
	'compliance checkpoints: the newest version of each';
REVOKE ALL ON uaef.checkpoint FROM PUBLIC;

CREATE VIEW uaef.checkpoint_run WITH (security_barrier) AS
	SELECT r.execution_id,
		d.name AS workflow,
		t.task,
		NULLIF(t.item, -1) AS item,
		r.checkpoint,
		r.version,
		r.passed,
		r.failures,
		r.evaluated_at
	FROM uaef.compliance_result r
	JOIN uaef.workflow_execution e USING (execution_id)
	JOIN uaef.workflow_definition d USING (definition_id)
	LEFT JOIN uaef.task_execution t USING (task_id)
	WHERE pg_catalog.pg_has_role(e.initiated_by, 'USAGE');
COMMENT ON VIEW uaef.checkpoint_run IS
	'what compliance checkpoints said about executions, for people';
REVOKE ALL ON uaef.checkpoint_run FROM PUBLIC;
