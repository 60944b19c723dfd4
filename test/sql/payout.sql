--
-- payout: batches, keys, evidence of every kind, statements, bank files
--
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SELECT uaef.stop_worker() IS NOT NULL AS stopped;

SELECT uaef.create_workflow('pay', '{"tasks":[{"id":"a","type":"parallel"}]}');
SET uaef.rule_activation = 'any';
SELECT uaef.create_settlement_rule('pay', '{"workflow":"pay","currency":"NOK",
	"amount":"in.x","recipient":"external:{{in.to}}"}');
SELECT uaef.activate_settlement_rule('pay', 1);
CREATE FUNCTION pg_temp.run(x numeric, payee text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM uaef.start_workflow('pay', jsonb_build_object('x', x, 'to', payee));
END
$$;
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE statement INTO answer;
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || regexp_replace(regexp_replace(SQLERRM,
		'[0-9a-f-]{36}', 'U'), 'signal \d+', 'signal N');
END
$$;
-- The one payout of a recipient that is not over, or the last.
CREATE FUNCTION pg_temp.of(payee text) RETURNS uuid LANGUAGE sql AS $$
	SELECT payout_id FROM uaef.payout WHERE recipient = 'external:' || payee
	ORDER BY created_at DESC, payout_id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.say(payee text, outcome text, fence integer DEFAULT NULL,
	source text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT uaef.report_payout(%L, %L, %L, %L, ''webhook'', %L)',
		pg_temp.of(payee), fence, outcome, 'ref-' || payee, source))
$$;
CREATE VIEW pg_temp.state AS
	SELECT p.recipient, p.amount, p.status, p.fence,
		string_agg(s.status, ' ' ORDER BY s.signal_id) AS signals
	FROM uaef.payout p JOIN uaef.payout_leg USING (payout_id)
	JOIN uaef.settlement_signal s USING (signal_id)
	GROUP BY p.payout_id ORDER BY p.recipient, p.created_at, p.payout_id;

-- A channel says what it can do; one that could never find out cannot send.
SELECT pg_temp.try($$SELECT uaef.create_payout_channel('blind', 'worker', '{}')$$);
SELECT pg_temp.try($$SELECT uaef.create_payout_channel('blind', 'pigeon', '{}')$$);
SELECT pg_temp.try($$SELECT uaef.create_payout_channel('blind', 'worker', '{"idempotency":"maybe"}')$$);
SELECT pg_temp.try($$SELECT uaef.create_payout_channel('blind', 'worker', '{"retries":5}')$$);
-- A connector's contract is read as a channel's is.
SELECT bad, pg_temp.try(format('SELECT uaef.create_payout_channel(''blind'', ''worker'', %L)', bad)) AS channel,
	pg_temp.try(format('SELECT uaef.create_connector(''blind'', ''payout'', %L)',
		jsonb_build_object('url', 'https://pay.example.com', 'contract', bad))) AS connector
FROM (VALUES (1, '7'::jsonb), (2, '{"retries":5}'), (3, '{"idempotency":"maybe"}'), (4, '{"lookup":1}'), (5, '{"statement":"mt940"}'),
	(6, '{"webhooks":"yes"}'), (7, '{"settles":0}'), (8, '{"key_ttl":"0s"}'), (9, '{"key_ttl":"soon"}'), (10, '{"key_margin":1.5}'),
	(11, '{"duplicate_window":3}'), (12, '{"currencies":"NOK"}'), (13, '{"currencies":["NOPE"]}'), (14, '{"max_amount":5}'),
	(15, '{"max_amount":{"NOK":5}}'), (16, '{"max_amount":{"NOK":"1.0.0"}}'), (17, '{"reference":"a..b"}'), (18, '{"reference":""}'),
	(19, '{"max_amount":{"EUR":"10.001"}}'), (20, '{"max_amount":{"NOK":"10.00", "JPY":"10.5"}}'), (21, '{"max_amount":{"EURO":"10"}}'),
	(22, '{"max_amount":{"DKK":"10"},"currencies":["NOK"]}'), (23, '{"max_amount":{"BHD":"10.0001"}}'), (24, '{"max_amount":null,"retries":1}'), (25, '{}')) v (no, bad) ORDER BY no;
