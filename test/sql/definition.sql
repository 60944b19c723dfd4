--
-- Workflow definitions: what is accepted, versions, owners, graphs
--
CREATE SCHEMA def_app;
CREATE TABLE def_app.loan (id int PRIMARY KEY, amount numeric);

-- every type, every key
SELECT uaef.create_workflow('def_all', $${
  "description": "all types",
  "context": {"limit": 1000},
  "tasks": [
    {"id": "score", "type": "sql", "description": "risk of the loan",
     "config": {"sql": "SELECT amount / 100 AS risk FROM def_app.loan WHERE id = ($1->>'id')::int",
                "input": {"id": "{{in.loan.id}}", "who": "for {{sys.initiated_by}}"}},
     "timeout": "30s", "on_failure": "fail", "queue": "default", "priority": 5,
     "retry": {"max_attempts": 5, "backoff": "exponential", "initial": "1s", "factor": 2,
               "max": "5min", "jitter": 0.2, "on": ["40001", "40", "http_503"]}},
    {"id": "decide", "type": "decision",
     "config": {"cases": [{"label": "approve", "when": {"task.score.risk": {"$lt": 0.3}}},
                          {"label": "refuse", "when": {"task.score.risk": {"$gt": 0.9}}}],
                "default": "review"}},
    {"id": "ask", "type": "human_approval",
     "config": {"description": "Loan {{in.loan.id}}", "approvers": ["pg_monitor"], "need": 1,
                "four_eyes": true, "expires": "72h", "form": {"type": "object"},
                "show": {"risk": "{{task.score.risk}}"}}},
    {"id": "big", "type": "condition", "config": {"when": {"in.loan.amount": {"$gte": 1000}}}},
    {"id": "fork", "type": "parallel"},
    {"id": "each", "type": "map", "on_failure": "continue",
     "config": {"over": "{{in.parts}}", "concurrency": 10, "join": "all",
                "task": {"type": "sql", "config": {"sql": "SELECT $1", "input": {"part": "{{item.no}}"}},
                         "timeout": "1min", "retry": {"max_attempts": 2}}}},
    {"id": "some", "type": "parallel",
     "config": {"over": ["a", "b", "c"], "join": 2,
                "task": {"type": "external", "queue": "robots", "config": {"input": "{{item}}"}}}},
    {"id": "call", "type": "http", "join": "any",
     "config": {"url": "https://bank.example/loans/{{in.loan.id}}", "method": "PUT",
                "headers": {"X-Loan": "{{in.loan.id}}"}, "body": {"risk": "{{task.score.risk}}"},
                "expect": {"status": [200, 201]}, "idempotent": true}},
    {"id": "rest", "type": "wait", "config": {"for": "PT1H"}},
    {"id": "due", "type": "wait", "config": {"until": "{{in.due}}"}},
    {"id": "print", "type": "external", "queue": "printers", "join": 2, "on_failure": "skip"}
  ],
  "edges": [
    {"from": "score", "to": "decide"},
    {"from": "decide", "to": "big", "on": "approve"},
    {"from": "decide", "to": "ask", "on": "review"},
    {"from": "ask", "to": "big", "on": "approved"},
    {"from": "big", "to": "fork", "on": "true"},
    {"from": "big", "to": "call", "on": "false", "when": {"in.loan.amount": {"$gt": 10}}},
    {"from": "fork", "to": "each"}, {"from": "fork", "to": "some"},
    {"from": "each", "to": "call"}, {"from": "some", "to": "call", "when": {"task.score.risk": {"$lt": 0.5}}},
    {"from": "call", "to": "rest"}, {"from": "call", "to": "due"},
    {"from": "rest", "to": "print"}, {"from": "due", "to": "print"}
  ],
  "output": {"risk": "{{task.score.risk}}", "limit": "{{ctx.limit}}"}
}$$, 'a loan') AS version;

SELECT uaef.workflow_graph('def_all');
SELECT uaef.workflow_graph('def_all', 'mermaid');
SELECT uaef.workflow_graph('def_all', 'dot');

