--
-- Rows of an app's table start workflows
--
\set SHOW_CONTEXT never
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE TABLE trg_order (id int PRIMARY KEY, amount numeric, placed date);
SELECT uaef.create_workflow('trg', '{"tasks": [{"id": "p", "type": "parallel"}], "output": {"order": "{{in.id}}", "amount": "{{in.amount}}", "placed": "{{in.placed}}"}}');
SELECT uaef.attach_workflow('trg_order', 'trg', key => 'id', condition => 'NEW.amount > 10');
INSERT INTO trg_order VALUES (1, 12.50, '2026-01-31'), (2, 5, '2026-02-01'), (3, 100, NULL);
SELECT status, output FROM uaef.workflow_run WHERE workflow = 'trg' ORDER BY input->>'id';

-- the app's rollback is the workflow's
BEGIN;
INSERT INTO trg_order VALUES (4, 99, NULL);
ROLLBACK;
SELECT count(*) FROM uaef.workflow_run WHERE workflow = 'trg';

-- who may write the table needs no rights of ours, and owns what starts
CREATE ROLE regress_trg_app;
GRANT INSERT ON trg_order TO regress_trg_app;
SET ROLE regress_trg_app;
INSERT INTO trg_order VALUES (5, 50, NULL);
RESET ROLE;
SELECT initiated_by, output FROM uaef.workflow_run WHERE workflow = 'trg' AND input->>'id' = '5';

-- a workflow that is not there: it cannot be attached, and a trigger that
-- names it refuses the row
SELECT uaef.attach_workflow('trg_order', 'trg_nothing');
\echo :LAST_ERROR_SQLSTATE
-- a near name may be the one that is meant
SELECT uaef.start_workflow('TRG', '{}');
SELECT uaef.start_workflow('trq', '{}');
SELECT uaef.start_workflow('tr', '{}');
SELECT uaef.start_workflow(repeat('t', 300), '{}');
CREATE TRIGGER nothing AFTER INSERT ON trg_order FOR EACH ROW EXECUTE FUNCTION uaef.start_workflow_trigger('trg_nothing');
INSERT INTO trg_order VALUES (6, 50, NULL);
\echo :LAST_ERROR_SQLSTATE
DROP TRIGGER nothing ON trg_order;
SELECT uaef.detach_workflow('trg_order', 'trg');
INSERT INTO trg_order VALUES (7, 50, NULL);
SELECT count(*) FROM uaef.workflow_run WHERE workflow = 'trg';

-- wrong uses
SELECT uaef.attach_workflow('trg_order', 'trg', event => 'TRUNCATE');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.attach_workflow('trg_order', 'trg', key => 'nothing');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.attach_workflow('trg_order', 'trg', key => 'id', event => 'UPDATE');
\echo :LAST_ERROR_SQLSTATE
CREATE TRIGGER bad BEFORE INSERT ON trg_order FOR EACH ROW EXECUTE FUNCTION uaef.start_workflow_trigger('trg');
INSERT INTO trg_order VALUES (9, 50, NULL);
\echo :LAST_ERROR_SQLSTATE
DROP TABLE trg_order;
DROP ROLE regress_trg_app;

-- a template of the row, a key of several columns, updates of a column only
CREATE TABLE trg_item (id int PRIMARY KEY, state text, n int);
SELECT uaef.create_workflow('trg_t', '{"tasks": [{"id": "p", "type": "parallel"}]}');
SELECT uaef.attach_workflow('trg_item', 'trg_t', key => '{{row.id}}-{{row.state}}', event => 'INSERT OR UPDATE',
	input => '{"id": "{{row.id}}", "text": "item {{row.id}} is {{row.state}}"}', columns => '{state}');
INSERT INTO trg_item VALUES (1, 'new', 0);
UPDATE trg_item SET n = 5;
UPDATE trg_item SET state = 'sent';
UPDATE trg_item SET state = 'new' WHERE false;
SELECT input FROM uaef.workflow_run WHERE workflow = 'trg_t' ORDER BY created_at, execution_id;
SELECT "table", trigger, workflow, event, per, key, input, enabled FROM uaef.attached_workflow;
SELECT uaef.detach_workflow('trg_item', 'trg_t');

-- what was there before
SELECT uaef.attach_workflow('trg_item', 'trg_t', event => 'update', input => '{"from": "{{old.state}}", "to": "{{row.state}}"}', name => 'changes');
SELECT uaef.attach_workflow('trg_item', 'trg_t', event => 'DELETE', key => 'id');
UPDATE trg_item SET state = 'back';
DELETE FROM trg_item;
SELECT input FROM uaef.workflow_run WHERE workflow = 'trg_t' ORDER BY created_at, execution_id OFFSET 2;
SELECT definition FROM uaef.attached_workflow ORDER BY 1;
SELECT uaef.detach_workflow('trg_item', 'trg_t');
SELECT uaef.detach_workflow('trg_item', 'trg_t');
\echo :LAST_ERROR_SQLSTATE

