--
-- Keeping the ledger: redaction, retirement, incarnations, signers
--
SET client_min_messages = warning;
CREATE DATABASE regress_keeping;
CREATE ROLE keep_auditor;
CREATE ROLE keep_operator;
\c regress_keeping
SET client_min_messages = warning;
CREATE EXTENSION uaef CASCADE;
SELECT uaef.stop_worker() IS NOT NULL AS stopped;
SELECT uaef.grant_access('keep_auditor', 'auditor');
SELECT uaef.grant_access('keep_operator', 'operator');

-- which problems there are, and of how many events
CREATE VIEW problem AS
SELECT severity, code, count(*), min(detail) AS detail
FROM uaef.verify_ledger() GROUP BY severity, code ORDER BY code;
CREATE FUNCTION event(what text, number integer DEFAULT 0) RETURNS bigint
LANGUAGE sql AS $$
	SELECT event_id FROM uaef.ledger_event WHERE event_type = what
	ORDER BY event_id OFFSET number LIMIT 1
$$;

-- two executions, one over, one that runs, and events of no execution
SELECT uaef.create_workflow('keep', '{"tasks": [{"id": "wait", "type": "human_approval", "config": {"approvers": ["keep_auditor"]}}]}') AS version;
SELECT uaef.start_workflow('keep', '{"who": "ann"}') AS over \gset
SELECT uaef.start_workflow('keep', '{"who": "bob"}') AS runs \gset
SELECT uaef.record_event('said', '{"who": "ann"}', :'over') IS NOT NULL AS recorded;
SELECT uaef.cancel_workflow(:'over', 'no need');
SELECT count(uaef.record_event('seen', jsonb_build_object('n', n, 'who', CASE WHEN n % 2 = 0 THEN 'ann' ELSE 'bob' END)))
FROM generate_series(1, 300) AS n;
SELECT uaef.record_event('bare', NULL) IS NOT NULL AS recorded;
SELECT uaef.seal_ledger();

-- redaction: payload and salt are gone, and nothing else changes
SELECT payload_hash, event_hash FROM uaef.ledger_event WHERE event_id = event('seen', 1) \gset
SELECT uaef.inclusion_proof(event('seen', 1)) AS proof \gset
SELECT uaef.redact_event(event('seen', 1), 'she asked') IS NOT NULL AS redacted;
SELECT payload, salt, payload_hash::text = :'payload_hash' AS payload_hash, event_hash::text = :'event_hash' AS event_hash,
	uaef.hash_event(event_id) OPERATOR(uaef.=) event_hash AS hashed, uaef.inclusion_proof(event_id, 100) IS NOT NULL AS proved
FROM uaef.ledger_event WHERE event_id = event('seen', 1);
SELECT uaef.inclusion_proof(event('seen', 1)) = :'proof' AS same_proof;
SELECT kind, event_type, actor_type, actor_id = current_user AS who, payload - 'event_id' - 'payload_hash' AS payload,
	payload->>'payload_hash' = :'payload_hash' AS payload_hash, (payload->>'event_id')::bigint = event('seen', 1) AS event
FROM uaef.ledger_event WHERE event_id = (SELECT redacted_by FROM uaef.ledger_redaction);
TABLE problem;
SELECT code, detail FROM uaef.verify_event(event('seen', 1));

-- not twice, not what is not there, not what has nothing, not without a reason
\set VERBOSITY sqlstate
SELECT uaef.redact_event(event('seen', 1), 'again');
SELECT uaef.redact_event(1000000, 'none');
SELECT uaef.redact_event(NULL, 'none');
SELECT uaef.redact_event(event('bare'), 'nothing to erase');
SELECT uaef.redact_event(event('seen'), NULL);
SELECT uaef.redact_event(event('seen'), e' \t\n');
SELECT uaef.redact_event(event('seen'), repeat('x', 1001));

