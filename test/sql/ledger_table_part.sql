--
-- Ledgered tables with partitions, and inheritance
--
\set SHOW_CONTEXT never
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE FUNCTION lp_changes() RETURNS jsonb LANGUAGE sql AS
$$ SELECT payload->'changes' FROM uaef.ledger_event WHERE event_type = 'table_altered' ORDER BY event_id DESC LIMIT 1 $$;
CREATE TABLE lp (id int, r text, v int, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
CREATE TABLE lp_a PARTITION OF lp FOR VALUES IN ('a');
CREATE TABLE lp_b PARTITION OF lp FOR VALUES IN ('b');
INSERT INTO lp VALUES (1, 'a', 1), (2, 'b', 2);
SELECT uaef.attach_ledger('lp') > 0 AS attached;

-- partitions that come later, empty or not, into one whose columns stand elsewhere
CREATE TABLE lp_c PARTITION OF lp FOR VALUES IN ('c');
CREATE TABLE lp_d (v int, gone int, r text NOT NULL, id int NOT NULL);
ALTER TABLE lp_d DROP COLUMN gone;
INSERT INTO lp_d VALUES (4, 'd', 4);
ALTER TABLE lp ATTACH PARTITION lp_d FOR VALUES IN ('d');
SELECT lp_changes();
INSERT INTO lp VALUES (3, 'c', 3);
-- a row that moves, and one that is written in its partition
UPDATE lp SET r = 'd', v = 10 WHERE id = 1;
UPDATE lp_d SET v = 11 WHERE id = 1;
SELECT operation, old, new, partition FROM uaef.row_history('lp', '{"id": 1, "r": "a"}');
SELECT operation, old, new, partition FROM uaef.row_history('lp_d', '{"id": 1, "r": "d"}');
SELECT * FROM uaef.verify_table('lp');
-- one partition's rows end with it
TRUNCATE lp_c;
SELECT operation, new FROM uaef.row_history('lp', '{"id": 3, "r": "c"}');
ALTER TABLE lp_b RENAME TO lp_bb;
SELECT lp_changes();
SELECT * FROM uaef.verify_table('lp');
ALTER TABLE lp DETACH PARTITION lp_d;
SELECT lp_changes();
INSERT INTO lp_d VALUES (5, 'd', 5);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'lp_d'::regclass;
DROP TABLE lp_bb;
SELECT lp_changes();
SELECT * FROM uaef.verify_table('lp');
-- disabled for one partition only
ALTER TABLE lp_a DISABLE TRIGGER uaef_ledger_row;
SELECT lp_changes();
INSERT INTO lp VALUES (9, 'a', 9);
SELECT code, detail FROM uaef.verify_table('lp');
ALTER TABLE lp_a ENABLE ALWAYS TRIGGER uaef_ledger_row;
DELETE FROM lp WHERE id = 9;
SELECT * FROM uaef.verify_table('lp');
TRUNCATE lp;
SELECT * FROM uaef.verify_table('lp');

-- what cannot be
SELECT uaef.attach_ledger('lp_a');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.detach_ledger('lp_a');
\echo :LAST_ERROR_SQLSTATE
CREATE EXTENSION postgres_fdw;
CREATE SERVER lp_server FOREIGN DATA WRAPPER postgres_fdw;
CREATE FOREIGN TABLE lp_f PARTITION OF lp FOR VALUES IN ('f') SERVER lp_server;
CREATE FOREIGN TABLE lp_g (id int) SERVER lp_server;
SELECT uaef.attach_ledger('lp_g');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE lp_other (LIKE lp) PARTITION BY LIST (r);
CREATE FOREIGN TABLE lp_other_f PARTITION OF lp_other DEFAULT SERVER lp_server;
SELECT uaef.attach_ledger('lp_other');
\echo :LAST_ERROR_SQLSTATE

DROP FOREIGN TABLE lp_other_f;
SELECT uaef.attach_ledger('lp_other') > 0 AS attached;
CREATE FOREIGN TABLE lp_other_f PARTITION OF lp_other DEFAULT SERVER lp_server;
\echo :LAST_ERROR_SQLSTATE

-- a child of inheritance is a table of its own
CREATE TABLE lp_parent (id int PRIMARY KEY);
CREATE TABLE lp_child () INHERITS (lp_parent);
INSERT INTO lp_child VALUES (7);
SELECT uaef.attach_ledger('lp_parent') > 0 AS attached;
INSERT INTO lp_parent VALUES (1);
INSERT INTO lp_child VALUES (8);
ALTER TABLE lp_parent ADD COLUMN c int DEFAULT 3;
SELECT * FROM uaef.verify_table('lp_parent');
SELECT operation, new FROM uaef.row_history('lp_parent', '1');
SELECT count(*) FROM uaef.row_history('lp_parent', '8');
-- a rewrite that a parent passes on
SELECT uaef.attach_ledger('lp_child') > 0 AS attached;
ALTER TABLE lp_parent ALTER c TYPE text USING c || '!';
SELECT code, detail FROM uaef.verify_table('lp_parent') UNION ALL SELECT code, detail FROM uaef.verify_table('lp_child');

DROP TABLE lp, lp_d, lp_other, lp_parent, lp_child;
DROP EXTENSION postgres_fdw CASCADE;
DROP FUNCTION lp_changes();
SELECT count(*) FROM uaef.ledgered_table;
