--
-- Approvals: stages, roles out of data, four eyes, delegation, reassignment,
-- votes withdrawn, comments, many at once; and who sees what
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE ROLE regress_ap_clerk;
CREATE ROLE regress_ap_boss;
CREATE ROLE regress_ap_ann IN ROLE regress_ap_boss;
CREATE ROLE regress_ap_bob IN ROLE regress_ap_boss;
CREATE ROLE regress_ap_cfo;
CREATE ROLE regress_ap_dan;
CREATE ROLE regress_ap_ops IN ROLE regress_ap_clerk;
CREATE ROLE regress_ap_spy;
SELECT count(uaef.grant_access(r::regrole, 'approver')) AS approvers
FROM unnest('{regress_ap_clerk,regress_ap_boss,regress_ap_cfo,regress_ap_dan,regress_ap_ops,regress_ap_spy}'::text[]) r;
SELECT uaef.grant_access('regress_ap_clerk', 'operator'), uaef.grant_access('regress_ap_spy', 'operator'),
	uaef.grant_access('regress_ap_clerk', 'author');

-- What a call says, in one line; the roles that may call it are those of the test.
CREATE FUNCTION ap_try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; detail text;
BEGIN
	EXECUTE 'SELECT ' || call INTO result;
	RETURN coalesce(result, 'null');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN regexp_replace(SQLSTATE || ': ' || SQLERRM || ' ' || detail, '(approval|delegation) [0-9]+', '\1 N');
END $$;
CREATE FUNCTION ap_id(e uuid) RETURNS bigint LANGUAGE sql SECURITY DEFINER
	AS 'SELECT max(approval_id) FROM uaef.human_approval WHERE execution_id = e';
\pset format unaligned
\pset tuples_only on

--
-- What a definition may say
--
CREATE FUNCTION ap_define(config jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT ap_try(format('uaef.create_workflow(''ap_bad'', %L)', jsonb_build_object('tasks', jsonb_build_array(
		jsonb_build_object('id', 'ask', 'type', 'human_approval', 'config', config)))))
$$;
SELECT ap_define(c) FROM (VALUES
	('{"approvers": "regress_ap_boss", "stages": [{"approvers": "regress_ap_boss"}]}'::jsonb),
	('{"need": 2, "stages": [{"approvers": "regress_ap_boss"}]}'),
	('{"stages": []}'), ('{"stages": {}}'), ('{"stages": [7]}'), ('{"stages": [{"who": "x"}]}'),
	('{"stages": [{"approvers": "regress_ap_nobody"}]}'),
	('{"stages": [{"when": {"$in": 3}}]}'),
	('{"stages": [{"when": {"task.nope.x": 3}}]}'),
	('{"approvers": [7]}'), ('{"approvers": ""}'), ('{"approvers": "{{x.y}}"}'),
	('{"reject_need": 0}'), ('{"reject_need": "all"}'),
	('{"escalate": [{"after": "1h", "to": "regress_ap_cfo"}]}'),
	('{"approvers": "regress_ap_boss", "escalate": [{"to": "regress_ap_cfo"}]}'),
	('{"approvers": "regress_ap_boss", "escalate": [{"after": "1h"}]}'),
	('{"approvers": "regress_ap_boss", "escalate": [{"after": "2h", "to": "regress_ap_cfo"}, {"after": "1h", "to": "regress_ap_cfo"}]}'),
	('{"approvers": "regress_ap_boss", "escalate": [{"after": "2h", "to": "regress_ap_nobody"}]}'),
	('{"on_expiry": "escalate"}'), ('{"on_expiry": "approve"}'),
	('{"remind": "4h"}'), ('{"remind": "1ms", "notify": {"connector": "x"}}'),
	('{"notify": {"connector": "ap_nobody"}}'), ('{"notify": {}}'), ('{"notify": {"connector": "x", "to": "y"}}'),
	('{"description": "{{sys.approval.need}}"}'),
	('{"need": 2, "groups": [{"approvers": "regress_ap_boss"}]}'), ('{"groups": []}'), ('{"groups": [{"need": 1}]}'),
	('{"groups": [{"approvers": "regress_ap_nobody"}]}'), ('{"groups": [{"approvers": "regress_ap_boss", "need": 0}]}'),
	('{"stages": [{"approvers": "regress_ap_boss", "groups": [{"approvers": "regress_ap_boss"}]}]}'),
	('{"form": true}'), ('{"form": {"type": "thing"}}'), ('{"form": {"properties": {"n": {"minimum": "x"}}}}')) v (c);

--
-- Roles out of data, when they are asked
--
SELECT uaef.create_workflow('ap_data', '{"tasks": [{"id": "ask", "type": "human_approval",
	"config": {"approvers": ["{{in.who}}", "regress_ap_boss"], "show": {"n": 1}}}]}');
