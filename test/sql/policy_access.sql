--
-- data_access policies: what the SQL of a task may reach, whatever it tries
--
SET client_min_messages = warning;
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE ROLE regress_pa_ann;
CREATE SCHEMA pa;
GRANT USAGE, CREATE ON SCHEMA pa TO regress_pa_ann;
GRANT USAGE ON SCHEMA uaef TO regress_pa_ann;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA uaef TO regress_pa_ann;
CREATE TABLE pa.region (id int PRIMARY KEY);
CREATE TABLE pa.orders (id int PRIMARY KEY, region int REFERENCES pa.region, note text, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE pa.line (order_id int REFERENCES pa.orders ON DELETE CASCADE, n int);
CREATE TABLE pa.secret (id int, pin text);
CREATE TABLE pa.people (id int, name text, salary int);
CREATE TABLE pa.later (id int);
CREATE TABLE pa.plain (id int);
CREATE TABLE pa.root (id int PRIMARY KEY);
CREATE TABLE pa.leaf (id int REFERENCES pa.root ON DELETE CASCADE);
CREATE SEQUENCE pa.seq;
INSERT INTO pa.plain VALUES (1);
INSERT INTO pa.root VALUES (1);
INSERT INTO pa.leaf VALUES (1);
INSERT INTO pa.region VALUES (1);
INSERT INTO pa.orders VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 1, 'c');
INSERT INTO pa.line VALUES (3, 1);
INSERT INTO pa.secret VALUES (1, '1234');
INSERT INTO pa.people VALUES (1, 'Ann', 10);
CREATE VIEW pa.peek AS SELECT pin FROM pa.secret;
CREATE VIEW pa.order_notes AS SELECT note FROM pa.orders;
CREATE FUNCTION pa.read_pin() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT pin FROM pa.secret); END';
CREATE FUNCTION pa.read_pin_definer() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN (SELECT pin FROM pa.secret); END';
CREATE FUNCTION pa.read_pin_sql() RETURNS text LANGUAGE sql STABLE AS 'SELECT pin FROM pa.secret';
CREATE FUNCTION pa.read_pin_caught() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT pin FROM pa.secret);
EXCEPTION WHEN OTHERS THEN
	RETURN 'caught ' || SQLSTATE;
