--
-- The ledger: appending
--
SET client_min_messages = warning;
CREATE ROLE led_user;
CREATE ROLE led_other;
GRANT USAGE ON SCHEMA uaef TO led_user, led_other;
GRANT EXECUTE ON FUNCTION uaef.record_event(text, jsonb, uuid, text, text, bigint, text, text, bytea),
	uaef.seal_ledger() TO led_user;

-- the links of a stream, without what differs from run to run
CREATE VIEW led_chain AS
SELECT stream_seq, event_type, payload,
	event_hash OPERATOR(uaef.=) uaef.hash_event(event_id) AS hashed,
	coalesce(prev_hash OPERATOR(uaef.=) lag(event_hash) OVER w, stream_seq = 1) AS linked,
	coalesce(event_id > lag(event_id) OVER w, true) AS numbered,
	coalesce(recorded_at >= lag(recorded_at) OVER w, true) AS timed,
	tx = pg_current_xact_id() AS own_tx, stream
FROM uaef.ledger_event
WINDOW w AS (PARTITION BY stream ORDER BY stream_seq);

-- events of one backend form a chain
BEGIN;
SELECT uaef.record_event('led_first') AS first \gset
SELECT uaef.record_event('led_second', '{"a": [1, 2.50]}', task_id => 7, agent_id => 'bot') AS second \gset
SELECT c.event_type, c.payload, c.hashed, c.linked, c.numbered, c.timed, c.own_tx
FROM led_chain c WHERE event_type ~ '^led_' ORDER BY stream_seq;
SELECT actor_type, actor_id = current_user AS actor, session_role = session_user AS session,
	effective_role, task_id, agent_id, salt IS NOT NULL AS salt, payload_hash IS NOT NULL AS hash
FROM uaef.ledger_event WHERE event_id IN (:first, :second) ORDER BY event_id;
COMMIT;

-- what was chosen by SET ROLE is seen, whatever the caller claims to be
SET ROLE led_user;
SELECT uaef.record_event('led_claim', actor_id => 'somebody') AS claim \gset
SELECT uaef.record_event('led_default') AS plain \gset
SELECT payload FROM uaef.ledger_event;
INSERT INTO uaef.ledger_event (event_type) VALUES ('led_direct');
RESET ROLE;
SELECT event_type, actor_type, actor_id, session_role = session_user AS session, effective_role
FROM uaef.ledger_event WHERE event_id IN (:claim, :plain) ORDER BY event_id;

-- an application speaks for itself, an agent or a worker, and its events tell that they are its own
SELECT uaef.record_event('led_claim', actor_type => 'system');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.record_event('led_claim', actor_type => 'agent', actor_id => repeat('a', 256));
SELECT uaef.record_event('led_claim', agent_id => repeat('a', 256));
BEGIN;
SELECT uaef.record_event('led_claim', actor_type => 'agent', actor_id => repeat('a', 255), agent_id => repeat('a', 255)) AS agent \gset
SELECT uaef.record_event('led_claim', actor_type => 'worker') AS worker \gset
SELECT uaef.record_event('led_claim', actor_type => NULL, actor_id => 'somebody') AS nobody \gset
INSERT INTO uaef.ledger_event (kind, event_type, actor_type, actor_id) VALUES (1, 'led_claim', 'user', 'somebody')
RETURNING event_id AS direct \gset
SELECT kind, actor_type, CASE actor_id WHEN current_user THEN 'caller' ELSE length(actor_id)::text END AS actor,
	event_hash OPERATOR(uaef.=) uaef.hash_event(event_id) AS hashed
FROM uaef.ledger_event WHERE event_id IN (:agent, :worker, :nobody, :direct) ORDER BY event_id;
COMMIT;
INSERT INTO uaef.ledger_event (event_type, actor_type) VALUES ('led_claim', 'system');
INSERT INTO uaef.ledger_event (event_type) VALUES ('ledger_sealed');

