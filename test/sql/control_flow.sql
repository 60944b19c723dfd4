-- Retries, forks, deadlines and limits of executions that have children, or
-- were compensated.
SET client_min_messages = warning;
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE FUNCTION cf_do(want text, fine boolean DEFAULT true) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN fine THEN uaef.complete_task(task_id, '{}', lease_token)::text
		ELSE uaef.fail_task(task_id, 'no', false, lease_token)::text END
	FROM uaef.claim_tasks('w', 'cf_' || want) $$;
CREATE FUNCTION cf_error(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
	EXECUTE sql;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN sqlstate || ' ' || regexp_replace(sqlerrm, '[0-9a-f-]{36}', 'E') || ' / ' || hint;
END $$;

-- What was compensated cannot be retried; a fork runs it again.
SELECT uaef.create_workflow('cf_undo', '{"tasks": [
	{"id": "book", "type": "external", "queue": "cf_book", "compensate": {"type": "external", "queue": "cf_undo"}},
	{"id": "pay", "type": "external", "queue": "cf_pay"}], "edges": [{"from": "book", "to": "pay"}]}');
SELECT uaef.start_workflow('cf_undo') AS e \gset
SELECT cf_do('book'), cf_do('pay', false);
SELECT status, ending FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT cf_error(format('SELECT uaef.retry_workflow(%L)', :'e'));
SELECT cf_do('undo');
SELECT cf_error(format('SELECT uaef.retry_workflow(%L)', :'e'));
SELECT uaef.fork_workflow(:'e', 'pay') AS f \gset
SELECT task, status FROM uaef.task_run WHERE execution_id = :'f' ORDER BY task_id;
SELECT cf_do('book'), cf_do('pay');
SELECT status FROM uaef.workflow_run WHERE execution_id = :'f';

-- Nothing had been done yet: a retry goes on.
SELECT uaef.start_workflow('cf_undo') AS e \gset
SELECT cf_do('book', false);
SELECT cf_error(format('SELECT uaef.retry_workflow(%L)', :'e'));
SELECT cf_do('book'), cf_do('pay');
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';

-- A child is retried by its parent, whose task begins a new one.
SELECT uaef.create_workflow('cf_child', '{"tasks": [{"id": "c", "type": "external", "queue": "cf_c"}]}');
SELECT uaef.create_workflow('cf_parent', '{"tasks": [{"id": "p", "type": "workflow", "config": {"workflow": "cf_child"}}]}');
SELECT uaef.start_workflow('cf_parent') AS e \gset
SELECT cf_do('c', false);
SELECT execution_id AS c, status FROM uaef.workflow_run WHERE parent_execution_id = :'e' \gset
SELECT cf_error(format('SELECT uaef.retry_workflow(%L)', :'c'));
SELECT cf_error(format('SELECT uaef.retry_workflow(%L)', :'e'));
SELECT status FROM uaef.workflow_run WHERE parent_execution_id = :'e' ORDER BY status;
SELECT uaef.fork_workflow(:'c', 'c') AS f \gset
SELECT parent_execution_id IS NULL AS nobodys FROM uaef.workflow_run WHERE execution_id = :'f';
SELECT cf_do('c'), cf_do('c');
SELECT status, depth FROM uaef.workflow_run WHERE execution_id IN (:'e', :'f') OR parent_execution_id = :'e' ORDER BY depth, status;

-- A workflow that is held begins no children either.
SELECT uaef.hold_workflow('cf_child');
SELECT uaef.start_workflow('cf_parent') AS e \gset
SELECT status, depth FROM uaef.workflow_run WHERE execution_id = :'e' OR parent_execution_id = :'e' ORDER BY depth, status;
SELECT uaef.cancel_workflow(:'e');
SELECT status, depth FROM uaef.workflow_run WHERE execution_id = :'e' OR parent_execution_id = :'e' ORDER BY depth, status;
SELECT uaef.release_workflow('cf_child');

-- A parent keeps its children, and they go after it.
SELECT uaef.create_workflow('cf_now', '{"tasks": [{"id": "n", "type": "parallel"}]}');
SELECT uaef.create_workflow('cf_over', '{"tasks": [{"id": "p", "type": "workflow", "config": {"workflow": "cf_now"}}]}');
SELECT uaef.start_workflow('cf_over') AS e \gset
SELECT workflow, status FROM uaef.workflow_run WHERE workflow IN ('cf_over', 'cf_now') ORDER BY depth;
SELECT uaef.purge_executions('2099-01-01', 'cf_now');
SELECT uaef.purge_executions('2099-01-01', 'cf_over');
SELECT uaef.purge_executions('2099-01-01', 'cf_now');

DROP FUNCTION cf_do(text, boolean), cf_error(text);