SELECT pg_temp.try($$SELECT uaef.create_payout_channel('blind', 'connector', '{"idempotency":"native"}', 'nowhere')$$);
SELECT uaef.create_payout_channel('psp', 'worker', '{"idempotency":"native","key_ttl":"24h",
	"webhooks":true,"statement":"csv","currencies":["NOK"],"max_amount":{"NOK":"1000.00"}}');
SELECT pg_temp.try($$SELECT uaef.create_payout_channel('psp', 'manual')$$);
-- Money is put at its disposal before its first payout, in what it takes.
SELECT count(uaef.create_account('treasury.' || c, 'asset', c)) FROM unnest('{NOK,DKK}'::text[]) c;
SELECT pg_temp.try(format('SELECT uaef.post(''{"debit": "%s", "credit": "treasury.%s", "amount": 500}'') > 0', code, right(code, 3))) AS posted, code
FROM unnest('{bank:psp:NOK,bank:psp:DKK,bank:nowhere:NOK,bank:psp:XXY,bank:,bank:psp,bank::NOK}'::text[]) code;
SELECT code, kind, currency, stripes, balance FROM uaef.account_balance WHERE code LIKE 'bank:psp:%';
SELECT pg_temp.try('SELECT uaef.post_batch(''[{"credit": "bank:psp:NOK", "debit": "treasury.NOK", "amount": 500}]'') IS NOT NULL') AS back;
SELECT pg_temp.try($$SELECT uaef.set_payee('p1', 'psp')$$);
SELECT recipient, pg_temp.try(format('SELECT uaef.set_payee(%L, ''psp'')', recipient)) AS result
FROM unnest('{bank:p1,external:," external:p1","external: p1",EXTERNAL:p1,houses}'::text[]) AS recipient;
SELECT pg_temp.try($$SELECT uaef.set_payee('external:p1', 'none')$$);
SELECT uaef.set_payee('external:' || p, 'psp', jsonb_build_object('iban', p)) FROM unnest('{a,b,c,d,e,f,g,h}'::text[]) p;

-- Who has no payee is not paid; what is more than a channel takes is refused.
SELECT pg_temp.run(5, 'nobody');
SELECT uaef.build_payouts() IS NULL AS nothing;
-- a name that is wrong is not an empty answer
SELECT pg_temp.try('SELECT uaef.build_payouts(channel => ''nowhere'')');
SELECT pg_temp.try('SELECT uaef.send_payouts(0)');
SELECT pg_temp.try('SELECT uaef.reconcile(-1)');
SELECT pg_temp.run(1000.01, 'a');
SELECT pg_temp.try('SELECT uaef.build_payouts()');
SELECT uaef.cancel_settlement(signal_id, 'too much') FROM uaef.settlement WHERE amount = 1000.01;

-- One payout for a recipient, with a key and a body that never change.
SELECT pg_temp.run(x, p) FROM (VALUES (10.10, 'a'), (5.05, 'a'), (20, 'b'), (30, 'c'), (40, 'd'), (50, 'e'), (60, 'f')) v (x, p);
SELECT uaef.build_payouts() IS NOT NULL AS built;
SELECT uaef.build_payouts() IS NULL AS nothing_left;
SELECT * FROM pg_temp.state;
SELECT idempotency_key = 'uaef:' || (SELECT ledger_id FROM uaef.ledger) || ':' || payout_id AS key,
	end_to_end_id ~ '^[A-Z2-7]{26}$' AS e2e, body - '{payout_id,end_to_end_id}'::text[] AS body
FROM uaef.payout WHERE payout_id = pg_temp.of('a');
SELECT code, balance, held FROM uaef.account_balance WHERE code LIKE '%:NOK' AND held <> 0 ORDER BY 1;

-- Claimed: each once, and the fence counts.
SELECT pg_temp.try($$SELECT uaef.claim_payouts('manual')$$);
BEGIN;
UPDATE uaef.payout SET body = body || '{"amount":"99.00"}' WHERE payout_id = pg_temp.of('a');
SELECT pg_temp.try($$SELECT count(*) FROM uaef.claim_payouts('psp')$$);
ROLLBACK;
SELECT count(*), min(fence), max(fence) FROM uaef.claim_payouts('psp');
SELECT count(*) FROM uaef.claim_payouts('psp');