-- the smallest definition
SELECT uaef.create_workflow('def_small',
	'{"tasks":[{"id":"a","type":"parallel"}]}') AS version;
SELECT uaef.workflow_graph('def_small');

-- a definition equal to the newest version is no new version, however it is
-- written; another one is; and an older one again is
SELECT uaef.create_workflow('def_small',
	'{ "tasks": [ {"type":"parallel", "id":"a"} ] }') AS version;
SELECT uaef.create_workflow('def_small',
	'{"tasks":[{"id":"b","type":"parallel"}]}') AS version;
SELECT uaef.create_workflow('def_small',
	'{"tasks":[{"id":"a","type":"parallel"}]}') AS version;
SELECT version, digest = sha256(convert_to(uaef.canonical_json(definition), 'UTF8')) AS digest,
       created_by = current_user::regrole AS mine
  FROM uaef.workflow_definition WHERE name = 'def_small' ORDER BY version;
SELECT name, version, tasks, description FROM uaef.workflow
 WHERE name LIKE 'def\_%' ORDER BY name;

-- one event for each version that was stored
SELECT payload->>'workflow' AS workflow, payload->>'version' AS version,
       payload->>'digest' = encode(d.digest, 'hex') AS digest
  FROM uaef.ledger_event e
  JOIN uaef.workflow_definition d
    ON d.name = e.payload->>'workflow' AND d.version = (e.payload->>'version')::int
 WHERE e.event_type = 'workflow_defined' AND d.name = 'def_small'
 ORDER BY 2;

-- SQL is planned with the search_path that the role's sessions have, which is
-- where it will run, not with that of create_workflow()
SET search_path = def_app, public;
\set ON_ERROR_STOP off
SELECT uaef.create_workflow('def_path',
	'{"tasks":[{"id":"a","type":"sql","config":{"sql":"SELECT * FROM loan"}}]}');
\echo :LAST_ERROR_SQLSTATE
RESET search_path;
CREATE TABLE public.def_plain (x int);
SELECT uaef.create_workflow('def_path',
	'{"tasks":[{"id":"a","type":"sql","config":{"sql":"SELECT * FROM def_plain"}}]}') AS version;

-- planning runs as the caller
CREATE ROLE def_author;
CREATE ROLE def_other;
GRANT USAGE ON SCHEMA uaef, def_app TO def_author, def_other;
GRANT EXECUTE ON FUNCTION uaef.create_workflow, uaef.workflow_graph(text, text),
	uaef.workflow_graph(uuid, text) TO def_author, def_other;
CREATE FUNCTION def_app.who() RETURNS text LANGUAGE plpgsql IMMUTABLE AS
	$$BEGIN RAISE NOTICE 'planned as %', current_user; RETURN 'x'; END$$;
SET ROLE def_author;
SELECT uaef.create_workflow('def_owned',
	'{"tasks":[{"id":"a","type":"sql","config":{"sql":"SELECT def_app.who()"}}]}') AS version;

-- only its creator, or a member of it, may give a workflow another version
RESET ROLE;
SET ROLE def_other;
SELECT uaef.create_workflow('def_owned',
	'{"tasks":[{"id":"a","type":"parallel"}]}');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT def_author TO def_other;
SET ROLE def_other;
SELECT uaef.create_workflow('def_owned',
	'{"tasks":[{"id":"a","type":"parallel"}]}') AS version;
RESET ROLE;

-- an execution is drawn with the status of its tasks, for who may see it
INSERT INTO uaef.workflow_execution (execution_id, definition_id, status,
	open_tasks, initiated_by, session_role, input, created_at)
SELECT '01900000-0000-7000-8000-000000000001', definition_id, 'running', 1,
       'def_author', 'def_author', '{}', now()
  FROM uaef.workflow_definition WHERE name = 'def_all';
INSERT INTO uaef.task_execution (execution_id, task_no, task_id, task, status,
	attempt, items_total, items_completed)