-- an event needs a type that is a word, and room
SELECT uaef.record_event('Led');
SELECT uaef.record_event('');
SELECT uaef.record_event('led event');
SELECT uaef.record_event(repeat('a', 64));
SELECT uaef.record_event(NULL);
SELECT uaef.record_event('ledger_sealed');
SET uaef.max_payload_size = '1kB';
SELECT uaef.record_event('led_large', jsonb_build_object('x', repeat('x', 2000)));
\echo :LAST_ERROR_SQLSTATE
RESET uaef.max_payload_size;

-- no payload, no commitment
SELECT uaef.record_event('led_bare', NULL) AS bare \gset
SELECT payload, salt, payload_hash, event_hash OPERATOR(uaef.=) uaef.hash_event(event_id) AS hashed
FROM uaef.ledger_event WHERE event_id = :bare;

-- rows are chained however they come; what they claim to be is ignored
BEGIN;
INSERT INTO uaef.ledger_event (stream, stream_seq, event_type, recorded_at, session_role, prev_hash)
VALUES ('00000000-0000-8000-8000-00000000ed01', 77, 'led_one', '1999-01-01', 'eve', repeat('00', 32)::uaef.hash256);
INSERT INTO uaef.ledger_event (stream, event_type)
SELECT ('00000000-0000-8000-8000-00000000ed0' || 1 + n % 2)::uuid, 'led_many_' || n FROM generate_series(1, 6) n;
COPY uaef.ledger_event (stream, event_type) FROM stdin;
00000000-0000-8000-8000-00000000ed01	led_copied
00000000-0000-8000-8000-00000000ed02	led_copied
00000000-0000-8000-8000-00000000ed01	led_copied_too
\.
INSERT INTO uaef.ledger_event (stream, event_type)
VALUES ('00000000-0000-8000-8000-00000000ed01', 'led_upsert') ON CONFLICT DO NOTHING;
COMMIT;

-- also over what a subtransaction took back
BEGIN;
INSERT INTO uaef.ledger_event (stream, event_type) VALUES ('00000000-0000-8000-8000-00000000ed02', 'led_before');
SAVEPOINT s;
INSERT INTO uaef.ledger_event (stream, event_type) VALUES ('00000000-0000-8000-8000-00000000ed02', 'led_undone');
ROLLBACK TO s;
INSERT INTO uaef.ledger_event (stream, event_type) VALUES ('00000000-0000-8000-8000-00000000ed02', 'led_after');
SAVEPOINT t;
INSERT INTO uaef.ledger_event (stream, event_type) VALUES ('00000000-0000-8000-8000-00000000ed02', 'led_kept');
RELEASE t;
COMMIT;
DO $$
BEGIN
	FOR i IN 1..3 LOOP
		BEGIN
			INSERT INTO uaef.ledger_event (stream, event_type)
			VALUES ('00000000-0000-8000-8000-00000000ed02', 'led_caught');
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			PERFORM uaef.record_event('led_handled');
		END;
	END LOOP;
END
$$;

-- memory of what was undone is given back
BEGIN;
DO $$
BEGIN
	FOR i IN 1..20 LOOP
		BEGIN
			PERFORM uaef.record_event('led_caught');
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END
$$;
SELECT count(*) AS left_behind FROM pg_backend_memory_contexts WHERE name = 'uaef stream heads';
COMMIT;

-- a row that was not stored after all leaves no gap
BEGIN;
CREATE UNIQUE INDEX led_once ON uaef.ledger_event (event_type) WHERE event_type = 'led_once';
INSERT INTO uaef.ledger_event (stream, event_type)
SELECT '00000000-0000-8000-8000-00000000ec01', 'led_once' FROM generate_series(1, 3) ON CONFLICT DO NOTHING;
INSERT INTO uaef.ledger_event (stream, event_type) VALUES ('00000000-0000-8000-8000-00000000ec01', 'led_next');
SELECT stream_seq, event_type, linked, hashed FROM led_chain WHERE stream::text LIKE '00000000-%ec01' ORDER BY stream_seq;
ROLLBACK;

