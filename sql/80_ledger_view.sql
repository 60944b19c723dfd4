------------------------------------------------------------------------
-- Ledger: what happened, for people
------------------------------------------------------------------------

-- An event of an execution is for those who may act for its initiator; all of
-- them are for who may read the events' table itself: auditors, admins.  A task
-- that completed by itself has no event, but is named in the one that set it
-- free; here it has its line all the same.
CREATE VIEW uaef.audit_trail WITH (security_barrier) AS
SELECT e.event_id,
	x.execution_id,
	d.name AS workflow,
	e.recorded_at,
	CASE e.kind WHEN 1 THEN 'engine' ELSE 'application' END AS kind,
	l.event_type,
	coalesce(e.actor_type || ' ' || e.actor_id, e.actor_type, e.actor_id) AS actor,
	coalesce(e.effective_role, e.session_role) AS role,
	e.session_role,
	l.task_id,
	t.task,
	l.agent_id,
	l.payload,
	e.payload IS NULL AND e.payload_hash IS NOT NULL AS redacted,
	e.signer,
	l.place
FROM uaef.ledger_event AS e
	CROSS JOIN LATERAL (
		SELECT e.event_type, e.task_id, e.agent_id, e.payload, 0 AS place
		UNION ALL
		SELECT 'task_completed', (c.task ->> 'task_id')::bigint, NULL, c.task,
			c.place::integer
		FROM pg_catalog.jsonb_array_elements(CASE
			WHEN e.kind = 1
				AND pg_catalog.jsonb_typeof(e.payload -> 'completed') = 'array'
			THEN e.payload -> 'completed' END)
			WITH ORDINALITY AS c(task, place)) AS l
	LEFT JOIN uaef.workflow_execution AS x ON x.execution_id = e.stream
	LEFT JOIN uaef.workflow_definition AS d ON d.definition_id = x.definition_id
	LEFT JOIN uaef.task_execution AS t ON t.task_id = l.task_id
WHERE pg_catalog.pg_has_role(x.initiated_by, 'USAGE')
	OR pg_catalog.has_table_privilege('uaef.ledger_event', 'SELECT');
COMMENT ON VIEW uaef.audit_trail IS
	'events as people read them: when, what, by whom, of which execution and task; kind tells what the engine did from what an application says; place is 0 for the event, and for a task that it names as completed its place in that list; each role sees the executions it may act for, an auditor all';

-- What was retired is not counted by type, but in events.  Of an event's block
-- all is covered or nothing.
CREATE VIEW uaef.audit_summary WITH (security_barrier) AS
SELECT x.execution_id,
	d.name AS workflow,
	d.version,
	x.initiated_by,
	x.status,
	s.first_event_at,
	s.last_event_at,
	s.last_event_at - s.first_event_at AS duration,
	s.events,
	s.engine_events,
	s.application_events,
	s.signed_events,
	s.approvals,
	s.checkpoints,
	s.failures,
	s.redacted,
	s.retired,
	s.events - u.unsealed AS sealed,
	coalesce(u.unsealed = 0 AND b.tree_size <=
		(SELECT pg_catalog.max(tree_size) FROM uaef.ledger_checkpoint),
		false) AS covered
