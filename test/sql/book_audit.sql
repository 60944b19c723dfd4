--
-- audit_money(): each thing that must be true of the books is broken once, by
-- a superuser without triggers, and is named
--
SET client_min_messages = warning;
SET uaef.test_now = '2026-04-01 12:00:00+00';
SELECT uaef.create_account('audit.bank', 'asset', 'CHF') AS bank, uaef.create_account('audit.a', 'liability', 'CHF', min_balance => 0) AS a,
	uaef.create_account('audit.hot', 'income', 'CHF', stripes => 2) AS hot, uaef.create_account('audit.usd', 'asset', 'USD') AS usd \gset
SELECT uaef.post('{"debit": "audit.bank", "credit": "audit.a", "amount": 1000, "metadata": {"n": 1}}', 'audit 1') AS j1 \gset
SELECT b[1] AS j2, b[2] AS j3 FROM uaef.post_batch('[{"debit": "audit.a", "credit": "audit.hot", "amount": 10, "key": "audit 2", "effective_at": "2026-03-01"},
	{"debit": "audit.a", "credit": "audit.hot", "amount": 20}]') b \gset
SELECT uaef.hold_funds('audit.a', 100) AS h1, uaef.hold_funds('audit.a', 50) AS h2 \gset
SELECT uaef.capture_hold(:h1, 'audit.bank', 40) AS j4 \gset
SELECT uaef.reverse_journal(:j3, 5, 'half', 'audit 3') AS j5 \gset
SELECT * FROM uaef.audit_money();

