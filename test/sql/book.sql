--
-- Double entry: accounts, journals, balances, holds, reversals
--
SET client_min_messages = warning;
SET timezone = 'UTC';
SET uaef.test_now = '2026-03-01 12:00:00+00';
CREATE ROLE regress_book_op;
CREATE ROLE regress_book_auditor;
CREATE ROLE regress_book_viewer;
SELECT uaef.grant_access('regress_book_op', 'operator');
SELECT uaef.grant_access('regress_book_auditor', 'auditor');
SELECT uaef.grant_access('regress_book_viewer', 'viewer');

-- accounts; the same one again is the same, another one is refused
SELECT uaef.create_account('bank', 'asset', 'EUR') > 0 AS made;
SELECT uaef.create_account('alice', 'liability', 'EUR', 'user', 'alice', min_balance => 0) > 0 AS made;
SELECT uaef.create_account('bob', 'liability', 'EUR', 'user', 'bob', min_balance => 0, max_balance => 100000) > 0 AS made;
SELECT uaef.create_account('fees', 'income', 'EUR', stripes => 4, name => 'Fees of all kinds') > 0 AS made;
SELECT uaef.create_account('yen', 'asset', 'JPY') > 0 AS made;
SELECT uaef.create_account('fx', 'control', 'JPY') > 0 AS made;
SELECT uaef.create_account('fx.eur', 'control', 'EUR') > 0 AS made;
SELECT uaef.create_account('alice', 'liability', 'EUR', 'user', 'alice', min_balance => 0.00) = account_id AS same
FROM uaef.account_balance WHERE code = 'alice';
SELECT uaef.create_account('alice', 'liability', 'EUR', 'user', 'alice', min_balance => 1);

-- a journal in both forms; two currencies in one
SELECT uaef.post('{"debit": "bank", "credit": "alice", "amount": 10000, "description": "top-up"}', 'top-up 1') AS j1 \gset
SELECT uaef.post('{"kind": "order", "effective_at": "2026-02-28 10:00Z", "metadata": {"order": 7},
	"lines": [{"account": "alice", "debit": 2500, "currency": "EUR"}, {"account": "bob", "credit": 2438},
			  {"account": "fees", "credit": 62.00}]}', 'order 7') AS j2 \gset
SELECT uaef.post('{"lines": [{"account": "fx.eur", "debit": 100}, {"account": "bank", "credit": 100},
	{"account": "yen", "debit": 16000}, {"account": "fx", "credit": 16000}]}') AS j3 \gset
SELECT account, side, amount, currency, kind, idempotency_key, description, effective_at, recorded_at, metadata, posted_by = current_user AS mine
FROM uaef.journal_entry WHERE journal_id IN (:j1, :j2, :j3) ORDER BY journal_id, line;
SELECT code, kind, debit, credit, balance, amount, held, available, status, stripes, postings
FROM uaef.account_balance ORDER BY account_id;

-- the same key: the same content is the same journal, now and later, else refused
SELECT uaef.post('{"amount": 1e4, "credit": "alice", "debit": "bank", "description": "top-up"}', 'top-up 1') = :j1 AS same;
SET uaef.test_now = '2026-03-02 12:00:00+00';
SELECT uaef.post('{"debit": "bank", "credit": "alice", "amount": 10000, "description": "top-up", "key": "top-up 1"}') = :j1 AS same;
SELECT uaef.post('{"debit": "bank", "credit": "alice", "amount": 10001, "description": "top-up"}', 'top-up 1');
SELECT uaef.post('{"debit": "bank", "credit": "alice", "amount": 10000}', 'top-up 1');
SELECT uaef.post('{"debit": "bank", "credit": "alice", "amount": 10000, "description": "top-up", "effective_at": "2026-03-01 12:00Z"}', 'top-up 1');

-- a batch: one event, all or none, limits one after the other
SELECT b[2] = b[1] + 1 AS in_order, b[3] = b[1] AS first_again FROM uaef.post_batch('[
	{"debit": "alice", "credit": "bob", "amount": 7500, "key": "b1"},
	{"debit": "bob", "credit": "alice", "amount": 9000, "key": "b2"},
	{"debit": "alice", "credit": "bob", "amount": 7500, "key": "b1"}]') b;
SELECT uaef.post_batch('[{"debit": "bob", "credit": "alice", "amount": 938, "key": "b3"},
	{"debit": "bob", "credit": "alice", "amount": 1, "key": "b4"}]');
SELECT uaef.post_batch('[{"debit": "alice", "credit": "bob", "amount": 1, "key": "b3"},
	{"debit": "alice", "credit": "bob", "amount": 2, "key": "b3"}]');
SELECT count(*) AS posted FROM uaef.journal WHERE idempotency_key IN ('b3', 'b4');
SELECT uaef.post_batch('[]') AS nothing;
SELECT code, balance FROM uaef.account_balance WHERE code IN ('alice', 'bob') ORDER BY 1;

