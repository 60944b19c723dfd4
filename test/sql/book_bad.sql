--
-- Double entry: bad input, of which nothing is done
--
SET client_min_messages = warning;
SELECT uaef.create_account('bad.eur', 'asset', 'EUR') + uaef.create_account('bad.eur2', 'equity', 'EUR')
	+ uaef.create_account('bad.usd', 'asset', 'USD') + uaef.create_account('bad.striped', 'asset', 'EUR', stripes => 2) > 0 AS made;
CREATE TEMP TABLE before AS SELECT (SELECT count(*) FROM uaef.journal) AS journals, (SELECT count(*) FROM uaef.posting) AS postings,
	(SELECT count(*) FROM uaef.ledger_event WHERE event_type !~ 'sealed') AS events, (SELECT count(*) FROM uaef.account) AS accounts;

CREATE FUNCTION pg_temp.bad(sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE sql;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.bad_post(journal text) RETURNS text LANGUAGE sql AS
	$$ SELECT pg_temp.bad(format('SELECT uaef.post(%L)', journal)) $$;

-- amounts
SELECT a AS amount, pg_temp.bad_post(format('{"debit": "bad.eur", "credit": "bad.eur2", "amount": %s}', a)) AS result
FROM (VALUES (1, '0'), (2, '-1'), (3, '0.5'), (4, '10.01'), (5, '1e-400'), (6, '100000000000000000000000000000000000000'), (7, '1e400'),
	(8, '"5"'), (9, 'true'), (10, 'null'), (11, '[5]'), (12, '{}'), (13, '0.00'), (14, '-0.5'), (15, 'NaN')) v (i, a) ORDER BY i;

-- journals
SELECT j AS journal, pg_temp.bad_post(j) AS result FROM (VALUES
	(1, '5'), (2, '[]'), (3, '{}'), (4, 'null'), (5, '{"lines": []}'), (6, '{"lines": {}}'), (7, '{"lines": [5]}'),
	(8, '{"lines": [{}]}'), (9, '{"lines": [{"account": "bad.eur"}]}'), (10, '{"lines": [{"debit": 5}]}'),
	(11, '{"lines": [{"account": 5, "debit": 5}]}'), (12, '{"lines": [{"account": "bad.eur", "debit": 5, "credit": 5}]}'),
	(13, '{"lines": [{"account": "bad.eur", "debit": 5, "to": 5}]}'), (14, '{"lines": [{"account": "bad.eur", "debit": 5}]}'),
	(15, '{"lines": [{"account": "bad.eur", "debit": 5}, {"account": "bad.eur2", "credit": 4}]}'),
	(16, '{"lines": [{"account": "bad.eur", "debit": 5}, {"account": "bad.usd", "credit": 5}]}'),
	(17, '{"debit": "bad.eur", "credit": "bad.usd", "amount": 5}'),
	(18, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "currency": "USD"}'),
	(19, '{"debit": "bad.eur", "credit": "nobody", "amount": 5}'), (20, '{"debit": "bad.eur", "credit": "", "amount": 5}'),
	(21, '{"debit": "bad.eur", "credit": "bad.eur2"}'), (22, '{"debit": "bad.eur", "amount": 5}'),
	(23, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "lines": []}'),
	(24, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "note": "x"}'),
	(25, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "kind": "Fee"}'),
	(26, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "kind": ""}'),
	(27, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "kind": 5}'),
	(28, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "kind": "reversal"}'),
	(29, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "key": ""}'),
	(30, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "key": " x"}'),
	(31, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "key": "uaef:1"}'),
	(32, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "effective_at": "never"}'),
	(33, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "effective_at": "infinity"}'),
	(34, '{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "metadata": 5}')) v (i, j) ORDER BY i;
SELECT pg_temp.bad_post('{"debit": "bad.eur", "credit": "' || repeat('x', 201) || '", "amount": 5}') ~ '^UA510' AS long_code,
	pg_temp.bad_post('{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "key": "' || repeat('x', 201) || '"}') ~ '^22023' AS long_key,
	pg_temp.bad_post('{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "description": "' || repeat('x', 1001) || '"}') ~ '^UA001' AS long_description;
SELECT pg_temp.bad('SELECT uaef.post(NULL)') AS post, pg_temp.bad('SELECT uaef.post_batch(NULL)') AS post_batch,
	pg_temp.bad('SELECT uaef.post_batch(''{}'')') AS object, pg_temp.bad('SELECT uaef.post_batch(''5'')') AS scalar,
	pg_temp.bad('SELECT uaef.post_batch(''[5]'')') AS numbers,
	pg_temp.bad('SELECT uaef.post(''{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5, "key": "a"}'', ''a'')') AS two_keys;
SELECT pg_temp.bad(format('SELECT uaef.post_batch(%L)', jsonb_agg(jsonb_build_object('lines', jsonb_build_array(
	jsonb_build_object('account', 'bad.eur', 'debit', i), jsonb_build_object('account', 'bad.eur', 'credit', i)))))) AS too_many
FROM generate_series(1, 50001) i;

-- no account pays itself, by any form
SELECT j AS journal, pg_temp.bad_post(j) AS result FROM (VALUES
	(1, '{"debit": "bad.eur", "credit": "bad.eur", "amount": 5}'),
	(2, '{"lines": [{"account": "bad.eur", "debit": 5}, {"account": "bad.eur", "credit": 3}, {"account": "bad.eur", "credit": 2}]}'),
	(3, '{"debit": "nobody", "credit": "nobody", "amount": 5}')) v (i, j) ORDER BY i;
BEGIN;
SELECT uaef.hold_funds('bad.eur2', 5) AS hold \gset
SELECT pg_temp.bad(format('SELECT uaef.capture_hold(%s, ''bad.eur2'')', :'hold')) AS capture;
ROLLBACK;

-- what the engine posts to is the engine's
SELECT pg_temp.bad(sql) AS result FROM (VALUES
	(1, $$SELECT uaef.create_account('payable:external:x:EUR', 'asset', 'EUR')$$),
	(2, $$SELECT uaef.post('{"debit": "bad.eur", "credit": "payable:external:x:EUR", "amount": 5}')$$),
	(3, $$SELECT uaef.post('{"debit": "settlement:expense:EUR", "credit": "bad.eur", "amount": 5}')$$),
	(4, $$SELECT uaef.post('{"lines": [{"account": "bad.eur", "debit": 5}, {"account": "clearing:psp:EUR", "credit": 5}]}')$$),
	(5, $$SELECT uaef.post_batch('[{"debit": "clearing:psp:EUR", "credit": "bad.eur", "amount": 5}]')$$),
	(6, $$SELECT uaef.hold_funds('payable:external:x:EUR', 5)$$),
	(7, $$SELECT uaef.capture_hold(1, 'disputed:external:x:EUR')$$),
	(8, $$SELECT uaef.freeze_account('payable:external:x:EUR', 'why not')$$),
	(9, $$SELECT uaef.close_account('settlement:expense:EUR', 'why not')$$),
	(10, $$SELECT uaef.set_account_limits('payable:external:x:EUR', 0, 0, 'why not')$$)) v (i, sql) ORDER BY i;
SELECT uaef.post('{"debit": "bad.eur", "credit": "settlement:expense:EUR", "amount": 5}');

-- the context tells which journal of a batch
SELECT uaef.post_batch('[{"debit": "bad.eur", "credit": "bad.eur2", "amount": 5}, {"debit": "bad.eur", "credit": "bad.eur2", "amount": 0.1}]');

-- accounts
SELECT a AS arguments, pg_temp.bad('SELECT uaef.create_account(' || a || ')') AS result FROM (VALUES
	(1, 'NULL, ''asset'', ''EUR'''), (2, ''''', ''asset'', ''EUR'''), (3, ''' x'', ''asset'', ''EUR'''), (4, '''x'', ''cash'', ''EUR'''),
	(5, '''x'', ''asset'', ''QQQ'''), (6, '''x'', ''asset'', ''eur'''), (7, '''x'', ''asset'', NULL'), (8, '''x'', ''asset'', ''EUR'', ''nobody'''),
	(9, '''x'', ''asset'', ''EUR'', ''user'', '''''), (10, '''x'', ''asset'', ''EUR'', min_balance => 0.5'),
	(11, '''x'', ''asset'', ''EUR'', min_balance => ''NaN'''), (12, '''x'', ''asset'', ''EUR'', max_balance => ''Infinity'''),
	(13, '''x'', ''asset'', ''EUR'', max_balance => 1e38'), (14, '''x'', ''asset'', ''EUR'', min_balance => 1, max_balance => 0'),
	(15, '''x'', ''asset'', ''EUR'', stripes => 0'), (16, '''x'', ''asset'', ''EUR'', stripes => 65'), (17, '''x'', ''asset'', ''EUR'', stripes => NULL'),
	(18, '''x'', ''asset'', ''EUR'', stripes => 2, min_balance => 0')) v (i, a) ORDER BY i;
SELECT pg_temp.bad('SELECT uaef.freeze_account(''nobody'', ''x'')') AS nobody, pg_temp.bad('SELECT uaef.freeze_account(''bad.eur'', NULL)') AS no_reason,
	pg_temp.bad('SELECT uaef.set_account_limits(''bad.eur'', ''NaN'', NULL, ''x'')') AS nan;

-- holds and reversals
SELECT c AS call, pg_temp.bad('SELECT uaef.' || c) AS result FROM (VALUES
	(1, 'hold_funds(''nobody'', 5)'), (2, 'hold_funds(''bad.eur'', ''NaN'')'), (3, 'hold_funds(''bad.eur'', ''Infinity'')'),
	(4, 'hold_funds(''bad.eur'', 0.5)'), (5, 'hold_funds(''bad.eur'', 0)'), (6, 'hold_funds(''bad.eur'', -1)'), (7, 'hold_funds(''bad.eur'', 1e400)'),
	(8, 'hold_funds(''bad.eur'', 5, ''infinity'')'), (9, 'hold_funds(''bad.eur'', 5, ''2001-01-01'')'), (10, 'hold_funds(''bad.striped'', 5)'),
	(11, 'hold_funds(''bad.eur'', 5, idempotency_key => '''')'), (12, 'capture_hold(0, ''bad.eur'')'), (13, 'release_hold(0)'),
	(14, 'capture_hold(NULL, ''bad.eur'')'), (15, 'capture_hold(0, ''bad.eur'', ''NaN'')'), (16, 'reverse_journal(0)'),
	(17, 'reverse_journal(1, 0)'), (18, 'reverse_journal(1, 0.1)'), (19, 'reverse_journal(1, ''NaN'')'), (20, 'balance(''nobody'')'),
	(21, 'balance(NULL)'), (22, 'statement(NULL)')) v (i, c) ORDER BY i;

SELECT uaef.create_account('bad.half', 'asset', 'EUR', 'user');
SELECT uaef.create_account('bad.half', 'asset', 'EUR', owner_id => 'ann');
SELECT uaef.create_account('bad.case', 'asset', 'eur');
SELECT uaef.statement('bad.eur', '2026-02-01', '2026-01-01');

-- and nothing was done
SELECT (SELECT count(*) FROM uaef.journal) = journals AND (SELECT count(*) FROM uaef.posting) = postings AND
	(SELECT count(*) FROM uaef.ledger_event WHERE event_type !~ 'sealed') = events AND (SELECT count(*) FROM uaef.account) = accounts AS untouched
FROM before;
SELECT * FROM uaef.audit_money();