-- What is held for a payout, and what was posted for a settlement, is theirs.
SELECT regexp_replace(pg_temp.try(format('SELECT uaef.capture_hold(%s, ''mine'')', hold_id)), '\d+ is', 'N is') FROM uaef.payout WHERE payout_id = pg_temp.of('a');
SELECT regexp_replace(pg_temp.try(format('SELECT uaef.release_hold(%s)', hold_id)), '\d+ is', 'N is') FROM uaef.payout WHERE payout_id = pg_temp.of('a');
SELECT regexp_replace(pg_temp.try(format('SELECT uaef.reverse_journal(%s)', min(journal_id))), '\d+ is', 'N is') FROM uaef.journal WHERE kind LIKE 'settlement%';

-- Only the role of a channel claims and reports, and a worker by its fence.
CREATE ROLE payout_stranger;
SELECT uaef.grant_access('payout_stranger', 'worker');
SET ROLE payout_stranger;
SELECT pg_temp.try($$SELECT count(*) FROM uaef.claim_payouts('psp')$$);
RESET ROLE;
SELECT pg_temp.of('a') AS a \gset
SET ROLE payout_stranger;
SELECT pg_temp.try(format('SELECT uaef.report_payout(%L, 1, ''rejected'')', :'a'));
SELECT pg_temp.try(format('SELECT uaef.report_payout(%L, NULL, ''settled'', kind => ''webhook'')', :'a'));
RESET ROLE;
SELECT pg_temp.try(format('SELECT uaef.report_payout(%L, NULL, ''rejected'')', :'a'));
SELECT pg_temp.try(format('SELECT uaef.report_payout(%L, 0, ''rejected'')', :'a'));
SELECT pg_temp.try(format('SELECT uaef.report_payout(%L, 99, ''accepted'')', :'a'));
SELECT status, fence FROM uaef.payout WHERE payout_id = :'a';
UPDATE uaef.payout_channel SET role = 'payout_stranger' WHERE name = 'psp';
SET ROLE payout_stranger;
SELECT count(*) FROM uaef.claim_payouts('psp');
RESET ROLE;
UPDATE uaef.payout_channel SET role = current_user::regrole WHERE name = 'psp';
SELECT uaef.revoke_access('payout_stranger', 'worker');
DROP ROLE payout_stranger;

-- What providers say.  The same comes twice and counts once; out of order is
-- not lost; what is late about an earlier sending is kept and not believed.
SELECT pg_temp.say('a', 'accepted', 1, 'e1');
SELECT pg_temp.say('a', 'accepted', 1, 'e1');
SELECT pg_temp.say('a', 'settled', NULL, 'e2');
SELECT pg_temp.say('a', 'in_transit', NULL, 'e3');
SELECT pg_temp.say('a', 'nonsense', NULL, 'e4');
SELECT pg_temp.say('b', 'rejected', 1);
SELECT pg_temp.say('b', 'accepted', 1, 'late');
SELECT pg_temp.say('c', 'unknown', 1);
SELECT pg_temp.say('d', 'not_found');
SELECT pg_temp.say('d', 'not_sent', 1);
SELECT pg_temp.say('e', 'settled');
SELECT pg_temp.say('e', 'returned');
SELECT * FROM pg_temp.state;
SELECT says, source_key, status_before, status_after, applied FROM uaef.payout_evidence ORDER BY evidence_id;
SELECT payload->>'recipient' AS recipient, payload->>'says' AS says, payload->>'status' AS status FROM uaef.ledger_event WHERE event_type = 'payout_conflict' ORDER BY event_id;
SELECT code, balance, held FROM uaef.account_balance WHERE code LIKE '%:NOK' AND (balance <> 0 OR held <> 0) ORDER BY code COLLATE "C";