GRANT EXECUTE ON FUNCTION ap_try(text), ap_id(uuid) TO PUBLIC;
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT count(uaef.start_workflow('ap_data', i))
FROM (VALUES ('{"who": "regress_ap_dan"}'::jsonb), ('{"who": ["regress_ap_boss", "regress_ap_dan", "regress_ap_dan"]}'),
	('{"who": "regress_ap_nobody"}'), ('{"who": 7}'), ('{"who": {"a": "regress_ap_dan"}}'), ('{}'), ('{"who": "public"}')) v (i);
SELECT input, status, error ->> 'code', error ->> 'message', approvers
FROM uaef.workflow_run LEFT JOIN uaef.pending_approval USING (execution_id)
WHERE workflow_run.workflow = 'ap_data' ORDER BY input::text COLLATE "C";
RESET SESSION AUTHORIZATION;
SELECT execution_id AS e FROM uaef.workflow_run WHERE workflow = 'ap_data' AND input = '{"who": "regress_ap_dan"}' \gset
SET SESSION AUTHORIZATION regress_ap_dan;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));

--
-- Stages: one after the other, those whose condition holds
--
RESET SESSION AUTHORIZATION;
SELECT uaef.create_workflow('ap_stage', '{"tasks": [{"id": "ask", "type": "human_approval", "config": {
	"description": "Pay {{in.amount}}?", "show": {"amount": "{{in.amount}}"},
	"stages": [{"approvers": "regress_ap_boss"},
		{"approvers": ["regress_ap_cfo", "regress_ap_boss"], "when": {"in.amount": {"$gte": 1000}}},
		{"approvers": "regress_ap_dan", "need": 1, "when": {"in.amount": {"$gte": 100}}}]}}]}');
SELECT uaef.create_workflow('ap_never', '{"tasks": [{"id": "ask", "type": "human_approval", "config": {
	"stages": [{"approvers": "regress_ap_boss", "when": {"in.amount": {"$gte": 1000}}}]}}]}');
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT uaef.start_workflow('ap_never', '{"amount": 5}') AS e \gset
SELECT status, error ->> 'code', error ->> 'message' FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('ap_stage', '{"amount": 5}') AS small, uaef.start_workflow('ap_stage', '{"amount": 5000}') AS large \gset
SELECT status, task, stage, stages, need, approved, approvers FROM uaef.pending_approval JOIN uaef.workflow_run USING (execution_id)
WHERE execution_id IN (:'small', :'large') ORDER BY approval_id;
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'small')));
SELECT ap_try(format('uaef.approve(%s, ''fine'')', ap_id(:'large')));
-- who approved in one stage is kept from the next
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'large')));
SET SESSION AUTHORIZATION regress_ap_dan;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'large')));
SET SESSION AUTHORIZATION regress_ap_bob;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'large')));
SET SESSION AUTHORIZATION regress_ap_dan;
SELECT stage, stages, approvers, votes -> 0 ->> 'approver', votes -> 1 ->> 'stage' FROM uaef.pending_approval WHERE execution_id = :'large';
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'large')));
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT status, jsonb_path_query_array(output -> 'ask' -> 'votes', '$[*].approver') FROM uaef.workflow_run WHERE execution_id IN (:'small', :'large') ORDER BY input ->> 'amount';
-- the ledger says who, as whom, and of what
SELECT event_type, payload - 'approval_id' FROM uaef.audit_trail WHERE execution_id = :'large' AND event_type LIKE 'approval%' ORDER BY event_id;

