------------------------------------------------------------------------
-- Running workflows: start, control, tasks, triggers
------------------------------------------------------------------------

--
-- start_workflow()
--
CREATE FUNCTION uaef.start_workflow(
	workflow text,
	input jsonb DEFAULT '{}',
	idempotency_key text DEFAULT NULL,
	name text DEFAULT NULL,
	priority integer DEFAULT 0,
	start_at timestamptz DEFAULT NULL,
	version integer DEFAULT NULL)
RETURNS uuid
AS 'MODULE_PATHNAME', 'uaef_start_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.start_workflow(text, jsonb, text, text, integer, timestamptz, integer) IS
	'start an execution of a workflow, in the caller''s transaction and as the caller''s role; the same idempotency key with the same input gives the execution that it began before; start_at delays it; version NULL is the newest';

REVOKE ALL ON FUNCTION uaef.start_workflow(text, jsonb, text, text, integer, timestamptz, integer) FROM PUBLIC;

--
-- wait_for_workflow()
--
CREATE FUNCTION uaef.wait_for_workflow(execution_id uuid, timeout interval DEFAULT '30 seconds')
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_wait_for_workflow'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.wait_for_workflow(uuid, interval) IS
	'wait until an execution that was committed before has ended, or the time is over; returns its status';

REVOKE ALL ON FUNCTION uaef.wait_for_workflow(uuid, interval) FROM PUBLIC;

