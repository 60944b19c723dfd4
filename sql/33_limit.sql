------------------------------------------------------------------------
-- Limits: how much may run at once, and how often something may begin
------------------------------------------------------------------------

-- Limits that workflows share.  A limit of one workflow is in its definition.
CREATE TABLE uaef.workflow_limit (
	name			text PRIMARY KEY,
	concurrency		integer,
	rate			text,
	interval_us		bigint,
	burst			integer,
	created_by		regrole NOT NULL,
	created_at		timestamptz NOT NULL
);
COMMENT ON TABLE uaef.workflow_limit IS 'limits that workflows share';

-- One key of one limit.  Only the granter writes here, so that nobody waits for
-- anybody; running follows from limit_slot and limit_change.  Next_free is when
-- the rate would be used up to the last start; wake_at, when to look again.
CREATE TABLE uaef.limit_key (
	limit_name		text COLLATE "C",
	key				text COLLATE "C",
	running			integer NOT NULL,
	next_free		timestamptz,
	wake_at			timestamptz,
	PRIMARY KEY (limit_name, key)
);
COMMENT ON TABLE uaef.limit_key IS 'keys of limits that are in use';
CREATE INDEX limit_key_wake ON uaef.limit_key (wake_at);

-- Tasks, and executions (task_no -1), that wait for a limit.  Each stands in the
-- line of one key at a time, of the one that held it back last; limits to
-- bursts are all that it needs.  On_limit is queue, skip, cancel_oldest, or
-- cancelled when the oldest has been told to go.
CREATE TABLE uaef.limit_waiter (
	limit_name		text COLLATE "C" NOT NULL,
	key				text COLLATE "C" NOT NULL,
	rank			bigint NOT NULL,
	task_id			bigint NOT NULL,
	execution_id	uuid NOT NULL,
	task_no			smallint NOT NULL,
	item			integer NOT NULL,
	attempt			integer NOT NULL,
	queue			text COLLATE "C",
	run_as			regrole NOT NULL,
	on_limit		text NOT NULL,
	limits			text[] NOT NULL,
	keys			text[] NOT NULL,
	concurrencies	integer[] NOT NULL,
	intervals_us	bigint[] NOT NULL,
	bursts			integer[] NOT NULL
);
COMMENT ON TABLE uaef.limit_waiter IS 'tasks and executions that wait for a limit';
CREATE INDEX limit_waiter_order
	ON uaef.limit_waiter (limit_name, key, rank, task_id);
CREATE INDEX limit_waiter_task
	ON uaef.limit_waiter (execution_id, task_no, item);

-- A slot belongs to the task or execution that it was given to, and goes with it.
CREATE TABLE uaef.limit_slot (
	execution_id	uuid NOT NULL,
	task_no			smallint NOT NULL,
	item			integer NOT NULL,
	limit_name		text COLLATE "C" NOT NULL,
	key				text COLLATE "C" NOT NULL,
	granted_at		timestamptz NOT NULL,
	leaving			boolean NOT NULL
);
COMMENT ON TABLE uaef.limit_slot IS 'what limits have let run';
CREATE INDEX limit_slot_task ON uaef.limit_slot (execution_id, task_no, item);
CREATE INDEX limit_slot_key ON uaef.limit_slot (limit_name, key, granted_at);

-- What the granter has not looked at yet: somebody came to a key, or left it.
CREATE TABLE uaef.limit_change (
	limit_name		text COLLATE "C" NOT NULL,
	key				text COLLATE "C" NOT NULL,
	freed			integer NOT NULL
);
COMMENT ON TABLE uaef.limit_change IS
	'changes at keys of limits that have not led to anything yet';

REVOKE ALL ON uaef.workflow_limit, uaef.limit_key, uaef.limit_waiter,
	uaef.limit_slot, uaef.limit_change FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('uaef.workflow_limit', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.limit_key', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.limit_waiter', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.limit_slot', '');
SELECT pg_catalog.pg_extension_config_dump('uaef.limit_change', '');

--
-- create_limit(), drop_limit()
--
CREATE FUNCTION uaef.create_limit(
	name text,
	concurrency integer DEFAULT NULL,
	rate text DEFAULT NULL,
	burst integer DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_create_limit'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.create_limit(text, integer, text, integer) IS
	'make a limit that tasks and workflows share by its name, or change it: so many at once, and so many starts a second, minute, hour or day ("100/min") of which burst may come together';

REVOKE ALL ON FUNCTION uaef.create_limit(text, integer, text, integer) FROM PUBLIC;

CREATE FUNCTION uaef.drop_limit(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_drop_limit'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.drop_limit(text) IS
	'drop a limit; what waits for it is held back no longer';

REVOKE ALL ON FUNCTION uaef.drop_limit(text) FROM PUBLIC;

--
-- limit_status
--
CREATE VIEW uaef.limit_status WITH (security_barrier) AS
SELECT limit_name, key, pg_catalog.sum(running)::integer AS running,
	pg_catalog.sum(waiting)::integer AS waiting
FROM (
	SELECT s.limit_name, s.key, 1 AS running, 0 AS waiting, s.execution_id
	FROM uaef.limit_slot s
	UNION ALL
	SELECT w.limit_name, w.key, 0, 1, w.execution_id
	FROM uaef.limit_waiter w) x
JOIN uaef.workflow_execution e USING (execution_id)
WHERE pg_catalog.pg_has_role(e.initiated_by, 'USAGE')
GROUP BY limit_name, key;
COMMENT ON VIEW uaef.limit_status IS
	'keys of limits: how many of one''s own tasks and executions run, and how many wait';
REVOKE ALL ON uaef.limit_status FROM PUBLIC;