-- limits
SELECT uaef.post('{"debit": "bank", "credit": "bob", "amount": 100000}');
SELECT uaef.set_account_limits('bob', 1000, NULL, 'a buffer');
SELECT uaef.set_account_limits('bob', 0, NULL, 'no more bound');
SELECT uaef.set_account_limits('fees', 0, NULL, 'striped');

-- balances at a time, as they take effect and as they were recorded
SELECT uaef.balance('alice') AS now, uaef.balance('alice', '2026-03-01') AS on_march_1,
	uaef.balance('alice', '2026-02-28 10:00Z') AS at_the_order, uaef.balance('alice', '2026-02-28 09:59Z') AS before,
	uaef.balance('alice', '2026-03-01', '2026-02-28 11:00Z') AS as_known_then,
	uaef.balance('alice', NULL, '2026-03-01 12:00Z') AS as_known_on_march_1;

-- statements
SELECT effective_at, kind, description, debit, credit, balance FROM uaef.statement('alice');
SELECT effective_at, kind, debit, credit, balance FROM uaef.statement('alice', '2026-03-01', '2026-03-02');
SELECT * FROM uaef.statement('nobody');

-- holds
SELECT uaef.hold_funds('alice', 4000, '2099-03-05', 'card', 'hold 1') AS h1 \gset
SELECT uaef.hold_funds('alice', 4000, '2099-03-05', 'card', 'hold 1') = :h1 AS same;
SELECT uaef.hold_funds('alice', 4001, '2099-03-05', 'card', 'hold 1');
SELECT balance, held, available FROM uaef.account_balance WHERE code = 'alice';
SELECT uaef.post('{"debit": "alice", "credit": "bob", "amount": 5001}');
SELECT uaef.hold_funds('alice', 5001);
SELECT uaef.capture_hold(:h1, 'bob', 1500, false, 'capture 1') AS c1 \gset
SELECT uaef.capture_hold(:h1, 'bob', 1500, false, 'capture 1') = :c1 AS same;
SELECT uaef.capture_hold(:h1, 'bob', 1501, false, 'capture 1');
SELECT uaef.capture_hold(:h1, 'fees', 2501);
SELECT balance, held, available FROM uaef.account_balance WHERE code = 'alice';
SELECT uaef.capture_hold(:h1, 'fees', 500, idempotency_key => 'capture 2') > :c1 AS captured;
SELECT uaef.capture_hold(:h1, 'fees', 500, idempotency_key => 'capture 2') = (SELECT max(journal_id) FROM uaef.journal) AS same;
SELECT uaef.capture_hold(:h1, 'fees');
SELECT account, amount, captured, status FROM uaef.fund_hold;
SELECT balance, held, available FROM uaef.account_balance WHERE code = 'alice';
SELECT uaef.hold_funds('alice', 7000, '2099-03-03') AS h2 \gset
SELECT uaef.hold_funds('bob', 1) AS h3 \gset
SELECT uaef.release_hold(:h3, 'not needed');
SELECT uaef.release_hold(:h3);
SELECT uaef.capture_hold(:h3, 'bank');

-- a hold that has expired counts no more, and the next posting that needs it ends it
SELECT uaef.post('{"debit": "alice", "credit": "bob", "amount": 1}');
SET uaef.test_now = '2099-03-03 00:00:00+00';
SELECT uaef.capture_hold(:h2, 'bank');
SELECT uaef.post('{"debit": "alice", "credit": "bob", "amount": 1}') > 0 AS posted;
SELECT amount, captured, status, ended_at FROM uaef.fund_hold WHERE hold_id = :h2;
SELECT uaef.hold_funds('alice', 1, '2099-03-03 00:00Z');

-- reversals: in parts, by line, never more than there was
SELECT uaef.reverse_journal(:j2, 1000, 'half of it', 'rev 1') AS r1 \gset
SELECT uaef.reverse_journal(:j2, 1000, 'half of it', 'rev 1') = :r1 AS same;
SELECT uaef.reverse_journal(:j2, 999, 'half of it', 'rev 1');
SELECT line, account, side, amount, reverses = :j2 AS reverses FROM uaef.journal_entry WHERE journal_id = :r1 ORDER BY line;
SELECT uaef.reverse_journal(:j2, 1501);
SELECT uaef.reverse_journal(:j2) AS r2 \gset
SELECT line, account, side, amount FROM uaef.journal_entry WHERE journal_id = :r2 ORDER BY line;
SELECT uaef.reverse_journal(:j2);
SELECT uaef.reverse_journal(:j2, 1);
SELECT uaef.reverse_journal(:r2);
SELECT uaef.reverse_journal(:j3, 100);
SELECT uaef.reverse_journal(:j3) > :j3 AS whole;
SELECT code, balance FROM uaef.account_balance WHERE code IN ('yen', 'fx', 'fx.eur') ORDER BY 1;
SELECT uaef.reverse_journal(0);