-- and when the transaction's snapshot is older than the head
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO uaef.ledger_event (stream, event_type) VALUES ('00000000-0000-8000-8000-00000000ed02', 'led_repeatable');
INSERT INTO uaef.ledger_event (stream, event_type) VALUES ('00000000-0000-8000-8000-00000000ed02', 'led_repeatable');
COMMIT;
SELECT right(stream::text, 2) AS stream, stream_seq, event_type, hashed, linked, numbered, timed
FROM led_chain WHERE stream::text LIKE '00000000-%ed0_' ORDER BY stream, stream_seq;

-- a row that brings a hash must have been chained here
SET session_replication_role = replica;
\set VERBOSITY terse
INSERT INTO uaef.ledger_event SELECT * FROM uaef.ledger_event WHERE event_id = :first;
\set VERBOSITY default
INSERT INTO uaef.ledger_event (event_id, stream, stream_seq, tx, recorded_at, kind, event_type, session_role, prev_hash, event_hash)
SELECT event_id, stream, stream_seq, tx, recorded_at, kind, 'led_forged', session_role, prev_hash, event_hash
FROM uaef.ledger_event WHERE event_id = :first;
\echo :LAST_ERROR_SQLSTATE

-- nothing is changed or removed, not even with triggers turned off for replication
UPDATE uaef.ledger_event SET payload = '{}' WHERE event_id = :first;
DELETE FROM uaef.ledger_event WHERE event_id = :first;
TRUNCATE uaef.ledger_event;
\echo :LAST_ERROR_SQLSTATE
UPDATE uaef.ledger_block SET tree_size = 0;
DELETE FROM uaef.ledger;
INSERT INTO uaef.ledger VALUES (gen_random_uuid(), now());
RESET session_replication_role;

-- an execution's stream is for who may act for its initiator
SELECT uaef.record_event('led_note', execution_id => '00000000-0000-0000-0000-000000000000');
\echo :LAST_ERROR_SQLSTATE
SELECT uaef.create_workflow('led_flow', '{"tasks": [{"id": "go", "type": "external"}]}') AS version \gset
SELECT uaef.start_workflow('led_flow', '{}') AS execution \gset
SELECT uaef.record_event('led_note', '{"by": "owner"}', :'execution') AS note \gset
SELECT event_type, stream_seq > 1 AS later, linked, hashed
FROM led_chain WHERE stream = :'execution' AND event_type = 'led_note';
SELECT set_config('led.execution', :'execution', false) IS NOT NULL AS set;
SET ROLE led_user;
DO $$
BEGIN
	PERFORM uaef.record_event('led_note', execution_id => current_setting('led.execution')::uuid);
EXCEPTION WHEN insufficient_privilege THEN
	RAISE WARNING '%', SQLERRM;
END
$$;
RESET ROLE;

-- the trail: each role sees the executions that it may act for
GRANT SELECT ON uaef.audit_trail TO led_user;
SELECT workflow, kind, event_type, payload FROM uaef.audit_trail WHERE event_id = :note;
SELECT DISTINCT kind FROM uaef.audit_trail WHERE workflow = 'led_flow' AND event_type <> 'led_note';
SET ROLE led_user;
SELECT count(*) FROM uaef.audit_trail;
RESET ROLE;

SELECT uaef.cancel_workflow(:'execution');

-- indexes that the library cannot write, columns that it does not know
BEGIN;
CREATE INDEX led_by ON uaef.ledger_event ((payload->>'by'));
SELECT uaef.record_event('led_indexed');
ROLLBACK;
BEGIN;
CREATE INDEX led_some ON uaef.ledger_event (recorded_at) WHERE kind = 1;
SELECT uaef.record_event('led_indexed');
ROLLBACK;
BEGIN;
CREATE INDEX led_payload ON uaef.ledger_event USING gin (payload);
SELECT uaef.record_event('led_indexed', '{"led": "found"}') > 0 AS recorded;
SET LOCAL enable_seqscan = off;
SELECT event_type FROM uaef.ledger_event WHERE payload @> '{"led": "found"}';
ROLLBACK;
BEGIN;
ALTER TABLE uaef.ledger_event ADD COLUMN led_more text;
SELECT uaef.record_event('led_wide');
ROLLBACK;

DROP VIEW led_chain;
DROP OWNED BY led_user, led_other;
DROP ROLE led_user, led_other;
