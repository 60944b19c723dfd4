--
-- The cache of compiled definitions, when the extension is made anew in one
-- session: the same numbers then mean other definitions
--
\set old :DBNAME
CREATE DATABASE uaef_definition_cache;
\c uaef_definition_cache
SET client_min_messages = warning;
CREATE EXTENSION uaef CASCADE;
SELECT uaef.create_workflow('w', '{"tasks":[{"id":"before","type":"parallel"}]}') AS version;
SELECT definition_id FROM uaef.workflow_definition;
SELECT uaef.workflow_graph('w');
DROP EXTENSION uaef CASCADE;
SELECT uaef.workflow_graph('w');
CREATE EXTENSION uaef CASCADE;
SELECT uaef.workflow_graph('w');
SELECT uaef.create_workflow('w', '{"tasks":[{"id":"after","type":"parallel"}]}') AS version;
SELECT definition_id FROM uaef.workflow_definition;
SELECT uaef.workflow_graph('w');

-- what a transaction made and rolled back is gone
BEGIN;
SELECT uaef.create_workflow('v', '{"tasks":[{"id":"a","type":"parallel"}]}') AS version;
SELECT uaef.workflow_graph('v');
ROLLBACK;
SELECT uaef.workflow_graph('v');

-- one transaction may use more definitions than the cache keeps; the next one
-- that needs another makes room
DO $$
BEGIN
	FOR i IN 1 .. 600 LOOP
		PERFORM uaef.create_workflow('many' || i,
			jsonb_build_object('tasks', jsonb_build_array(jsonb_build_object(
				'id', 't' || i, 'type', 'parallel'))));
	END LOOP;
	FOR i IN 1 .. 600 LOOP
		ASSERT uaef.workflow_graph('many' || i) LIKE '% t' || i || ' %';
	END LOOP;
END$$;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'uaef definition';
SELECT uaef.create_workflow('one', '{"tasks":[{"id":"more","type":"parallel"}]}') AS version;
SELECT uaef.workflow_graph('one');
SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'uaef definition';
SELECT uaef.workflow_graph('many7');
\c :old
DROP DATABASE uaef_definition_cache WITH (FORCE);