-- What is not known goes again under the same key while the provider knows it,
-- not before its time, and never under another one.
SELECT count(*) FROM uaef.claim_payouts('psp');
SELECT pg_temp.try(format('SELECT uaef.replay_payout(%L)', pg_temp.of('c')));
SELECT pg_temp.try(format('SELECT uaef.replay_payout(%L)', pg_temp.of('a')));
SELECT fence, idempotency_key = (SELECT idempotency_key FROM uaef.payout p WHERE p.payout_id = c.payout_id) AS same_key
FROM uaef.claim_payouts('psp') c;
SELECT pg_temp.say('c', 'rejected', 1);
SELECT pg_temp.say('c', 'unknown', 2);
SELECT pg_temp.try(format('SELECT uaef.replay_payout(%L)', pg_temp.of('d')));
SELECT count(*) FROM uaef.claim_payouts('psp');
-- A worker that never came back.
BEGIN;
SET LOCAL uaef.test_now = '2099-01-01';
SELECT count(*) FROM uaef.claim_payouts('psp', lease => '1 min');
SELECT * FROM pg_temp.state WHERE recipient IN ('external:c', 'external:d', 'external:f');
-- By then the key is forgotten: only people find out.
SELECT pg_temp.try(format('SELECT uaef.replay_payout(%L)', pg_temp.of('f')));
SELECT pg_temp.try(format('SELECT uaef.resolve_payout(%L, ''accepted'', ''{}'')', pg_temp.of('f')));
SELECT pg_temp.try(format('SELECT uaef.resolve_payout(%L, ''settled'', ''{"reference":"by phone"}'')', pg_temp.of('f')));
SELECT pg_temp.try(format('SELECT uaef.resolve_payout(%L, ''rejected'', ''{"reference":"by phone"}'')', pg_temp.of('f')));
ROLLBACK;

-- unknown_is_left_by_evidence: who sent, and had no answer, does not end the
-- doubt by saying no; the answer to the same request under the same key does,
-- while the provider knows it, and so does who has looked.
CREATE FUNCTION pg_temp.worker(payee text, outcome text, at timestamptz DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM set_config('uaef.test_now', coalesce(at::text, ''), true);
	SELECT pg_temp.try(format('SELECT uaef.report_payout(%L, %s, %L)', payout_id, fence, outcome)) INTO answer
	FROM uaef.payout WHERE payout_id = pg_temp.of(payee);
	RETURN answer || (SELECT CASE WHEN in_doubt THEN ', in doubt' ELSE '' END FROM uaef.payout WHERE payout_id = pg_temp.of(payee));
END
$$;
BEGIN;
SELECT pg_temp.run(12, 'u');
SELECT uaef.set_payee('external:u', 'psp') IS NOT NULL AS set, uaef.build_payouts() IS NOT NULL AS built;
SELECT count(*) FROM uaef.claim_payouts('psp') JOIN uaef.payout USING (payout_id) WHERE recipient = 'external:u';
SAVEPOINT sent_once;
SELECT pg_temp.worker('u', 'rejected') AS the_only_answer;
ROLLBACK TO sent_once;
SELECT pg_temp.worker('u', 'unknown') AS no_answer, pg_temp.worker('u', 'rejected') AS a_late_no, pg_temp.worker('u', 'not_found') AS it_has_not_looked;
SELECT pg_temp.say('u', 'rejected') AS a_webhook_knows;
ROLLBACK TO sent_once;
SELECT pg_temp.worker('u', 'unknown') AS no_answer, pg_temp.say('u', 'not_found') AS nobody_knows_it;
ROLLBACK TO sent_once;
SELECT pg_temp.worker('u', 'unknown') AS no_answer;
UPDATE uaef.payout SET replay_at = '2000-01-01' WHERE payout_id = pg_temp.of('u');
SELECT fence FROM uaef.claim_payouts('psp') WHERE payout_id = pg_temp.of('u');
SAVEPOINT sent_twice;
SELECT pg_temp.worker('u', 'rejected') AS the_same_request_again;
ROLLBACK TO sent_twice;
SELECT pg_temp.worker('u', 'rejected', replay_until) AS the_key_may_be_forgotten FROM uaef.payout WHERE payout_id = pg_temp.of('u');
SELECT pg_temp.worker('u', 'accepted') AS a_late_yes;
ROLLBACK TO sent_twice;
SELECT pg_temp.worker('u', 'not_sent') AS the_first_was_sent;
ROLLBACK;

-- Statements: whole or not at all, once, and no false match.
CREATE FUNCTION pg_temp.import(lines text, format text DEFAULT 'csv') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT uaef.import_statement(''psp'', %L, %L) > 0', format, CASE format
		WHEN 'csv' THEN E'booked_on,amount,currency,end_to_end_id,reference,text\n' ELSE '' END || lines))