--
-- More than one rejection
--
RESET SESSION AUTHORIZATION;
SELECT uaef.create_workflow('ap_veto', '{"tasks": [{"id": "ask", "type": "human_approval",
	"config": {"approvers": ["regress_ap_boss", "regress_ap_cfo", "regress_ap_dan"], "need": 2, "reject_need": 2}}]}');
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT uaef.start_workflow('ap_veto') AS e, uaef.start_workflow('ap_veto') AS e2 \gset
SET SESSION AUTHORIZATION regress_ap_cfo;
SELECT ap_try(format('uaef.reject(%s, ''too dear'')', ap_id(:'e')));
SELECT ap_try(format('uaef.reject(%s, ''too dear'')', ap_id(:'e2')));
SELECT approved, need, rejected, reject_need FROM uaef.pending_approval WHERE execution_id = :'e';
-- a vote can be taken back, and given again
SELECT ap_try(format('uaef.withdraw_vote(%s)', ap_id(:'e')));
SELECT ap_try(format('uaef.withdraw_vote(%s)', ap_id(:'e')));
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_dan;
SELECT ap_try(format('uaef.withdraw_vote(%s)', ap_id(:'e')));
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SELECT ap_try(format('uaef.withdraw_vote(%s)', ap_id(:'e')));
SELECT ap_try(format('uaef.reject(%s)', ap_id(:'e2')));
SELECT a.status, a.stage, v ->> 'approver', v ->> 'decision' FROM uaef.approval_history a, jsonb_array_elements(votes) v
WHERE execution_id IN (:'e', :'e2') ORDER BY approval_id, v ->> 'decided_at';

--
-- Groups with quorums of their own: each vote counts for one, whichever serves best
--
RESET SESSION AUTHORIZATION;
SELECT uaef.create_workflow('ap_group', '{"tasks": [{"id": "ask", "type": "human_approval", "config": {
	"groups": [{"approvers": ["regress_ap_cfo", "{{in.also}}"]}, {"approvers": "regress_ap_boss", "need": 2}]}}]}');
SELECT uaef.create_workflow('ap_group2', '{"tasks": [{"id": "ask", "type": "human_approval", "config": {
	"groups": [{"approvers": "regress_ap_boss"}, {"approvers": ["regress_ap_cfo", "regress_ap_dan"], "need": 2}]}}]}');
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT uaef.start_workflow('ap_group', '{"also": "regress_ap_nobody"}') AS e \gset
SELECT status, error ->> 'message' FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.start_workflow('ap_group', '{"also": "regress_ap_ann"}') AS e, uaef.start_workflow('ap_group', '{"also": "regress_ap_ann"}') AS e2,
	uaef.start_workflow('ap_group2') AS e3, uaef.start_workflow('ap_group2') AS e4 \gset
SELECT need, approvers, groups FROM uaef.pending_approval WHERE execution_id = :'e';
-- she could count for either, and moves when he comes
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_bob;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_cfo;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e2')));
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e2')));
SET SESSION AUTHORIZATION regress_ap_bob;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e2')));
-- as many as are needed in all are not enough
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e3')));
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e3')));
SET SESSION AUTHORIZATION regress_ap_cfo;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e3')));
SELECT approved, need FROM uaef.pending_approval WHERE execution_id = :'e3';
SET SESSION AUTHORIZATION regress_ap_dan;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e3')));
-- others that are asked instead count as they are
SET SESSION AUTHORIZATION regress_ap_ops;
SELECT ap_try(format('uaef.reassign_approval(%s, ''{regress_ap_boss,regress_ap_dan}'')', ap_id(:'e4')));
SET SESSION AUTHORIZATION regress_ap_dan;
SELECT groups IS NULL, need FROM uaef.pending_approval WHERE execution_id = :'e4';
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e4')));
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e4')));
SET SESSION AUTHORIZATION regress_ap_bob;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e4')));

--
-- The decision binds what was shown
--
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT uaef.start_workflow('ap_data', '{"who": "regress_ap_cfo"}') AS e \gset
SET SESSION AUTHORIZATION regress_ap_cfo;
SELECT ap_try(format('uaef.approve(%s, shown_digest => ''\x00'')', ap_id(:'e')));
SELECT ap_try(format('uaef.reject(%s, shown_digest => sha256(''{"n":2}''))', ap_id(:'e')));
RESET SESSION AUTHORIZATION;
UPDATE uaef.human_approval SET shown = '{"n": 2}' WHERE execution_id = :'e';
SET SESSION AUTHORIZATION regress_ap_cfo;
SELECT ap_try(format('uaef.approve(%s, shown_digest => sha256(''{"n":1}''))', ap_id(:'e')));
RESET SESSION AUTHORIZATION;
UPDATE uaef.human_approval SET shown = '{"n": 1}' WHERE execution_id = :'e';
SET SESSION AUTHORIZATION regress_ap_cfo;
SELECT shown_digest = sha256('{"n":1}') FROM uaef.pending_approval WHERE execution_id = :'e';
SELECT ap_try(format('uaef.approve(%s, shown_digest => sha256(''{"n":1}''))', ap_id(:'e')));