SELECT '01900000-0000-7000-8000-000000000001', no, no, task, status, attempt,
       total, done
  FROM (VALUES (0, 'score', 'completed', 3, NULL, NULL),
               (1, 'decide', 'completed', 1, NULL, NULL),
               (2, 'ask', 'skipped', 0, NULL, NULL),
               (3, 'big', 'completed', 1, NULL, NULL),
               (4, 'fork', 'completed', 1, NULL, NULL),
               (5, 'each', 'running', 1, 20, 7),
               (6, 'some', 'failed', 1, 3, 1)) AS t(no, task, status, attempt, total, done);
SELECT uaef.workflow_graph('01900000-0000-7000-8000-000000000001'::uuid);
SELECT uaef.workflow_graph('01900000-0000-7000-8000-000000000001')
     = uaef.workflow_graph('01900000-0000-7000-8000-000000000001'::uuid) AS id_as_text;
SELECT line FROM regexp_split_to_table(uaef.workflow_graph(
	'01900000-0000-7000-8000-000000000001'::uuid, 'mermaid'), '\n') AS line
 WHERE line ~ 't[056]\[|classDef failed';
SELECT line FROM regexp_split_to_table(uaef.workflow_graph(
	'01900000-0000-7000-8000-000000000001'::uuid, 'dot'), '\n') AS line
 WHERE line ~ '"(each|some)" \[';
CREATE ROLE def_stranger;
GRANT USAGE ON SCHEMA uaef TO def_stranger;
GRANT EXECUTE ON FUNCTION uaef.workflow_graph(uuid, text) TO def_stranger;
SET ROLE def_stranger;
SELECT uaef.workflow_graph('01900000-0000-7000-8000-000000000001'::uuid);
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SELECT uaef.workflow_graph('01900000-0000-7000-8000-00000000ffff'::uuid);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.workflow_graph('def_nothing');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.workflow_graph('def_all', 'png');
\echo :LAST_ERROR_SQLSTATE

-- text from outside cannot break out of a drawing
SELECT uaef.create_workflow('def "quo\ted"', '{"tasks":[{"id":"a","type":"decision",
	"config":{"cases":[{"label":"\"]; x","when":{"in.a":1}}]}},{"id":"b","type":"parallel"}],
	"edges":[{"from":"a","to":"b","on":"\"]; x"}]}') AS version;
SELECT uaef.workflow_graph('def "quo\ted"', 'mermaid');
SELECT uaef.workflow_graph('def "quo\ted"', 'dot');

-- 1,000 tasks, each reading all that came ten before
SELECT uaef.create_workflow('def_chain', jsonb_build_object(
	'tasks', (SELECT jsonb_agg(jsonb_build_object(
		'id', 't' || i, 'type', 'condition', 'config', jsonb_build_object('when',
			jsonb_build_object('task.t' || greatest(i - 10, 1) || '.result', true))) ORDER BY i)
	  FROM generate_series(2, 1000) i) || '[{"id":"t1","type":"parallel"}]',
	'edges', (SELECT jsonb_agg(jsonb_build_object('from', 't' || i - 1, 'to', 't' || i))
	  FROM generate_series(2, 1000) i))) AS version;
SELECT count(*), max(split_part(trim(line), ' ', 1)::int) AS levels
  FROM regexp_split_to_table(uaef.workflow_graph('def_chain'), '\n') WITH ORDINALITY AS l(line, n)
 WHERE n > 1;

DELETE FROM uaef.task_execution WHERE execution_id = '01900000-0000-7000-8000-000000000001';
DELETE FROM uaef.workflow_execution WHERE execution_id = '01900000-0000-7000-8000-000000000001';
DELETE FROM uaef.workflow_definition WHERE name LIKE 'def%';
DROP TABLE public.def_plain;
DROP SCHEMA def_app CASCADE;
REVOKE ALL ON SCHEMA uaef FROM def_author, def_other, def_stranger;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA uaef FROM def_author, def_other, def_stranger;
DROP ROLE def_author, def_other, def_stranger;