$$;
SELECT pg_temp.import(E'2026-01-01,-1.00,NOK,,,\n2026-01-01,x,NOK,,,\n');
SELECT pg_temp.import(E'2026-01-01,-1.001,NOK,,,\n');
SELECT pg_temp.import(E'2026-01-01,-1.00,XXY,,,\n');
SELECT pg_temp.import(E'2026-01-01,-1.00,NOK,\n');
SELECT pg_temp.import(E'2026-01-01,-1.00,NOK,"a,,\n');
SELECT pg_temp.import('x', 'mt940');
SELECT count(*) FROM uaef.bank_statement;
SELECT end_to_end_id AS c_id FROM uaef.payout WHERE payout_id = pg_temp.of('c') \gset
SELECT end_to_end_id AS f_id FROM uaef.payout WHERE payout_id = pg_temp.of('f') \gset
SELECT format(E'2026-01-02,-30.00,NOK,%s,"r ""1""","x, y"\r\n2026-01-02,-30.00,NOK,,,same amount\n2026-01-02,-60.01,NOK,%s,,wrong amount\n2026-01-02,-60.00,USD,%s,,wrong currency\n2026-01-02,60.00,NOK,%s,,came in\n2026-01-03,-15.15,NOK,,ref-a,by reference',
	:'c_id', :'f_id', :'f_id', :'f_id') AS csv \gset
SELECT pg_temp.import(:'csv');
SELECT pg_temp.import(:'csv');
SELECT * FROM uaef.reconcile();
SELECT * FROM uaef.reconcile();
SELECT line_no, amount_minor, text, matched_by, (SELECT recipient FROM uaef.payout p WHERE p.payout_id = l.payout_id) AS recipient
FROM uaef.bank_statement_line l ORDER BY 1;
SELECT * FROM pg_temp.state WHERE recipient IN ('external:a', 'external:c', 'external:f');
SELECT item, channel, why, amount, currency, age >= '0' AS aged FROM uaef.payout_open_item ORDER BY 1, 4 DESC, 3;

-- The same by XML: an entry, and one of two transactions.
SELECT pg_temp.import(format('<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>'
	'<Ntry><Amt Ccy="NOK">60.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><BookgDt><Dt>2026-01-04</Dt></BookgDt>'
	'<NtryDtls><TxDtls><Refs><EndToEndId>%s</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>'
	'<Ntry><Amt Ccy="NOK">31.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><BookgDt><DtTm>2026-01-05T10:00:00</DtTm></BookgDt><NtryDtls>'
	'<TxDtls><Refs><EndToEndId>%s</EndToEndId></Refs><Amt Ccy="NOK">30.00</Amt></TxDtls>'
	'<TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><Amt Ccy="NOK">1.00</Amt></TxDtls></NtryDtls></Ntry>'
	'</Stmt></BkToCstmrStmt></Document>', :'f_id', :'c_id'), 'camt053');
SELECT * FROM uaef.reconcile();
SELECT * FROM pg_temp.state WHERE recipient IN ('external:c', 'external:f');
SELECT pg_temp.import('<a>', 'camt053') LIKE '2200%' AS refused;

-- The same debt twice, perhaps: held until somebody has looked.
SELECT pg_temp.run(77, 'g');
SELECT uaef.build_payouts() IS NOT NULL AS built;
SELECT pg_temp.run(77, 'g');
SELECT uaef.build_payouts() IS NOT NULL AS built;
SELECT status, left(hold_reason, 28) AS hold FROM uaef.payout WHERE recipient = 'external:g' ORDER BY created_at, payout_id;
SELECT count(*) FROM uaef.claim_payouts('psp') JOIN uaef.payout USING (payout_id) WHERE recipient = 'external:g';
SELECT uaef.release_payout(payout_id, 'two trips') FROM uaef.payout WHERE hold_reason IS NOT NULL;
SELECT count(*) FROM uaef.claim_payouts('psp') JOIN uaef.payout USING (payout_id) WHERE recipient = 'external:g';