--
-- Who is not asked sees nothing, is told nothing, and cannot hold it up
--
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT uaef.start_workflow('ap_stage', '{"amount": 5000}') AS e \gset
SET SESSION AUTHORIZATION regress_ap_spy;
SELECT (SELECT count(*) FROM uaef.pending_approval), (SELECT count(*) FROM uaef.approval_history),
	(SELECT count(*) FROM uaef.approval_delegation);
SELECT c, ap_try(format('uaef.' || c, ap_id(:'e'))) FROM (VALUES ('approve(%s)'), ('reject(%s)'), ('withdraw_vote(%s)'),
	('comment_approval(%s, ''x'')'), ('reassign_approval(%s, ''{regress_ap_spy}'')'), ('approve_many(array[%s])')) v (c);
-- nor of one that is over
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'small')));
-- those of a later stage come later
SET SESSION AUTHORIZATION regress_ap_cfo;
SELECT count(*) FROM uaef.pending_approval WHERE execution_id = :'e';
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));

--
-- Comments
--
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT ap_try(format('uaef.comment_approval(%s, '' '')', ap_id(:'e')));
SELECT ap_try(format('uaef.comment_approval(%s, ''it is urgent'')', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT ap_try(format('uaef.comment_approval(%s, ''for whom?'')', ap_id(:'e')));
SELECT c ->> 'author', c ->> 'comment' FROM uaef.pending_approval, jsonb_array_elements(comments) c WHERE execution_id = :'e';
SELECT ap_try(format('uaef.comment_approval(%s, ''late'')', ap_id(:'small')));

--
-- Delegation: in one's place, in a window, for a workflow; one vote for both
--
SELECT ap_try(c) FROM (VALUES
	('uaef.delegate_approvals(''regress_ap_ann'', NULL, ''2999-01-01'')'),
	('uaef.delegate_approvals(''regress_ap_nobody'', NULL, ''2999-01-01'')'),
	('uaef.delegate_approvals(0::oid::regrole, NULL, ''2999-01-01'')'),
	('uaef.delegate_approvals(NULL, NULL, ''2999-01-01'')'),
	('uaef.delegate_approvals(''regress_ap_spy'', NULL, NULL)'),
	('uaef.delegate_approvals(''regress_ap_spy'', ''2000-01-02 UTC'', ''2000-01-01 UTC'') IS NULL'),
	('uaef.delegate_approvals(''regress_ap_spy'', NULL, ''2999-01-01'', ''ap_nothing'')')) v (c)
WHERE set_config('timezone', 'UTC', false) IS NOT NULL;
SELECT uaef.delegate_approvals('regress_ap_spy', '2998-01-01', '2999-01-01') AS later,
	uaef.delegate_approvals('regress_ap_spy', NULL, '2999-01-01', 'ap_veto') AS other \gset
SET SESSION AUTHORIZATION regress_ap_spy;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SELECT ap_try(format('uaef.revoke_delegation(%s)', :other));
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT uaef.delegate_approvals('regress_ap_spy', NULL, '2999-01-01', 'ap_stage', 'on holiday') AS id \gset
SELECT delegator, delegate, workflow, reason, status FROM uaef.approval_delegation ORDER BY delegation_id;
SET SESSION AUTHORIZATION regress_ap_spy;
SELECT stage, delegated_by, shown FROM uaef.pending_approval WHERE execution_id = :'e';
SELECT ap_try(format('uaef.approve(%s, on_behalf_of => ''regress_ap_bob'')', ap_id(:'e')));
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
RESET SESSION AUTHORIZATION;
SELECT approver, session_role, on_behalf_of, stage FROM uaef.human_approval_vote WHERE approval_id = ap_id(:'e');
SELECT payload ->> 'approver', payload ->> 'on_behalf_of' FROM uaef.ledger_event WHERE stream = :'e' AND event_type = 'approval_granted';
-- she has decided, by him, and so has he
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
-- somebody else's delegation does not make him two
SET SESSION AUTHORIZATION regress_ap_bob;
SELECT uaef.delegate_approvals('regress_ap_spy', NULL, '2999-01-01') IS NOT NULL;
SET SESSION AUTHORIZATION regress_ap_spy;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
-- and in one stage: the delegator after the delegate, the delegate after the delegator
SET SESSION AUTHORIZATION regress_ap_dan;
SELECT uaef.delegate_approvals('regress_ap_spy', NULL, '2999-01-01', 'ap_veto') IS NOT NULL;
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT uaef.start_workflow('ap_veto') AS e, uaef.start_workflow('ap_veto') AS e2 \gset
SET SESSION AUTHORIZATION regress_ap_spy;
SELECT ap_try(format('uaef.approve(%s, on_behalf_of => ''regress_ap_dan'')', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_dan;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e2')));
SET SESSION AUTHORIZATION regress_ap_spy;
SELECT ap_try(format('uaef.approve(%s, on_behalf_of => ''regress_ap_dan'')', ap_id(:'e2')));
-- but on behalf of another he may, and that one no more
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e2')));
SELECT status, votes -> 1 ->> 'on_behalf_of' FROM uaef.approval_history WHERE execution_id = :'e2';
-- revoked: no more
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT uaef.start_workflow('ap_stage', '{"amount": 5}') AS e \gset
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT ap_try(format('uaef.revoke_delegation(%s)', :id));
SELECT ap_try(format('uaef.revoke_delegation(%s)', :id));
SELECT ap_try('uaef.revoke_delegation(-1)');
SET SESSION AUTHORIZATION regress_ap_bob;
SELECT ap_try(format('uaef.revoke_delegation(%s)', :id));
SELECT count(uaef.revoke_delegation(delegation_id)) FROM uaef.approval_delegation WHERE delegator = 'regress_ap_bob'::regrole;
SET SESSION AUTHORIZATION regress_ap_spy;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));

--
-- Four eyes: neither by a delegation of who started it, nor as its delegate
--
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT uaef.delegate_approvals('regress_ap_dan', NULL, '2999-01-01') IS NOT NULL;
RESET SESSION AUTHORIZATION;
SELECT uaef.grant_access('regress_ap_ann', 'author'), uaef.grant_access('regress_ap_dan', 'author');
SET SESSION AUTHORIZATION regress_ap_ann;
SELECT uaef.start_workflow('ap_stage', '{"amount": 5}') AS e \gset
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_dan;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SELECT uaef.start_workflow('ap_stage', '{"amount": 5}') AS e \gset
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
-- a delegation that was made after SET ROLE is of the one who is logged in, too
SET SESSION AUTHORIZATION regress_ap_ann;
SET ROLE regress_ap_boss;
SELECT uaef.delegate_approvals('regress_ap_cfo', NULL, '2999-01-01', 'ap_stage') IS NOT NULL;
RESET ROLE;
SELECT uaef.start_workflow('ap_stage', '{"amount": 5}') AS e \gset
SET SESSION AUTHORIZATION regress_ap_cfo;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));