-- one start for all rows of a statement, none for no rows
SELECT uaef.create_workflow('trg_s', '{"tasks": [{"id": "p", "type": "parallel"}]}');
SELECT uaef.attach_workflow('trg_item', 'trg_s', per => 'statement');
SELECT uaef.attach_workflow('trg_item', 'trg_s', per => 'statement', event => 'UPDATE', name => 'u',
	input => '{"first": "{{rows[0].n}}", "was": "{{old_rows[0].n}}"}', key => '{{rows[0].id}}');
SELECT uaef.attach_workflow('trg_item', 'trg_s', per => 'statement', event => 'DELETE', name => 'd');
INSERT INTO trg_item SELECT i, 'x', i FROM generate_series(1, 2) i;
INSERT INTO trg_item SELECT WHERE false;
UPDATE trg_item SET n = n + 10 WHERE id = 1;
DELETE FROM trg_item WHERE id = 2;
SELECT input FROM uaef.workflow_run WHERE workflow = 'trg_s' ORDER BY created_at, execution_id;
SELECT uaef.detach_workflow('trg_item', 'trg_s');

-- a path that is not there refuses the row
SELECT uaef.attach_workflow('trg_item', 'trg_t', input => '{"x": "{{row.nothing}}"}');
SELECT uaef.attach_workflow('trg_item', 'trg_t', '{{row.nothing}}');
SELECT uaef.attach_workflow('trg_item', 'trg_t', input => '{"x": "{{old.id}}"}', event => 'INSERT OR UPDATE');
SELECT uaef.attach_workflow('trg_item', 'trg_t', input => '{"x": "{{rows}}"}');
SELECT uaef.attach_workflow('trg_item', 'trg_t', input => '{"x": "{{row.id}}"}', per => 'statement');
SELECT uaef.attach_workflow('trg_item', 'trg_t', input => '{"x": "{{row.id.deep}}"}');
SELECT uaef.attach_workflow('trg_item', 'trg_t');
INSERT INTO trg_item VALUES (9, 'x', 1);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.detach_workflow('trg_item', 'trg_t');

-- wrong uses: nothing is made
SELECT uaef.attach_workflow('trg_item', 'trg_t', per => 'page');
SELECT uaef.attach_workflow('trg_item', 'trg_t', event => 'INSERT UPDATE');
SELECT uaef.attach_workflow('trg_item', 'trg_t', event => 'INSERT OR INSERT');
SELECT uaef.attach_workflow('trg_item', 'trg_t', event => '');
SELECT uaef.attach_workflow('trg_item', 'trg_t', columns => '{n}');
SELECT uaef.attach_workflow('trg_item', 'trg_t', event => 'UPDATE', columns => '{nothing}');
SELECT uaef.attach_workflow('trg_item', 'trg_t', per => 'statement', event => 'INSERT OR UPDATE');
SELECT uaef.attach_workflow('trg_item', 'trg_t', per => 'statement', key => 'id');
SELECT uaef.attach_workflow('trg_item', 'trg_t', input => '{"x": "{{row."}');
SELECT uaef.attach_workflow('trg_item', 'trg_t', condition => 'NEW.nothing = 1');
SELECT uaef.attach_workflow('trg_item', 'trg_t', condition =>
	'true) EXECUTE FUNCTION uaef.start_workflow_trigger(''trg_t''); CREATE TABLE trg_injected (); SELECT (true');
SELECT uaef.attach_workflow('trg_item', 'trg_t', condition =>
	'true); CREATE TABLE trg_injected (); SELECT (true');
SELECT uaef.attach_workflow('trg_item', 'trg_t', condition => 'true), (false');
SELECT uaef.attach_workflow('trg_item', 'trg_t', condition => '');
SELECT to_regclass('trg_injected') IS NULL AS nothing_made;
SELECT uaef.attach_workflow('trg_item', NULL);
CREATE ROLE regress_trg_author;
SELECT uaef.grant_access('regress_trg_author', 'author');
GRANT TRIGGER ON trg_item TO regress_trg_author;
SET ROLE regress_trg_author;
SELECT uaef.attach_workflow('trg_item', 'trg_t');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.detach_workflow('trg_item', 'trg_t');
RESET ROLE;
SELECT count(*) FROM uaef.attached_workflow;
DROP TABLE trg_item;
SELECT uaef.revoke_access('regress_trg_author', 'author');
DROP ROLE regress_trg_author;