FROM uaef.workflow_execution AS x
	JOIN uaef.workflow_definition AS d USING (definition_id)
	CROSS JOIN LATERAL (
		SELECT pg_catalog.min(e.recorded_at) AS first_event_at,
			pg_catalog.max(e.recorded_at) AS last_event_at,
			pg_catalog.max(e.stream_seq) AS events,
			pg_catalog.min(e.stream_seq) - 1 AS retired,
			pg_catalog.max(e.event_id) AS last_event_id,
			count(*) FILTER (WHERE e.kind = 1) AS engine_events,
			count(*) FILTER (WHERE e.kind = 2) AS application_events,
			count(*) FILTER (WHERE e.signer IS NOT NULL) AS signed_events,
			count(*) FILTER (WHERE e.kind = 1 AND e.event_type IN
				('approval_granted', 'approval_rejected', 'settlement_approved',
				 'settlement_rejected')) AS approvals,
			count(*) FILTER (WHERE e.kind = 1 AND e.event_type IN
				('checkpoint_passed', 'checkpoint_failed')) AS checkpoints,
			count(*) FILTER (WHERE e.kind = 1 AND e.event_type IN
				('task_failed', 'workflow_failed', 'delivery_failed',
				 'settlement_error')) AS failures,
			count(*) FILTER (WHERE e.payload IS NULL
				AND e.payload_hash IS NOT NULL) AS redacted
		FROM uaef.ledger_event AS e WHERE e.stream = x.execution_id) AS s
	CROSS JOIN LATERAL (
		SELECT count(*) AS unsealed FROM uaef.ledger_unsealed AS n
		WHERE n.stream = x.execution_id) AS u
	LEFT JOIN LATERAL (
		SELECT k.tree_size FROM uaef.ledger_block AS k
		WHERE pg_catalog.int8range(k.first_event_id, k.last_event_id, '[]')
				@> s.last_event_id
			AND s.last_event_id = ANY (k.event_ids)) AS b ON true
WHERE pg_catalog.pg_has_role(x.initiated_by, 'USAGE')
	OR pg_catalog.has_table_privilege('uaef.ledger_event', 'SELECT');
COMMENT ON VIEW uaef.audit_summary IS
	'executions by their events: how many, by whom written, how many approvals, compliance checkpoints and failures, how many are redacted, retired, sealed, and whether all are covered by a signed checkpoint';

-- Nothing here reads all events: dashboards ask often.
CREATE VIEW uaef.ledger_status AS
SELECT l.ledger_id,
	coalesce(b.tree_size, 0) + u.all_unsealed AS events,
	coalesce(b.tree_size, 0) AS sealed,
	u.unsealed,
	coalesce(b.block_no, 0) AS blocks,
	b.tree_root AS root,
	b.sealed_at,
	pg_catalog.clock_timestamp() - u.oldest AS oldest_unsealed_age,
	coalesce(c.tree_size, 0) AS signed,
	c.signed_at,
	uaef.max_unanchored_age() AS max_unanchored_age,
	b.incarnation,
	b.timeline,
	EXISTS (SELECT FROM (SELECT incarnation, timeline FROM uaef.ledger_block
						 ORDER BY block_no LIMIT 1) AS f
			WHERE f.incarnation = b.incarnation AND f.timeline = b.timeline)
	OR EXISTS (SELECT FROM uaef.ledger_incarnation AS i
			   WHERE i.incarnation = b.incarnation
				   AND i.timeline = b.timeline)
	OR b.block_no IS NULL AS declared,
	(SELECT count(*) FROM uaef.ledger_redaction) AS redacted,
	(SELECT coalesce(pg_catalog.sum(events), 0)::bigint
	 FROM uaef.ledger_retirement WHERE restored_by IS NULL) AS retired
FROM uaef.ledger AS l
	LEFT JOIN (SELECT * FROM uaef.ledger_block
			   ORDER BY block_no DESC LIMIT 1) AS b ON true
	LEFT JOIN (SELECT tree_size, signed_at FROM uaef.ledger_checkpoint
			   ORDER BY tree_size DESC LIMIT 1) AS c ON true
	CROSS JOIN (SELECT count(*) AS all_unsealed,
					count(*) FILTER (WHERE event_type NOT IN
						('ledger_sealed', 'ledger_timestamped')) AS unsealed,
					min(recorded_at) FILTER (WHERE event_type NOT IN
						('ledger_sealed', 'ledger_timestamped')) AS oldest
				FROM uaef.ledger_unsealed) AS u;
COMMENT ON VIEW uaef.ledger_status IS
	'the ledger in one row: numbers of events and blocks, the last root (hex), how far sealing and signing lag, where it lives and whether that was declared, how many events are redacted and retired; how old the oldest sealed event is that no anchor covers; the events of seals and time stamps, which wait for the next block, do not count as unsealed';

REVOKE ALL ON TABLE uaef.audit_trail, uaef.audit_summary, uaef.ledger_status
	FROM PUBLIC;
