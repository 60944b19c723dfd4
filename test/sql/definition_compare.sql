--
-- Workflows as scripts, and what differs between their versions
--
SELECT uaef.create_workflow('cmp ''x''', $${
  "tasks": [{"id": "a", "type": "external", "timeout": "5s", "config": {"input": {"n": 1.0, "text": "$uaef$ it's \\ \"q\" ü\n"}}},
            {"id": "b", "type": "decision", "config": {"cases": [{"label": "x", "when": {"in.n": 1}}, {"label": "y", "when": {"in.n": 2}}]}},
            {"id": "c", "type": "parallel"}],
  "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "c", "on": "x"}],
  "context": {"rate": 0.10}}$$, 'it''s $uaef$');

-- a script; run once more it makes nothing, elsewhere the same document
SELECT uaef.export_workflow('cmp ''x''');
CREATE TEMP TABLE before AS SELECT version, digest, description FROM uaef.workflow_definition WHERE name = 'cmp ''x''';
SELECT uaef.export_workflow('cmp ''x''') AS script \gset
:script
DELETE FROM uaef.workflow_definition WHERE name = 'cmp ''x''';
SET standard_conforming_strings = off;
:script
RESET standard_conforming_strings;
SELECT d.version, d.digest = b.digest AS same, d.description = b.description AS same_text
FROM uaef.workflow_definition d, before b WHERE name = 'cmp ''x''';

-- a text whose end would be taken for the end of the literal
BEGIN;
SELECT uaef.create_workflow('cmp end', '{"tasks": [{"id": "a", "type": "parallel"}]}', 'a $uaef');
SELECT uaef.export_workflow('cmp end') AS script \gset
:script
SELECT right(:'script', 30) AS "end";
ROLLBACK;

-- version by version
SELECT uaef.create_workflow('cmp ''x''', $${
  "tasks": [{"id": "b", "type": "decision", "config": {"cases": [{"label": "x", "when": {"in.n": 1}}, {"label": "y", "when": {"in.n": 3}}]}},
            {"id": "a", "type": "external", "config": {"input": {"n": 1.00, "text": "new"}}, "retry": {"max_attempts": 2}},
            {"id": "d", "type": "parallel"}],
  "edges": [{"from": "a", "to": "b", "when": {"in.n": 1}}, {"from": "b", "to": "d", "on": "x"}],
  "output": {"x": 1}, "context": {"rate": 0.10}}$$);
SELECT * FROM uaef.compare_workflow('cmp ''x''');
SELECT part, path, change FROM uaef.compare_workflow('cmp ''x''', 2, 1);
SELECT * FROM uaef.compare_workflow('cmp ''x''', 1, 1);
SELECT left(uaef.export_workflow('cmp ''x''', 1), 60), uaef.export_workflow('cmp ''x''', 1) = :'script' AS same;

-- bad input
SELECT uaef.export_workflow('cmp nobody');
SELECT uaef.export_workflow('cmp ''x''', 3);
SELECT uaef.export_workflow('cmp ''x''', 0);
SELECT uaef.export_workflow(NULL);
SELECT * FROM uaef.compare_workflow('cmp ''x''', 1, 9);
SELECT * FROM uaef.compare_workflow('cmp nobody');