-- names in place of numbers, which vary
CREATE TEMP TABLE named AS SELECT * FROM (VALUES ('j1', :j1), ('j2', :j2), ('j3', :j3), ('j4', :j4), ('j5', :j5)) v (name, number);
CREATE FUNCTION pg_temp.tell(subject text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n record;
BEGIN
	FOR n IN SELECT * FROM named LOOP
		subject := regexp_replace(subject, format('(journals?|to) %s\M', n.number), '\1 ' || n.name, 'g');
	END LOOP;
	RETURN regexp_replace(subject, '(hold|event|account) \d+|(digest) [0-9a-f]{64}', '\1\2 #', 'g');
END $$;

-- what is found when it is broken by some SQL, which is then undone
CREATE FUNCTION pg_temp.broken(sql text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	found text[];
	t text;
BEGIN
	BEGIN
		FOREACH t IN ARRAY ARRAY['account', 'journal', 'posting', 'journal_reversal', 'ledger_event'] LOOP
			EXECUTE format('ALTER TABLE uaef.%I DISABLE TRIGGER ALL', t);
		END LOOP;
		ALTER TABLE uaef.posting DROP CONSTRAINT posting_amount_is_minor_units;
		ALTER TABLE uaef.account_hold DROP CONSTRAINT account_hold_is_whole;
		EXECUTE sql;
		FOREACH t IN ARRAY ARRAY['account', 'journal', 'posting', 'journal_reversal'] LOOP
			EXECUTE format('ALTER TABLE uaef.%I ENABLE ALWAYS TRIGGER ledger_guard', t);
		END LOOP;
		ALTER TABLE uaef.posting ENABLE ALWAYS TRIGGER posting_balanced;
		SELECT array_agg(format('%s: %s: %s', problem, pg_temp.tell(subject), pg_temp.tell(detail)) ORDER BY problem, subject COLLATE "C", detail)
		INTO found FROM uaef.audit_money();
		RAISE EXCEPTION SQLSTATE 'ZZ999';
	EXCEPTION WHEN SQLSTATE 'ZZ999' THEN
		RETURN QUERY SELECT unnest(coalesce(found, ARRAY['nothing']));
	END;
END $$;

\pset tuples_only on
\pset format unaligned
-- nothing is broken
SELECT pg_temp.broken('');
-- amounts: one side, both sides, a fraction, NaN, negative
SELECT pg_temp.broken(format('UPDATE uaef.posting SET amount = 999 WHERE journal_id = %s AND line = 1', :j1));
SELECT pg_temp.broken(format('UPDATE uaef.posting SET amount = 999 WHERE journal_id = %s', :j1));
SELECT pg_temp.broken(format('UPDATE uaef.posting SET amount = 1000.5 WHERE journal_id = %s', :j1));
SELECT pg_temp.broken(format('UPDATE uaef.posting SET amount = ''NaN'' WHERE journal_id = %s', :j1));
-- the same sums, moved to another account together with its balance: the digest tells
SELECT pg_temp.broken(format('UPDATE uaef.posting SET account_id = %s WHERE journal_id = %s AND line = 1;
	UPDATE uaef.account_stripe SET debit = debit - 10, postings = postings - 1 WHERE account_id = %s;
	UPDATE uaef.account_stripe SET debit = debit + 10, postings = postings + 1 WHERE account_id = %s', :bank, :j2, :a, :bank));
-- lines and journals that are gone, or belong to nobody
SELECT pg_temp.broken(format('DELETE FROM uaef.posting WHERE journal_id = %s', :j2));
SELECT pg_temp.broken(format('DELETE FROM uaef.posting WHERE journal_id = %s AND line = 2', :j2));
SELECT pg_temp.broken(format('DELETE FROM uaef.journal WHERE journal_id = %s', :j1));
SELECT pg_temp.broken(format('DELETE FROM uaef.journal WHERE journal_id IN (%s, %s)', :j2, :j3));
SELECT pg_temp.broken(format('DELETE FROM uaef.account WHERE account_id = %s', :hot));
SELECT pg_temp.broken(format('DELETE FROM uaef.account WHERE account_id = %s', :usd));
SELECT pg_temp.broken(format('UPDATE uaef.account SET kind = ''liability'' WHERE account_id = %s', :usd));
SELECT pg_temp.broken(format('UPDATE uaef.account SET owner_id = ''eve'' WHERE account_id = %s', :usd));
-- currency, times, what a journal says
SELECT pg_temp.broken(format('UPDATE uaef.posting SET account_id = %s WHERE journal_id = %s AND line = 1', :usd, :j1));
SELECT pg_temp.broken(format('UPDATE uaef.posting SET effective_at = ''2025-01-01'' WHERE journal_id = %s AND line = 1', :j1));
SELECT pg_temp.broken(format('UPDATE uaef.journal SET effective_at = ''2025-01-01'' WHERE journal_id = %1$s;
	UPDATE uaef.posting SET effective_at = ''2025-01-01'' WHERE journal_id = %1$s', :j2));
SELECT pg_temp.broken(format('UPDATE uaef.journal SET effective_at = ''2025-01-01'', recorded_at = ''2025-01-01'' WHERE journal_id = %1$s;
	UPDATE uaef.posting SET effective_at = ''2025-01-01'', recorded_at = ''2025-01-01'' WHERE journal_id = %1$s', :j1));
SELECT pg_temp.broken(format('UPDATE uaef.journal SET metadata = ''{}'' WHERE journal_id = %s', :j1));
SELECT pg_temp.broken(format('UPDATE uaef.journal SET idempotency_key = ''other'' WHERE journal_id = %s', :j1));
SELECT pg_temp.broken(format('DROP INDEX uaef.journal_idempotency_key; UPDATE uaef.journal SET idempotency_key = ''audit 1'' WHERE journal_id = %s', :j2));
-- events
SELECT pg_temp.broken(format('UPDATE uaef.journal SET event_id = 0 WHERE journal_id = %s', :j1));
SELECT pg_temp.broken(format('DELETE FROM uaef.ledger_event WHERE payload->>''journal'' = ''%s''', :j1));
SELECT pg_temp.broken(format('UPDATE uaef.ledger_event SET payload = payload || ''{"digest": "00"}'' WHERE payload->>''journal'' = ''%s''', :j1));
-- balances
SELECT pg_temp.broken(format('UPDATE uaef.account_stripe SET debit = debit + 1 WHERE account_id = %s', :bank));
SELECT pg_temp.broken(format('UPDATE uaef.account_stripe SET postings = 0 WHERE account_id = %s', :bank));
SELECT pg_temp.broken(format('DELETE FROM uaef.account_stripe WHERE account_id = %s', :bank));
SELECT pg_temp.broken(format('UPDATE uaef.account_stripe SET stripe = 5 WHERE account_id = %s AND stripe = 0', :usd));
SELECT pg_temp.broken(format('UPDATE uaef.account_stripe SET status = ''frozen'' WHERE account_id = %s AND stripe = 0', :hot));
SELECT pg_temp.broken(format('UPDATE uaef.account_stripe SET min_balance = 0 WHERE account_id = %s', :hot));
-- limits
SELECT pg_temp.broken(format('UPDATE uaef.account_stripe SET min_balance = 886 WHERE account_id = %s', :a));
SELECT pg_temp.broken(format('UPDATE uaef.account_stripe SET max_balance = 934 WHERE account_id = %s', :a));
SELECT pg_temp.broken(format('UPDATE uaef.account_stripe SET status = ''closed'' WHERE account_id = %s', :a));
-- holds
SELECT pg_temp.broken(format('UPDATE uaef.account_stripe SET held = held - 1 WHERE account_id = %s', :a));
SELECT pg_temp.broken(format('DELETE FROM uaef.account_hold WHERE hold_id = %s', :h2));
SELECT pg_temp.broken(format('UPDATE uaef.account_hold SET captured = 30 WHERE hold_id = %s', :h1));
SELECT pg_temp.broken(format('UPDATE uaef.account_hold SET status = ''released'' WHERE hold_id = %s', :h2));
-- reversals
SELECT pg_temp.broken(format('UPDATE uaef.posting SET amount = 21 WHERE journal_id = %s', :j5));
SELECT pg_temp.broken(format('UPDATE uaef.journal SET reverses = %s WHERE journal_id = %s', :j1, :j5));
SELECT pg_temp.broken(format('DELETE FROM uaef.journal_reversal WHERE reversal_id = %s', :j5));
-- guards
SELECT pg_temp.broken('DROP TRIGGER ledger_guard ON uaef.journal; CREATE TRIGGER ledger_guard BEFORE UPDATE ON uaef.journal FOR EACH STATEMENT EXECUTE FUNCTION uaef.ledger_guard()');
SELECT pg_temp.broken('');
RESET uaef.test_now;
