--
-- Ledgered tables: what is recorded of rows, and how it is read and verified
--
\set SHOW_CONTEXT never
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SET application_name = 'regress';
CREATE VIEW lt_event AS
SELECT event_type, payload - 'table_id' - 'table' - 'application_name' AS payload, event_id
FROM uaef.ledger_event WHERE payload ? 'table_id';
CREATE VIEW lt_last AS SELECT event_type, payload FROM lt_event ORDER BY event_id DESC LIMIT 1;
CREATE FUNCTION lt_changes() RETURNS jsonb LANGUAGE sql AS
$$ SELECT payload->'changes' FROM lt_event WHERE event_type = 'table_altered' ORDER BY event_id DESC LIMIT 1 $$;

-- rows that are there, then insert, update, delete, a change of key
CREATE TABLE lt (id int PRIMARY KEY, amount numeric, note text);
INSERT INTO lt VALUES (1, 1.50, 'a'), (2, NULL, 'b');
SELECT uaef.attach_ledger('lt') > 0 AS attached;
INSERT INTO lt VALUES (3, 3, 'c');
UPDATE lt SET amount = 7 WHERE id = 1;
UPDATE lt SET amount = 7 WHERE id = 1;
DELETE FROM lt WHERE id = 2;
UPDATE lt SET id = 30 WHERE id = 3;
SELECT event_type, payload FROM lt_event ORDER BY event_id;
SELECT operation, old, new, role = current_user AS mine, application_name, stream_seq FROM uaef.row_history('lt', '1');
SELECT operation, old, new FROM uaef.row_history('lt', '{"id": "3"}');
SELECT uaef.verify_table(NULL);
SELECT * FROM uaef.verify_table('lt');

-- a key that comes back follows its own past; upserts and COPY
INSERT INTO lt VALUES (2, 5, 'again');
INSERT INTO lt VALUES (2, 6, 'x'), (4, 6, 'y') ON CONFLICT (id) DO UPDATE SET amount = excluded.amount;
INSERT INTO lt VALUES (2, 7, 'x') ON CONFLICT DO NOTHING;
COPY lt FROM stdin;
5	8	copied
\.
BEGIN;
UPDATE lt SET amount = 1 WHERE id = 5;
SAVEPOINT s;
UPDATE lt SET amount = 2 WHERE id = 5;
ROLLBACK TO s;
UPDATE lt SET amount = 3 WHERE id = 5;
COMMIT;
SELECT operation, old, new, stream_seq FROM uaef.row_history('lt', '2');
SELECT operation, old, new, stream_seq FROM uaef.row_history('lt', '5');
SELECT * FROM uaef.verify_table('lt');

-- edits behind the triggers' back are found
ALTER TABLE lt DISABLE TRIGGER USER;
SELECT lt_changes();
UPDATE lt SET amount = 99, note = 'forged' WHERE id = 1;
DELETE FROM lt WHERE id = 4;
INSERT INTO lt VALUES (6, 1, 'smuggled'), (3, 1, 'revived');
SELECT severity, code, detail FROM uaef.verify_table('lt') ORDER BY code, detail;
UPDATE lt SET amount = 7, note = 'a' WHERE id = 1;
DELETE FROM lt WHERE id IN (3, 6);
INSERT INTO lt VALUES (4, 6, 'y');
ALTER TABLE lt ENABLE ALWAYS TRIGGER uaef_ledger_row;
ALTER TABLE lt ENABLE ALWAYS TRIGGER uaef_ledger_truncate;
SELECT lt_changes();
SELECT * FROM uaef.verify_table('lt');
-- a replica's role does not silence them
SET session_replication_role = replica;
UPDATE lt SET amount = 8 WHERE id = 1;
RESET session_replication_role;
SELECT payload FROM lt_last;

