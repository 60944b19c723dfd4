--
-- audit_money(since_last => true): what came since the last audit that found
-- nothing is looked at, and what was there before is taken for granted
--
\set regression :DBNAME
CREATE DATABASE regress_book_new;
\c regress_book_new
SET client_min_messages = warning;
CREATE EXTENSION uaef CASCADE;
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
CREATE ROLE regress_book_new_auditor;
SELECT uaef.grant_access('regress_book_new_auditor', 'auditor');
SELECT uaef.create_account('cash', 'asset', 'EUR') > 0 AS cash, uaef.create_account('all', 'liability', 'EUR', stripes => 4) > 0 AS hot,
	uaef.create_account('few', 'liability', 'EUR', min_balance => 0) > 0 AS few;
CREATE FUNCTION pg_temp.batch(first integer, last integer) RETURNS integer LANGUAGE sql AS $$
SELECT cardinality(uaef.post_batch(jsonb_agg(jsonb_build_object('debit', 'cash', 'credit', CASE WHEN i % 2 = 0 THEN 'all' ELSE 'few' END,
	'amount', i, 'key', 'k' || i) ORDER BY i))) FROM generate_series(first, last) i $$;

-- there must have been a whole one; one in a transaction that only reads is not remembered
SELECT * FROM uaef.audit_money(since_last => true);
BEGIN READ ONLY;
SELECT count(*) AS problems FROM uaef.audit_money();
COMMIT;
SELECT count(*) AS remembered FROM uaef.money_audit;
SELECT * FROM uaef.audit_money(since_last => NULL);

-- an empty one, then what came since, again and again
SELECT count(*) AS problems FROM uaef.audit_money();
SELECT pg_temp.batch(1, 100);
SELECT count(*) AS problems FROM uaef.audit_money(since_last => true);
SELECT pg_temp.batch(101, 200), uaef.create_account('late', 'income', 'EUR', min_balance => 0) > 0 AS made;
SELECT uaef.post('{"debit": "cash", "credit": "late", "amount": 7}') AS j \gset
SELECT uaef.reverse_journal(:j, 3, 'a part') AS r \gset
SET ROLE regress_book_new_auditor;
SELECT count(*) AS problems FROM uaef.audit_money(true);
SELECT count(*) AS problems FROM uaef.audit_money(true);
SELECT audited_by, whole_by = current_user AS whole_by_me, whole_at < audited_at AS new_since FROM uaef.money_audit;
RESET ROLE;
SELECT (SELECT sum(postings) FROM uaef.audited_balance) = (SELECT count(*) FROM uaef.posting) AS all_audited,
	(SELECT max(journal_id) FROM uaef.journal) = (SELECT journal_id FROM uaef.money_audit) AS up_to_the_last;
SELECT uaef.reverse_journal(:j, 4, 'the rest') > 0 AS reversed;
SELECT count(*) AS problems FROM uaef.audit_money(true);

-- each breach of what is new is found, and not taken for granted by the next one
CREATE FUNCTION pg_temp.broken(sql text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	found text[];
	again bigint;
BEGIN
	BEGIN
		SET LOCAL session_replication_role = replica;
		ALTER TABLE uaef.posting DISABLE TRIGGER ALL;
		ALTER TABLE uaef.journal DISABLE TRIGGER ALL;
		ALTER TABLE uaef.account DISABLE TRIGGER ALL;
		EXECUTE sql;
		SELECT array_agg(DISTINCT problem ORDER BY problem) INTO found FROM uaef.audit_money(true) WHERE problem <> 'GUARD_TAMPERED';
		SELECT count(DISTINCT problem) INTO again FROM uaef.audit_money(true) WHERE problem <> 'GUARD_TAMPERED';
		found := found || format('%s kinds again', again);
		RAISE EXCEPTION SQLSTATE 'ZZ999';
	EXCEPTION WHEN SQLSTATE 'ZZ999' THEN
		RETURN QUERY SELECT unnest(coalesce(found, ARRAY['nothing']));
	END;
END $$;
SELECT pg_temp.batch(201, 210);
\pset tuples_only on
\echo # the new: nothing; an amount; a line; a journal; its event; a key; a balance; an account; over-reversed
SELECT pg_temp.broken('');
SELECT pg_temp.broken($$UPDATE uaef.posting SET amount = amount + 1 WHERE journal_id = (SELECT journal_id FROM uaef.journal WHERE idempotency_key = 'k205') AND line = 1$$);
SELECT pg_temp.broken($$DELETE FROM uaef.posting WHERE journal_id = (SELECT journal_id FROM uaef.journal WHERE idempotency_key = 'k205') AND line = 1$$);
SELECT pg_temp.broken($$DELETE FROM uaef.journal WHERE idempotency_key = 'k205'$$);
SELECT pg_temp.broken($$UPDATE uaef.journal SET event_id = 1000000 WHERE idempotency_key = 'k205'$$);
SELECT pg_temp.broken($$UPDATE uaef.journal SET idempotency_key = 'other' WHERE idempotency_key = 'k205'$$);
SELECT pg_temp.broken($$UPDATE uaef.account_stripe SET debit = debit + 1, credit = credit + 1 WHERE account_id = (SELECT account_id FROM uaef.account WHERE code = 'few')$$);
SELECT pg_temp.broken($$INSERT INTO uaef.account (code, kind, currency, stripes, created_by, created_at) VALUES ('false', 'asset', 'EUR', 1, 'x', now());
	INSERT INTO uaef.account_stripe (account_id, postings, stripe, status, debit, credit, held) SELECT account_id, 0, 0, 'open', 0, 0, 0 FROM uaef.account WHERE code = 'false'$$);
SELECT pg_temp.broken(format($$WITH j AS (INSERT INTO uaef.journal (journal_id, event_id, reverses, effective_at, recorded_at, lines, digest, kind, posted_by)
	SELECT nextval('uaef.journal_id'), event_id, journal_id, effective_at, recorded_at, lines, digest, 'reversal', 'x' FROM uaef.journal WHERE journal_id = %s RETURNING journal_id)
	INSERT INTO uaef.posting SELECT j.journal_id, account_id, effective_at, recorded_at, line, stripe, CASE side WHEN 'debit' THEN 'credit' ELSE 'debit' END, amount, currency
	FROM uaef.posting p, j WHERE p.journal_id = %s; INSERT INTO uaef.journal_reversal SELECT %s, max(journal_id) FROM uaef.journal$$, :j, :j, :j));
\echo # what was there before is for a whole audit; sums that are not what was kept are found
SELECT pg_temp.broken($$UPDATE uaef.posting SET amount = amount + 1 WHERE journal_id = (SELECT journal_id FROM uaef.journal WHERE idempotency_key = 'k5')$$);
SELECT pg_temp.broken($$UPDATE uaef.audited_balance SET debit = debit + 1$$);
\pset tuples_only off
SELECT count(*) AS problems FROM uaef.audit_money(true);
SELECT count(*) AS problems FROM uaef.audit_money();
SELECT whole_at = audited_at AS whole FROM uaef.money_audit;

DROP OWNED BY regress_book_new_auditor;
DROP ROLE regress_book_new_auditor;
\c :regression
DROP DATABASE regress_book_new WITH (FORCE);
