--
-- What workflows need of the database, and which of them DDL breaks
--
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SET uaef.ddl_check = warn;
CREATE SCHEMA dep;
CREATE TYPE dep.mood AS ENUM ('sad', 'ok');
CREATE TABLE dep.orders (id int PRIMARY KEY, amount numeric, state text, spare int);
CREATE TABLE dep.unrelated (n int);
CREATE VIEW dep.open_order AS SELECT id, amount FROM dep.orders WHERE state = 'open';
CREATE FUNCTION dep.fee(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 0.1';
CREATE PROCEDURE dep.tidy(jsonb) LANGUAGE sql AS 'SELECT 1';
CREATE ROLE regress_dep_boss;

SELECT uaef.create_workflow('dep_pay', uaef.workflow('load -> book -> ask -> tidy',
	uaef.sql_task('load', 'SELECT dep.fee(amount) AS fee, ''ok''::dep.mood AS mood FROM dep.open_order JOIN dep.unrelated ON n = id WHERE id = ($1->>''id'')::int'),
	uaef.sql_task('book', 'UPDATE dep.orders SET state = ''done'' WHERE id = 1'),
	uaef.approval_task('ask', 'Tidy?', '{regress_dep_boss}'),
	uaef.sql_task('tidy', 'CALL dep.tidy($1)')));
SELECT uaef.create_workflow('dep_map', uaef.workflow('m', uaef.map_task('m', '{{in.l}}', uaef.sql_task('each', 'SELECT (SELECT max(spare) FROM dep.orders o WHERE o.id = 1)'))));
SELECT uaef.create_workflow('dep_none', uaef.workflow('t', uaef.sql_task('t', 'SELECT 1 AS one')));
SELECT * FROM uaef.workflow_dependencies('dep_pay');
SELECT * FROM uaef.workflow_dependencies('dep_map');
SELECT * FROM uaef.workflow_dependencies('dep_none');
SELECT * FROM uaef.workflow_dependencies('dep_nobody');

-- what breaks nothing is passed over
ALTER TABLE dep.orders ADD COLUMN more int;
ALTER TABLE dep.orders DROP COLUMN more;
DROP TABLE dep.unrelated CASCADE;
CREATE TABLE dep.unrelated (n int);

-- what was broken is not told of again; what is mended can be broken again
ALTER TABLE dep.orders DROP COLUMN spare;
ALTER TABLE dep.orders ADD COLUMN spare2 int;
ALTER TABLE dep.orders ADD COLUMN spare int;
ALTER TABLE dep.orders RENAME COLUMN spare TO spare3;
ALTER TABLE dep.orders RENAME COLUMN spare3 TO spare;
SELECT uaef.create_workflow('dep_pay', uaef.workflow('load -> book -> ask -> tidy',
	uaef.sql_task('load', 'SELECT dep.fee(amount) AS fee, ''ok''::dep.mood AS mood FROM dep.open_order'),
	uaef.sql_task('book', 'UPDATE dep.orders SET state = ''done'' WHERE id = 1'),
	uaef.approval_task('ask', 'Tidy?', '{regress_dep_boss}'),
	uaef.sql_task('tidy', 'CALL dep.tidy($1)')));

-- each kind of object, and of command; all of it undone
BEGIN; DROP VIEW dep.open_order; ALTER TABLE dep.orders ALTER COLUMN state TYPE int USING 1; ROLLBACK;
BEGIN; ALTER TABLE dep.orders RENAME TO o2; ROLLBACK;
BEGIN; ALTER TABLE dep.orders SET SCHEMA public; ROLLBACK;
BEGIN; DROP FUNCTION dep.fee(numeric); ROLLBACK;
BEGIN; ALTER FUNCTION dep.fee(numeric) RENAME TO fee2; ROLLBACK;
BEGIN; DROP PROCEDURE dep.tidy; ROLLBACK;
BEGIN; ALTER TYPE dep.mood RENAME VALUE 'ok' TO 'fine'; ROLLBACK;
BEGIN; ALTER VIEW dep.open_order RENAME COLUMN amount TO sum; ROLLBACK;
BEGIN; ALTER SCHEMA dep RENAME TO dep2; ROLLBACK;
\set VERBOSITY terse
BEGIN; DROP SCHEMA dep CASCADE; ROLLBACK;
\set VERBOSITY default

-- a setting makes it an error, or says nothing
SET uaef.ddl_check = error;
DROP TABLE dep.orders CASCADE;
SELECT count(*) FROM dep.orders;
SET uaef.ddl_check = off;
BEGIN; DROP FUNCTION dep.fee(numeric); ROLLBACK;
SET uaef.ddl_check = loud;
SET uaef.ddl_check = warn;

-- an older version counts as long as an execution runs it
SELECT uaef.start_workflow('dep_map', '{"l": [1]}') AS e \gset
SELECT uaef.create_workflow('dep_map', uaef.workflow('t', uaef.task('t', 'parallel')));
BEGIN; ALTER TABLE dep.orders DROP COLUMN spare; ROLLBACK;
SELECT uaef.cancel_workflow(:'e');
BEGIN; ALTER TABLE dep.orders DROP COLUMN spare; ROLLBACK;

-- notes that are gone, as after a restore, or another system's, are made again before they are needed
DELETE FROM uaef.workflow_dependency;
DELETE FROM uaef.workflow_plan;
BEGIN; DROP PROCEDURE dep.tidy; ROLLBACK;
UPDATE uaef.workflow_plan SET system_identifier = 1;
UPDATE uaef.workflow_dependency SET objid = 1;
SELECT count(*) > 5 AS noted FROM uaef.workflow_dependencies('dep_pay');
BEGIN; DROP PROCEDURE dep.tidy; ROLLBACK;

-- the planner runs as the role that made the workflow, with its search_path, whoever gives the command
CREATE ROLE regress_dep_author;
GRANT USAGE, CREATE ON SCHEMA dep TO regress_dep_author;
SELECT uaef.grant_access('regress_dep_author', 'author');
GRANT USAGE ON SCHEMA uaef TO regress_dep_author;
SET ROLE regress_dep_author;
CREATE FUNCTION dep.who() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE NOTICE 'planned as %', current_user; RETURN current_user; END$$;
CREATE TABLE dep.mine (n int);
SELECT uaef.create_workflow('dep_who', uaef.workflow('t', uaef.sql_task('t', 'SELECT dep.who() FROM dep.mine')));
RESET ROLE;
ALTER TABLE dep.mine ADD COLUMN m int;
CREATE SCHEMA dep_other;
GRANT USAGE ON SCHEMA dep_other TO regress_dep_author;
BEGIN; ALTER TABLE dep.mine SET SCHEMA dep_other; ROLLBACK;
-- unqualified names are looked up by the role's own setting
SET ROLE regress_dep_author;
CREATE TABLE dep.plain (n int);
RESET ROLE;
ALTER ROLE regress_dep_author SET search_path = dep, dep_other;
DELETE FROM uaef.workflow_plan;
UPDATE uaef.workflow_definition SET definition = jsonb_set(definition, '{tasks,0,config,sql}', '"SELECT n FROM plain"') WHERE name = 'dep_who';
SELECT * FROM uaef.workflow_dependencies('dep_who');
BEGIN; ALTER TABLE dep.plain SET SCHEMA dep_other; ROLLBACK;
BEGIN; ALTER TABLE dep.plain SET SCHEMA public; ROLLBACK;

SET uaef.ddl_check = off;
DELETE FROM uaef.workflow_definition WHERE name LIKE 'dep\_%';
DROP OWNED BY regress_dep_author;
DROP ROLE regress_dep_author, regress_dep_boss;
SET client_min_messages = warning;
DROP SCHEMA dep, dep_other CASCADE;
RESET client_min_messages;
SELECT uaef.start_worker() AS started \gset