--
-- cancel_workflow(), pause_workflow(), resume_workflow()
--
CREATE FUNCTION uaef.cancel_workflow(execution_id uuid, reason text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_cancel_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.cancel_workflow(uuid, text) IS
	'end an execution and its open tasks now; what a task has committed stays';

REVOKE ALL ON FUNCTION uaef.cancel_workflow(uuid, text) FROM PUBLIC;

CREATE FUNCTION uaef.pause_workflow(execution_id uuid, reason text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_pause_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.pause_workflow(uuid, text) IS
	'begin no more tasks of an execution; tasks that run may end';

REVOKE ALL ON FUNCTION uaef.pause_workflow(uuid, text) FROM PUBLIC;

CREATE FUNCTION uaef.resume_workflow(execution_id uuid, reason text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_resume_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.resume_workflow(uuid, text) IS
	'go on with a paused execution';

REVOKE ALL ON FUNCTION uaef.resume_workflow(uuid, text) FROM PUBLIC;

--
-- signal_workflow()
--
CREATE FUNCTION uaef.signal_workflow(
	execution_id uuid,
	signal text,
	payload jsonb DEFAULT '{}',
	idempotency_key text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_signal_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.signal_workflow(uuid, text, jsonb, text) IS
	'send a signal to an execution; returns consumed when a task took it, kept when it waits for one, at most uaef.max_kept_signals of them; repeated with the same idempotency key it sends nothing and returns what became of the first one';

REVOKE ALL ON FUNCTION uaef.signal_workflow(uuid, text, jsonb, text) FROM PUBLIC;

--
-- execute_next_tasks()
--
CREATE FUNCTION uaef.execute_next_tasks(execution_id uuid)
RETURNS integer
AS 'MODULE_PATHNAME', 'uaef_execute_next_tasks'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.execute_next_tasks(uuid) IS
	'run the ready SQL tasks of an execution, and the queries that its tasks wait for, in the caller''s transaction, and what becomes ready by them; returns how many were run; needs no worker';

REVOKE ALL ON FUNCTION uaef.execute_next_tasks(uuid) FROM PUBLIC;

--
-- Outside workers: claim_tasks(), complete_task(), fail_task(), heartbeat_task()
--
CREATE FUNCTION uaef.claim_tasks(
	worker text,
	queue text DEFAULT 'default',
	max_tasks integer DEFAULT 1,
	lease interval DEFAULT NULL,
	queues text[] DEFAULT NULL,
	capabilities text[] DEFAULT NULL,
	wait interval DEFAULT NULL,
	OUT task_id bigint,
	OUT execution_id uuid,
	OUT task text,
	OUT attempt integer,
	OUT input jsonb,
	OUT lease_token uuid,
	OUT lease_expires_at timestamptz,
	OUT workflow text,
	OUT item integer)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'uaef_claim'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.claim_tasks(text, text, integer, interval, text[], text[], interval) IS
	'take external tasks of a queue, or of several, in the order of priority and age; those that need a capability only with it; each must be completed, failed, released or extended before its lease expires, by its lease token; lease null is as long as the task says, or 30 seconds; waits so long for a first task, in a transaction that has done nothing else';

REVOKE ALL ON FUNCTION uaef.claim_tasks(text, text, integer, interval, text[], text[], interval) FROM PUBLIC;

CREATE FUNCTION uaef.complete_tasks(
	task_ids bigint[],
	outputs jsonb[],
	lease_tokens uuid[],
	OUT task_id bigint,
	OUT completed boolean,
	OUT code text,
	OUT message text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'uaef_complete_tasks'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.complete_tasks(bigint[], jsonb[], uuid[]) IS
	'give the outputs of many external tasks at once; tells of each whether it is completed, and if not why, by the SQLSTATE that complete_task() raises';

REVOKE ALL ON FUNCTION uaef.complete_tasks(bigint[], jsonb[], uuid[]) FROM PUBLIC;

CREATE FUNCTION uaef.complete_tasks(
	results jsonb,
	OUT task_id bigint,
	OUT completed boolean,
	OUT code text,
	OUT message text)
RETURNS SETOF record
LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT c.* FROM (
	SELECT array_agg(r.task_id) AS ids, array_agg(r.output) AS outputs,
		array_agg(r.lease_token) AS tokens
	FROM jsonb_to_recordset(results) r (task_id bigint, output jsonb, lease_token uuid)) a,
	LATERAL uaef.complete_tasks(a.ids, a.outputs, a.tokens) c
$$;

COMMENT ON FUNCTION uaef.complete_tasks(jsonb) IS
	'the same, by an array of objects with the keys task_id, output and lease_token';

REVOKE ALL ON FUNCTION uaef.complete_tasks(jsonb) FROM PUBLIC;

CREATE FUNCTION uaef.release_task(task_id bigint, lease_token uuid)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_release_task'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.release_task(bigint, uuid) IS
	'give a claimed task back, for whoever claims it next; the attempt does not count';

REVOKE ALL ON FUNCTION uaef.release_task(bigint, uuid) FROM PUBLIC;

CREATE FUNCTION uaef.complete_task(task_id bigint, output jsonb DEFAULT '{}', lease_token uuid DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_complete_task'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.complete_task(bigint, jsonb, uuid) IS
	'give the output of an external task; without a lease token only members of the role that started the execution may';

REVOKE ALL ON FUNCTION uaef.complete_task(bigint, jsonb, uuid) FROM PUBLIC;

CREATE FUNCTION uaef.fail_task(task_id bigint, error text, retryable boolean DEFAULT true, lease_token uuid DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_fail_task'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.fail_task(bigint, text, boolean, uuid) IS
	'say that an attempt of an external task failed; returns the task''s status: pending when another attempt follows, else failed';

REVOKE ALL ON FUNCTION uaef.fail_task(bigint, text, boolean, uuid) FROM PUBLIC;

CREATE FUNCTION uaef.heartbeat_task(task_id bigint, lease_token uuid, extend interval DEFAULT '30 seconds')
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'uaef_heartbeat_task'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.heartbeat_task(bigint, uuid, interval) IS
	'extend the lease of a claimed task to so long from now; returns when it expires';

REVOKE ALL ON FUNCTION uaef.heartbeat_task(bigint, uuid, interval) FROM PUBLIC;

--
-- start_workflow_trigger(), attach_workflow(), detach_workflow()
--
CREATE FUNCTION uaef.start_workflow_trigger()
RETURNS trigger
AS 'MODULE_PATHNAME', 'uaef_start_workflow_trigger'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.start_workflow_trigger() IS
	'trigger: start the workflow that its first argument names, with the row as input; the second argument is the column or the template of the idempotency key, the third the template of the input';

REVOKE ALL ON FUNCTION uaef.start_workflow_trigger() FROM PUBLIC;

CREATE FUNCTION uaef.attach_workflow(
	"table" regclass,
	workflow text,
	key text DEFAULT NULL,
	condition text DEFAULT NULL,
	event text DEFAULT 'INSERT',
	input jsonb DEFAULT NULL,
	columns text[] DEFAULT NULL,
	per text DEFAULT 'row',
	name text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_attach_workflow_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.attach_workflow(regclass, text, text, text, text, jsonb, text[], text, text) IS
	'start a workflow for each row, or per statement, that writes a table of the caller, in the writer''s transaction and as the writer; key names the column of the idempotency key, or is a template; condition is the trigger''s WHEN; input is a template of row and old, or of rows and old_rows; columns are those of UPDATE OF; returns the trigger''s name';

REVOKE ALL ON FUNCTION uaef.attach_workflow(regclass, text, text, text, text, jsonb, text[], text, text) FROM PUBLIC;

CREATE FUNCTION uaef.detach_workflow("table" regclass, workflow text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_detach_workflow_sql'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.detach_workflow(regclass, text) IS
	'drop the triggers on a table that start a workflow';

REVOKE ALL ON FUNCTION uaef.detach_workflow(regclass, text) FROM PUBLIC;

CREATE VIEW uaef.attached_workflow AS
SELECT t.tgrelid::pg_catalog.regclass AS "table", t.tgname AS trigger,
	a.args[1] AS workflow,
	(SELECT pg_catalog.string_agg(e.name, ' OR ' ORDER BY e.name) FROM
		(VALUES (4, 'INSERT'), (8, 'DELETE'), (16, 'UPDATE')) e (bit, name)
	 WHERE t.tgtype::integer & e.bit <> 0) AS event,
	CASE WHEN t.tgtype::integer & 1 <> 0 THEN 'row' ELSE 'statement' END AS per,
	NULLIF(a.args[2], '') AS key,
	NULLIF(a.args[3], '')::pg_catalog.jsonb AS input,
	t.tgenabled <> 'D' AS enabled,
	pg_catalog.pg_get_triggerdef(t.oid) AS definition
FROM pg_catalog.pg_trigger t,
	LATERAL (SELECT pg_catalog.array_agg(pg_catalog.convert_from(
			pg_catalog.decode(part, 'hex'), pg_catalog.getdatabaseencoding()) ORDER BY no) AS args
		FROM pg_catalog.regexp_split_to_table(pg_catalog.regexp_replace(
			pg_catalog.encode(t.tgargs, 'hex'), '(..)', '\1 ', 'g'), '00 ')
			WITH ORDINALITY p (part, no)) a
WHERE NOT t.tgisinternal
	AND t.tgfoid = 'uaef.start_workflow_trigger()'::pg_catalog.regprocedure;
COMMENT ON VIEW uaef.attached_workflow IS
	'tables whose rows start workflows, and how';
REVOKE ALL ON uaef.attached_workflow FROM PUBLIC;

--
-- Views for people: each shows what the roles started that one is a member of.
--
CREATE VIEW uaef.workflow_run WITH (security_barrier) AS
SELECT e.execution_id, d.name AS workflow, d.version, e.name,
	CASE WHEN e.status = 'running'
		AND EXISTS (SELECT FROM uaef.human_approval a
					WHERE a.execution_id = e.execution_id AND a.status = 'pending')
		AND NOT EXISTS (SELECT FROM uaef.task_execution t
						WHERE t.execution_id = e.execution_id
							AND (t.status IN ('queued', 'running')
								OR (t.status = 'pending' AND t.attempt > 0)))
	THEN 'waiting_approval' ELSE e.status END AS status,
	e.initiated_by, e.created_at, e.started_at, e.completed_at,
	e.completed_at - e.started_at AS duration,
	e.priority, e.open_tasks, e.input, e.output, e.error
FROM uaef.workflow_execution e
JOIN uaef.workflow_definition d USING (definition_id)
WHERE pg_catalog.pg_has_role(e.initiated_by, 'USAGE');
COMMENT ON VIEW uaef.workflow_run IS 'executions, for people';
COMMENT ON COLUMN uaef.workflow_run.status IS
	'status; waiting_approval is a running execution that people are asked about, and nothing else of which runs or is ready';
REVOKE ALL ON uaef.workflow_run FROM PUBLIC;

CREATE VIEW uaef.task_run WITH (security_barrier) AS
SELECT t.task_id, t.execution_id, d.name AS workflow, t.task,
	NULLIF(t.item, -1) AS item,
	d.definition -> 'tasks' -> t.task_no::integer ->> 'type' AS type,
	t.status, t.attempt, t.queued_at, t.started_at, t.completed_at,
	t.worker, t.lease_expires_at,
	t.items_total, t.items_started, t.items_completed, t.items_failed,
	t.item_value, t.output, t.error
FROM uaef.task_execution t
JOIN uaef.workflow_execution e USING (execution_id)
JOIN uaef.workflow_definition d USING (definition_id)
WHERE pg_catalog.pg_has_role(e.initiated_by, 'USAGE');
COMMENT ON VIEW uaef.task_run IS
	'tasks of executions and items of map tasks, for people; a task that nothing has reached yet has no row';
REVOKE ALL ON uaef.task_run FROM PUBLIC;

CREATE VIEW uaef.workflow_signal_kept WITH (security_barrier) AS
SELECT s.signal_id, s.execution_id, d.name AS workflow,
	e.status AS execution_status, s.name AS signal, s.payload,
	s.idempotency_key, s.sent_by, s.sent_at
FROM uaef.workflow_signal s
JOIN uaef.workflow_execution e USING (execution_id)
JOIN uaef.workflow_definition d USING (definition_id)
WHERE s.consumed_at IS NULL AND pg_catalog.pg_has_role(e.initiated_by, 'USAGE');
COMMENT ON VIEW uaef.workflow_signal_kept IS
	'signals that no task has taken yet, in the order of signal_id';
REVOKE ALL ON uaef.workflow_signal_kept FROM PUBLIC;

CREATE VIEW uaef.external_queue AS
SELECT pg_catalog.split_part(r.queue, E'\x1f', 1) AS queue,
	NULLIF(pg_catalog.split_part(r.queue, E'\x1f', 2), '') AS capability,
	pg_catalog.count(*) AS ready,
	pg_catalog.max(r.priority) AS highest_priority,
	pg_catalog.min(t.queued_at) AS oldest_at,
	pg_catalog.clock_timestamp() - pg_catalog.min(t.queued_at) AS oldest_age
FROM uaef.task_ready r
JOIN uaef.task_execution t USING (execution_id, task_no, item)
WHERE r.run_as = 0::pg_catalog.oid::pg_catalog.regrole AND t.status = 'queued'
GROUP BY r.queue;
COMMENT ON VIEW uaef.external_queue IS
	'queues of external tasks: how many wait to be claimed, and since when the oldest does';
REVOKE ALL ON uaef.external_queue FROM PUBLIC;

--
-- get_ready_tasks()
--
CREATE FUNCTION uaef.get_ready_tasks(execution_id uuid)
RETURNS SETOF uaef.task_run
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT * FROM uaef.task_run t
WHERE t.execution_id = get_ready_tasks.execution_id AND t.status = 'queued'
ORDER BY t.task_id
$$;

COMMENT ON FUNCTION uaef.get_ready_tasks(uuid) IS
	'tasks of an execution that may run now and that nobody has taken';

REVOKE ALL ON FUNCTION uaef.get_ready_tasks(uuid) FROM PUBLIC;