--
-- Reassignment: by who may control the execution, but not by who started it
--
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT uaef.start_workflow('ap_stage', '{"amount": 5}') AS e \gset
SELECT ap_try(format('uaef.reassign_approval(%s, ''{regress_ap_spy}'')', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_ops;
SELECT ap_try(format('uaef.reassign_approval(%s, %s)', ap_id(:'e'), r)) FROM (VALUES
	('''{}'''), ('''{regress_ap_nobody}'''), ('NULL'), ('''{NULL}'''), ('''{regress_ap_ops,regress_ap_spy}'', ''all ill''')) v (r);
-- who chose does not decide
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_bob;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_spy;
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT payload - 'approval_id' FROM uaef.audit_trail WHERE execution_id = :'e' AND event_type = 'approval_reassigned';

--
-- Many at once: all or none
--
SELECT uaef.start_workflow('ap_stage', '{"amount": 5}') AS e, uaef.start_workflow('ap_stage', '{"amount": 500}') AS e2 \gset
SET SESSION AUTHORIZATION regress_ap_bob;
SELECT ap_try(format('count(*) FROM uaef.approve_many(ARRAY[%s, NULL])', ap_id(:'e')));
SELECT ap_try(format('count(*) FROM uaef.approve_many(ARRAY[%s, %s])', ap_id(:'e'), ap_id(:'small')));
SELECT ap_try(format('count(*) FROM uaef.approve_many(ARRAY[%s, %1$s])', ap_id(:'e')));
SELECT ap_try('count(*) FROM uaef.approve_many(NULL)'), ap_try('count(*) FROM uaef.approve_many(''{}'')'),
	ap_try('count(*) FROM uaef.approve_many(array_fill(1::bigint, ARRAY[10001]))');
SELECT status FROM uaef.approve_many(ARRAY[ap_id(:'e2'), ap_id(:'e')], 'both') ORDER BY approval_id;

--
-- Forms: a response that does not fit is refused, and decides nothing
--
RESET SESSION AUTHORIZATION;
SELECT uaef.create_workflow('ap_form', '{"tasks": [{"id": "ask", "type": "human_approval", "config": {"approvers": "regress_ap_cfo",
	"form": {"type": "object", "required": ["centre"], "additionalProperties": false,
		"properties": {"centre": {"type": "integer"}, "amount": {"type": "number", "maximum": 10}}}}}]}');
