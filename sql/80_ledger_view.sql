------------------------------------------------------------------------
-- Ledger: what happened, for people
------------------------------------------------------------------------

-- An event of an execution is for those who may act for its initiator; all of
-- them are for who may read the events' table itself: auditors, admins.
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
WHERE pg_catalog.pg_has_role(x.initiated_by, 'USAGE')
	OR pg_catalog.has_table_privilege('uaef.ledger_event', 'SELECT');
COMMENT ON VIEW uaef.audit_trail IS
	'events as people read them: when, what, by whom, of which execution and task; kind tells what the engine did from what an application says; each role sees the executions it may act for, an auditor all';

REVOKE ALL ON TABLE uaef.audit_trail FROM PUBLIC;