END $$;
CREATE FUNCTION pa.run(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
	EXECUTE command INTO result;
	RETURN result;
END $$;
CREATE FUNCTION pa.do_it(command text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE command; END';
CREATE FUNCTION pa.secretly() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pin FROM pa.secret;
	RETURN NEW;
END $$;
CREATE FUNCTION pa.with_setting() RETURNS text LANGUAGE plpgsql SET work_mem = '1MB' AS 'BEGIN RETURN (SELECT pin FROM pa.secret); END';
CREATE PROCEDURE pa.add_order(n int) LANGUAGE plpgsql AS 'BEGIN INSERT INTO pa.orders VALUES (n, 1, ''called''); END';
CREATE PROCEDURE pa.add_secret(n int) LANGUAGE plpgsql AS 'BEGIN INSERT INTO pa.secret VALUES (n); END';
CREATE TABLE pa.trapped (id int);
CREATE TRIGGER secretly BEFORE INSERT ON pa.trapped FOR EACH ROW EXECUTE FUNCTION pa.secretly();
CREATE TRIGGER secretly BEFORE DELETE ON pa.leaf FOR EACH ROW EXECUTE FUNCTION pa.secretly();
CREATE CONSTRAINT TRIGGER secretly AFTER INSERT ON pa.later DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION pa.secretly();
GRANT ALL ON ALL TABLES IN SCHEMA pa TO regress_pa_ann;
GRANT ALL ON ALL SEQUENCES IN SCHEMA pa TO regress_pa_ann;

-- everything below runs as one role, and says in a line what came of it
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	execution uuid;
	result text;
BEGIN
	PERFORM uaef.create_workflow('pa', jsonb_build_object('tasks', jsonb_build_array(
		jsonb_build_object('id', 't', 'type', 'sql', 'config', jsonb_build_object('sql', statement)))));
	execution := uaef.start_workflow('pa');
	PERFORM uaef.execute_next_tasks(execution);
	SELECT coalesce(error->>'code' || coalesce(': ' || (error->>'detail'), ': ' || (error->>'message')), output::text)
	INTO result FROM uaef.task_run WHERE execution_id = execution;
	RETURN result;
END $$;
CREATE TABLE statements (no int GENERATED ALWAYS AS IDENTITY, statement text);
GRANT SELECT ON statements TO regress_pa_ann;
GRANT SELECT ON uaef.task_run TO regress_pa_ann;

SELECT uaef.create_policy('pa', 'data_access', '{
	"tables": {"pa.orders": ["select", "insert", "update", "delete"], "pa.line": ["select"],
	           "pa.people": {"select": ["id", "name"], "update": ["name"]},
	           "pa.plain": ["select", "delete"], "pa.root": ["select", "delete"], "pa.leaf": ["select", "delete"],
	           "pa.trapped": ["insert"], "pa.later": ["insert"]},
	"functions": ["pa.*"]}', 'strict', '{"workflow": "pa"}');

INSERT INTO statements (statement) VALUES
-- what is allowed
('SELECT count(*) AS n FROM pa.orders'),
('SELECT o.note, l.n FROM pa.orders o JOIN pa.line l ON l.order_id = o.id'),
('INSERT INTO pa.orders VALUES (4, 1, ''d'') RETURNING id'),
('UPDATE pa.orders SET note = upper(note) WHERE id = 4'),
('DELETE FROM pa.plain WHERE id = 1'),
('SELECT note FROM pa.order_notes'),
('SELECT id, name FROM pa.people'),
('UPDATE pa.people SET name = name || ''!'' WHERE id = 1'),
('SELECT random() < 2 AS yes, md5(''x'') IS NOT NULL AS also'),
('CALL pa.add_order(5)'),
('SELECT n FROM generate_series(1, 2) n'),
-- tables
('SELECT pin FROM pa.secret'),
('INSERT INTO pa.secret VALUES (2)'),
('SELECT note FROM pa.orders WHERE EXISTS (SELECT FROM pa.secret)'),
('WITH s AS (INSERT INTO pa.secret VALUES (3) RETURNING id) SELECT count(*) FROM pa.orders'),
('INSERT INTO pa.orders SELECT 6, 1, pin FROM pa.secret'),
('UPDATE pa.orders SET note = s.pin FROM pa.secret s'),
('DELETE FROM pa.line'),
('SELECT n FROM pa.line FOR UPDATE'),
('SELECT relname FROM pg_class LIMIT 1'),
-- columns
('SELECT salary FROM pa.people'),
('SELECT p FROM pa.people p'),
('SELECT * FROM pa.people'),
('SELECT id FROM pa.people ORDER BY salary'),
('UPDATE pa.people SET salary = 1000'),
('INSERT INTO pa.people VALUES (2)'),
-- views, rules of others
('SELECT pin FROM pa.peek'),
-- functions
('SELECT pa.read_pin()'),
('SELECT pa.read_pin_definer()'),
('SELECT pa.read_pin_sql()'),
('SELECT pa.read_pin_caught()'),
('SELECT pa.with_setting()'),
('SELECT pa.run(''SELECT pin FROM pa.secret'')'),
('SELECT query_to_xml(''SELECT pin FROM pa.secret'', true, false, '''')'),
('SELECT table_to_xml(''pa.secret'', true, false, '''')'),
('SELECT nextval(''pa.seq'')'),
('SELECT set_config(''role'', ''regress_pa_ann'', false)'),
('SELECT public.try(''SELECT pin FROM pa.secret'')'),
('SELECT uaef.start_workflow(''pa'')'),
-- triggers: at once, and at the end
('INSERT INTO pa.trapped VALUES (1)'),
('INSERT INTO pa.later VALUES (1)'),
-- referential integrity looks at keys, and changes nothing that is not allowed;
-- a trigger that it fires on its way is judged
('INSERT INTO pa.orders VALUES (7, 8)'),
('DELETE FROM pa.root'),
('DELETE FROM pa.orders WHERE id = 3'),
-- commands
('TRUNCATE pa.orders'),
('CALL pa.add_secret(1)'),
('SELECT pa.do_it(''SET ROLE NONE'')'),
('SELECT pa.do_it(''RESET ALL'')'),
('SELECT pa.do_it(''CREATE TEMP TABLE t (i int)'')'),
('SELECT pa.do_it(''COPY pa.secret TO STDOUT'')'),
('SELECT pa.do_it(''DO $x$ BEGIN PERFORM pin FROM pa.secret; END $x$'')'),
('SELECT pa.do_it(''PREPARE p AS SELECT pin FROM pa.secret'')'),
('SELECT pa.do_it(''EXECUTE p'')'),
('SELECT pa.do_it(''EXPLAIN ANALYZE SELECT pin FROM pa.secret'')'),
('SELECT pa.do_it(''LOCK TABLE pa.orders'')'),
('SELECT pa.do_it(''NOTIFY x'')'),
('SELECT pa.do_it(''ALTER TABLE pa.orders ADD x int'')');

SET ROLE regress_pa_ann;
SELECT statement, public.try(statement) FROM statements ORDER BY no;
RESET ROLE;
-- nothing of a refused statement stays
SELECT (SELECT count(*) FROM pa.secret) AS secrets, (SELECT count(*) FROM pa.trapped) AS trapped,
	(SELECT count(*) FROM pa.later) AS later, (SELECT count(*) FROM pa.line) AS lines,
	(SELECT string_agg(id || note, ' ' ORDER BY id) FROM pa.orders) AS orders;

-- without the guard the same works, in the same session
SELECT pin FROM pa.secret;
BEGIN;
SELECT uaef.start_workflow('pa') AS id \gset
SELECT uaef.execute_next_tasks(:'id');
SELECT pin FROM pa.secret;
CREATE TEMP TABLE free AS SELECT pa.read_pin();
ROLLBACK;

-- what the caller has deferred is not the task's: it is checked before, as the caller
BEGIN;
INSERT INTO pa.later VALUES (9);
SELECT uaef.start_workflow('pa') AS id \gset
SELECT uaef.execute_next_tasks(:'id');
SELECT error->>'detail' AS detail FROM uaef.task_run WHERE execution_id = :'id';
COMMIT;
SELECT count(*) FROM pa.later;
DELETE FROM pa.later;

-- denied for good, whatever retry says; recorded once, in the ledger too
SELECT uaef.create_workflow('pa', '{"tasks": [{"id": "t", "type": "sql", "config": {"sql": "SELECT pin FROM pa.secret"},
	"retry": {"max_attempts": 5, "on": ["policy_denied", "UA"]}}]}') > 0 AS made;