-- DDL is recorded, and old events are read under the names of their time
ALTER TABLE lt ADD COLUMN extra int DEFAULT 5;
SELECT lt_changes();
SELECT * FROM uaef.verify_table('lt');
ALTER TABLE lt RENAME COLUMN note TO remark;
SELECT lt_changes();
ALTER TABLE lt RENAME COLUMN id TO no;
SELECT lt_changes();
UPDATE lt SET extra = 6 WHERE no = 1;
SELECT key, columns, all_columns FROM uaef.ledgered_table;
SELECT operation, new FROM uaef.row_history('lt', '{"no": 1}');
ALTER TABLE lt DROP COLUMN extra;
SELECT lt_changes();
SELECT * FROM uaef.verify_table('lt');
ALTER TABLE lt ALTER COLUMN amount TYPE text USING amount || ' EUR';
SELECT lt_changes(), (SELECT count(*) FROM lt_event WHERE event_type = 'row_rewritten');
SELECT * FROM uaef.verify_table('lt');
ALTER TABLE lt ALTER COLUMN amount TYPE varchar(100), ALTER COLUMN amount SET DEFAULT 'none', ADD CHECK (no > 0);
SELECT lt_changes(), (SELECT count(*) FROM lt_event WHERE event_type = 'row_rewritten');
-- a type that stays, but values that do not
ALTER TABLE lt ALTER COLUMN remark TYPE text USING upper(remark);
SELECT count(*) FROM lt_event WHERE event_type = 'row_rewritten';
SELECT operation, new FROM uaef.row_history('lt', '2') ORDER BY event_id DESC LIMIT 1;
SELECT * FROM uaef.verify_table('lt');
CREATE SCHEMA lt_schema;
ALTER TABLE lt SET SCHEMA lt_schema;
ALTER TABLE lt_schema.lt RENAME TO lt2;
SELECT lt_changes();
ALTER SCHEMA lt_schema RENAME TO "lt Schema";
SELECT lt_changes();
SELECT * FROM uaef.verify_table('"lt Schema".lt2');
-- without its key a table goes on as one whose rows have no names
ALTER TABLE "lt Schema".lt2 DROP CONSTRAINT lt_pkey;
SELECT lt_changes();
INSERT INTO "lt Schema".lt2 VALUES (2, 'x', 'twice');
SELECT * FROM uaef.verify_table('"lt Schema".lt2');
TRUNCATE "lt Schema".lt2;
SELECT * FROM uaef.verify_table('"lt Schema".lt2');
DROP SCHEMA "lt Schema" CASCADE;
SELECT event_type, payload FROM lt_last;
SELECT count(*) FROM uaef.ledgered_table;

-- TRUNCATE ends rows; detaching ends it all
CREATE TABLE lt_t (id int PRIMARY KEY, v int);
SELECT uaef.attach_ledger('lt_t') > 0 AS attached;
INSERT INTO lt_t VALUES (1, 1);
TRUNCATE lt_t;
INSERT INTO lt_t VALUES (1, 2);
SELECT operation, new, stream_seq FROM uaef.row_history('lt_t', '1');
SELECT * FROM uaef.verify_table('lt_t');
SELECT uaef.detach_ledger('lt_t');
SELECT event_type FROM lt_last;
INSERT INTO lt_t VALUES (2, 2);
SELECT event_type FROM lt_last;
SELECT uaef.row_history('lt_t', '1');
\echo :LAST_ERROR_SQLSTATE
-- attached again, without what is there: nothing is said of what nobody recorded
SELECT uaef.attach_ledger('lt_t', existing => false) > 0 AS attached;
UPDATE lt_t SET v = 4 WHERE id = 2;
SELECT * FROM uaef.verify_table('lt_t');
ALTER TABLE lt_t DISABLE TRIGGER uaef_ledger_row;
UPDATE lt_t SET v = 5;
SELECT code, detail FROM uaef.verify_table('lt_t');
DROP TABLE lt_t;

-- rows without a key
CREATE TABLE lt_bag (a int, b text);
INSERT INTO lt_bag VALUES (1, 'x'), (1, 'x');
SELECT uaef.attach_ledger('lt_bag') > 0 AS attached;
UPDATE lt_bag SET b = 'y' WHERE ctid = '(0,1)';
SELECT payload FROM lt_last;
DELETE FROM lt_bag WHERE b = 'x';
ALTER TABLE lt_bag ADD c int DEFAULT 4;
SELECT * FROM uaef.verify_table('lt_bag');
ALTER TABLE lt_bag DISABLE TRIGGER uaef_ledger_row;
UPDATE lt_bag SET c = 5;
SELECT code, regexp_replace(detail, 'event \d+|\(\d+,\d+\)', 'N') AS detail FROM uaef.verify_table('lt_bag') ORDER BY 1;
SELECT uaef.row_history('lt_bag', '1');
\echo :LAST_ERROR_SQLSTATE
DROP TABLE lt_bag;