-- not what verifiers rely on
SELECT uaef.redact_event(event('ledger_sealed'), 'hide');
SELECT uaef.redact_event(event('event_redacted'), 'hide');

-- a word that an application chose is no protection
SELECT uaef.record_event('event_redacted', '{"event_id": 1}') AS fake \gset
SELECT uaef.redact_event(:fake, 'fake') IS NOT NULL AS redacted;

-- and it tells of nothing: a payload that is gone without a word is a problem
BEGIN;
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ledger_guard;
SELECT payload_hash FROM uaef.ledger_event WHERE event_id = event('seen') \gset
UPDATE uaef.ledger_event SET payload = NULL, salt = NULL WHERE event_id = event('seen');
ALTER TABLE uaef.ledger_event ENABLE ALWAYS TRIGGER ledger_guard;
SELECT uaef.record_event('event_redacted', jsonb_build_object('event_id', event('seen'), 'payload_hash', :'payload_hash')) AS fake \gset
INSERT INTO uaef.ledger_redaction VALUES (event('seen'), :fake);
SELECT severity, code FROM uaef.verify_event(event('seen'));
ROLLBACK;

-- the guards go on refusing
UPDATE uaef.ledger_event SET payload = NULL, salt = NULL;
DELETE FROM uaef.ledger_event;
UPDATE uaef.ledger_redaction SET event_id = 1;
DELETE FROM uaef.ledger_retirement;
TRUNCATE uaef.ledger_retired_head;
DELETE FROM uaef.ledger_incarnation;
UPDATE uaef.ledger_signer SET revoked_by = NULL;

-- not in a transaction with an old snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT uaef.redact_event(event('seen'), 'old snapshot');
ROLLBACK;

-- not by anybody
SET ROLE keep_auditor;
SELECT uaef.redact_event(1, 'auditor');
SELECT uaef.retire_events(now(), 'auditor');
SELECT uaef.declare_incarnation('auditor');
SELECT uaef.register_signer('x');
RESET ROLE;
\set VERBOSITY default

-- many at once
SELECT uaef.redact_execution(:'over', 'she asked') > 2 AS redacted;
SELECT count(payload) AS left, bool_or(event_type = 'said' AND redacted) AS said
FROM uaef.audit_trail WHERE execution_id = :'over';
SELECT uaef.redact_events('$.who == "ann"', 'she asked', 100);
SELECT uaef.redact_events('$.who == "ann"', 'she asked');
SELECT count(*) FROM uaef.ledger_event WHERE payload @@ '$.who == "ann"';
SELECT uaef.redact_before('2001-01-01', 'old');
SELECT uaef.redact_before(now(), 'old', 7);
\set VERBOSITY sqlstate
SELECT uaef.redact_events('$.who', 'not a predicate');
SELECT uaef.redact_events('$.n > 1', 'no limit', 0);
SELECT uaef.redact_execution('00000000-0000-0000-0000-000000000000', 'none');
\set VERBOSITY default
SELECT redacted = (SELECT count(*) FROM uaef.ledger_event WHERE payload IS NULL AND payload_hash IS NOT NULL) AS counted
FROM uaef.ledger_status;
SELECT severity, code FROM problem;

-- retirement waits for a checkpoint
SET client_min_messages = notice;
SELECT uaef.retire_events(now(), 'old');
SET client_min_messages = warning;
SELECT uaef.seal_ledger() IS NOT NULL AS sealed;
INSERT INTO uaef.ledger_checkpoint SELECT 'test', tree_size, tree_root, '', now()
FROM uaef.ledger_block ORDER BY block_no DESC LIMIT 1;
SELECT events, retired, sealed = events AS sealed, covered, approvals, checkpoints, failures, redacted > 2 AS redacted, signed_events
FROM uaef.audit_summary WHERE execution_id = :'over';
SELECT signed = sealed AS signed, incarnation ~ '^[0-9]+/[0-9]+$' AS incarnation, timeline, declared, retired
FROM uaef.ledger_status;

