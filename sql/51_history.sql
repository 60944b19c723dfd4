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

--
-- stat_workflow
--
CREATE FUNCTION uaef._stat_workflow(
	OUT workflow text, OUT task text, OUT started bigint, OUT completed bigint,
	OUT failed bigint, OUT cancelled bigint, OUT skipped bigint,
	OUT retried bigint, OUT total_ms float8, OUT mean_ms float8,
	OUT max_ms float8, OUT p50_ms float8, OUT p95_ms float8,
	OUT p99_ms float8, OUT since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'uaef_stat_workflow'
LANGUAGE C VOLATILE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef._stat_workflow() IS
	'what stat_workflow shows';

REVOKE ALL ON FUNCTION uaef._stat_workflow() FROM PUBLIC;

CREATE VIEW uaef.stat_workflow WITH (security_barrier) AS
SELECT workflow, task, started, completed, failed, cancelled, skipped, retried,
	pg_catalog.round(total_ms::numeric, 1) AS total_ms,
	pg_catalog.round(mean_ms::numeric, 1) AS mean_ms,
	pg_catalog.round(max_ms::numeric, 1) AS max_ms,
	pg_catalog.round(p50_ms::numeric, 1) AS p50_ms,
	pg_catalog.round(p95_ms::numeric, 1) AS p95_ms,
	pg_catalog.round(p99_ms::numeric, 1) AS p99_ms, since
FROM uaef._stat_workflow();
COMMENT ON VIEW uaef.stat_workflow IS
	'what workflows did since the server''s start or the last reset_stat_workflow(): a row for the executions of each, and one for each task; times in milliseconds, from start to end, percentiles by buckets of powers of two';
REVOKE ALL ON uaef.stat_workflow FROM PUBLIC;

CREATE FUNCTION uaef.reset_stat_workflow(workflow text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_reset_stat_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.reset_stat_workflow(text) IS
	'count what a workflow does from zero; null: all workflows of the database';

REVOKE ALL ON FUNCTION uaef.reset_stat_workflow(text) FROM PUBLIC;