-- One that was never sent can be given up; one that was, cannot.
SELECT pg_temp.run(8, 'h');
SELECT uaef.build_payouts(netting => false) IS NOT NULL AS built;
SELECT pg_temp.try(format('SELECT uaef.cancel_payout(%L, ''no'')', pg_temp.of('g')));
SELECT pg_temp.try(format('SELECT uaef.cancel_payout(%L, ''no'')', pg_temp.of('h')));
SELECT * FROM pg_temp.state WHERE recipient = 'external:h';

-- A file for a bank: the same whenever it is asked for.
SELECT uaef.create_payout_channel('bank', 'file', '{"statement":"camt053"}');
SELECT uaef.set_payee('external:i', 'bank', '{"name":"Ida & <Co>","iban":"DE89370400440532013000","bic":"COBADEFFXXX"}');
-- A destination that no bank file can have is refused when it is set, and again
-- when the file is made.
SELECT d AS destination, pg_temp.try(format('SELECT uaef.set_payee(''external:j'', ''bank'', %L)', d)) AS result
FROM (VALUES (1, '{"name":"Jo"}'), (2, '{"iban":"DE89370400440532013000"}'), (3, '{"name":"Jo","iban":"DE89370400440532013001"}'),
	(4, '{"name":"Jo","iban":"DE89 3704 0044 0532 0130 00"}'), (5, '{"name":"Jo","iban":"de89370400440532013000"}'), (6, '{"name":"Jo","iban":"DE8937040044053"}'),
	(7, '{"name":"Jo","iban":"DE89370400440532013000","bic":"COBADEFFXX"}'), (8, '{"name":"Jo","iban":"DE89370400440532013000","bic":"COBA1EFF"}'),
	(9, '{"name":"J\to","iban":"DE89370400440532013000"}'), (10, format('{"name":"%s","iban":"DE89370400440532013000"}', repeat('x', 141))),
	(11, '{"name":"Jo","iban":"NO9386011117947"}'), (12, '{"name":"Jo","iban":"MT84MALT011000012345MTLCAST001S","bic":"COBADEFFXXX"}')) v (i, d) ORDER BY i;
-- what it says is of use before anything is built
SELECT uaef.set_payee('external:j', 'bank', '{"name":"Jo","iban":"DE89370400440532013001"}');
UPDATE uaef.payee SET destination = '{"name":"Jo"}' WHERE recipient = 'external:j';
SELECT pg_temp.run(12.34, 'i');
SELECT uaef.build_payouts() AS batch \gset
SELECT uaef.export_pain001(:batch, '{"name":"House","iban":"AT611904300234573201"}') AS xml \gset
SELECT replace(regexp_replace(regexp_replace(:'xml', '[A-Z2-7]{26}', 'E2E'), '\d{4}-\d\d-\d\d(T[\d:]+)?', 'TIME', 'g'), 'UAEF-' || :'batch', 'UAEF-N') AS xml;
SELECT xml_is_well_formed_document(:'xml') AS well_formed,
	uaef.export_pain001(:batch, '{"name":"House","iban":"AT611904300234573201"}') = :'xml' AS same;
