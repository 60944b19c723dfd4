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
	version integer DEFAULT NULL,
	timeout interval DEFAULT NULL,
	singleton_key text DEFAULT NULL,
	debounce_key text DEFAULT NULL,
	debounce interval DEFAULT NULL)
RETURNS uuid
AS 'MODULE_PATHNAME', 'uaef_start_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.start_workflow(text, jsonb, text, text, integer, timestamptz, integer, interval, text, text, interval) IS
	'start an execution of a workflow, in the caller''s transaction and as the caller''s role; the same idempotency key with the same input gives the execution that it began before; start_at delays it; version NULL is the newest; it fails with the code deadline unless it ends within timeout (NULL: what the definition says) from its start; while an execution of the same singleton key has not ended, its id is returned instead; with a debounce key the start is put off by debounce, and each start of that key until then puts it off again and replaces its input';

REVOKE ALL ON FUNCTION uaef.start_workflow(text, jsonb, text, text, integer, timestamptz, integer, interval, text, text, interval) FROM PUBLIC;

CREATE FUNCTION uaef.start_workflows(
	workflow text,
	inputs jsonb[],
	priority integer DEFAULT 0,
	version integer DEFAULT NULL)
RETURNS uuid[]
AS 'MODULE_PATHNAME', 'uaef_start_workflows'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.start_workflows(text, jsonb[], integer, integer) IS
	'start an execution of a workflow for each input, as start_workflow() does but cheaper for many; returns their ids in the order of the inputs; where one cannot be started none is';

REVOKE ALL ON FUNCTION uaef.start_workflows(text, jsonb[], integer, integer) FROM PUBLIC;

--
-- wait_for_workflow()
--
CREATE FUNCTION uaef.wait_for_workflow(execution_id uuid, timeout interval DEFAULT '30 seconds')
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_wait_for_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.wait_for_workflow(uuid, interval) IS
	'wait until an execution that was committed before has ended, or the time is over; returns its status';

REVOKE ALL ON FUNCTION uaef.wait_for_workflow(uuid, interval) FROM PUBLIC;

--
-- cancel_workflow(), pause_workflow(), resume_workflow()
--
CREATE FUNCTION uaef.cancel_workflow(execution_id uuid, reason text DEFAULT NULL, compensate boolean DEFAULT true)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_cancel_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.cancel_workflow(uuid, text, boolean) IS
	'end an execution, its open tasks and the executions that they began; what tasks have committed stays, unless they have a compensation, which runs first; compensate => false ends it now, without any';