SELECT uaef.create_workflow('ap_form2', '{"tasks": [{"id": "ask", "type": "human_approval", "config": {"approvers": "regress_ap_cfo",
	"form": {"type": ["object", "null"]}}}]}');
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT uaef.start_workflow('ap_form') AS e, uaef.start_workflow('ap_form') AS e2, uaef.start_workflow('ap_form2') AS e3 \gset
SET SESSION AUTHORIZATION regress_ap_cfo;
SELECT form -> 'required' FROM uaef.pending_approval WHERE execution_id = :'e';
SELECT r, ap_try(format('uaef.approve(%s, response => %L)', ap_id(:'e'), r))
FROM (VALUES (NULL), ('null'), ('7'), ('{}'), ('{"centre": "x"}'), ('{"centre": 1, "amount": 11, "x": 2}')) v (r);
SELECT ap_try(format('count(*) FROM uaef.approve_many(ARRAY[%s, %s])', ap_id(:'e3'), ap_id(:'e')));
SELECT ap_try(format('uaef.approve(%s, response => ''{"centre": 1, "amount": 9.5}'')', ap_id(:'e')));
SELECT ap_try(format('uaef.reject(%s)', ap_id(:'e2'))), ap_try(format('uaef.approve(%s)', ap_id(:'e3')));
SET SESSION AUTHORIZATION regress_ap_clerk;
SELECT status, output -> 'ask' -> 'response' FROM uaef.workflow_run WHERE execution_id IN (:'e', :'e2', :'e3') ORDER BY workflow, status;

--
-- A running execution whose open work all waits for people says so
--
RESET SESSION AUTHORIZATION;
SELECT uaef.create_workflow('ap_wait', '{"tasks": [{"id": "ask", "type": "human_approval"},
	{"id": "work", "type": "external", "queue": "ap"}]}');
SELECT uaef.start_workflow('ap_wait') AS e \gset
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.complete_task(task_id) FROM uaef.task_run WHERE execution_id = :'e' AND task = 'work';
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.pause_workflow(:'e');
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT uaef.cancel_workflow(:'e');
SELECT status FROM uaef.workflow_run WHERE execution_id = :'e';
SELECT ap_try(format('uaef.approve(%s)', ap_id(:'e')));

SELECT count(uaef.cancel_workflow(execution_id)) > 0 FROM uaef.workflow_run
WHERE workflow LIKE 'ap\_%' AND status IN ('running', 'waiting_approval');
SELECT count(*) FROM uaef.human_approval WHERE status = 'pending';
SELECT * FROM uaef.verify_ledger() WHERE severity <> 'info';
DROP FUNCTION ap_define(jsonb), ap_try(text), ap_id(uuid);
SELECT count(uaef.revoke_access(role::regrole, access)) > 0 FROM uaef.access_grant WHERE role::text LIKE 'regress\_ap\_%';
DROP OWNED BY regress_ap_clerk, regress_ap_boss, regress_ap_ann, regress_ap_bob, regress_ap_cfo, regress_ap_dan, regress_ap_ops, regress_ap_spy;
DROP ROLE regress_ap_ann, regress_ap_bob, regress_ap_ops, regress_ap_clerk, regress_ap_boss, regress_ap_cfo, regress_ap_dan, regress_ap_spy;