-- full tiles only, of executions that are over, never a stream's last event
SELECT uaef.retire_events('2001-01-01', 'old');
SELECT uaef.retire_events(now(), 'old', max_events => 100);
SELECT uaef.retire_events(now(), 'old') AS n \gset
SELECT :n BETWEEN 100 AND 156 AS the_rest;
SELECT uaef.retire_events(now(), 'old');
SELECT count(*) FILTER (WHERE stream = :'runs') > 0 AS runs, count(*) FILTER (WHERE stream = :'over') AS over
FROM uaef.ledger_event;
SELECT events, retired = events - 1 AS retired FROM uaef.audit_summary WHERE execution_id = :'over';
SELECT archive, events, leaves <@ '{[0,256)}' AS in_full_tiles, restored_by FROM uaef.ledger_retirement ORDER BY event_id;
SELECT event_type, payload - 'from_event' - 'to_event' - 'root' - 'tree_size' - 'leaves_hash' - 'count' AS payload
FROM uaef.ledger_event WHERE event_type = 'events_retired' ORDER BY event_id;
SELECT severity, code, count FROM problem;
SELECT leaf_index, event_hash FROM uaef_archive.retirement_1 ORDER BY leaf_index LIMIT 1 \gset
SELECT uaef.consistency_proof(100, 300) IS NOT NULL AS consistent;
\set VERBOSITY sqlstate
SELECT uaef.redact_event(event_id, 'gone') FROM uaef_archive.retirement_1 LIMIT 1;
\set VERBOSITY default

-- chains go on, and so does the tree
SELECT uaef.record_event('later') IS NOT NULL AS recorded;
SELECT uaef.record_event('later', '{}', :'over') IS NOT NULL AS recorded;
SELECT uaef.seal_ledger() IS NOT NULL AS sealed;
SELECT severity, code, count FROM problem;
SELECT DISTINCT code FROM uaef.verify_ledger((SELECT max(block_no) FROM uaef.ledger_block));

-- an archive speaks for itself
SELECT uaef.verify_archive(NULL);
SELECT count(*) FROM uaef.verify_archive('uaef_archive.retirement_1');
GRANT USAGE ON SCHEMA uaef_archive TO keep_auditor;
SET ROLE keep_auditor;
\set VERBOSITY sqlstate
SELECT count(*) FROM uaef.verify_archive('uaef_archive.retirement_1');
RESET ROLE;
GRANT SELECT ON uaef_archive.retirement_1 TO keep_auditor;
SET ROLE keep_auditor;
SELECT count(*) FROM uaef.verify_archive('uaef_archive.retirement_1');
RESET ROLE;
SELECT count(*) FROM uaef.verify_archive('uaef.ledger_block');
CREATE VIEW trick AS SELECT * FROM uaef_archive.retirement_1;
SELECT count(*) FROM uaef.verify_archive('trick');
DROP VIEW trick;
-- rows that are read with it, and are not its own
BEGIN;
CREATE TABLE trick () INHERITS (uaef_archive.retirement_2);
WITH d AS (DELETE FROM ONLY uaef_archive.retirement_2
	WHERE event_id = (SELECT min(event_id) FROM uaef_archive.retirement_2 WHERE payload IS NOT NULL) RETURNING *)
