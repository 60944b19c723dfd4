-- ledgered tables: DDL that goes another way, types that change, and what is
-- told of them
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE VIEW ld_event AS
SELECT event_id, event_type, payload FROM uaef.ledger_event
WHERE event_type LIKE 'table_%' OR event_type LIKE 'row_%';
CREATE VIEW ld_last AS
SELECT event_type, payload->'changes' AS changes FROM ld_event
ORDER BY event_id DESC LIMIT 1;

-- other commands that rename tables and columns
CREATE TABLE ld_t (id int PRIMARY KEY, v int, w int);
SELECT uaef.attach_ledger('ld_t', columns => '{v}') > 0 AS attached;
INSERT INTO ld_t VALUES (1, 1);
ALTER VIEW ld_t RENAME COLUMN v TO x;
SELECT * FROM ld_last;
ALTER MATERIALIZED VIEW ld_t RENAME COLUMN id TO nr;
SELECT * FROM ld_last;
ALTER INDEX ld_t RENAME TO ld_u;
SELECT * FROM ld_last;
UPDATE ld_u SET x = 2;
SELECT operation, old, new FROM uaef.row_history('ld_u', '1');
SELECT * FROM uaef.verify_table('ld_u');
DROP TABLE ld_u;

-- a partition made along with its schema
CREATE TABLE ld_p (id int PRIMARY KEY, v int) PARTITION BY LIST (id);
SELECT uaef.attach_ledger('ld_p') > 0 AS attached;
CREATE SCHEMA ld_s CREATE TABLE one PARTITION OF public.ld_p FOR VALUES IN (1);
SELECT * FROM ld_last;
INSERT INTO ld_p VALUES (1, 1);
TRUNCATE ld_s.one;
SELECT * FROM uaef.verify_table('ld_p');

-- what is dropped, and what only falls with it
CREATE TABLE ld_other (id int PRIMARY KEY);
SELECT count(*) AS events FROM ld_event \gset
DROP TABLE ld_other;
SELECT count(*) - :events AS events FROM ld_event;
DROP SCHEMA ld_s CASCADE;
SELECT * FROM ld_last;
ALTER TABLE ld_p DROP CONSTRAINT ld_p_pkey;
SELECT * FROM ld_last;
DROP TRIGGER uaef_ledger_row ON ld_p;
SELECT event_type, jsonb_path_query_array(changes, '$[*].change') FROM ld_last;
DROP TABLE ld_p;
SELECT * FROM ld_last;
CREATE TABLE ld_k (id int NOT NULL, v int NOT NULL);
CREATE UNIQUE INDEX ld_id ON ld_k (id);
CREATE UNIQUE INDEX ld_id_v ON ld_k (v, id);
SELECT uaef.attach_ledger('ld_k', key => '{id,v}') > 0 AS attached;
DROP INDEX ld_id;
SELECT event_type FROM ld_last;
DROP INDEX ld_id_v;
SELECT * FROM ld_last;
DROP TABLE ld_k;

-- types that change: the rows are written in another way from then on
CREATE TYPE ld_mood AS ENUM ('good', 'bad');
CREATE TYPE ld_pair AS (a int, b ld_mood);
CREATE DOMAIN ld_moods AS ld_mood[];
CREATE TABLE ld_row (a int, b int);
CREATE TABLE ld_m (mood ld_mood PRIMARY KEY, pair ld_pair, moods ld_moods, r ld_row[], v int);
SELECT uaef.attach_ledger('ld_m') > 0 AS attached;
INSERT INTO ld_m VALUES ('good', '(1,bad)', '{good,bad}', ARRAY[ROW(1, 2)::ld_row], 1);
ALTER TYPE ld_mood ADD VALUE 'mixed';
SELECT event_type FROM ld_last;
ALTER TYPE ld_mood RENAME VALUE 'good' TO 'fine';
SELECT event_type, payload->'key' AS key, payload->'new' AS new FROM ld_event ORDER BY event_id DESC LIMIT 1;
SELECT operation, old, new FROM uaef.row_history('ld_m', '"fine"');
SELECT * FROM uaef.verify_table('ld_m');
ALTER TYPE ld_pair RENAME ATTRIBUTE a TO c;
SELECT * FROM uaef.verify_table('ld_m');
ALTER TYPE ld_pair ADD ATTRIBUTE d text;
SELECT * FROM uaef.verify_table('ld_m');
ALTER TABLE ld_row RENAME a TO c;
SELECT * FROM uaef.verify_table('ld_m');
ALTER TABLE ld_row DROP b;
SELECT * FROM uaef.verify_table('ld_m');
SELECT event_type, payload->'new' AS new FROM ld_event ORDER BY event_id DESC LIMIT 1;
DROP TABLE ld_m, ld_row;
DROP TYPE ld_mood CASCADE;
DROP TYPE ld_pair;