SELECT pg_temp.try(format('SELECT uaef.export_pain001(%s, ''{"name":"House"}'')', :batch));
SELECT pg_temp.try(format('SELECT uaef.export_pain001(%s, ''{"name":"House","iban":"X"}'')', :batch));
SELECT pg_temp.run(1, 'j');
SELECT uaef.build_payouts() AS batch \gset
SELECT pg_temp.try(format('SELECT uaef.export_pain001(%s, ''{"name":"House","iban":"AT611904300234573201"}'')', :batch));
-- What was paid by hand, or held, when the file was made is not in it.
SELECT uaef.set_payee('external:' || p, 'bank', jsonb_build_object('name', p, 'iban', 'DE89370400440532013000')) FROM unnest('{k,l,m}'::text[]) p;
SELECT pg_temp.run(x, p) FROM (VALUES (2, 'k'), (3, 'l'), (4, 'm')) v (x, p);
SELECT uaef.build_payouts() AS batch \gset
SELECT uaef.process_settlement(signal_id, 'by hand') FROM uaef.settlement WHERE recipient = 'external:k' AND status = 'in_payout';
UPDATE uaef.payout SET hold_reason = 'look' WHERE payout_id = pg_temp.of('l');
SELECT array_length(regexp_split_to_array(uaef.export_pain001(:batch, '{"name":"House","iban":"AT611904300234573201"}'), '<EndToEndId>'), 1) - 1 AS transfers;
SELECT uaef.release_payout(pg_temp.of('l'), 'looked');
SELECT uaef.process_settlement(signal_id, 'by hand too') FROM uaef.settlement WHERE recipient = 'external:l' AND status = 'in_payout';
SELECT array_length(regexp_split_to_array(uaef.export_pain001(:batch, '{"name":"House","iban":"AT611904300234573201"}'), '<EndToEndId>'), 1) - 1 AS transfers;
SELECT * FROM pg_temp.state WHERE recipient IN ('external:i', 'external:j');

--
-- Every status with every piece of evidence: what is not in the table is kept
-- and not applied, or refused where a person says it.
--
SELECT * FROM uaef.audit_money();
SELECT pg_temp.run(9, 'h');
SELECT uaef.build_payouts() IS NOT NULL AS built;
CREATE FUNCTION pg_temp.take(was text, says text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	p uuid := pg_temp.of('h');
	answer text;
BEGIN
	IF was IN ('accepted', 'in_transit', 'settled') THEN
		UPDATE uaef.payout SET status = 'sending' WHERE payout_id = p;
		PERFORM uaef.report_payout(p, NULL, 'accepted', kind => 'lookup');
	END IF;
	UPDATE uaef.payout SET status = was WHERE payout_id = p;
	UPDATE uaef.settlement_signal SET status = CASE was WHEN 'settled' THEN 'paid' ELSE 'in_payout' END
	WHERE signal_id IN (SELECT signal_id FROM uaef.payout_leg WHERE payout_id = p AND live);
	answer := uaef.report_payout(p, NULL, says, kind => 'lookup');
	RAISE EXCEPTION USING MESSAGE = answer, ERRCODE = 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN SQLERRM;
WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT rpad(status, 20) || string_agg(rpad(pg_temp.take(status, says), 20), '' ORDER BY n) AS "after: accepted, in_transit, settled, returned, rejected, unknown, not_found, not_sent"
FROM unnest('{created,reserved,sending,unknown,not_found_confirmed,manual_review,accepted,in_transit,settled,returned,rejected_final,released}'::text[]) WITH ORDINALITY s (status, place),
	unnest('{accepted,in_transit,settled,returned,rejected,unknown,not_found,not_sent}'::text[]) WITH ORDINALITY w (says, n)
GROUP BY status, place ORDER BY place;

--
-- Clean up.
--
DELETE FROM uaef.bank_statement_line;
DELETE FROM uaef.bank_statement;
DELETE FROM uaef.payout_evidence;
DELETE FROM uaef.payout_leg;
DELETE FROM uaef.payout;
DELETE FROM uaef.payout_batch;
DELETE FROM uaef.payee;
DELETE FROM uaef.payout_channel WHERE name <> 'manual';
DELETE FROM uaef.settlement_signal;
DELETE FROM uaef.rule_evaluation;
DELETE FROM uaef.settlement_run;
DELETE FROM uaef.settlement_rule;
DELETE FROM uaef.task_execution t USING uaef.workflow_execution e, uaef.workflow_definition d
WHERE d.name = 'pay' AND e.definition_id = d.definition_id AND t.execution_id = e.execution_id;
DELETE FROM uaef.workflow_execution e USING uaef.workflow_definition d
WHERE d.name = 'pay' AND e.definition_id = d.definition_id;
DELETE FROM uaef.workflow_definition WHERE name = 'pay';
