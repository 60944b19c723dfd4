--
-- Large batches: their keys are looked for by samples first, and a key that was
-- there all the same changes nothing of what a batch promises
--
\set regression :DBNAME
CREATE DATABASE regress_book_batch;
\c regress_book_batch
SET client_min_messages = warning;
CREATE EXTENSION uaef CASCADE;
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SELECT uaef.create_account('cash', 'asset', 'EUR') > 0 AS made, uaef.create_account('all', 'liability', 'EUR', stripes => 8) > 0 AS made,
	uaef.create_account('few', 'liability', 'EUR', min_balance => 0, max_balance => 10000) > 0 AS made;

CREATE FUNCTION pg_temp.batch(first integer, last integer, account text DEFAULT 'few', amount integer DEFAULT 1) RETURNS bigint[]
LANGUAGE sql AS $$
SELECT uaef.post_batch(jsonb_agg(jsonb_build_object('debit', 'cash', 'credit', account, 'amount', amount, 'key', 'k' || i) ORDER BY i))
FROM generate_series(first, last) i $$;

-- all new; all there; from a key that is looked for at first; one only, that is not
SELECT cardinality(pg_temp.batch(1, 300)) AS n;
SELECT pg_temp.batch(1, 300) = array_agg(journal_id ORDER BY journal_id) AS same FROM uaef.journal;
SELECT cardinality(pg_temp.batch(250, 400)) AS n, (SELECT balance FROM uaef.account_balance WHERE code = 'few') AS before;
SELECT uaef.balance('few') AS balance, (SELECT count(*) FROM uaef.journal) AS journals;
SELECT uaef.post('{"debit": "cash", "credit": "few", "amount": 1}', 'k530') AS j \gset
SELECT b[30] = :j AS found, b[29] <> b[30] AND b[31] <> b[30] AS others_new, cardinality(b) AS n FROM pg_temp.batch(501, 700) b;
SELECT uaef.balance('few') AS balance, (SELECT count(*) FROM uaef.journal) AS journals;

-- twice in a batch, of which another is there already
SELECT uaef.post('{"debit": "cash", "credit": "few", "amount": 1}', 'k810') AS j \gset
SELECT b[1] = b[101] AS same, b[10] = :j AND b[110] = :j AS found, cardinality(b) AS n FROM uaef.post_batch((
	SELECT jsonb_agg(jsonb_build_object('debit', 'cash', 'credit', 'few', 'amount', 1, 'key', 'k' || 801 + i % 100) ORDER BY i)
	FROM generate_series(0, 199) i)) b;
SELECT uaef.balance('few') AS balance, (SELECT count(*) FROM uaef.journal) AS journals;

-- what was there with another content, a limit: all or none, and the message tells where
SELECT pg_temp.batch(601, 900, amount => 2);
SELECT cardinality(pg_temp.batch(641, 900)) AS n;
SELECT uaef.post('{"debit": "cash", "credit": "few", "amount": 3}', 'k1077') > 0 AS posted;
SELECT pg_temp.batch(1001, 1200);
SELECT pg_temp.batch(1101, 1300, amount => 100);
SELECT uaef.balance('few') AS balance, (SELECT count(*) FROM uaef.journal) AS journals;

-- within a transaction that has many subtransactions, and one that is undone
BEGIN;
DO $$
BEGIN
	FOR i IN 1..40 LOOP
		BEGIN
			PERFORM pg_temp.batch(10000 + i * 100, 10099 + i * 100, 'all');
			IF i % 2 = 0 THEN
				RAISE EXCEPTION 'undone';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
END $$;
COMMIT;
SELECT uaef.balance('all') AS balance;

-- an account that was met, and one that was undone
BEGIN;
SELECT uaef.create_account('soon', 'asset', 'EUR') > 0 AS made;
SELECT uaef.post('{"debit": "soon", "credit": "all", "amount": 1}') > 0 AS posted;
ROLLBACK;
SELECT uaef.post('{"debit": "soon", "credit": "all", "amount": 1}');
SELECT uaef.create_account('soon', 'asset', 'USD') > 0 AS made;
SELECT uaef.post('{"debit": "soon", "credit": "all", "amount": 1}');
SELECT uaef.create_account('usd', 'liability', 'USD') > 0 AS made;
SELECT uaef.post('{"debit": "soon", "credit": "usd", "amount": 1}') > 0 AS posted;

SELECT * FROM uaef.audit_money();
SELECT count(*) AS problems FROM uaef.verify_ledger() WHERE severity = 'error';

\c :regression
DROP DATABASE regress_book_batch WITH (FORCE);