-- frozen and closed accounts refuse, but a key that was posted is still known
SELECT uaef.freeze_account('alice', 'under review'), uaef.freeze_account('alice', 'again');
SELECT uaef.post('{"debit": "bank", "credit": "alice", "amount": 1}');
SELECT uaef.hold_funds('alice', 1);
SELECT uaef.post('{"debit": "bank", "credit": "alice", "amount": 10000, "description": "top-up"}', 'top-up 1') = :j1 AS same;
SELECT uaef.unfreeze_account('alice', 'fine');
SELECT uaef.close_account('alice', 'gone');
SELECT uaef.close_account('yen', 'not used'), uaef.close_account('yen', 'not used');
SELECT uaef.unfreeze_account('yen', 'used');
SELECT uaef.post('{"debit": "yen", "credit": "fx", "amount": 1}');

-- 38 digits, and not one more in a sum
SELECT uaef.create_account('big', 'asset', 'EUR') + uaef.create_account('bigger', 'equity', 'EUR') > 0 AS made;
SELECT uaef.post('{"debit": "big", "credit": "bigger", "amount": 99999999999999999999999999999999999999}') > 0 AS posted;
SELECT uaef.post('{"debit": "big", "credit": "bigger", "amount": 1}');
SELECT balance, amount FROM uaef.account_balance WHERE code = 'bigger';
SELECT max(journal_id) AS j4 FROM uaef.journal \gset
SELECT uaef.reverse_journal(:j4, 33333333333333333333333333333333333333) > :j4 AND uaef.reverse_journal(:j4, 1) > :j4 AND uaef.reverse_journal(:j4) > :j4 AS reversed;
SELECT balance FROM uaef.account_balance WHERE code = 'bigger';

-- a journal of 10,000 lines
SELECT uaef.post(jsonb_build_object('lines', jsonb_agg(CASE WHEN i <= 5000
	THEN jsonb_build_object('account', 'bank', 'debit', i) ELSE jsonb_build_object('account', 'fees', 'credit', i - 5000) END))) > 0 AS posted
FROM generate_series(1, 10000) i;

-- what the events say, each journal's under its own number
SELECT event_type, payload - 'digest' - 'journal' - 'first' - 'last' - 'reverses' - 'hold' - 'account_id' AS payload
FROM uaef.ledger_event WHERE event_type ~ '^(journal|hold|account)' AND payload->>'recorded_at' IS DISTINCT FROM '2099-03-03T00:00:00.000000Z'
ORDER BY event_id LIMIT 18;
SELECT bool_and(e.payload->>'digest' = j.digest::text) AS digests
FROM uaef.journal j JOIN uaef.ledger_event e USING (event_id) WHERE e.event_type = 'journal_posted';

SELECT * FROM uaef.audit_money();

-- who may what
SET ROLE regress_book_op;
SELECT uaef.post('{"debit": "bank", "credit": "fees", "amount": 5}') > 0 AS posted;
SELECT posted_by FROM uaef.journal_entry ORDER BY journal_id DESC LIMIT 1;
SELECT uaef.post('{"kind": "settlement_approved", "debit": "bank", "credit": "fees", "amount": 5}');
SELECT uaef.post('{"debit": "bank", "credit": "fees", "amount": 5}', 'uaef:settlement:1');
SELECT uaef.set_account_limits('alice', NULL, NULL, 'mine');
SELECT * FROM uaef.audit_money();
UPDATE uaef.journal SET kind = 'x';
INSERT INTO uaef.posting VALUES (1);
SET ROLE regress_book_auditor;
SELECT count(*) > 0 AS sees FROM uaef.journal_entry;
SELECT count(*) AS problems FROM uaef.audit_money();
SELECT uaef.post('{"debit": "bank", "credit": "fees", "amount": 5}');
SET ROLE regress_book_viewer;
SELECT count(*) FROM uaef.journal_entry;
SELECT uaef.balance('bank');
RESET ROLE;

-- nobody changes what was posted, not even the owner
UPDATE uaef.journal SET kind = 'x';
DELETE FROM uaef.posting;
TRUNCATE uaef.account;
UPDATE uaef.journal_reversal SET journal_id = 1;

-- and who writes by SQL must balance, in whole minor units
INSERT INTO uaef.posting SELECT 900, account_id, '2026-03-01', '2026-03-01', 1, 0, 'debit', 5, 'EUR' FROM uaef.account WHERE code = 'bank';
INSERT INTO uaef.posting SELECT 900, account_id, '2026-03-01', '2026-03-01', n, 0, s, 5, c FROM uaef.account,
	(VALUES (1, 'debit', 'EUR'), (2, 'credit', 'USD')) v (n, s, c) WHERE code = 'bank';
INSERT INTO uaef.posting SELECT 900, 1, '2026-03-01', '2026-03-01', 1, 0, 'debit', a, 'EUR' FROM (VALUES (10.5)) v (a);
INSERT INTO uaef.posting SELECT 900, 1, '2026-03-01', '2026-03-01', 1, 0, 'debit', 'NaN', 'EUR';
INSERT INTO uaef.posting SELECT 900, 1, '2026-03-01', '2026-03-01', 1, 0, 'debit', 'Infinity', 'EUR';

DROP OWNED BY regress_book_op, regress_book_auditor, regress_book_viewer;
DROP ROLE regress_book_op, regress_book_auditor, regress_book_viewer;
RESET uaef.test_now;