INSERT INTO trick SELECT * FROM d;
UPDATE trick SET payload = '{"forged": 1}';
SAVEPOINT s;
SELECT count(*) FROM uaef.verify_archive('uaef_archive.retirement_2');
ROLLBACK TO s;
SELECT uaef.restore_events('uaef_archive.retirement_2', 'wanted') > 0 AS restored;
ROLLBACK TO s;
DROP TABLE trick;
SELECT code FROM uaef.verify_archive('uaef_archive.retirement_2');
ROLLBACK;
-- columns that are not what they are called, or not there until they are read
BEGIN;
ALTER TABLE uaef_archive.retirement_1 RENAME stream_seq TO s;
ALTER TABLE uaef_archive.retirement_1 RENAME leaf_index TO stream_seq;
ALTER TABLE uaef_archive.retirement_1 RENAME s TO leaf_index;
SELECT count(*) FROM uaef.verify_archive('uaef_archive.retirement_1');
ROLLBACK;
CREATE TABLE trick (LIKE uaef.ledger_event, leaf_index bigint GENERATED ALWAYS AS (event_id) STORED);
SELECT count(*) FROM uaef.verify_archive('trick');
DROP TABLE trick;
\set VERBOSITY default

-- tampering with it is found, and lets nothing back in
BEGIN;
UPDATE uaef_archive.retirement_1 SET actor_id = 'mallory' WHERE leaf_index = (SELECT max(leaf_index) FROM uaef_archive.retirement_1);
UPDATE uaef_archive.retirement_1 SET payload = '{}' WHERE event_id = (SELECT min(event_id) FROM uaef_archive.retirement_1 WHERE payload IS NOT NULL);
DELETE FROM uaef_archive.retirement_1 WHERE leaf_index = 50;
UPDATE uaef_archive.retirement_1 SET leaf_index = 50 WHERE leaf_index = 51;
SELECT code, detail FROM uaef.verify_archive('uaef_archive.retirement_1') ORDER BY code, detail;
\set VERBOSITY sqlstate
SELECT uaef.restore_events('uaef_archive.retirement_1', 'wanted');
\set VERBOSITY default
ROLLBACK;

-- so is tampering with what says that it is gone
BEGIN;
ALTER TABLE uaef.ledger_retirement DISABLE TRIGGER ledger_guard;
UPDATE uaef.ledger_retirement SET leaves = leaves + '{[300,310)}' WHERE event_id = (SELECT max(event_id) FROM uaef.ledger_retirement);
SELECT code, detail FROM uaef.verify_ledger() WHERE severity = 'error' AND code = 'LEAF_MISSING';
ROLLBACK;
BEGIN;
ALTER TABLE uaef.ledger_retirement DISABLE TRIGGER ledger_guard;
DELETE FROM uaef.ledger_retirement WHERE event_id = (SELECT max(event_id) FROM uaef.ledger_retirement);
SELECT code FROM uaef.verify_ledger() WHERE severity = 'error' GROUP BY code ORDER BY code;
ROLLBACK;

-- back again, the last ones first, once
\set VERBOSITY terse
SELECT uaef.restore_events('uaef_archive.retirement_1', 'wanted');
SELECT uaef.restore_events('uaef_archive.retirement_2', NULL);
SELECT uaef.restore_events('uaef_archive.retirement_2', 'wanted') = :n AS restored;
SELECT uaef.restore_events('uaef_archive.retirement_2', 'wanted');
\set VERBOSITY default
SELECT uaef.restore_events('uaef_archive.retirement_1', 'wanted');
SELECT severity, code FROM problem;
SELECT retired FROM uaef.ledger_status;
DROP SCHEMA uaef_archive CASCADE;

-- for good
SELECT uaef.retire_events(now(), 'not needed', archive => false) > 200 AS retired;
SELECT archive IS NULL AS gone, to_regclass('uaef_archive.retirement_3') FROM uaef.ledger_retirement ORDER BY event_id DESC LIMIT 1;
SELECT severity, code FROM problem;

-- what was tampered with does not leave by this door
BEGIN;
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ledger_guard;
UPDATE uaef.ledger_event SET actor_id = 'mallory' WHERE event_type = 'seen' AND event_id = (SELECT min(event_id) FROM uaef.ledger_event WHERE event_type = 'seen');
\set VERBOSITY sqlstate
SELECT count(uaef.record_event('fill')) FROM generate_series(1, 300);
COMMIT;
SELECT uaef.seal_ledger() IS NOT NULL AS sealed;
INSERT INTO uaef.ledger_checkpoint SELECT 'test', tree_size, tree_root, '', now()
FROM uaef.ledger_block ORDER BY block_no DESC LIMIT 1;
SELECT uaef.retire_events(now(), 'hide');

