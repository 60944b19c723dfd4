------------------------------------------------------------------------
-- Roles that something names, and that are gone
------------------------------------------------------------------------

--
-- missing_role: no command that drops a role comes to an event trigger, so what
-- names one that is gone is looked for here.
--
CREATE VIEW uaef.missing_role WITH (security_barrier) AS
WITH live AS (
	SELECT d.name, d.version, d.definition, d.created_by,
		d.version = pg_catalog.max(d.version) OVER (PARTITION BY d.name) AS newest,
		EXISTS (SELECT FROM uaef.workflow_execution e
			WHERE e.definition_id = d.definition_id
				AND e.status IN ('pending', 'running', 'paused')) AS runs
	FROM uaef.workflow_definition d),
named AS (
	SELECT DISTINCT 'workflow' AS kind, l.name, l.version, NULL::text AS task,
		'approver' AS named_as, r AS role
	FROM live l, pg_catalog.jsonb_array_elements_text(
		pg_catalog.jsonb_path_query_array(l.definition,
			'$.tasks[*].** ? (@.type == "human_approval").config.** ? (@.type() == "object").keyvalue() ? (@.key == "approvers" || @.key == "to").value[*] ? (@.type() == "string")')) r
	WHERE (l.newest OR l.runs) AND r NOT LIKE '%{{%'
	UNION ALL
	SELECT 'approval', a.approval_id::text, NULL, a.task, 'approver', r
	FROM uaef.human_approval a, pg_catalog.unnest(a.approvers) r
	WHERE a.status = 'pending'
	UNION ALL
	SELECT 'policy', p.name, p.version, NULL, 'approver', r
	FROM uaef.policy p,
		pg_catalog.jsonb_array_elements_text(p.rules -> 'approvers') r
	WHERE p.type = 'approval' AND p.enabled AND NOT p.dropped
		AND NOT EXISTS (SELECT FROM uaef.policy n
			WHERE n.name = p.name AND n.version > p.version)
	UNION ALL
	SELECT DISTINCT 'settlement rule', s.name, s.version, NULL, 'approver', b ->> 'of'
	FROM uaef.settlement_rule s,
		pg_catalog.jsonb_array_elements(pg_catalog.jsonb_path_query_array(s.definition, '$.approval.bands[*]')) b
	WHERE s.active AND b ? 'of'
	UNION ALL
	SELECT 'settlement', g.signal_id::text, NULL, NULL, 'approver', g.approval ->> 'of'
	FROM uaef.settlement_signal g
	WHERE g.status = 'pending_approval' AND g.approval ? 'of')
SELECT n.kind, n.name, n.version, n.task, n.named_as, n.role
FROM named n
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = n.role)
UNION ALL
SELECT o.kind, o.name, o.version, NULL, o.named_as, o.role::text
FROM (SELECT 'workflow' AS kind, l.name, l.version, 'owner' AS named_as,
		l.created_by AS role
	FROM live l WHERE l.newest
	UNION ALL
	SELECT 'schedule', s.name, s.version, 'owner', s.created_by
	FROM uaef.schedule s
	UNION ALL
	SELECT DISTINCT 'executions', d.name, d.version, 'starter', e.initiated_by
	FROM uaef.workflow_execution e
	JOIN uaef.workflow_definition d USING (definition_id)
	WHERE e.status IN ('pending', 'running', 'paused')
	UNION ALL
	SELECT DISTINCT 'settlement rule', s.name, s.version, 'owner', s.created_by
	FROM uaef.settlement_rule s WHERE s.active
	UNION ALL
	SELECT 'payout channel', c.name, NULL, 'role', c.role
	FROM uaef.payout_channel c
	UNION ALL
	SELECT 'payee', p.recipient, NULL, 'owner', p.owner
	FROM uaef.payee p WHERE p.owner IS NOT NULL) o
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = o.role);
COMMENT ON VIEW uaef.missing_role IS
	'roles that workflows, approvals, policies, schedules, open executions, settlement rules, payout channels and payees name, and that do not exist any more';
COMMENT ON COLUMN uaef.missing_role.role IS
	'name of the role; the number that is left of one that owned or started something';
REVOKE ALL ON uaef.missing_role FROM PUBLIC;
