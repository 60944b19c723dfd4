------------------------------------------------------------------------
-- The worker: starting, ending, status
------------------------------------------------------------------------

--
-- start_worker()
--
CREATE FUNCTION uaef.start_worker()
RETURNS integer
AS 'MODULE_PATHNAME', 'uaef_start_worker'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.start_worker() IS
	'start this database''s background worker, unless it runs, and return its process id';

REVOKE ALL ON FUNCTION uaef.start_worker() FROM PUBLIC;

--
-- stop_worker()
--
CREATE FUNCTION uaef.stop_worker()
RETURNS boolean
AS 'MODULE_PATHNAME', 'uaef_stop_worker'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef.stop_worker() IS
	'end this database''s background worker and executors until start_worker() or a restart; true when they have ended';

REVOKE ALL ON FUNCTION uaef.stop_worker() FROM PUBLIC;

--
-- worker_status
--
CREATE FUNCTION uaef._worker_status()
RETURNS TABLE (
	kind		text,
	database	oid,
	role		oid,
	pid			integer,
	state		text,
	since		timestamptz,
	detail		text
)
AS 'MODULE_PATHNAME', 'uaef_worker_status'
LANGUAGE C VOLATILE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef._worker_status() IS
	'the processes of uaef, as the view worker_status shows them';

REVOKE ALL ON FUNCTION uaef._worker_status() FROM PUBLIC;

CREATE VIEW uaef.worker_status AS
SELECT s.kind,
	d.datname AS database,
	r.rolname AS role,
	s.pid,
	s.state,
	s.since,
	s.detail
FROM uaef._worker_status() AS s
LEFT JOIN pg_catalog.pg_database AS d
	ON d.oid OPERATOR(pg_catalog.=) s.database
LEFT JOIN pg_catalog.pg_roles AS r
	ON r.oid OPERATOR(pg_catalog.=) s.role;

COMMENT ON VIEW uaef.worker_status IS
	'launcher, workers and executors of the server: what each does since when, and what is wrong';
COMMENT ON COLUMN uaef.worker_status.kind IS
	'launcher, worker or executor';
COMMENT ON COLUMN uaef.worker_status.state IS
	'running, starting, idle, busy, failed, stopped, held, no free slot or not running';
COMMENT ON COLUMN uaef.worker_status.since IS
	'since when it is in this state or has this detail';
COMMENT ON COLUMN uaef.worker_status.detail IS
	'what is wrong and what to do about it; null when all is well';

REVOKE ALL ON uaef.worker_status FROM PUBLIC;

--
-- _announce_worker()
--
CREATE FUNCTION uaef._announce_worker()
RETURNS void
AS 'MODULE_PATHNAME', 'uaef_announce_worker'
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION uaef._announce_worker() IS
	'at commit, have the launcher start a worker in this database';

REVOKE ALL ON FUNCTION uaef._announce_worker() FROM PUBLIC;

-- CREATE EXTENSION brings its worker with it.
SELECT uaef._announce_worker();
