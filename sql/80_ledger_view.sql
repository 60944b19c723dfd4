------------------------------------------------------------------------
-- Ledger: what happened, for people
------------------------------------------------------------------------

-- An event of an execution is for those who may act for its initiator; other
-- events are for the ledger's owner and for who may read all data.
CREATE VIEW uaef.audit_trail WITH (security_barrier) AS
SELECT e.event_id,
	x.execution_id,
	d.name AS workflow,
	e.recorded_at,
	CASE e.kind WHEN 1 THEN 'engine' ELSE 'application' END AS kind,
	e.event_type,
	coalesce(e.actor_type || ' ' || e.actor_id, e.actor_type, e.actor_id) AS actor,
	coalesce(e.effective_role, e.session_role) AS role,
	e.session_role,
	e.task_id,
	t.task,
	e.agent_id,
	e.payload
FROM uaef.ledger_event AS e
	LEFT JOIN uaef.workflow_execution AS x ON x.execution_id = e.stream
	LEFT JOIN uaef.workflow_definition AS d ON d.definition_id = x.definition_id
	LEFT JOIN uaef.task_execution AS t ON t.task_id = e.task_id
WHERE pg_catalog.pg_has_role(coalesce(x.initiated_by::oid,
	(SELECT relowner FROM pg_catalog.pg_class
	 WHERE oid = 'uaef.ledger_event'::pg_catalog.regclass)), 'USAGE')
	OR pg_catalog.pg_has_role('pg_read_all_data', 'USAGE');
COMMENT ON VIEW uaef.audit_trail IS
	'events as people read them: when, what, by whom, of which execution and task; kind tells what the engine did from what an application says; each role sees the executions it may act for';

REVOKE ALL ON TABLE uaef.audit_trail FROM PUBLIC;
