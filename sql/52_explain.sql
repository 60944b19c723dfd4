------------------------------------------------------------------------
-- Seeing ahead: dry runs, progress
------------------------------------------------------------------------

--
-- explain_workflow()
--
CREATE FUNCTION uaef.explain_workflow(
	workflow text,
	input jsonb DEFAULT '{}',
	assume jsonb DEFAULT '{}',
	version integer DEFAULT NULL)
RETURNS TABLE (
	step integer,
	task text,
	item integer,
	type text,
	outcome text,
	label text,
	detail text,
	max_attempts integer,
	policies text[],
	output jsonb)
AS 'MODULE_PATHNAME', 'uaef_explain_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.explain_workflow(text, jsonb, jsonb, integer) IS
	'the path that an execution would take, with nothing done and nothing kept: pure tasks are evaluated, SQL is planned, and what would wait ends as assume says of it, {"task": {"output": ..., "label": "...", "error": "..."}}, or well with {}; the workflow of a task is followed, its tasks are "task/id"; the last row is the workflow''s; of a map the first 100 items are told; version NULL is the newest; raises what starting it would raise';

REVOKE ALL ON FUNCTION uaef.explain_workflow(text, jsonb, jsonb, integer) FROM PUBLIC;

--
-- workflow_progress()
--
CREATE FUNCTION uaef.workflow_progress(execution_id uuid)
RETURNS TABLE (
	done bigint,
	total bigint,
	running bigint,
	waiting bigint,
	percent double precision,
	started_at timestamptz,
	estimated_end timestamptz)
AS 'MODULE_PATHNAME', 'uaef_workflow_progress'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.workflow_progress(uuid) IS
	'how far an execution has come, in tasks; a map that has its list counts as its items; waiting is for people, signals, a time or the next attempt; estimated_end goes by the mean time of earlier executions (stat_workflow) or, without one or beyond it, by the speed so far, and is NULL when neither is known; raises UA303 for an unknown execution, 42501 for that of another role';

REVOKE ALL ON FUNCTION uaef.workflow_progress(uuid) FROM PUBLIC;
