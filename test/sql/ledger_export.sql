--
-- Receipts, tlog-proofs and exports of the ledger: what is refused
--
-- That they hold is for test/t/026_proof.pl to show, with a verifier of its
-- own.
--
SET client_min_messages = warning;
\set VERBOSITY terse

DO $$
BEGIN
	PERFORM uaef.record_event('exp_one', '{"n": 1}') FROM generate_series(1, 3);
END
$$;
DO $$
BEGIN
	FOR i IN 1..1000 LOOP
		PERFORM uaef.seal_ledger();
		EXIT WHEN NOT EXISTS (SELECT FROM uaef.ledger_unsealed WHERE event_type = 'exp_one');
		COMMIT;
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END
$$;

-- nothing
SELECT uaef.tlog_proof(NULL);
SELECT uaef.receipt(NULL);
SELECT uaef.export_tiles(NULL);

-- what is not there
SELECT uaef.tlog_proof(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.receipt('00000000-0000-0000-0000-000000000000');
\echo :LAST_ERROR_SQLSTATE

-- what is not sealed
BEGIN;
SELECT uaef.record_event('exp_open') AS open \gset
\set VERBOSITY sqlstate
SELECT uaef.tlog_proof(:open);
ROLLBACK;
BEGIN;
SELECT uaef.record_event('exp_open') AS open \gset
SELECT uaef.receipt(stream) FROM uaef.ledger_event WHERE event_id = :open;
ROLLBACK;
\set VERBOSITY terse

-- what was retired: nobody can check a chain without its beginning
BEGIN;
SELECT stream FROM uaef.ledger_event WHERE event_type = 'exp_one' LIMIT 1 \gset
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ledger_guard;
DELETE FROM uaef.ledger_event WHERE stream = :'stream' AND stream_seq = 1;
\set VERBOSITY sqlstate
SELECT uaef.receipt(:'stream');
\set VERBOSITY terse
ROLLBACK;

-- bad sizes and places
SELECT count(*) FROM uaef.tile_files(-1);
SELECT count(*) > 0 AS files FROM uaef.tile_files(1000000000000);
SELECT uaef.export_tiles('tiles');
SELECT uaef.export_tiles('');
SELECT count(*) FROM uaef.export_ledger(9000000000000000000) l WHERE l::jsonb->>'row' IN ('event', 'block');

-- a row of each kind has the columns of its table
SELECT kind, columns = array(SELECT attname::text FROM pg_attribute
		WHERE attrelid = ('uaef.ledger_' || kind)::regclass AND attnum > 0 ORDER BY attname) AS whole
FROM (SELECT DISTINCT ON (l->>'row') l->>'row' AS kind,
		array(SELECT k FROM jsonb_object_keys(l) k WHERE k <> 'row' ORDER BY k) AS columns
	  FROM (SELECT l::jsonb AS l FROM uaef.export_ledger() l) x) y
WHERE kind IN ('event', 'block');

-- files come in the order in which each needs only those before it
SELECT min(n) FILTER (WHERE path LIKE 'tile/0/%') = 1 AS tiles_first,
	max(n) FILTER (WHERE path = 'uaef/ledger.json') = max(n) FILTER (WHERE path <> 'checkpoint') AS description_last
FROM uaef.tile_files() WITH ORDINALITY AS f (path, content, n);

-- an export whose beginning is rolled back does not end as if it were whole
BEGIN;
DECLARE lines CURSOR FOR SELECT uaef.export_ledger() IS NOT NULL AS line;
SAVEPOINT s;
FETCH lines;
ROLLBACK TO s;
FETCH ALL FROM lines;
ROLLBACK;
