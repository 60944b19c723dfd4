------------------------------------------------------------------------
-- How long executions are kept after their end
------------------------------------------------------------------------

CREATE TABLE uaef.history_rule (
	workflow		text,
	keep			interval NOT NULL,
	statuses		text[],
	set_by			regrole NOT NULL,
	purged			bigint NOT NULL DEFAULT 0,
	last_purged_at	timestamptz
);
COMMENT ON TABLE uaef.history_rule IS
	'how long executions are kept: of a workflow, or of all that have no row of their own';
CREATE UNIQUE INDEX history_rule_workflow
	ON uaef.history_rule ((coalesce(workflow, '')));

-- So that what belongs to an old execution is found.
CREATE INDEX delivery_execution ON uaef.delivery (execution_id)
	WHERE execution_id IS NOT NULL;
CREATE INDEX workflow_start_key_execution
	ON uaef.workflow_start_key (execution_id);

REVOKE ALL ON uaef.history_rule FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('uaef.history_rule', '');

CREATE FUNCTION uaef.set_retention(keep interval, workflow text DEFAULT NULL,
	statuses text[] DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_set_retention'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.set_retention(interval, text, text[]) IS
	'let the worker delete executions so long after their end; of one workflow, or of all that have no retention of their own; statuses: only those that ended so (completed, failed, cancelled); their events stay in the ledger';

REVOKE ALL ON FUNCTION uaef.set_retention(interval, text, text[]) FROM PUBLIC;

CREATE FUNCTION uaef.drop_retention(workflow text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_drop_retention'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.drop_retention(text) IS
	'undo set_retention()';

REVOKE ALL ON FUNCTION uaef.drop_retention(text) FROM PUBLIC;

CREATE FUNCTION uaef.purge_executions(before timestamptz,
	workflow text DEFAULT NULL, statuses text[] DEFAULT NULL,
	max_executions integer DEFAULT 10000)
RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_purge_executions'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.purge_executions(timestamptz, text, text[], integer) IS
	'delete executions that ended before a time, oldest first; those that money or a delivery waits for stay, and so do all events; returns how many were deleted';

REVOKE ALL ON FUNCTION uaef.purge_executions(timestamptz, text, text[], integer) FROM PUBLIC;

CREATE VIEW uaef.retention WITH (security_barrier) AS
SELECT workflow, keep, statuses, set_by, purged, last_purged_at
FROM uaef.history_rule;
COMMENT ON VIEW uaef.retention IS
	'how long executions are kept after their end; the row without a workflow is for all that have none of their own';
REVOKE ALL ON uaef.retention FROM PUBLIC;
