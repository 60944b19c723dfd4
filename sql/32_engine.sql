------------------------------------------------------------------------
-- Running workflows: start, control, tasks, approvals, triggers
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
	lease interval DEFAULT '30 seconds',
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
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.claim_tasks(text, text, integer, interval) IS
	'take external tasks of a queue, in the order of priority and age; each must be completed, failed or extended before its lease expires, by its lease token';

REVOKE ALL ON FUNCTION uaef.claim_tasks(text, text, integer, interval) FROM PUBLIC;

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
-- approve(), reject()
--
CREATE FUNCTION uaef.approve(approval_id bigint, reason text DEFAULT NULL, response jsonb DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_approve'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.approve(bigint, text, jsonb) IS
	'approve what a workflow asks, as the current role; returns the approval''s status: pending while more approvals are needed';

REVOKE ALL ON FUNCTION uaef.approve(bigint, text, jsonb) FROM PUBLIC;

CREATE FUNCTION uaef.reject(approval_id bigint, reason text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'uaef_reject'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.reject(bigint, text) IS
	'reject what a workflow asks, as the current role; one rejection decides';

REVOKE ALL ON FUNCTION uaef.reject(bigint, text) FROM PUBLIC;

--
-- start_workflow_trigger(), attach_workflow(), detach_workflow()
--
CREATE FUNCTION uaef.start_workflow_trigger()
RETURNS trigger
AS 'MODULE_PATHNAME', 'uaef_start_workflow_trigger'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.start_workflow_trigger() IS
	'trigger: start the workflow that its first argument names, with the row as input; the second argument names the column of the idempotency key';

REVOKE ALL ON FUNCTION uaef.start_workflow_trigger() FROM PUBLIC;

CREATE FUNCTION uaef.attach_workflow(
	"table" regclass,
	workflow text,
	key text DEFAULT NULL,
	condition text DEFAULT NULL,
	event text DEFAULT 'INSERT')
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	trigger_name text := left('uaef_start_' || workflow, 63);
BEGIN
	IF upper(event) NOT IN ('INSERT', 'UPDATE', 'INSERT OR UPDATE') THEN
		RAISE EXCEPTION 'event "%" cannot start a workflow', event
			USING ERRCODE = 'invalid_parameter_value',
				HINT = 'Use INSERT, UPDATE, or INSERT OR UPDATE.';
	END IF;
	IF NOT EXISTS (SELECT FROM uaef.workflow w
				   WHERE w.name = attach_workflow.workflow)
	THEN
		RAISE EXCEPTION 'workflow "%" does not exist', workflow
			USING ERRCODE = 'UA302',
				HINT = 'Use uaef.create_workflow() to create it.';
	END IF;
	IF key IS NOT NULL AND upper(event) <> 'INSERT' THEN
		RAISE EXCEPTION 'a key allows only one start for each row'
			USING ERRCODE = 'invalid_parameter_value',
				DETAIL = 'An update of the row would start the workflow again with the same key.',
				HINT = 'Leave the key out, or use the event INSERT.';
	END IF;
	IF key IS NOT NULL AND NOT EXISTS (
		SELECT FROM pg_attribute
		WHERE attrelid = "table" AND attname = key AND attnum > 0 AND NOT attisdropped)
	THEN
		RAISE EXCEPTION 'column "%" of table % does not exist', key, "table"
			USING ERRCODE = 'undefined_column',
				HINT = 'The key names the column whose value is the idempotency key.';
	END IF;
	EXECUTE format(
		'CREATE TRIGGER %I AFTER %s ON %s FOR EACH ROW %s'
		' EXECUTE FUNCTION uaef.start_workflow_trigger(%L, %L)',
		trigger_name, upper(event), "table",
		CASE WHEN condition IS NULL THEN '' ELSE 'WHEN (' || condition || ')' END,
		workflow, coalesce(key, ''));
	RETURN trigger_name;
END
$$;

COMMENT ON FUNCTION uaef.attach_workflow(regclass, text, text, text, text) IS
	'start a workflow for each row written to a table, in the writer''s transaction and as the writer; key names the column of the idempotency key; condition is the trigger''s WHEN; returns the trigger''s name';

REVOKE ALL ON FUNCTION uaef.attach_workflow(regclass, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION uaef.detach_workflow("table" regclass, workflow text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('DROP TRIGGER %I ON %s',
		left('uaef_start_' || workflow, 63), "table");
END
$$;

COMMENT ON FUNCTION uaef.detach_workflow(regclass, text) IS
	'undo attach_workflow()';

REVOKE ALL ON FUNCTION uaef.detach_workflow(regclass, text) FROM PUBLIC;

--
-- Views for people: each shows what the roles started that one is a member of.
--
CREATE VIEW uaef.workflow_run WITH (security_barrier) AS
SELECT e.execution_id, d.name AS workflow, d.version, e.name, e.status,
	e.initiated_by, e.created_at, e.started_at, e.completed_at,
	e.completed_at - e.started_at AS duration,
	e.priority, e.open_tasks, e.input, e.output, e.error,
	e.parent_execution_id, e.parent_task_id, e.depth, e.ending
FROM uaef.workflow_execution e
JOIN uaef.workflow_definition d USING (definition_id)
WHERE pg_catalog.pg_has_role(e.initiated_by, 'USAGE');
COMMENT ON VIEW uaef.workflow_run IS 'executions, for people';
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
	t.child_execution_id, t.runs, t.item = -2 AS compensates
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

CREATE VIEW uaef.pending_approval WITH (security_barrier) AS
SELECT a.approval_id, a.execution_id, d.name AS workflow, a.task,
	a.description, a.shown, a.need,
	(SELECT pg_catalog.count(*) FROM uaef.human_approval_vote v
	 WHERE v.approval_id = a.approval_id AND v.decision = 'approved') AS approved,
	a.approvers, a.four_eyes, a.initiated_by, a.form,
	a.requested_at, a.expires_at
FROM uaef.human_approval a
JOIN uaef.workflow_execution e USING (execution_id)
JOIN uaef.workflow_definition d USING (definition_id)
WHERE a.status = 'pending'
	AND (pg_catalog.pg_has_role(a.initiated_by, 'USAGE')
		OR (a.approvers IS NULL AND pg_catalog.has_function_privilege(
				'uaef.approve(bigint, text, jsonb)', 'EXECUTE'))
		OR EXISTS (SELECT FROM pg_catalog.unnest(a.approvers) r (role)
				   JOIN pg_catalog.pg_roles p ON p.rolname = r.role
				   WHERE pg_catalog.pg_has_role(p.oid, 'USAGE')));
COMMENT ON VIEW uaef.pending_approval IS
	'decisions that wait for the current role, or for others in its executions';
REVOKE ALL ON uaef.pending_approval FROM PUBLIC;

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