REVOKE ALL ON FUNCTION uaef.cancel_workflow(uuid, text, boolean) FROM PUBLIC;

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
-- retry_workflow(), fork_workflow()
--
CREATE FUNCTION uaef.retry_workflow(execution_id uuid, from_task text DEFAULT NULL, reason text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_retry_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.retry_workflow(uuid, text, text) IS
	'go on with an execution that failed or was cancelled: what completed stays, the rest runs again with its attempts counted anew; with from_task, that task and all that follows from it runs again too';

REVOKE ALL ON FUNCTION uaef.retry_workflow(uuid, text, text) FROM PUBLIC;

CREATE FUNCTION uaef.fork_workflow(
	execution_id uuid,
	from_task text,
	input jsonb DEFAULT NULL,
	version integer DEFAULT NULL,
	name text DEFAULT NULL,
	reason text DEFAULT NULL)
RETURNS uuid
AS 'MODULE_PATHNAME', 'uaef_fork_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.fork_workflow(uuid, text, jsonb, integer, text, text) IS
	'start an execution that takes over what completed in another one, but for from_task and what follows from it; input and version NULL are those of the other; returns its id';

REVOKE ALL ON FUNCTION uaef.fork_workflow(uuid, text, jsonb, integer, text, text) FROM PUBLIC;

--
-- hold_workflow(), release_workflow()
--
CREATE FUNCTION uaef.hold_workflow(workflow text, reason text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_hold_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.hold_workflow(text, text) IS
	'accept executions of a workflow, but have them begin only after release_workflow(); for the workflow''s owner; false when it is so already';

REVOKE ALL ON FUNCTION uaef.hold_workflow(text, text) FROM PUBLIC;

CREATE FUNCTION uaef.release_workflow(workflow text, reason text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_release_workflow'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.release_workflow(text, text) IS
	'let the executions begin that hold_workflow() held back; false when there is no hold';

REVOKE ALL ON FUNCTION uaef.release_workflow(text, text) FROM PUBLIC;

--
-- cancel_workflows(), pause_workflows(), resume_workflows(), retry_workflows()
--
CREATE FUNCTION uaef.cancel_workflows(
	workflow text DEFAULT NULL,
	filter jsonb DEFAULT '{}',
	max_executions integer DEFAULT NULL,
	rate double precision DEFAULT NULL,
	reason text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_cancel_workflows'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.cancel_workflows(text, jsonb, integer, double precision, text) IS
	'have the worker cancel executions of a workflow (NULL: of any) that the filter names and that the caller may control, at most so many, so many a second; returns the number of the operation in bulk_operation; keys of the filter: status, code, version (arrays), name (pattern of LIKE), min_priority, max_priority, started_from, started_to';

REVOKE ALL ON FUNCTION uaef.cancel_workflows(text, jsonb, integer, double precision, text) FROM PUBLIC;

CREATE FUNCTION uaef.pause_workflows(
	workflow text DEFAULT NULL,
	filter jsonb DEFAULT '{}',
	max_executions integer DEFAULT NULL,
	rate double precision DEFAULT NULL,
	reason text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_pause_workflows'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.pause_workflows(text, jsonb, integer, double precision, text) IS
	'have the worker pause executions of a workflow (NULL: of any) that the filter names and that the caller may control, at most so many, so many a second; returns the number of the operation in bulk_operation; keys of the filter: status, code, version (arrays), name (pattern of LIKE), min_priority, max_priority, started_from, started_to';

REVOKE ALL ON FUNCTION uaef.pause_workflows(text, jsonb, integer, double precision, text) FROM PUBLIC;

CREATE FUNCTION uaef.resume_workflows(
	workflow text DEFAULT NULL,
	filter jsonb DEFAULT '{}',
	max_executions integer DEFAULT NULL,
	rate double precision DEFAULT NULL,
	reason text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_resume_workflows'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.resume_workflows(text, jsonb, integer, double precision, text) IS
	'have the worker resume executions of a workflow (NULL: of any) that the filter names and that the caller may control, at most so many, so many a second; returns the number of the operation in bulk_operation; keys of the filter: status, code, version (arrays), name (pattern of LIKE), min_priority, max_priority, started_from, started_to';

REVOKE ALL ON FUNCTION uaef.resume_workflows(text, jsonb, integer, double precision, text) FROM PUBLIC;

CREATE FUNCTION uaef.retry_workflows(
	workflow text DEFAULT NULL,
	filter jsonb DEFAULT '{}',
	max_executions integer DEFAULT NULL,
	rate double precision DEFAULT NULL,
	reason text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'uaef_retry_workflows'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.retry_workflows(text, jsonb, integer, double precision, text) IS
	'have the worker retry executions of a workflow (NULL: of any) that the filter names and that the caller may control, at most so many, so many a second; returns the number of the operation in bulk_operation; keys of the filter: status, code, version (arrays), name (pattern of LIKE), min_priority, max_priority, started_from, started_to';

REVOKE ALL ON FUNCTION uaef.retry_workflows(text, jsonb, integer, double precision, text) FROM PUBLIC;

CREATE FUNCTION uaef.cancel_bulk_operation(bulk_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_cancel_bulk_operation'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.cancel_bulk_operation(bigint) IS
	'end an operation on many executions; what it has done stays; false when it does not run, or is another role''s';

REVOKE ALL ON FUNCTION uaef.cancel_bulk_operation(bigint) FROM PUBLIC;

CREATE VIEW uaef.bulk_operation WITH (security_barrier) AS
SELECT b.bulk_id, b.operation, b.workflow, b.filter, b.max_executions, b.rate,
	b.reason, b.requested_by, b.requested_at, b.status, b.done, b.refused,
	b.busy, b.error, b.finished_at
FROM uaef.bulk_job b
WHERE pg_catalog.pg_has_role(b.requested_by, 'USAGE');
COMMENT ON VIEW uaef.bulk_operation IS
	'operations on many executions, and how far the worker has got';
COMMENT ON COLUMN uaef.bulk_operation.done IS
	'executions that it was done to';
COMMENT ON COLUMN uaef.bulk_operation.refused IS
	'executions that raised an error, the last of which error tells';
COMMENT ON COLUMN uaef.bulk_operation.busy IS
	'executions that somebody else held; another round comes back to them';
REVOKE ALL ON uaef.bulk_operation FROM PUBLIC;

--
-- alter_task(), retry_task_now()
--
CREATE FUNCTION uaef.alter_task(
	execution_id uuid,
	task text,
	retry jsonb DEFAULT NULL,
	timeout interval DEFAULT NULL,
	priority integer DEFAULT NULL,
	queue text DEFAULT NULL,
	reason text DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_alter_task'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.alter_task(uuid, text, jsonb, interval, integer, text, text) IS
	'change the settings of a task that has not ended, in one execution; retry holds the keys to change, timeout 0 is none, NULL changes nothing';

REVOKE ALL ON FUNCTION uaef.alter_task(uuid, text, jsonb, interval, integer, text, text) FROM PUBLIC;

CREATE FUNCTION uaef.retry_task_now(task_id bigint)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_retry_task_now'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.retry_task_now(bigint) IS
	'end a task''s wait for its next attempt';

REVOKE ALL ON FUNCTION uaef.retry_task_now(bigint) FROM PUBLIC;

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
LANGUAGE C VOLATILE PARALLEL UNSAFE
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
LANGUAGE C VOLATILE PARALLEL UNSAFE
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
AS 'MODULE_PATHNAME', 'uaef_complete_tasks_json'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.complete_tasks(jsonb) IS
	'the same, by an array of objects with the keys task_id, output and lease_token';

REVOKE ALL ON FUNCTION uaef.complete_tasks(jsonb) FROM PUBLIC;

CREATE FUNCTION uaef.complete_and_claim(
	worker text,
	task_ids bigint[],
	outputs jsonb[],
	lease_tokens uuid[],
	queue text DEFAULT 'default',
	max_tasks integer DEFAULT 1,
	lease interval DEFAULT NULL,
	queues text[] DEFAULT NULL,
	capabilities text[] DEFAULT NULL,
	OUT task_id bigint,
	OUT execution_id uuid,
	OUT task text,
	OUT attempt integer,
	OUT input jsonb,
	OUT lease_token uuid,
	OUT lease_expires_at timestamptz,
	OUT workflow text,
	OUT item integer,
	OUT code text,
	OUT message text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'uaef_complete_and_claim'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.complete_and_claim(text, bigint[], jsonb[], uuid[], text, integer, interval, text[], text[]) IS
	'complete_tasks() and claim_tasks() in one step, so that a worker commits once for each batch; returns the tasks claimed, and a row with code and message, and no lease, for each result that is refused; what the results set free is claimed by the next call; does not wait';

REVOKE ALL ON FUNCTION uaef.complete_and_claim(text, bigint[], jsonb[], uuid[], text, integer, interval, text[], text[]) FROM PUBLIC;

CREATE FUNCTION uaef.release_task(task_id bigint, lease_token uuid)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_release_task'
LANGUAGE C VOLATILE PARALLEL UNSAFE
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

CREATE FUNCTION uaef.fail_task(
	task_id bigint,
	error text,
	retryable boolean DEFAULT true,
	lease_token uuid DEFAULT NULL,
	code text DEFAULT 'task_error',
	details jsonb DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_fail_task'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.fail_task(bigint, text, boolean, uuid, text, jsonb) IS
	'say that an attempt of an external task failed; code is what "on" and "not_on" of its retry are compared with; returns the task''s status: pending when another attempt follows, else failed; may be repeated with the same lease token';

REVOKE ALL ON FUNCTION uaef.fail_task(bigint, text, boolean, uuid, text, jsonb) FROM PUBLIC;

CREATE FUNCTION uaef.heartbeat_task(
	task_id bigint,
	lease_token uuid,
	extend interval DEFAULT '30 seconds',
	progress jsonb DEFAULT NULL)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'uaef_heartbeat_task'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.heartbeat_task(bigint, uuid, interval, jsonb) IS
	'extend the lease of a claimed task to so long from now, and show progress in task_run; returns when it expires';

REVOKE ALL ON FUNCTION uaef.heartbeat_task(bigint, uuid, interval, jsonb) FROM PUBLIC;

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
LANGUAGE C VOLATILE PARALLEL UNSAFE
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
	e.priority, e.open_tasks, e.input, e.output, e.error,
	e.deadline_at, e.forked_from,
	e.parent_execution_id, e.parent_task_id, e.depth, e.ending,
	e.root_execution_id
FROM uaef.workflow_execution e
JOIN uaef.workflow_definition d USING (definition_id)
WHERE pg_catalog.pg_has_role(e.initiated_by, 'USAGE');
COMMENT ON VIEW uaef.workflow_run IS 'executions, for people';
COMMENT ON COLUMN uaef.workflow_run.status IS
	'status; waiting_approval is a running execution that people are asked about, and nothing else of which runs or is ready';
REVOKE ALL ON uaef.workflow_run FROM PUBLIC;

CREATE VIEW uaef.task_run WITH (security_barrier) AS
SELECT t.task_id, t.execution_id, d.name AS workflow, t.task,
	CASE WHEN t.item >= 0 THEN t.item END AS item,
	CASE WHEN t.item = -2 THEN d.definition -> 'tasks' -> t.task_no::integer -> 'compensate' ->> 'type'
		ELSE d.definition -> 'tasks' -> t.task_no::integer ->> 'type' END AS type,
	t.status, t.attempt, t.queued_at, t.started_at, t.completed_at,
	t.worker, t.lease_expires_at,
	t.items_total, t.items_started, t.items_completed, t.items_failed,
	t.item_value, t.output, t.error,
	t.losses, t.progress, t.overrides,
	t.child_execution_id, t.runs, t.item = -2 AS compensates
FROM uaef.task_execution t
JOIN uaef.workflow_execution e USING (execution_id)
JOIN uaef.workflow_definition d USING (definition_id)
WHERE pg_catalog.pg_has_role(e.initiated_by, 'USAGE');
COMMENT ON VIEW uaef.task_run IS
	'tasks of executions and items of map tasks, for people; a task that nothing has reached yet has no row';
REVOKE ALL ON uaef.task_run FROM PUBLIC;

CREATE VIEW uaef.dead_letter WITH (security_barrier) AS
SELECT e.execution_id, d.name AS workflow, d.version, e.name,
	t.task_id, t.task, CASE WHEN t.item >= 0 THEN t.item END AS item,
	COALESCE(t.error, e.error) ->> 'code' AS code,
	COALESCE(t.error, e.error) ->> 'message' AS message,
	t.attempt, t.losses, e.initiated_by, e.input,
	COALESCE(t.error, e.error) AS error,
	COALESCE(t.completed_at, e.completed_at) AS failed_at
FROM uaef.workflow_execution e
JOIN uaef.workflow_definition d USING (definition_id)
LEFT JOIN uaef.task_execution t
	ON t.execution_id = e.execution_id AND t.status = 'failed'
		AND t.items_total IS NULL
WHERE e.status = 'failed' AND pg_catalog.pg_has_role(e.initiated_by, 'USAGE');
COMMENT ON VIEW uaef.dead_letter IS
	'failed executions that nobody has retried, with each task, item or compensation that failed in them; retry_workflow() takes them out';
COMMENT ON COLUMN uaef.dead_letter.task IS
	'null: no task failed, but the execution, by its deadline, its output or an edge';
REVOKE ALL ON uaef.dead_letter FROM PUBLIC;

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
