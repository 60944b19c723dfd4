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