-- chosen columns, and a key of a unique index
CREATE TABLE lt_some (id int PRIMARY KEY, code text NOT NULL UNIQUE, secret text, v int, late int UNIQUE DEFERRABLE);
SELECT uaef.attach_ledger('lt_some', columns => '{v}', key => '{code}') > 0 AS attached;
INSERT INTO lt_some VALUES (1, 'a', 'hush', 1);
UPDATE lt_some SET secret = 'psst';
UPDATE lt_some SET v = 2;
ALTER TABLE lt_some RENAME v TO w;
ALTER TABLE lt_some ADD COLUMN z int;
UPDATE lt_some SET z = 1;
UPDATE lt_some SET w = 3;
SELECT operation, old, new FROM uaef.row_history('lt_some', '"a"');
SELECT columns, key, all_columns FROM uaef.ledgered_table;
SELECT * FROM uaef.verify_table('lt_some');
SELECT uaef.detach_ledger('lt_some');

-- what cannot be attached, and other mistakes
SELECT uaef.attach_ledger(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.attach_ledger('lt_some', columns => '{nothing}');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.attach_ledger('lt_some', columns => '{v,w}');
SELECT uaef.attach_ledger('lt_some', columns => '{w,w}');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.attach_ledger('lt_some', columns => '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.attach_ledger('lt_some', columns => ARRAY[NULL]::name[]);
SELECT uaef.attach_ledger('lt_some', columns => '{ctid}');
SELECT uaef.attach_ledger('lt_some', key => '{secret}');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.attach_ledger('lt_some', key => '{late}');
SELECT uaef.attach_ledger('lt_last');
\echo :LAST_ERROR_SQLSTATE
CREATE TEMP TABLE lt_temp (a int);
SELECT uaef.attach_ledger('lt_temp');
CREATE UNLOGGED TABLE lt_unlogged (a int);
SELECT uaef.attach_ledger('lt_unlogged');
SELECT uaef.attach_ledger('pg_class');
SELECT uaef.attach_ledger('uaef.ledger_event');
SELECT uaef.attach_ledger('lt_some') > 0 AS attached;
SELECT uaef.attach_ledger('lt_some');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.row_history('lt_some', '{"no": 1}');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.row_history('lt_some', '{"id": 1, "v": 2}');
SELECT uaef.row_history('lt_some', 'null');
SELECT uaef.row_history('lt_some', '[1]');
SELECT uaef.row_history('lt_some', '"one"');
SELECT count(*) FROM uaef.row_history('lt_some', '77');
CREATE TRIGGER mine AFTER INSERT ON lt_unlogged FOR EACH ROW EXECUTE FUNCTION uaef.ledger_row('77');
INSERT INTO lt_unlogged VALUES (1);
\echo :LAST_ERROR_SQLSTATE
DROP TABLE lt_unlogged;

-- rights: the owner with access attaches; who writes needs none; who may read
-- the table reads its history, but not around row security
CREATE ROLE regress_lt_owner;
CREATE ROLE regress_lt_writer;
CREATE ROLE regress_lt_reader;
SELECT uaef.grant_access('regress_lt_owner', 'author');
SELECT uaef.grant_access('regress_lt_reader', 'viewer');
GRANT CREATE ON SCHEMA public TO regress_lt_owner;
SET ROLE regress_lt_owner;
SELECT uaef.attach_ledger('lt_some');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.detach_ledger('lt_some');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE lt_own (id int PRIMARY KEY, v int);
SELECT uaef.attach_ledger('lt_own') > 0 AS attached;
GRANT INSERT, UPDATE, SELECT ON lt_own TO regress_lt_writer;
SET ROLE regress_lt_writer;
INSERT INTO lt_own VALUES (1, 1);
UPDATE lt_own SET v = 2;
SELECT uaef.row_history('lt_own', '1');
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_lt_reader;
SELECT "table" FROM uaef.ledgered_table;
SELECT uaef.row_history('lt_own', '1');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SELECT ON lt_own TO regress_lt_reader;
SET ROLE regress_lt_reader;
SELECT "table" FROM uaef.ledgered_table;
SELECT operation, new, role FROM uaef.row_history('lt_own', '1');
RESET ROLE;
ALTER TABLE lt_own ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY lt_policy ON lt_own TO regress_lt_writer USING (id = 1);
SET ROLE regress_lt_writer;
UPDATE lt_own SET v = 3;
SET ROLE regress_lt_reader;
SELECT uaef.row_history('lt_own', '1');
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_lt_owner;
SELECT operation, new, role FROM uaef.row_history('lt_own', '1');
RESET ROLE;
SELECT * FROM uaef.verify_table('lt_own');

-- a search_path of the writer's own making gets nothing run as the owner
CREATE SCHEMA lt_trap AUTHORIZATION regress_lt_owner;
SET ROLE regress_lt_owner;
CREATE FUNCTION lt_trap.equal(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $$;
CREATE OPERATOR lt_trap.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = lt_trap.equal);
ALTER TABLE lt_own DISABLE ROW LEVEL SECURITY, ADD COLUMN at timestamptz;
SET search_path = lt_trap, pg_catalog, public;
SET plan_cache_mode = force_custom_plan;
INSERT INTO lt_own VALUES (2, 2);
RESET search_path;
RESET plan_cache_mode;
RESET ROLE;
DROP SCHEMA lt_trap CASCADE;

-- the ledger's indexes stay locked until the end, whatever is recorded next
CREATE TABLE lt_lock (id int PRIMARY KEY, note text);
CREATE VIEW lt_locked AS SELECT count(*) AS locked FROM pg_locks
WHERE pid = pg_backend_pid() AND mode = 'RowExclusiveLock' AND relation = 'uaef.ledger_event_pkey'::regclass;
SELECT uaef.attach_ledger('lt_lock') > 0 AS attached;
BEGIN;
INSERT INTO lt_lock VALUES (1, 'a');
SELECT uaef.record_event('noted', '{}') > 0 AS recorded;
SELECT * FROM lt_locked;
ROLLBACK;
BEGIN;
SAVEPOINT s;
INSERT INTO lt_lock VALUES (2, 'b');
ROLLBACK TO s;
SELECT * FROM lt_locked;
INSERT INTO lt_lock VALUES (2, 'c');
SELECT uaef.record_event('noted', '{}') > 0 AS recorded;
SELECT * FROM lt_locked;
COMMIT;
SELECT operation, new, stream_seq FROM uaef.row_history('lt_lock', '2');
-- so they do when it was a cursor that wrote, and it fails in a subtransaction of it
CREATE FUNCTION lt_put(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO lt_lock VALUES (10 / (2 - n), 'd');
	PERFORM FROM uaef.ledger_event LIMIT 1;	-- so that it is written now
	RETURN n;
END $$;
BEGIN;
DECLARE c CURSOR FOR SELECT lt_put(n) FROM generate_series(1, 2) n;
FETCH c;
SAVEPOINT s;
FETCH c;
ROLLBACK TO s;
RELEASE s;
SELECT * FROM lt_locked;
INSERT INTO lt_lock VALUES (11, 'e');
COMMIT;
SELECT id, note FROM lt_lock ORDER BY id;
DROP FUNCTION lt_put;
DROP VIEW lt_locked;
DROP TABLE lt_lock;

-- what is put together for an event is a jsonb as any other
SELECT count(*) AS bad FROM uaef.ledger_event WHERE payload <> payload::text::jsonb;

SELECT code FROM uaef.verify_ledger();
DROP TABLE lt_own, lt_some;
DROP FUNCTION lt_changes();
DROP VIEW lt_last, lt_event;
SELECT uaef.revoke_access('regress_lt_owner', 'author');
SELECT uaef.revoke_access('regress_lt_reader', 'viewer');
REVOKE CREATE ON SCHEMA public FROM regress_lt_owner;
DROP ROLE regress_lt_owner, regress_lt_writer, regress_lt_reader;