-- incarnations: nothing to declare here
SELECT uaef.declare_incarnation('why');
SELECT uaef.declare_incarnation('');

-- signers
SELECT uaef.register_signer('neumann');
SELECT uaef.register_signer('PRIVATE+KEY+neumann+c74f20a3+AAAA');
SELECT uaef.register_signer('neumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
SELECT uaef.register_signer('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW', 'keep_operator') IS NOT NULL AS registered;
SELECT uaef.register_signer('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
SELECT uaef.record_event('claimed', '{}', signer => 'PeterNeumann');
SELECT uaef.record_event('claimed', '{}', signature => '\x00');
SELECT uaef.record_event('claimed', '{}', signer => 'nobody', signature => decode(repeat('00', 64), 'hex'));
SELECT uaef.record_event('claimed', '{}', signer => 'PeterNeumann', signature => '\x00');
SELECT uaef.record_event('claimed', '{}', signer => 'PeterNeumann', signature => decode(repeat('00', 64), 'hex'));
CREATE ROLE keep_worker;
SELECT uaef.grant_access('keep_worker', 'worker');
SET ROLE keep_worker;
SELECT uaef.record_event('claimed', '{}', signer => 'PeterNeumann', signature => decode(repeat('00', 64), 'hex'));
RESET ROLE;
-- signed bytes that are no payload: an array of too many, a number that ends before its header
BEGIN;
CREATE CAST (bytea AS jsonb) WITHOUT FUNCTION;
ALTER TABLE uaef.ledger_event DISABLE TRIGGER ALL;
SELECT uaef.record_event('claimed', '{"x": 1}') AS claimed \gset
UPDATE uaef.ledger_event SET signer = 'PeterNeumann', signature = decode(repeat('00', 64), 'hex'),
	payload = '\xffffff4f'::bytea::jsonb WHERE event_id = :claimed;
SELECT code, detail FROM uaef.verify_event(:claimed);
SELECT code, detail FROM uaef.verify_ledger() WHERE event_id = :claimed;
UPDATE uaef.ledger_event SET payload = '\x010000500600009018000000ff7f'::bytea::jsonb WHERE event_id = :claimed;
SELECT code, detail FROM uaef.verify_event(:claimed);
ROLLBACK;
SELECT uaef.revoke_signer('nobody', 'unknown');
SELECT uaef.revoke_signer('PeterNeumann', NULL);
SELECT uaef.revoke_signer('PeterNeumann', 'lost') IS NOT NULL AS revoked;
SELECT uaef.revoke_signer('PeterNeumann', 'lost');
SELECT uaef.record_event('claimed', '{}', signer => 'PeterNeumann', signature => decode(repeat('00', 64), 'hex'));
\set VERBOSITY default
SELECT name, role, registered_by < revoked_by AS in_order FROM uaef.ledger_signer;
SELECT length(uaef.claim_bytes('claimed')) - length('uaef/claim/v1') - 1 - 16 - 16 - 4 - 32 AS type_bytes,
	substr(uaef.claim_bytes('claimed'), 15, 16) = uuid_send(ledger_id) AS ledger,
	substr(uaef.claim_bytes('claimed', '{"b": 1, "a": 2}'), 58) = sha256('{"a":2,"b":1}') AS payload,
	substr(uaef.claim_bytes('claimed', NULL), 58) = sha256('') AS nothing,
	substr(uaef.claim_bytes('claimed', '{}', :'over'), 31, 16) = uuid_send(:'over') AS execution
FROM uaef.ledger;

\c uaef_regress
DROP DATABASE regress_keeping WITH (FORCE);
DROP ROLE keep_auditor, keep_operator, keep_worker;