SELECT uaef.start_workflow('pa') AS id \gset
SELECT uaef.execute_next_tasks(:'id');
SELECT status, attempt, error FROM uaef.task_run WHERE execution_id = :'id';
SELECT task, attempt, policy, version, enforcement, decision, reason FROM uaef.policy_decision WHERE execution_id = :'id';
SELECT event_type, payload->>'policy' AS policy, payload->>'reason' AS reason FROM uaef.ledger_event
	WHERE stream = :'id' AND event_type LIKE 'policy%';

-- warn and log let it pass and are recorded
SELECT uaef.create_policy('pa', 'data_access', '{"tables": {}}', 'warn', '{"workflow": "pa"}');
SELECT uaef.create_policy('pa too', 'data_access', '{"max_rows": 0}', 'log', '{"workflow": "pa"}');
SELECT uaef.start_workflow('pa') AS id \gset
SELECT uaef.execute_next_tasks(:'id');
SELECT status, output FROM uaef.task_run WHERE execution_id = :'id';
SELECT policy, decision, reason FROM uaef.policy_decision WHERE execution_id = :'id' ORDER BY policy;

-- limits: rows, cost, time
SELECT uaef.drop_policy('pa too');
SELECT uaef.create_policy('pa', 'data_access', '{"max_rows": 2, "max_cost": 100000, "statement_timeout": "300ms"}', 'strict', '{"workflow": "pa"}');
CREATE FUNCTION pa.stubborn() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(30);
	RETURN 'slept';
EXCEPTION WHEN query_canceled THEN
	RETURN 'caught';
END $$;
CREATE FUNCTION pa.many() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO pa.later SELECT generate_series(1, 3); END';
TRUNCATE statements;
INSERT INTO statements (statement) VALUES
('SELECT n FROM generate_series(1, 2) n'),
('SELECT n FROM generate_series(1, 3) n'),
('SELECT count(*) FROM generate_series(1, 10) n'),
('UPDATE pa.orders SET note = note'),
('DELETE FROM pa.orders WHERE id IN (1, 2)'),
('WITH d AS (DELETE FROM pa.secret), i AS (INSERT INTO pa.secret SELECT n FROM generate_series(1, 3) n) SELECT 1 AS one'),
('SELECT pa.many()'),
('SELECT count(*) FROM generate_series(1, 1000) a, generate_series(1, 1000) b, generate_series(1, 1000) c'),
('SELECT pg_sleep(30)'),
('SELECT pa.stubborn()');
SET ROLE regress_pa_ann;
SELECT statement, public.try(statement) FROM statements ORDER BY no;
RESET ROLE;

-- two policies: what both allow
SELECT uaef.create_policy('pa', 'data_access', '{"tables": {"pa.*": ["select"]}}', 'strict', '{"workflow": "pa"}');
SELECT uaef.create_policy('pa2', 'data_access', '{"tables": {"*.people": {"select": ["name"]}, "pa.ord*": ["select"]}}', 'strict', '{"task": "t"}');
TRUNCATE statements;
INSERT INTO statements (statement) VALUES
('SELECT name FROM pa.people'), ('SELECT id FROM pa.people'), ('SELECT count(*) FROM pa.orders'), ('DELETE FROM pa.orders'), ('SELECT FROM pa.secret');
SET ROLE regress_pa_ann;
SELECT statement, public.try(statement) FROM statements ORDER BY no;
RESET ROLE;
SELECT name, version, denied, warned, logged FROM uaef.policy_status WHERE name LIKE 'pa%' ORDER BY name;

SELECT uaef.drop_policy('pa');
SELECT uaef.drop_policy('pa2');
DROP FUNCTION try;
DROP TABLE statements;
DROP SCHEMA pa CASCADE;
DROP OWNED BY regress_pa_ann;
DROP ROLE regress_pa_ann;