-- a column's type checks what is asked for as the table's owner, not as who asks
CREATE ROLE regress_ld_owner;
CREATE ROLE regress_ld_reader;
SELECT uaef.grant_access('regress_ld_owner', 'author');
SELECT uaef.grant_access('regress_ld_reader', 'viewer');
GRANT CREATE ON SCHEMA public TO regress_ld_owner;
SET ROLE regress_ld_owner;
CREATE FUNCTION ld_check(int) RETURNS boolean LANGUAGE plpgsql AS
$$ BEGIN RAISE WARNING 'checked as %', current_user; RETURN true; END $$;
CREATE DOMAIN ld_id AS int CHECK (public.ld_check(VALUE));
CREATE TABLE ld_d (id ld_id PRIMARY KEY, secret int, v int);
SELECT uaef.attach_ledger('ld_d') > 0 AS attached;
INSERT INTO ld_d VALUES (1, 42, 1);
RESET ROLE;
SELECT operation, new FROM uaef.row_history('ld_d', '1');
SELECT * FROM uaef.verify_table('ld_d');

-- rights on columns know nothing of those that were dropped
GRANT SELECT (id, v) ON ld_d TO regress_ld_reader;
SET ROLE regress_ld_reader;
SELECT operation FROM uaef.row_history('ld_d', '1');
RESET ROLE;
ALTER TABLE ld_d DROP secret;
SET ROLE regress_ld_reader;
SELECT operation, new FROM uaef.row_history('ld_d', '1');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
DROP TABLE ld_d;
DROP DOMAIN ld_id;
DROP FUNCTION ld_check(int);

-- payloads that were erased may be those of rows without a key
CREATE TABLE ld_bag (a int);
SELECT uaef.attach_ledger('ld_bag') > 0 AS attached;
INSERT INTO ld_bag VALUES (1), (2), (3);
DELETE FROM ld_bag WHERE a = 3;
SELECT uaef.seal_ledger() > 0 AS sealed;
BEGIN;
SELECT count(uaef.redact_event(event_id, 'asked')) FROM uaef.ledger_event
WHERE event_type IN ('row_inserted', 'row_deleted')
AND payload->>'table' = 'public.ld_bag' AND coalesce(payload->'new', payload->'old')->>'a' IN ('1', '3');
SELECT severity, code, detail FROM uaef.verify_table('ld_bag');
ALTER TABLE ld_bag DISABLE TRIGGER uaef_ledger_row;
INSERT INTO ld_bag VALUES (4), (5), (6);
ALTER TABLE ld_bag ENABLE ALWAYS TRIGGER uaef_ledger_row;
SELECT severity, code, regexp_replace(detail, 'event \d+|\(\d+,\d+\)', 'N') AS detail FROM uaef.verify_table('ld_bag');
ROLLBACK;
DROP TABLE ld_bag;

SELECT code FROM uaef.verify_ledger() WHERE severity <> 'info';
DROP VIEW ld_last, ld_event;
SELECT uaef.revoke_access('regress_ld_owner', 'author');
SELECT uaef.revoke_access('regress_ld_reader', 'viewer');
REVOKE CREATE ON SCHEMA public FROM regress_ld_owner;
DROP ROLE regress_ld_owner, regress_ld_reader;
